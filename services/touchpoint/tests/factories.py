"""Values for tests: decisions, visits and requests, each with only what a test wants to say about it."""

from datetime import UTC, datetime, timedelta
from typing import Any

from chassis.ids import new_id
from chassis.times import to_proto
from touchpoint.domain.identity import CampaignId, CustomerId, OpportunityId, TouchpointCode
from touchpoint.domain.opportunity import OfferContent, Opportunity
from touchpoint.use_cases.contacts import PresentOffers
from touchstone.campaign.v1 import campaign_events_pb2, campaign_pb2
from touchstone.touchpoint.v1 import touchpoint_service_pb2 as pb

T0 = datetime(1997, 3, 1, tzinfo=UTC)
RECORDED_AT = datetime(2026, 5, 4, 3, 2, 1, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)

APP, HALL, HOTLINE, SMS, PARTNER, EMAIL, SHOP, NETWORK = (
    TouchpointCode(code) for code in ("TP09", "TP01", "TP02", "TP13", "TP16", "TP17", "TP18", "TP19")
)


def an_opportunity(customer_id: str = "ann", **values: Any) -> Opportunity:
    """An opportunity of a customer that waits at the app and the hall for a thousand days from T0 on."""
    decided_at = values.get("occurred_at", T0)
    defaults: dict[str, Any] = {
        "opportunity_id": OpportunityId(new_id()),
        "customer_id": CustomerId(customer_id),
        "campaign_id": CampaignId("welcome"),
        "campaign_version": 1,
        "offer": OfferContent("ten-off", "Ten off", "Ten yuan off the next order", 1000),
        "touchpoints": (APP, HALL),
        "priority": 0,
        "occurred_at": decided_at,
        "expires_at": decided_at + 1000 * DAY,
    }
    return Opportunity(**defaults | values)


def a_visit(customer_id: str = "ann", touchpoint: str = APP, at: datetime = T0, offers_max: int = 1) -> PresentOffers:
    """A customer at a touchpoint."""
    return PresentOffers(CustomerId(customer_id), TouchpointCode(touchpoint), "", offers_max, at)


def a_decision(opportunity: Opportunity) -> campaign_events_pb2.DecisionMade:
    """The event that brings an opportunity."""
    offer = opportunity.offer
    return campaign_events_pb2.DecisionMade(
        decision=campaign_pb2.Decision(
            decision_id=opportunity.opportunity_id,
            campaign_id=opportunity.campaign_id,
            campaign_version=opportunity.campaign_version,
            customer_id=opportunity.customer_id,
            event_id="event-1",
            event_type="purchase",
            offer=campaign_pb2.Offer(
                offer_id=offer.offer_id, title=offer.title, body=offer.body, value_minor=offer.value_minor
            ),
            touchpoints=opportunity.touchpoints,
            priority=opportunity.priority,
            occurred_at=to_proto(opportunity.occurred_at),
            expires_at=to_proto(opportunity.expires_at),
        )
    )


def a_present(customer_id: str = "ann", touchpoint: str = APP, at: datetime = T0, **values: Any) -> pb.PresentRequest:
    """A request to present."""
    named: dict[str, Any] = {
        "request_id": new_id(),
        "customer_id": customer_id,
        "touchpoint": touchpoint,
        "occurred_at": to_proto(at),
    }
    return pb.PresentRequest(**named | values)
