"""Webhooks end to end: dispatched, signed, sent to a real server, tried again, given up, replayed."""

import asyncio
import socket
from collections.abc import Callable
from ipaddress import ip_address
from pathlib import Path

import pytest
from chassis.ids import new_id
from chassis.testing.serving import Serving
from chassis.times import to_proto
from cloudevents.core.bindings.http import HTTPMessage, from_structured
from cloudevents.core.formats.json import JSONFormat
from sqlalchemy import text
from touchpoint.clients.webhook import Address, AddressRefused, WebhookSender
from touchpoint.domain.delivery import Answer
from touchpoint.use_cases.opportunities import record_opportunities
from touchstone.touchpoint.v1 import touchpoint_pb2
from touchstone.touchpoint.v1 import touchpoint_service_pb2 as pb
from touchstone.touchpoint.v1 import touchpoint_service_pb2_grpc as pb_grpc

from services.touchpoint.tests.certificates import server_context, trusting_context
from services.touchpoint.tests.factories import PARTNER, T0, an_opportunity
from services.touchpoint.tests.receiver import DRIP, HANG, REDIRECT, Receiver, receiving

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


async def until(condition: Callable[[], bool]) -> None:
    """Waits for what must come."""
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.01)


class Partner:
    """A partner with its endpoint, and the operator who dispatches to it."""

    def __init__(self, served: Serving, receiver: Receiver) -> None:
        self.served = served
        self.receiver = receiver
        self.partners = pb_grpc.PartnerServiceStub(served.channel("partner.admin"))
        self.contacts = pb_grpc.ContactServiceStub(served.channel("touchpoint.jobs", "touchpoint.read"))
        self.endpoint_id = ""

    async def register(self) -> None:
        created = await self.partners.CreateEndpoint(
            pb.CreateEndpointRequest(
                request_id=new_id(), partner_id="dealer-1", url=f"{self.receiver.url}/hook", touchpoints=[PARTNER]
            )
        )
        self.receiver.secret = created.secret
        self.endpoint_id = created.endpoint.endpoint_id

    async def dispatch(self, count: int = 1) -> pb.DispatchResponse:
        waiting = [an_opportunity(f"customer-{new_id()}", touchpoints=(PARTNER,)) for _ in range(count)]
        await self.served.work.run(lambda transaction: record_opportunities(transaction, waiting))
        return await self.contacts.Dispatch(
            pb.DispatchRequest(request_id=new_id(), touchpoint=PARTNER, as_of=to_proto(T0))
        )

    async def deliveries(self, state: int = 0) -> pb.ListDeliveriesResponse:
        return await self.partners.ListDeliveries(
            pb.ListDeliveriesRequest(endpoint_id=self.endpoint_id, state=touchpoint_pb2.DeliveryState.ValueType(state))
        )

    async def finished(self, state: int, count: int = 1) -> list[touchpoint_pb2.Delivery]:
        async with asyncio.timeout(20):
            while (listed := await self.deliveries(state)).total < count:
                await asyncio.sleep(0.02)
        return list(listed.deliveries)


async def test_a_dispatched_offer_arrives_signed_and_holds_ids_and_the_offer_alone(served: Serving) -> None:
    async with receiving() as receiver:
        partner = Partner(served, receiver)
        await partner.register()
        assert (await partner.dispatch(3)).deliveries == 3
        done = await partner.finished(touchpoint_pb2.DELIVERY_STATE_DELIVERED, 3)
    assert {message["id"] for message in receiver.messages} == {one.delivery_id for one in done}
    assert {headers["webhook-id"] for headers in receiver.headers} == {one.delivery_id for one in done}
    assert all((one.attempts, one.last_status, one.last_error) == (1, 204, "") for one in done)
    message = receiver.messages[0]
    assert message["type"] == "offer.dispatched"
    names = {"contact_id", "opportunity_id", "customer_id", "campaign_id", "touchpoint", "delivery_way", "offer"}
    assert set(message["data"]) == names
    event = from_structured(HTTPMessage(receiver.headers[0], receiver.bodies[0]), JSONFormat())
    assert event.get_subject() == message["data"]["contact_id"]
    await served.settle()
    async with served.work.reading() as connection:
        told = await connection.execute(text("SELECT count(*) FROM outbox WHERE event_type LIKE '%DeliveryCompleted'"))
        assert told.scalar_one() == 3


async def test_a_failed_attempt_is_repeated_with_the_same_id_and_a_fresh_signature(served: Serving) -> None:
    async with receiving(500, REDIRECT, 200) as receiver:
        partner = Partner(served, receiver)
        await partner.register()
        await partner.dispatch()
        (done,) = await partner.finished(touchpoint_pb2.DELIVERY_STATE_DELIVERED)
    assert (done.attempts, done.last_status, done.last_error) == (3, 200, "")
    assert [headers["webhook-id"] for headers in receiver.headers] == [done.delivery_id] * 3
    assert len(receiver.messages) == 3, "each was verified, the redirect was not followed"
    assert len(set(receiver.bodies)) == 1


async def test_what_never_succeeds_is_given_up_kept_and_can_be_replayed(served: Serving) -> None:
    async with receiving(503) as receiver:
        partner = Partner(served, receiver)
        await partner.register()
        await partner.dispatch()
        (lost,) = await partner.finished(touchpoint_pb2.DELIVERY_STATE_EXHAUSTED)
        assert (lost.attempts, lost.last_status, lost.last_error) == (3, 503, "status 503")
        receiver.answers = [200]
        request = pb.ReplayDeliveryRequest(request_id=new_id(), delivery_id=lost.delivery_id)
        replayed = await partner.partners.ReplayDelivery(request)
        assert replayed.delivery.state == touchpoint_pb2.DELIVERY_STATE_PENDING
        (done,) = await partner.finished(touchpoint_pb2.DELIVERY_STATE_DELIVERED)
    assert (done.delivery_id, done.attempts) == (lost.delivery_id, 4)


