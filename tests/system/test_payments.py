"""Payments through the sandbox provider: from the gateway to billing, to the provider, and back by signed call-back."""

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
from chassis import clock
from local import Platform

pytestmark = pytest.mark.asyncio(loop_scope="module")
PATIENCE_SECONDS = 60.0
ACCOUNT = "/v1/customers/c-payer/accounts/a-payer"


@dataclass(slots=True)
class Payer:
    """A customer's app at the gateway."""

    platform: Platform
    http: httpx.AsyncClient
    asked: int = 0

    async def call(self, verb: str, path: str, body: dict[str, Any] | None = None) -> Any:
        """A call with a key of its own; the answer's body."""
        self.asked += 1
        sent = None if body is None else {"occurred_at": clock.now().isoformat(), **body}
        headers = {"Idempotency-Key": f"payer-{self.asked}"}
        answer = await self.http.request(verb, path, json=sent, headers=headers)
        assert answer.is_success, answer.text
        return answer.json()

    async def pay(self, amount: int, token: str = "") -> Any:
        """A payment that is asked for."""
        money = {"minor_units": amount, "currency": "CNY"}
        body = {"amount": money, "channel": "sandbox", "token_id": token}
        return await self.call("POST", f"{ACCOUNT}/payments", body)

    async def ended(self, payment: Any, state: str) -> Any:
        """The payment once it is in this state."""
        deadline = clock.monotonic() + PATIENCE_SECONDS
        while True:
            now = await self.call("GET", f"/v1/customers/c-payer/payments/{payment['payment_id']}")
            if now["state"] == state:
                return now
            assert clock.monotonic() < deadline, now
            await asyncio.sleep(0.1)

    async def balance(self) -> int:
        """What the account has."""
        return int((await self.call("GET", ACCOUNT))["balance"]["minor_units"])


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def payer() -> AsyncIterator[Payer]:
    """The platform with one account, and a means of payment for each fate that a test wants."""
    folder = Path(tempfile.mkdtemp(prefix="touchstone-payments-"))
    folder.chmod(0o711)  # root's PostgreSQL runs as another user, who must reach its data
    try:
        async with Platform(folder / "platform") as platform:
            headers = {"Authorization": f"Bearer {platform.token()}"}
            url = platform.addresses.gateway_url
            async with httpx.AsyncClient(base_url=url, headers=headers, timeout=30) as http:
                made = Payer(platform, http)
                await made.call("PUT", ACCOUNT, {"currency": "CNY"})
                yield made
    finally:
        shutil.rmtree(folder, ignore_errors=True)


async def test_a_payer_pays_on_the_providers_page(payer: Payer) -> None:
    before = await payer.balance()
    payment = await payer.pay(50_00)
    assert payment["state"] == "PENDING"
    async with httpx.AsyncClient() as browser:
        assert (await browser.post(payment["redirect_url"])).is_success
    paid = await payer.ended(payment, "SUCCEEDED")
    assert paid["transaction_id"] == f"recharge:{payment['payment_id']}"
    assert await payer.balance() == before + 50_00


@pytest.mark.parametrize(
    ("fate", "state", "kept"),
    [
        ("succeed", "SUCCEEDED", 20_00),
        ("decline", "DECLINED", 0),
        ("twice", "SUCCEEDED", 20_00),
        ("forged", "SUCCEEDED", 20_00),
        ("stale", "SUCCEEDED", 20_00),
        ("timeout", "SUCCEEDED", 20_00),
        ("decline-then-succeed", "SUCCEEDED", 20_00),
        ("out-of-order", "SUCCEEDED", 0),
    ],
)
async def test_a_stored_means_of_payment_meets_its_fate(payer: Payer, fate: str, state: str, kept: int) -> None:
    stored = {"channel": "sandbox", "provider_token": f"sandbox-{fate}", "display_name": fate}
    await payer.call("PUT", f"{ACCOUNT}/payment-tokens/{fate}", stored)
    before = await payer.balance()
    await payer.ended(await payer.pay(20_00, fate), state)
    deadline = clock.monotonic() + PATIENCE_SECONDS
    while (now := await payer.balance()) != before + kept:
        assert clock.monotonic() < deadline, now
        await asyncio.sleep(0.1)


async def test_a_call_back_that_nobody_signed_is_refused_at_the_gateway(payer: Payer) -> None:
    headers = {"webhook-id": "wh-1", "webhook-timestamp": "1772366400", "webhook-signature": "v1,c2ln"}
    url = f"{payer.platform.addresses.gateway_url}/v1/payment-channels/sandbox/callbacks"
    async with httpx.AsyncClient() as stranger:
        answer = await stranger.post(url, json={"type": "payment.succeeded"}, headers=headers)
    assert (answer.status_code, answer.json()["reason"]) == (401, "CALLBACK_REFUSED")
