"""Events told and events listened to."""

from collections.abc import Callable, Mapping
from typing import Any

from chassis.errors import InvalidArgument
from chassis.ids import check_id
from chassis.times import from_proto, to_proto
from google.protobuf.message import Message
from touchstone.campaign.v1 import campaign_pb2
from touchstone.touchpoint.v1 import touchpoint_events_pb2 as pb

from touchpoint.domain.contact import ContactMade, OutcomeRecorded
from touchpoint.domain.delivery import DeliveryCompleted
from touchpoint.domain.identity import CampaignId, CustomerId, OpportunityId, TouchpointCode
from touchpoint.domain.opportunity import OfferContent, Opportunity
from touchpoint.wire.contacts import contact_to_proto, outcome_to_proto
from touchpoint.wire.deliveries import state_to_proto


def opportunity_from_proto(decision: campaign_pb2.Decision) -> Opportunity:
    """The opportunity that a decision makes, or InvalidArgument when it cannot be one."""
    offer = decision.offer
    return Opportunity(
        opportunity_id=OpportunityId(check_id("decision.decision_id", decision.decision_id)),
        customer_id=CustomerId(check_id("decision.customer_id", decision.customer_id)),
        campaign_id=CampaignId(check_id("decision.campaign_id", decision.campaign_id)),
        campaign_version=decision.campaign_version,
        offer=OfferContent(
            offer_id=check_id("decision.offer.offer_id", offer.offer_id),
            title=_storable("decision.offer.title", offer.title),
            body=_storable("decision.offer.body", offer.body),
            value_minor=offer.value_minor,
        ),
        touchpoints=tuple(TouchpointCode(_storable("decision.touchpoints", code)) for code in decision.touchpoints),
        priority=decision.priority,
        occurred_at=from_proto(decision.occurred_at, "decision.occurred_at"),
        expires_at=from_proto(decision.expires_at, "decision.expires_at"),
    )


def _storable(field: str, value: str) -> str:
    """Text as campaign made it; the one character that the database cannot hold is refused."""
    if "\x00" in value:
        raise InvalidArgument(field, "must not contain the null character")
    return value


def _contact_made(fact: ContactMade) -> pb.ContactMade:
    return pb.ContactMade(contact=contact_to_proto(fact.contact), occurred_at=to_proto(fact.occurred_at))


def _outcome_recorded(fact: OutcomeRecorded) -> pb.OutcomeRecorded:
    return pb.OutcomeRecorded(
        contact_id=fact.contact.contact_id,
        customer_id=fact.contact.customer_id,
        campaign_id=fact.contact.campaign_id,
        touchpoint=fact.contact.touchpoint,
        outcome=outcome_to_proto(fact.outcome),
        occurred_at=to_proto(fact.occurred_at),
    )


def _delivery_completed(fact: DeliveryCompleted) -> pb.DeliveryCompleted:
    return pb.DeliveryCompleted(
        delivery_id=fact.delivery_id,
        endpoint_id=fact.endpoint_id,
        state=state_to_proto(fact.state),
        attempts=fact.attempts,
        occurred_at=to_proto(fact.occurred_at),
    )


FACTS: Mapping[type[Any], Callable[[Any], Message]] = {
    ContactMade: _contact_made,
    OutcomeRecorded: _outcome_recorded,
    DeliveryCompleted: _delivery_completed,
}
