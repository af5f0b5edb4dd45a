"""Decisions: which of the matched campaigns act, within their time and their limit for each customer."""

from bisect import bisect_left, insort
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NewType, TypeAlias

from campaign.domain.campaigns import Campaign, Offer
from campaign.domain.catalogue import EventTypeId
from campaign.domain.intake import CustomerEvent, CustomerId
from campaign.domain.matching import CampaignId

DecisionId = NewType("DecisionId", str)
Pair: TypeAlias = tuple[CampaignId, CustomerId]


@dataclass(frozen=True, slots=True)
class Candidate:
    """A live campaign whose rule holds for an event."""

    campaign: Campaign
    event: CustomerEvent

    @property
    def pair(self) -> Pair:
        return self.campaign.id, self.event.customer_id


@dataclass(frozen=True, slots=True)
class Decision:
    """A campaign met an event of a customer: an opportunity to make the offer until `expires_at` (business time)."""

    id: DecisionId
    campaign_id: CampaignId
    campaign_version: int
    customer_id: CustomerId
    source: str
    event_id: str
    event_type: EventTypeId
    offer: Offer
    touchpoints: tuple[str, ...]
    priority: int
    occurred_at: datetime
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class DecisionMade:
    """Effect: the decision, told once."""

    decision: Decision

    @property
    def aggregate_id(self) -> str:
        return self.decision.customer_id

    @property
    def occurred_at(self) -> datetime:
        return self.decision.occurred_at


def decision(identity: DecisionId, candidate: Candidate) -> Decision:
    """The decision of a candidate that passed its limit."""
    plan, event = candidate.campaign.plan, candidate.event
    return Decision(
        id=identity,
        campaign_id=candidate.campaign.id,
        campaign_version=candidate.campaign.version,
        customer_id=event.customer_id,
        source=event.source,
        event_id=event.event_id,
        event_type=event.event_type,
        offer=plan.offer,
        touchpoints=plan.touchpoints,
        priority=plan.priority,
        occurred_at=event.occurred_at,
        expires_at=event.occurred_at + plan.opportunity,
    )


def limited_pairs(candidates: Iterable[Candidate]) -> list[Pair]:
    """The pairs of campaign and customer that a limit concerns, sorted, so that locks are taken in one order."""
    return sorted({candidate.pair for candidate in candidates if candidate.campaign.plan.once_in_days})


def longest_limit(candidates: Iterable[Candidate]) -> timedelta:
    """How far decisions on either side of an event can matter."""
    return timedelta(days=max((candidate.campaign.plan.once_in_days for candidate in candidates), default=0))


def within_limits(candidates: Sequence[Candidate], decided: Mapping[Pair, Sequence[datetime]]) -> list[Candidate]:
    """The candidates whose campaign decided for the customer at no time nearer than its limit, before or after.

    Events come late and out of order, so a later decision counts as an earlier one does; taken in business order.
    """
    times = {pair: sorted(known) for pair, known in decided.items()}
    passed: list[Candidate] = []
    for candidate in sorted(candidates, key=lambda each: (each.event.order, each.campaign.id)):
        days = candidate.campaign.plan.once_in_days
        known = times.setdefault(candidate.pair, [])
        if days and _nearer(known, candidate.event.occurred_at, timedelta(days=days)):
            continue
        insort(known, candidate.event.occurred_at)
        passed.append(candidate)
    return passed


def _nearer(times: Sequence[datetime], instant: datetime, distance: timedelta) -> bool:
    place = bisect_left(times, instant)
    return any(abs(time - instant) < distance for time in times[max(place - 1, 0) : place + 1])


def best_first(decisions: Iterable[Decision]) -> list[Decision]:
    """Higher priority first, then the offer worth more to the customer."""
    return sorted(decisions, key=lambda each: (-each.priority, -each.offer.value_minor, each.campaign_id))
