"""Decisions as they come over the broker: each one opportunity, in any order, and what cannot be one put aside."""

import asyncio
from collections.abc import Sequence

from chassis.ids import new_id
from chassis.testing.serving import Serving
from sqlalchemy import text
from touchstone.campaign.v1.campaign_events_pb2 import DecisionMade
from touchstone.touchpoint.v1 import touchpoint_service_pb2 as pb
from touchstone.touchpoint.v1 import touchpoint_service_pb2_grpc as pb_grpc

from services.touchpoint.tests.factories import APP, DAY, RECORDED_AT, T0, a_decision, a_present, an_opportunity


async def tell(served: Serving, decisions: Sequence[DecisionMade], *, event_ids: Sequence[str] = ()) -> None:
    """Publishes decisions as campaign does, and waits until the broker has them."""
    await served.running.broker.ensure_streams()
    sent = []
    for index, told in enumerate(decisions):
        headers = {
            "ce-id": event_ids[index] if event_ids else new_id(),
            "ce-type": DecisionMade.DESCRIPTOR.full_name,
            "ce-source": "campaign",
            "ce-time": T0.isoformat(),
            "ce-recordedtime": RECORDED_AT.isoformat(),
        }
        subject = f"events.{headers['ce-type']}"
        sent.append(await served.running.broker.publish(subject, told.SerializeToString(), headers))
    await asyncio.gather(*sent)


async def rows(served: Serving, query: str) -> list[tuple[object, ...]]:
    async with served.work.reading() as connection:
        return [tuple(row) for row in await connection.execute(text(query))]


async def test_a_decision_told_twice_is_one_opportunity(served: Serving) -> None:
    decided = [an_opportunity(f"customer-{number}") for number in range(40)]
    decisions = [a_decision(one) for one in decided]
    event_ids = [new_id() for _ in decisions]
    await tell(served, decisions, event_ids=event_ids)
    await tell(served, decisions[::-1], event_ids=event_ids[::-1])
    await tell(served, decisions[:5])  # the same decisions under other event ids
    await served.settle()
    stored = await rows(served, "SELECT opportunity_id, customer_id, state FROM opportunities")
    assert sorted(stored) == sorted((one.opportunity_id, one.customer_id, "open") for one in decided)


async def test_a_decision_is_presented_as_it_was_told(served: Serving) -> None:
    decided = an_opportunity(expires_at=T0 + DAY)
    await tell(served, [a_decision(decided)])
    await served.settle()
    reader = pb_grpc.ContactServiceStub(served.channel("touchpoint.present"))
    (offer,) = (await reader.ListOffers(pb.ListOffersRequest(customer_id="ann", as_of=a_present().occurred_at))).offers
    assert (offer.opportunity_id, list(offer.touchpoints)) == (decided.opportunity_id, list(decided.touchpoints))
    assert offer.expires_at.ToDatetime(T0.tzinfo) == decided.expires_at
    (contact,) = (await reader.Present(a_present())).contacts
    shown = contact.offer
    assert (shown.offer_id, shown.title, shown.body, shown.value_minor) == (
        decided.offer.offer_id,
        decided.offer.title,
        decided.offer.body,
        decided.offer.value_minor,
    )
    assert (contact.campaign_id, contact.touchpoint) == (decided.campaign_id, APP)


async def test_what_cannot_be_an_opportunity_is_put_aside_and_stops_nothing(served: Serving) -> None:
    good = a_decision(an_opportunity())
    nobody, backwards, timeless, nameless, unstorable = (a_decision(an_opportunity()) for _ in range(5))
    nobody.decision.customer_id = ""
    backwards.decision.expires_at.CopyFrom(backwards.decision.occurred_at)
    timeless.decision.ClearField("occurred_at")
    nameless.decision.decision_id = "bad id"
    unstorable.decision.offer.body = "null \x00"
    await tell(served, [nobody, backwards, good, timeless, nameless, unstorable])
    await served.settle()
    assert [row[0] for row in await rows(served, "SELECT opportunity_id FROM opportunities")] == [
        good.decision.decision_id
    ]
    errors = " ".join(str(row[0]) for row in await rows(served, "SELECT error FROM dead_letters"))
    for field in ("customer_id", "expires_at", "occurred_at", "decision_id", "offer.body"):
        assert field in errors
    assert await rows(served, "SELECT count(*) FROM dead_letters") == [(5,)]


async def test_a_decision_without_a_known_touchpoint_is_handled_and_makes_nothing(served: Serving) -> None:
    await tell(served, [a_decision(an_opportunity(touchpoints=("TP99", "no such place")))])
    await served.settle()
    assert await rows(served, "SELECT count(*) FROM opportunities") == [(0,)]
    assert await rows(served, "SELECT count(*) FROM dead_letters") == [(0,)]
