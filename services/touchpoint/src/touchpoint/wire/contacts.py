"""Visits, contacts, outcomes and figures between protobuf and the domain."""

from datetime import datetime
from typing import assert_never

from chassis.errors import InvalidArgument
from chassis.ids import check_id
from chassis.paging import Page
from chassis.times import from_proto, to_proto
from touchstone.touchpoint.v1 import touchpoint_pb2 as pb
from touchstone.touchpoint.v1 import touchpoint_service_pb2 as service_pb

from touchpoint.domain.contact import Contact, Outcome
from touchpoint.domain.figures import ContactFigures
from touchpoint.domain.identity import ContactId, CustomerId, TouchpointCode
from touchpoint.domain.opportunity import OfferContent, Opportunity
from touchpoint.domain.situation import SilenceReason
from touchpoint.use_cases.contacts import Presented, PresentOffers
from touchpoint.use_cases.dispatch import Dispatched, DispatchOffers
from touchpoint.use_cases.outcomes import RecordOutcome

OFFERS_MAX = 5
DISPATCH_DEFAULT = 1000
DISPATCH_MAX = 10_000

_OUTCOMES = {
    pb.OUTCOME_ACCEPTED: Outcome.ACCEPTED,
    pb.OUTCOME_REFUSED: Outcome.REFUSED,
    pb.OUTCOME_IGNORED: Outcome.IGNORED,
    pb.OUTCOME_COMPLAINED: Outcome.COMPLAINED,
}


def present_from_proto(request: service_pb.PresentRequest) -> PresentOffers:
    """The visit, or InvalidArgument. Nothing said means one offer, five are the most."""
    if not 0 <= request.offers_max <= OFFERS_MAX:
        raise InvalidArgument("offers_max", f"must be 0 to {OFFERS_MAX}")
    return PresentOffers(
        customer_id=CustomerId(check_id("customer_id", request.customer_id)),
        touchpoint=TouchpointCode(check_id("touchpoint", request.touchpoint)),
        delivery_way=request.delivery_way,
        offers_max=request.offers_max or 1,
        occurred_at=from_proto(request.occurred_at, "occurred_at"),
    )


def presented_to_proto(presented: Presented) -> service_pb.PresentResponse:
    """What was taken, or why nothing was."""
    return service_pb.PresentResponse(
        contacts=[contact_to_proto(contact) for contact in presented.contacts],
        silence_reason=_silence_to_proto(presented.silence),
    )


def dispatch_from_proto(request: service_pb.DispatchRequest) -> DispatchOffers:
    """What to dispatch, or InvalidArgument. Nothing said means a thousand contacts."""
    if not 0 <= request.contacts_max <= DISPATCH_MAX:
        raise InvalidArgument("contacts_max", f"must be 0 to {DISPATCH_MAX}")
    return DispatchOffers(
        touchpoint=TouchpointCode(check_id("touchpoint", request.touchpoint)),
        as_of=from_proto(request.as_of, "as_of"),
        contacts_max=request.contacts_max or DISPATCH_DEFAULT,
    )


def dispatched_to_proto(dispatched: Dispatched) -> service_pb.DispatchResponse:
    """What came of it."""
    return service_pb.DispatchResponse(
        contacts=dispatched.contacts, deliveries=dispatched.deliveries, capped=dispatched.capped
    )


def outcome_from_proto(request: service_pb.RecordOutcomeRequest) -> RecordOutcome:
    """What became of a contact, or InvalidArgument."""
    if request.outcome not in _OUTCOMES:
        raise InvalidArgument("outcome", "must be one of the known outcomes")
    return RecordOutcome(
        contact_id=ContactId(check_id("contact_id", request.contact_id)),
        customer_id=CustomerId(check_id("customer_id", request.customer_id)),
        outcome=_OUTCOMES[request.outcome],
        occurred_at=from_proto(request.occurred_at, "occurred_at"),
    )


