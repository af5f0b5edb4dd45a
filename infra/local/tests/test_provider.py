"""The sandbox payment provider: every fate, signed, over real HTTP."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from chassis import clock
from chassis.embedded import free_port
from local.provider.app import create_app
from local.provider.fate import Fate, fate_of
from standardwebhooks import Webhook, WebhookVerificationError

SECRET = "whsec_" + base64.b64encode(b"a secret of the sandbox, long enough").decode()
PATIENCE_SECONDS = 20.0


@dataclass(slots=True)
class Shop:
    """Hears call-backs: what proved itself, what did not, and how the next ones are answered."""

    answers: list[int] = field(default_factory=list)
    heard: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    refused: list[dict[str, Any]] = field(default_factory=list)

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, one call-back."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:])}
        body = (await reader.readexactly(int(headers["content-length"]))).decode()
        status = self.answers.pop(0) if self.answers else 200
        try:
            Webhook(SECRET).verify(body, headers)
            if status == 200:
                self.heard.append((headers["webhook-id"], json.loads(body)))
        except WebhookVerificationError:
            self.refused.append(json.loads(body))
            status = 401
        writer.write(f"HTTP/1.1 {status} X\r\ncontent-length: 0\r\nconnection: close\r\n\r\n".encode())
        await writer.drain()
        writer.close()

    async def told(self, count: int) -> list[str]:
        """The types of so many call-backs that proved themselves, in order."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while len(self.heard) < count:
                await asyncio.sleep(0.01)
        return [body["type"] for _, body in self.heard]


@dataclass(slots=True)
class Sandbox:
    """The provider, as a shop calls it."""

    http: httpx.AsyncClient
    shop: Shop

    async def send(self, verb: str, path: str, body: dict[str, Any] | None = None, secret: str = SECRET) -> Any:
        """A signed request."""
        content, at = json.dumps(body) if body is not None else "", clock.now()
        headers = {
            "webhook-id": "k-1",
            "webhook-timestamp": str(int(at.timestamp())),
            "webhook-signature": Webhook(secret).sign("k-1", at, content or path),
        }
        return await self.http.request(verb, path, content=content, headers=headers)

    async def pay(self, payment_id: str = "p-1", *, amount: int = 50_00, token: str = "") -> Any:
        """Asks for a payment."""
        asked = {"payment_id": payment_id, "amount_minor": amount, "currency": "CNY", "token": token}
        return await self.send("POST", "/payments", asked)


@asynccontextmanager
async def running() -> AsyncIterator[Sandbox]:
    """The provider without a socket of its own; its call-backs go over a real one."""
    shop = Shop()
    server = await asyncio.start_server(shop.handle, "127.0.0.1", free_port())
    callbacks = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/callbacks"
    app = create_app(url="http://provider", callbacks=callbacks, secret=SECRET, late_seconds=0.2)
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://provider") as http:
            yield Sandbox(http, shop)
    server.close()


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    async with running() as made:
        yield made


FATES = {
    Fate.SUCCEED: ["payment.succeeded"],
    Fate.DECLINE: ["payment.declined"],
    Fate.LATE: ["payment.succeeded"],
    Fate.TWICE: ["payment.succeeded", "payment.succeeded"],
    Fate.OUT_OF_ORDER: ["chargeback.opened", "payment.succeeded"],
    Fate.FORGED: ["payment.succeeded"],
    Fate.CHARGEBACK: ["payment.succeeded", "chargeback.opened"],
    Fate.STALE: ["payment.succeeded"],
    Fate.DECLINE_THEN_SUCCEED: ["payment.declined", "payment.succeeded"],
}


@pytest.mark.parametrize("fate", FATES)
async def test_a_fate_is_fulfilled(sandbox: Sandbox, fate: Fate) -> None:
    answer = await sandbox.pay(token=f"sandbox-{fate}")
    assert (answer.status_code, answer.json()["type"]) == (201, "payment.pending")
    assert await sandbox.shop.told(len(FATES[fate])) == FATES[fate]
    assert bool(sandbox.shop.refused) == (fate in (Fate.FORGED, Fate.STALE))
    names = {name for name, _ in sandbox.shop.heard}
    assert len(names) == (1 if fate is Fate.TWICE else len(FATES[fate]))
    state = (await sandbox.send("GET", "/payments/p-1")).json()["type"]
    assert state == ("payment.declined" if fate is Fate.DECLINE else "payment.succeeded")


