"""Contacts and what became of them: the one store for all touchpoints."""

from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from chassis.errors import InvalidArgument, NotFound

from touchpoint.domain.identity import CampaignId, ContactId, CustomerId, OpportunityId, TouchpointCode
from touchpoint.domain.opportunity import OfferContent, Opportunity


class ContactNotFound(NotFound):
    """There is no such contact of this customer; another customer's is answered the same way."""


class Outcome(StrEnum):
    """What became of a contact."""

    ACCEPTED = "accepted"
    REFUSED = "refused"
    IGNORED = "ignored"
    COMPLAINED = "complained"


# After these the campaign rests for the customer: a complaint says no louder than a refusal does.
SILENCING_OUTCOMES = (Outcome.REFUSED, Outcome.COMPLAINED)


@dataclass(frozen=True, slots=True)
class Contact:
    """An offer put before a customer at the touchpoint that won it. `outcome` is the last one told."""

    contact_id: ContactId
    opportunity_id: OpportunityId
    customer_id: CustomerId
    campaign_id: CampaignId
    touchpoint: TouchpointCode
    delivery_way: str
    offer: OfferContent
    occurred_at: datetime
    outcome: Outcome | None = None
    outcome_at: datetime | None = None

    def with_outcome(self, outcome: Outcome, at: datetime) -> "Contact":
        """The contact once `outcome` is told: the latest in business time counts, of equal ones the later told.

        Refuses (InvalidArgument) an outcome from before the contact.
        """
        if at < self.occurred_at:
            raise InvalidArgument("occurred_at", "must not be before the contact")
        if self.outcome_at is not None and at < self.outcome_at:
            return self
        return replace(self, outcome=outcome, outcome_at=at)


@dataclass(frozen=True, slots=True)
class OutcomeNote:
    """One told outcome; notes are only ever appended."""

    contact_id: ContactId
    outcome: Outcome
    occurred_at: datetime


@dataclass(frozen=True, slots=True)
class ContactMade:
    """Effect: an offer was put before a customer."""

    contact: Contact
    occurred_at: datetime

    @property
    def aggregate_id(self) -> str:
        """The contact."""
        return self.contact.contact_id


@dataclass(frozen=True, slots=True)
class OutcomeRecorded:
    """Effect: it was told what became of a contact."""

    contact: Contact
    outcome: Outcome
    occurred_at: datetime

    @property
    def aggregate_id(self) -> str:
        """The contact."""
        return self.contact.contact_id


@dataclass(frozen=True, slots=True)
class Meeting:
    """A customer and a touchpoint, ready for at most `offers_max` offers put in one way."""

    customer_id: CustomerId
    touchpoint: TouchpointCode
    delivery_way: str
    offers_max: int
    occurred_at: datetime


def contact_from(opportunity: Opportunity, contact_id: ContactId, *, meeting: Meeting) -> Contact:
    """The contact that a touchpoint makes by taking an opportunity."""
    return Contact(
        contact_id=contact_id,
        opportunity_id=opportunity.opportunity_id,
        customer_id=opportunity.customer_id,
        campaign_id=opportunity.campaign_id,
        touchpoint=meeting.touchpoint,
        delivery_way=meeting.delivery_way,
        offer=opportunity.offer,
        occurred_at=meeting.occurred_at,
    )