def contact_to_proto(contact: Contact) -> pb.Contact:
    """The contact with its last outcome."""
    return pb.Contact(
        contact_id=contact.contact_id,
        opportunity_id=contact.opportunity_id,
        customer_id=contact.customer_id,
        campaign_id=contact.campaign_id,
        touchpoint=contact.touchpoint,
        delivery_way=contact.delivery_way,
        offer=offer_to_proto(contact.offer),
        occurred_at=to_proto(contact.occurred_at),
        outcome=outcome_to_proto(contact.outcome),
        outcome_at=None if contact.outcome_at is None else to_proto(contact.outcome_at),
    )


def offer_to_proto(offer: OfferContent) -> pb.OfferContent:
    """The offer."""
    return pb.OfferContent(offer_id=offer.offer_id, title=offer.title, body=offer.body, value_minor=offer.value_minor)


def outcome_to_proto(outcome: Outcome | None) -> "pb.Outcome.ValueType":
    """The outcome; unspecified while nothing was told."""
    match outcome:
        case None:
            return pb.OUTCOME_UNSPECIFIED
        case Outcome.ACCEPTED:
            return pb.OUTCOME_ACCEPTED
        case Outcome.REFUSED:
            return pb.OUTCOME_REFUSED
        case Outcome.IGNORED:
            return pb.OUTCOME_IGNORED
        case Outcome.COMPLAINED:
            return pb.OUTCOME_COMPLAINED
        case _:
            assert_never(outcome)


def waiting_to_proto(opportunity: Opportunity) -> service_pb.WaitingOffer:
    """The opportunity as an offer that waits."""
    return service_pb.WaitingOffer(
        opportunity_id=opportunity.opportunity_id,
        campaign_id=opportunity.campaign_id,
        offer=offer_to_proto(opportunity.offer),
        touchpoints=opportunity.touchpoints,
        expires_at=to_proto(opportunity.expires_at),
    )


def figures_to_proto(figures: ContactFigures) -> service_pb.GetContactFiguresResponse:
    """The figures."""
    return service_pb.GetContactFiguresResponse(
        opportunities=figures.opportunities,
        open=figures.open,
        taken=figures.taken,
        expired=figures.expired,
        touchpoints=[
            service_pb.TouchpointFigures(
                touchpoint=one.touchpoint, contacts=one.contacts, accepted=one.accepted, refused=one.refused
            )
            for one in figures.touchpoints
        ],
        contacts_in_window_max=figures.contacts_in_window_max,
        shown_twice=figures.shown_twice,
        customers_contacted=figures.customers_contacted,
    )


def contact_key(contact: Contact) -> str:
    """The key of a contact in a list, for the token of the page after it."""
    return f"{contact.occurred_at.isoformat()}/{contact.contact_id}"


def contacts_after(page: Page) -> tuple[datetime, ContactId] | None:
    """The contact after which the page begins, or InvalidArgument when the token is not one of a list of contacts."""
    if page.after is None:
        return None
    instant, _, contact_id = page.after.partition("/")
    try:
        occurred_at = datetime.fromisoformat(instant)
        if occurred_at.tzinfo is not None and contact_id:
            return occurred_at, ContactId(contact_id)
    except ValueError:
        pass
    raise InvalidArgument("page_token", "is not a token that this list returned")


def _silence_to_proto(silence: SilenceReason | None) -> "service_pb.SilenceReason.ValueType":
    match silence:
        case None:
            return service_pb.SILENCE_REASON_UNSPECIFIED
        case SilenceReason.NOTHING_WAITS:
            return service_pb.SILENCE_REASON_NOTHING_WAITS
        case SilenceReason.COOLING_OFF:
            return service_pb.SILENCE_REASON_COOLING_OFF
        case SilenceReason.CAP_REACHED:
            return service_pb.SILENCE_REASON_CAP_REACHED
        case _:
            assert_never(silence)