async def test_a_request_that_is_not_answered_was_taken_all_the_same(sandbox: Sandbox) -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.5):
            await sandbox.pay(token="sandbox-timeout")
    assert await sandbox.shop.told(1) == ["payment.succeeded"]
    again = await sandbox.pay(token="sandbox-timeout")
    assert (again.status_code, again.json()["type"]) == (200, "payment.succeeded"), "the same payment"


async def test_the_amount_chooses_where_no_token_does() -> None:
    assert [fate_of(100_00 + digits, "") for digits in (0, 1, 7, 50)] == [
        Fate.SUCCEED,
        Fate.DECLINE,
        Fate.TIMEOUT,
        Fate.SUCCEED,
    ]
    assert fate_of(100_01, "sandbox-late") is Fate.LATE
    assert fate_of(100_01, "sandbox-late:of-anna") is Fate.LATE
    assert fate_of(100_01, "sandbox-nonsense") is Fate.DECLINE
    assert fate_of(100_01, "tok_visa") is Fate.DECLINE
    assert fate_of(100_01, "late") is Fate.DECLINE


async def test_without_a_token_the_payer_goes_to_the_page_first(sandbox: Sandbox) -> None:
    page = (await sandbox.pay()).json()["redirect_url"]
    assert "<form" in (await sandbox.http.get(page)).text
    assert sandbox.shop.heard == []
    assert [(await sandbox.http.post(page)).status_code for _ in range(2)] == [200, 200]
    assert await sandbox.shop.told(1) == ["payment.succeeded"]
    day = datetime.now(UTC).date().isoformat()
    records = (await sandbox.http.get(f"/settlements/{day}")).json()["records"]
    assert [each["amount_minor"] for each in records] == [50_00], "who presses the button twice pays once"
    assert (await sandbox.http.get("/pay/unknown")).status_code == 404


async def test_a_call_back_is_repeated_until_it_is_taken_in(sandbox: Sandbox) -> None:
    sandbox.shop.answers = [404, 503]
    await sandbox.pay(token="sandbox-succeed")
    assert await sandbox.shop.told(1) == ["payment.succeeded"]


@pytest.mark.parametrize(("amount", "said"), [(20_00, "refund.succeeded"), (20_01, "refund.declined")])
async def test_money_is_given_back_once(sandbox: Sandbox, amount: int, said: str) -> None:
    await sandbox.pay(token="sandbox-succeed")
    await sandbox.shop.told(1)
    asked = {"refund_id": "r-1", "payment_id": "p-1", "amount_minor": amount, "currency": "CNY"}
    assert [(await sandbox.send("POST", "/refunds", asked)).status_code for _ in range(2)] == [202, 202]
    assert (await sandbox.shop.told(2))[1:] == [said]
    assert sandbox.shop.heard[1][1]["refund_id"] == "r-1"
    day = datetime.now(UTC).date().isoformat()
    records = (await sandbox.http.get(f"/settlements/{day}")).json()["records"]
    expected = [50_00, -amount] if said == "refund.succeeded" else [50_00]
    assert [each["amount_minor"] for each in records] == expected
    for never in ({"payment_id": "other"}, {"refund_id": "r-2", "amount_minor": 50_01}):
        assert (await sandbox.send("POST", "/refunds", asked | never)).status_code == 422


async def test_who_does_not_sign_is_not_served(sandbox: Sandbox) -> None:
    other = "whsec_" + base64.b64encode(b"another secret, just as long").decode()
    for verb, path, body in (("POST", "/payments", {"x": 1}), ("POST", "/refunds", {}), ("GET", "/payments/p-1", None)):
        assert (await sandbox.send(verb, path, body, other)).status_code == 401
        assert (await sandbox.http.request(verb, path)).status_code == 401
    assert (await sandbox.send("POST", "/payments", {"payment_id": 7})).status_code == 422
    assert (await sandbox.send("GET", "/payments/unknown")).status_code == 404
    assert (await sandbox.http.get("/readyz")).status_code == 200
