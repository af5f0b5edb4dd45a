"""Deciding on request, for a customer who shows up where no opportunity waits."""

from dataclasses import dataclass
from datetime import datetime

from chassis.work import Transaction

from campaign.domain.catalogue import EventTypeId
from campaign.domain.decisions import Decision, best_first
from campaign.domain.intake import CustomerEvent, CustomerId
from campaign.store import events
from campaign.use_cases.live import LiveRules
from campaign.use_cases.matching import match_events

TOUCHPOINT_VISITED = EventTypeId("touchpoint_visited")


@dataclass(frozen=True, slots=True)
class Visit:
    """A customer at a touchpoint; `source` and `event_id` are the identity of the event that this is."""

    source: str
    event_id: str
    customer_id: CustomerId
    touchpoint: str
    occurred_at: datetime


async def decide_at_touchpoint(transaction: Transaction, live: LiveRules, visit: Visit) -> list[Decision]:
    """Match the visit like any event, among the campaigns that allow this touchpoint; best first."""
    event = CustomerEvent(
        source=visit.source,
        event_id=visit.event_id,
        event_type=TOUCHPOINT_VISITED,
        customer_id=visit.customer_id,
        occurred_at=visit.occurred_at,
        attributes={"touchpoint": visit.touchpoint},
    )
    await events.add_events(transaction.connection, [event], transaction.recorded_at)
    return best_first(await match_events(transaction, live, [event], visit.touchpoint))
