"""The calls over real gRPC: what they answer, whom they admit, and what they refuse with the field's name."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import grpc
import pytest
from chassis.embedded import NatsServer
from chassis.errors import Code
from chassis.ids import new_id
from chassis.rpc.errors import RemoteRefusal, from_status, remote_refusal
from chassis.testing import Database, Keys
from chassis.testing.serving import DATED_LONG_AGO, Serving, serving
from chassis.times import to_proto
from google.protobuf.timestamp_pb2 import Timestamp
from sqlalchemy import text
from touchpoint.__main__ import PROCESS
from touchpoint.use_cases import opportunities
from touchstone.campaign.v1 import campaign_service_pb2 as campaign_pb
from touchstone.campaign.v1 import campaign_service_pb2_grpc as campaign_grpc
from touchstone.touchpoint.v1 import touchpoint_pb2
from touchstone.touchpoint.v1 import touchpoint_service_pb2 as pb
from touchstone.touchpoint.v1 import touchpoint_service_pb2_grpc as pb_grpc

from services.touchpoint.tests.factories import (
    APP,
    DAY,
    HALL,
    HOTLINE,
    HOUR,
    PARTNER,
    SMS,
    T0,
    a_decision,
    a_present,
    an_opportunity,
)

SCOPES = ("touchpoint.read", "touchpoint.present", "touchpoint.jobs", "touchpoint.admin", "partner.admin")


class Stubs:
    """The three services with every scope, or as the caller that is given."""

    def __init__(self, served: Serving, *scopes: str, customer_id: str | None = None) -> None:
        channel = served.channel(*(scopes or SCOPES), customer_id=customer_id)
        self.touchpoints = pb_grpc.TouchpointServiceStub(channel)
        self.contacts = pb_grpc.ContactServiceStub(channel)
        self.partners = pb_grpc.PartnerServiceStub(channel)


@pytest.fixture
def api(served: Serving) -> Stubs:
    return Stubs(served)


async def arrive(served: Serving, *arrived: Any) -> None:
    await served.work.run(lambda transaction: opportunities.record_opportunities(transaction, arrived))


async def refusal_of(call: Any) -> RemoteRefusal:
    with pytest.raises(grpc.aio.AioRpcError) as failed:
        await call
    return remote_refusal(failed.value)


def an_outcome(contact_id: str, customer_id: str = "ann", **values: Any) -> pb.RecordOutcomeRequest:
    named: dict[str, Any] = {
        "request_id": new_id(),
        "contact_id": contact_id,
        "customer_id": customer_id,
        "outcome": touchpoint_pb2.OUTCOME_ACCEPTED,
        "occurred_at": to_proto(T0 + HOUR),
    }
    return pb.RecordOutcomeRequest(**named | values)


async def test_fifty_touchpoints_race_and_one_wins(served: Serving, api: Stubs) -> None:
    places = [f"TP{number:02}" for number in range(1, 20)]
    await arrive(served, an_opportunity(touchpoints=tuple(places)))
    visits = [a_present(touchpoint=places[number % 19]) for number in range(50)]
    answers = await asyncio.gather(*(api.contacts.Present(visit) for visit in visits))
    assert sorted(len(answer.contacts) for answer in answers) == [0] * 49 + [1]
    figures = await api.contacts.GetContactFigures(pb.GetContactFiguresRequest())
    assert (figures.taken, figures.shown_twice, figures.customers_contacted) == (1, 0, 1)


async def test_fifty_repeats_of_one_visit_get_one_answer(served: Serving, api: Stubs) -> None:
    await arrive(served, an_opportunity(), an_opportunity())
    visit = a_present()
    answers = await asyncio.gather(*(api.contacts.Present(visit) for _ in range(50)))
    assert len({answer.SerializeToString(deterministic=True) for answer in answers}) == 1
    assert len(answers[0].contacts) == 1
    other = a_present(request_id=visit.request_id, touchpoint=HALL)
    assert (await refusal_of(api.contacts.Present(other))).reason == "REQUEST_ID_REUSED"


async def test_the_cap_is_told_as_the_reason_of_silence(served: Serving, api: Stubs) -> None:
    policy = touchpoint_pb2.ContactPolicy(contacts_max=1, window_days=30, cool_off_days=10)
    await api.touchpoints.PutContactPolicy(pb.PutContactPolicyRequest(request_id=new_id(), policy=policy))
    assert (await api.touchpoints.GetContactPolicy(pb.GetContactPolicyRequest())).policy == policy
    await arrive(served, *(an_opportunity() for _ in range(3)))
    (contact,) = (await api.contacts.Present(a_present(offers_max=5))).contacts
    assert (await api.contacts.Present(a_present(at=T0 + DAY))).silence_reason == pb.SILENCE_REASON_CAP_REACHED
    await api.contacts.RecordOutcome(an_outcome(contact.contact_id, outcome=touchpoint_pb2.OUTCOME_REFUSED))
    assert (await api.contacts.Present(a_present(at=T0 + DAY))).silence_reason == pb.SILENCE_REASON_COOLING_OFF
    assert (await api.contacts.Present(a_present("bob"))).silence_reason == pb.SILENCE_REASON_NOTHING_WAITS


async def test_the_policy_ships_with_fifteen_contacts_in_thirty_days(api: Stubs) -> None:
    policy = (await api.touchpoints.GetContactPolicy(pb.GetContactPolicyRequest())).policy
    assert (policy.contacts_max, policy.window_days) == (15, 30)


async def test_offers_are_shown_without_being_taken(served: Serving, api: Stubs) -> None:
    await arrive(served, an_opportunity(), an_opportunity(touchpoints=(HALL,)), an_opportunity(expires_at=T0 + HOUR))
    asked = pb.ListOffersRequest(customer_id="ann", touchpoint=APP, as_of=to_proto(T0 + 2 * HOUR))
    assert [len((await api.contacts.ListOffers(asked)).offers) for _ in range(2)] == [1, 1]
    anywhere = pb.ListOffersRequest(customer_id="ann", as_of=to_proto(T0))
    assert len((await api.contacts.ListOffers(anywhere)).offers) == 3
    assert len((await api.contacts.ListOffers(pb.ListOffersRequest(customer_id="ann"))).offers) == 0


async def test_a_batch_answers_each_item(served: Serving, api: Stubs) -> None:
    await arrive(served, an_opportunity(), an_opportunity("bob"))
    requests = [a_present(), a_present("bob", "TP99"), a_present("bob", at=T0), a_present("a b"), a_present("bob")]
    results = (await api.contacts.BatchPresent(pb.BatchPresentRequest(requests=requests))).results
    assert [result.WhichOneof("result") for result in results] == ["response", "error", "response", "error", "response"]
    assert [len(result.response.contacts) for result in results] == [1, 0, 1, 0, 0]
    assert from_status(results[1].error).reason == "TOUCHPOINT_NOT_FOUND"
    assert [violation.field for violation in from_status(results[3].error).violations] == ["customer_id"]
    (contact,) = results[0].response.contacts
    told = [an_outcome(contact.contact_id), an_outcome(contact.contact_id, "bob"), an_outcome("missing")]
    outcomes = (await api.contacts.BatchRecordOutcomes(pb.BatchRecordOutcomesRequest(requests=told))).results
    assert outcomes[0].response.contact.outcome == touchpoint_pb2.OUTCOME_ACCEPTED
    assert {from_status(outcome.error).reason for outcome in outcomes[1:]} == {"CONTACT_NOT_FOUND"}
    await served.settle()


async def test_contacts_are_listed_newest_first_page_by_page(served: Serving, api: Stubs) -> None:
    await arrive(served, *(an_opportunity() for _ in range(7)), an_opportunity("bob"))
    for number in (3, 1, 4, 0, 6, 2, 2):
        await api.contacts.Present(a_present(at=T0 + number * DAY))
    await api.contacts.Present(a_present("bob"))
    listed: list[touchpoint_pb2.Contact] = []
    token = ""
    while True:
        page = await api.contacts.ListContacts(pb.ListContactsRequest(customer_id="ann", page_size=3, page_token=token))
        listed += page.contacts
        token = page.next_page_token
        if not token:
            break
    times = [one.occurred_at.seconds for one in listed]
    assert len({one.contact_id for one in listed}) == 7
    assert times == sorted(times, reverse=True)
    assert len((await api.contacts.ListContacts(pb.ListContactsRequest())).contacts) == 8


async def test_expiry_in_portions_answers_a_repeat_with_the_same_count(
    served: Serving, api: Stubs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(opportunities, "EXPIRED_AT_ONCE_MAX", 3)
    monkeypatch.setattr("touchpoint.api.contacts.EXPIRED_AT_ONCE_MAX", 3)
    await arrive(served, *(an_opportunity(expires_at=T0 + HOUR) for _ in range(8)))
    request = pb.ExpireOpportunitiesRequest(request_id=new_id(), as_of=to_proto(T0 + HOUR))
    answers = await asyncio.gather(*(api.contacts.ExpireOpportunities(request) for _ in range(4)))
    assert [answer.expired for answer in answers] == [8] * 4
    again = pb.ExpireOpportunitiesRequest(request_id=new_id(), as_of=request.as_of)
    assert (await api.contacts.ExpireOpportunities(again)).expired == 0
    reused = pb.ExpireOpportunitiesRequest(request_id=request.request_id, as_of=to_proto(T0 + DAY))
    assert (await refusal_of(api.contacts.ExpireOpportunities(reused))).reason == "REQUEST_ID_REUSED"


async def test_an_endpoint_shows_its_secret_once(served: Serving, api: Stubs) -> None:
    request = pb.CreateEndpointRequest(
        request_id=new_id(), partner_id="dealer-1", url="http://127.0.0.1:1/hook", touchpoints=[PARTNER, SMS]
    )
    created = await api.partners.CreateEndpoint(request)
    assert await api.partners.CreateEndpoint(request) == created, "a repeat of the request is the request"
    listed = await api.partners.ListEndpoints(pb.ListEndpointsRequest(partner_id="dealer-1"))
    assert list(listed.endpoints) == [created.endpoint]
    assert created.secret not in str(listed)
    assert not (await api.partners.ListEndpoints(pb.ListEndpointsRequest(partner_id="dealer-2"))).endpoints


async def test_touchpoints_are_listed_and_put(api: Stubs) -> None:
    first = await api.touchpoints.ListTouchpoints(pb.ListTouchpointsRequest(page_size=15))
    rest = await api.touchpoints.ListTouchpoints(pb.ListTouchpointsRequest(page_token=first.next_page_token))
    assert [one.code for one in (*first.touchpoints, *rest.touchpoints)] == [f"TP{n:02}" for n in range(1, 20)]
    app = first.touchpoints[8]
    assert (app.touchpoint_id, app.name_zh, app.inbound, app.outbound) == ("mobile_app", "掌上营业厅", True, True)
    app.name_en = "The app"
    stored = await api.touchpoints.PutTouchpoint(pb.PutTouchpointRequest(request_id=new_id(), touchpoint=app))
    assert stored.touchpoint == app


@pytest.mark.parametrize("settings", [DATED_LONG_AGO])
async def test_a_member_reaches_his_own_offers_and_nobody_elses(served: Serving) -> None:
    await arrive(served, an_opportunity(), an_opportunity("bob"))
    ann = Stubs(served, "touchpoint.present", "touchpoint.read", customer_id="ann")
    (contact,) = (await ann.contacts.Present(a_present())).contacts
    assert (await ann.contacts.RecordOutcome(an_outcome(contact.contact_id))).contact.contact_id == contact.contact_id
    foreign: list[Any] = [
        ann.contacts.Present(a_present("bob")),
        ann.contacts.ListOffers(pb.ListOffersRequest(customer_id="bob")),
        ann.contacts.ListContacts(pb.ListContactsRequest()),
        ann.contacts.RecordOutcome(an_outcome(contact.contact_id, "bob")),
        ann.contacts.BatchPresent(pb.BatchPresentRequest(requests=[a_present()])),
        ann.contacts.GetContactFigures(pb.GetContactFiguresRequest()),
    ]
    assert {(await refusal_of(call)).code for call in foreign} == {Code.PERMISSION_DENIED}


async def test_a_method_without_its_scope_is_closed(served: Serving) -> None:
    channel = Stubs(served, "touchpoint.read")
    closed: list[Any] = [
        channel.contacts.Present(a_present()),
        channel.contacts.Dispatch(pb.DispatchRequest()),
        channel.touchpoints.PutContactPolicy(pb.PutContactPolicyRequest()),
        channel.partners.ListDeliveries(pb.ListDeliveriesRequest()),
    ]
    assert {(await refusal_of(call)).code for call in closed} == {Code.PERMISSION_DENIED}


END_OF_TIME = Timestamp(seconds=253402300799)

BAD: list[tuple[str, Callable[[Stubs], Any], str]] = [
    ("no request id", lambda api: api.contacts.Present(a_present(request_id="")), "request_id"),
    ("long request id", lambda api: api.contacts.Present(a_present(request_id="x" * 129)), "request_id"),
    ("no customer", lambda api: api.contacts.Present(a_present("")), "customer_id"),
    ("odd customer", lambda api: api.contacts.Present(a_present("../ann")), "customer_id"),
    ("long customer", lambda api: api.contacts.Present(a_present("a" * 65)), "customer_id"),
    ("null in customer", lambda api: api.contacts.Present(a_present("ann\x00")), "customer_id"),
    ("no touchpoint", lambda api: api.contacts.Present(a_present(touchpoint="")), "touchpoint"),
    ("unknown way", lambda api: api.contacts.Present(a_present(delivery_way="fax")), "delivery_way"),
    ("too many offers", lambda api: api.contacts.Present(a_present(offers_max=6)), "offers_max"),
    ("negative offers", lambda api: api.contacts.Present(a_present(offers_max=-1)), "offers_max"),
    ("no time", lambda api: api.contacts.Present(a_present(occurred_at=None)), "occurred_at"),
    ("the end of time", lambda api: api.contacts.Present(a_present(occurred_at=END_OF_TIME)), "occurred_at"),
    (
        "oversized batch",
        lambda api: api.contacts.BatchPresent(pb.BatchPresentRequest(requests=[a_present()] * 1001)),
        "requests",
    ),
    (
        "oversized outcomes",
        lambda api: api.contacts.BatchRecordOutcomes(pb.BatchRecordOutcomesRequest(requests=[an_outcome("x")] * 1001)),
        "requests",
    ),
    ("no outcome", lambda api: api.contacts.RecordOutcome(an_outcome("x", outcome=0)), "outcome"),
    ("unknown outcome", lambda api: api.contacts.RecordOutcome(an_outcome("x", outcome=77)), "outcome"),
    ("odd contact", lambda api: api.contacts.RecordOutcome(an_outcome("no such thing")), "contact_id"),
    (
        "too much to dispatch",
        lambda api: api.contacts.Dispatch(
            pb.DispatchRequest(request_id="r", touchpoint=SMS, as_of=to_proto(T0), contacts_max=10_001)
        ),
        "contacts_max",
    ),
    (
        "dispatch at no time",
        lambda api: api.contacts.Dispatch(pb.DispatchRequest(request_id="r", touchpoint=SMS)),
        "as_of",
    ),
    ("page too large", lambda api: api.contacts.ListContacts(pb.ListContactsRequest(page_size=501)), "page_size"),
    ("token of nobody", lambda api: api.contacts.ListContacts(pb.ListContactsRequest(page_token="!")), "page_token"),
    (
        "token of another list",
        lambda api: api.contacts.ListContacts(pb.ListContactsRequest(page_token="VFAwMQ")),
        "page_token",
    ),
    (
        "empty policy",
        lambda api: api.touchpoints.PutContactPolicy(pb.PutContactPolicyRequest(request_id="r")),
        "policy.contacts_max",
    ),
    (
        "empty touchpoint",
        lambda api: api.touchpoints.PutTouchpoint(pb.PutTouchpointRequest(request_id="r")),
        "touchpoint.code",
    ),
    (
        "endpoint nowhere",
        lambda api: api.partners.CreateEndpoint(
            pb.CreateEndpointRequest(request_id="r", partner_id="p", url="ftp://x/", touchpoints=[SMS])
        ),
        "url",
    ),
    (
        "endpoint for nothing",
        lambda api: api.partners.CreateEndpoint(
            pb.CreateEndpointRequest(request_id="r", partner_id="p", url="http://127.0.0.1/")
        ),
        "touchpoints",
    ),
    (
        "unknown delivery state",
        lambda api: api.partners.ListDeliveries(pb.ListDeliveriesRequest(state=9)),  # type: ignore[arg-type]
        "state",
    ),
]


async def test_bad_input_names_its_field_and_stores_nothing(served: Serving, api: Stubs) -> None:
    await arrive(served, an_opportunity())
    for case, call, field in BAD:
        refusal = await refusal_of(call(api))
        assert refusal.code is Code.INVALID_ARGUMENT, case
        assert field in [violation.field for violation in refusal.violations], (case, refusal)
    async with served.work.reading() as connection:
        for table in ("contacts", "outcomes", "endpoints", "outbox", "handled_requests"):
            count = await connection.execute(text(f"SELECT count(*) FROM {table}"))
            assert count.scalar_one() == 0, table


async def test_what_does_not_exist_is_not_found_whoever_asks(served: Serving, api: Stubs) -> None:
    await arrive(served, an_opportunity())
    (contact,) = (await api.contacts.Present(a_present())).contacts
    missing: dict[str, Any] = {
        "TOUCHPOINT_NOT_FOUND": api.contacts.Present(a_present(touchpoint="TP99")),
        "CONTACT_NOT_FOUND": api.contacts.RecordOutcome(an_outcome(contact.contact_id, "bob")),
        "DELIVERY_NOT_FOUND": api.partners.ReplayDelivery(
            pb.ReplayDeliveryRequest(request_id=new_id(), delivery_id="missing")
        ),
        "ENDPOINT_NOT_FOUND": api.partners.SetEndpointDisabled(
            pb.SetEndpointDisabledRequest(request_id=new_id(), endpoint_id="missing")
        ),
    }
    for reason, call in missing.items():
        refusal = await refusal_of(call)
        assert (refusal.code, refusal.reason) == (Code.NOT_FOUND, reason)
    request = pb.DispatchRequest(request_id=new_id(), touchpoint=HOTLINE, as_of=to_proto(T0))
    refusal = await refusal_of(api.contacts.Dispatch(request))
    assert (refusal.code, refusal.reason) == (Code.FAILED_PRECONDITION, "TOUCHPOINT_NOT_OUTBOUND")


async def test_webhooks_inside_are_refused_unless_the_platform_is_one_machine(
    fresh: Database, nats: NatsServer, keys: Keys
) -> None:
    async with serving(PROCESS, fresh, nats, keys) as strict:
        for url in ("http://127.0.0.1/", "https://127.0.0.1/", "https://127.1/", "https://localhost/"):
            request = pb.CreateEndpointRequest(request_id=new_id(), partner_id="p", url=url, touchpoints=[SMS])
            refusal = await refusal_of(Stubs(strict).partners.CreateEndpoint(request))
            assert [violation.field for violation in refusal.violations] == ["url"]
        assert not (await Stubs(strict).partners.ListEndpoints(pb.ListEndpointsRequest())).endpoints


class Campaign(campaign_grpc.DecisionServiceServicer):
    """A campaign that decides one offer for each request, in its time."""

    def __init__(self) -> None:
        self.asked: list[campaign_pb.DecideRequest] = []
        self.decided: dict[str, Any] = {}
        self.rest_seconds = 0.0

    async def Decide(self, request: campaign_pb.DecideRequest, context: Any) -> campaign_pb.DecideResponse:
        self.asked.append(request)
        await asyncio.sleep(self.rest_seconds)
        decided_at: datetime = request.occurred_at.ToDatetime(T0.tzinfo)
        fresh = an_opportunity(request.customer_id, occurred_at=decided_at)
        opportunity = self.decided.setdefault(request.request_id, fresh)
        return campaign_pb.DecideResponse(decisions=[a_decision(opportunity).decision])


@asynccontextmanager
async def campaigning(campaign: Campaign) -> AsyncIterator[str]:
    server = grpc.aio.server()
    campaign_grpc.add_DecisionServiceServicer_to_server(campaign, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        await server.stop(0)


@pytest.fixture
def token_file(tmp_path: Path, keys: Keys) -> Path:
    path = tmp_path / "token"
    path.write_text(keys.mint("touchpoint", ["campaign.decide"]))
    return path


async def test_campaign_is_asked_when_nothing_waits_and_a_repeat_gets_the_same_contact(
    fresh: Database, nats: NatsServer, keys: Keys, token_file: Path
) -> None:
    campaign = Campaign()  # type: ignore[abstract]
    async with (
        campaigning(campaign) as target,
        serving(PROCESS, fresh, nats, keys, campaign_target=target, service_token_file=token_file) as served,
    ):
        api = Stubs(served)
        await arrive(served, an_opportunity())
        await api.contacts.Present(a_present())
        assert not campaign.asked, "something waited"
        visit = a_present()
        first, again = await api.contacts.Present(visit), await api.contacts.Present(visit)
        assert first == again
        (decided,) = campaign.decided.values()
        assert [one.opportunity_id for one in first.contacts] == [decided.opportunity_id]
        await api.contacts.BatchPresent(pb.BatchPresentRequest(requests=[a_present("bob")]))
        assert {request.customer_id for request in campaign.asked} == {"ann"}


async def test_a_campaign_that_is_slow_or_down_means_that_nothing_waits(
    fresh: Database, nats: NatsServer, keys: Keys, token_file: Path
) -> None:
    campaign = Campaign()  # type: ignore[abstract]
    campaign.rest_seconds = 30
    async with campaigning(campaign) as target:
        settings: dict[str, Any] = {
            "campaign_target": target,
            "service_token_file": token_file,
            "decide_timeout_seconds": 0.2,
        }
        async with serving(PROCESS, fresh, nats, keys, **settings) as served:
            silent = await Stubs(served).contacts.Present(a_present())
            assert silent.silence_reason == pb.SILENCE_REASON_NOTHING_WAITS
            assert len(campaign.asked) == 1
            settings["campaign_target"] = "127.0.0.1:1"
        async with serving(PROCESS, fresh, nats, keys, **settings) as served:
            silent = await Stubs(served).contacts.Present(a_present(at=T0 + timedelta(days=1)))
            assert silent.silence_reason == pb.SILENCE_REASON_NOTHING_WAITS