@pytest.mark.parametrize("manner", [HANG, DRIP])
async def test_a_receiver_that_does_not_finish_fails_the_attempt_and_blocks_nobody(
    served: Serving, manner: str
) -> None:
    async with receiving(manner) as slow, receiving() as quick:
        stuck, healthy = Partner(served, slow), Partner(served, quick)
        await stuck.register()
        await healthy.register()
        await healthy.dispatch(20)
        await healthy.finished(touchpoint_pb2.DELIVERY_STATE_DELIVERED, 20)
        (given_up, *_) = await stuck.finished(touchpoint_pb2.DELIVERY_STATE_EXHAUSTED)
    assert given_up.last_error == "no answer within 0.5 s"
    assert given_up.last_status == 0


async def test_a_switched_off_endpoint_gets_its_queue_when_it_is_switched_on(served: Serving) -> None:
    async with receiving(410, 204) as receiver:
        partner = Partner(served, receiver)
        await partner.register()
        await partner.dispatch()
        await until(lambda: len(receiver.messages) == 1)
        async with asyncio.timeout(20):
            while not (await partner.partners.ListEndpoints(pb.ListEndpointsRequest())).endpoints[0].disabled:
                await asyncio.sleep(0.02)
        await partner.dispatch(2)
        assert (await partner.deliveries(touchpoint_pb2.DELIVERY_STATE_PENDING)).total == 3
        await partner.partners.SetEndpointDisabled(
            pb.SetEndpointDisabledRequest(request_id=new_id(), endpoint_id=partner.endpoint_id, disabled=False)
        )
        done = await partner.finished(touchpoint_pb2.DELIVERY_STATE_DELIVERED, 3)
    assert sorted(one.attempts for one in done) == [1, 1, 2]


async def send(sender: WebhookSender, url: str) -> Answer:
    answer = await sender.send(url, SECRET, message_id="message-1", body=b"{}")
    await sender.aclose()
    return answer


async def test_the_connection_goes_to_the_judged_address_even_when_the_name_changes_its_mind() -> None:
    """The name is public when it is registered and leads inside when it is sent to: nothing connects."""
    answers: list[list[Address]] = [[ip_address("8.8.8.8")], [ip_address("127.0.0.1")]]

    async def rebinding(host: str, port: int) -> list[Address]:
        return answers.pop(0)

    async with receiving() as sentinel:
        port = sentinel.url.rpartition(":")[2]
        sender = WebhookSender(allow_private=False, timeout_seconds=2, resolve=rebinding)
        await sender.check_reachable(f"https://partner.example:{port}/")
        answer = await send(sender, f"http://partner.example:{port}/")
    assert answer.error == "partner.example does not lead to a public address"
    assert sentinel.connections == 0
    assert not answers, "the name was asked once for each"


async def test_the_name_is_asked_once_and_the_request_keeps_it() -> None:
    asked: list[str] = []

    async def loopback(host: str, port: int) -> list[Address]:
        asked.append(host)
        return [ip_address("::1"), ip_address("127.0.0.1")]

    async with receiving() as receiver:
        port = receiver.url.rpartition(":")[2]
        sender = WebhookSender(allow_private=True, timeout_seconds=2, resolve=loopback)
        answer = await send(sender, f"http://partner.example:{port}/hook")
    assert answer.accepted, "the address that takes no connection was passed over"
    assert asked == ["partner.example"]
    assert receiver.headers[0]["host"] == f"partner.example:{port}"


async def test_a_proxy_of_the_environment_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    async with receiving() as proxy, receiving() as receiver:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, proxy.url)
        answer = await send(WebhookSender(allow_private=True, timeout_seconds=2), receiver.url)
    assert answer.accepted
    assert (proxy.connections, receiver.connections) == (0, 1)


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_a_port_where_nobody_listens_or_nobody_speaks_tls_is_an_error_of_the_attempt(scheme: str) -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        port = bound.getsockname()[1]
        answer = await send(WebhookSender(allow_private=True, timeout_seconds=2), f"{scheme}://127.0.0.1:{port}")
    assert (answer.status, answer.error) == (0, "ConnectError")


async def test_an_unresolvable_host_is_an_error_of_the_attempt() -> None:
    answer = await send(WebhookSender(allow_private=True, timeout_seconds=5), "https://no-such-host.invalid/")
    assert answer.error == str(AddressRefused("no-such-host.invalid does not resolve"))


@pytest.mark.parametrize(
    ("certified", "trusted", "error"),
    [
        ("partner.example", True, ""),
        ("other.example", True, "ConnectError"),
        ("partner.example", False, "ConnectError"),
    ],
)
async def test_the_certificate_must_be_of_the_name_though_the_connection_goes_to_an_address(
    tmp_path: Path, certified: str, trusted: bool, error: str
) -> None:
    async def loopback(host: str, port: int) -> list[Address]:
        return [ip_address("127.0.0.1")]

    async with receiving(tls=server_context(certified, tmp_path)) as receiver:
        port = receiver.url.rpartition(":")[2]
        sender = WebhookSender(
            allow_private=True,
            timeout_seconds=2,
            resolve=loopback,
            verify=trusting_context() if trusted else True,
        )
        answer = await send(sender, f"https://partner.example:{port}/hook")
    assert answer.error == error
    assert len(receiver.bodies) == (0 if error else 1)
