"""Call-backs of payment providers: passed on as they came, with the gateway's own token and nobody else's."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest
from chassis.errors import NotFound, Refusal, Unauthenticated
from chassis.rpc.errors import status_proto
from chassis.testing import Keys
from grpc_status import rpc_status
from touchstone.billing.v1 import payment_service_pb2 as pb
from touchstone.billing.v1 import payment_service_pb2_grpc as pb_grpc

from tests.contract.gateways import Gateway, gateway_over

PATH = "/v1/payment-channels/card/callbacks"
SIGNED = {"webhook-id": "wh-1", "webhook-timestamp": "1772366400", "webhook-signature": "v1,c2ln"}


class PaymentNotFound(NotFound):
    """As billing refuses."""


class CallbackRefused(Unauthenticated):
    """As billing refuses."""


class Billing(pb_grpc.PaymentServiceServicer):
    """Hears call-backs, and answers as told."""

    def __init__(self) -> None:
        self.heard: list[pb.ReceiveCallbackRequest] = []
        self.tokens: list[str] = []
        self.refusal: Refusal | None = None
        self.port = 0

    async def ReceiveCallback(self, request: pb.ReceiveCallbackRequest, context: Any) -> pb.ReceiveCallbackResponse:
        self.heard.append(request)
        self.tokens.append(dict(context.invocation_metadata())["authorization"])
        if self.refusal is not None:
            await context.abort_with_status(rpc_status.to_status(status_proto(self.refusal)))
        return pb.ReceiveCallbackResponse(duplicate=len(self.heard) > 1)


@pytest.fixture
async def billing() -> AsyncIterator[Billing]:
    made = Billing()  # type: ignore[abstract]  # the others are not called
    server = grpc.aio.server()
    pb_grpc.add_PaymentServiceServicer_to_server(made, server)
    made.port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    yield made
    await server.stop(None)


@pytest.fixture
async def gateway(keys: Keys, billing: Billing, tmp_path: Path) -> AsyncIterator[Gateway]:
    """The gateway before billing, with a token of its own."""
    token = tmp_path / "token"
    token.write_text(keys.mint("gateway", ["billing.callback"]) + "\n")
    changed = {"billing_target": f"127.0.0.1:{billing.port}", "service_token_file": token}
    async with gateway_over(keys, [], **changed) as made:
        yield made


async def called_back(gateway: Gateway, content: bytes, **headers: str) -> httpx.Response:
    """What a provider gets for a call-back."""
    return await gateway.client.http.post(PATH, content=content, headers=SIGNED | headers)


async def test_a_call_back_is_passed_on_byte_by_byte(gateway: Gateway, billing: Billing, tmp_path: Path) -> None:
    body = b'{ "type":"payment.succeeded" ,\r\n\t"x": "\xe4\xb8\xad\xff" }'

    answers = [await called_back(gateway, body), await called_back(gateway, body, authorization="Bearer forged")]

    assert [(each.status_code, each.json()) for each in answers] == [
        (200, {"duplicate": False}),
        (200, {"duplicate": True}),
    ]
    heard = billing.heard[0]
    assert (heard.channel, heard.body, heard.webhook_id) == ("card", body, "wh-1")
    assert (heard.webhook_timestamp, heard.webhook_signature) == ("1772366400", "v1,c2ln")
    assert set(billing.tokens) == {f"Bearer {(tmp_path / 'token').read_text().strip()}"}


@pytest.mark.parametrize(
    ("refusal", "status"),
    [(CallbackRefused("not signed"), 401), (PaymentNotFound("there is no payment"), 404)],
)
async def test_what_billing_refuses_is_said(gateway: Gateway, billing: Billing, refusal: Refusal, status: int) -> None:
    billing.refusal = refusal
    answer = await called_back(gateway, b"{}")
    assert (answer.status_code, answer.json()["reason"]) == (status, refusal.reason)
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("missing", sorted(SIGNED))
async def test_a_call_back_without_a_signature_goes_no_further(
    gateway: Gateway, billing: Billing, missing: str
) -> None:
    headers = {name: value for name, value in SIGNED.items() if name != missing}
    answer = await gateway.client.http.post(PATH, content=b"{}", headers=headers)
    assert (answer.status_code, answer.json()["reason"]) == (401, "CALLBACK_REFUSED")
    assert (await called_back(gateway, b"")).status_code == 401
    assert billing.heard == []


async def test_a_call_back_has_at_most_64_kib(gateway: Gateway, billing: Billing) -> None:
    assert (await called_back(gateway, b"x" * 65_536)).status_code == 200
    assert (await called_back(gateway, b"x" * 65_537)).status_code == 413
    assert len(billing.heard) == 1


async def test_without_a_token_of_its_own_the_gateway_takes_in_no_call_backs(keys: Keys, billing: Billing) -> None:
    async with gateway_over(keys, [], billing_target=f"127.0.0.1:{billing.port}") as gateway:
        answer = await called_back(gateway, b"{}")
    assert (answer.status_code, answer.json()["reason"]) == (503, "CALLBACKS_UNAVAILABLE")
    assert billing.heard == []


async def test_call_backs_are_limited_by_where_they_come_from(keys: Keys, billing: Billing, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text(keys.mint("gateway", ["billing.callback"]))
    changed = {"billing_target": f"127.0.0.1:{billing.port}", "service_token_file": token, "requests_per_minute": 3}
    async with gateway_over(keys, [], **changed) as gateway:
        statuses = [(await called_back(gateway, b"{}")).status_code for _ in range(5)]
    assert statuses.count(429) == 2
