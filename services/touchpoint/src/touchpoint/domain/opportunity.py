"""Opportunities: offers that wait for the first touchpoint where the customer shows up."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from chassis.errors import InvalidArgument

from touchpoint.domain.identity import CampaignId, CustomerId, OpportunityId, TouchpointCode


class OpportunityState(StrEnum):
    """Open until exactly one touchpoint takes it, or until nobody did in time."""

    OPEN = "open"
    TAKEN = "taken"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True)
class OfferContent:
    """An offer as it is shown. `value_minor`: worth to the customer, minor units of the operator's currency."""

    offer_id: str
    title: str
    body: str
    value_minor: int


@dataclass(frozen=True, slots=True)
class Opportunity:
    """One decision of a campaign, as it waits here. Its identity is the decision's."""

    opportunity_id: OpportunityId
    customer_id: CustomerId
    campaign_id: CampaignId
    campaign_version: int
    offer: OfferContent
    touchpoints: tuple[TouchpointCode, ...]
    priority: int
    occurred_at: datetime
    expires_at: datetime

    def __post_init__(self) -> None:
        if self.expires_at <= self.occurred_at:
            raise InvalidArgument("expires_at", "must be after occurred_at")

    def waits_at(self, at: datetime) -> bool:
        """Whether it can be taken at `at`: not before its cause happened, and not once it has ended."""
        return self.occurred_at <= at < self.expires_at

    def allowed_at(self, touchpoint: TouchpointCode) -> bool:
        """Whether its campaign named the touchpoint."""
        return touchpoint in self.touchpoints

    @property
    def rank(self) -> tuple[int, int, datetime, OpportunityId]:
        """Sorts the best first: priority, then value, then the oldest; the id makes the order total."""
        return (-self.priority, -self.offer.value_minor, self.occurred_at, self.opportunity_id)
