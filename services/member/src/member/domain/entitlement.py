"""What a customer is entitled to: the state that is kept, and what follows from it at an instant."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple, NewType, assert_never

from chassis.calendar import Calendar, Period, Span
from chassis.errors import NotFound

from member.domain.benefit import (
    EVERY_PRODUCT,
    Benefit,
    BenefitId,
    Discount,
    EarnRate,
    EventPriority,
    Perk,
    ProductFamily,
    Quota,
    ServicePriority,
)
from member.domain.customer import EVERYBODY, CustomerId, PersonId
from member.domain.membership import MemberId
from member.domain.program import ProgramId, TierId

GrantId = NewType("GrantId", str)
# The membership or the grant that gives a benefit.
SourceId = NewType("SourceId", str)


class EntitlementsNotFound(NotFound):
    """The customer is unknown, or was never a member nor granted anything; the answer does not say which."""

    def __init__(self, customer_id: CustomerId) -> None:
        super().__init__("the customer has no entitlements", customer_id=customer_id)


@dataclass(frozen=True, slots=True)
class HeldTier:
    """A tier that one membership holds, with its benefits."""

    member_id: MemberId
    program_id: ProgramId
    person_id: PersonId
    tier_id: TierId
    rank: int
    benefits: tuple[Benefit, ...]


@dataclass(frozen=True, slots=True)
class GrantedBenefit:
    """A benefit that an operator granted, from `starts_at` until `ends_at` (exclusive), both business times."""

    grant_id: GrantId
    person_id: PersonId
    benefit: Benefit
    starts_at: datetime
    ends_at: datetime


@dataclass(frozen=True, slots=True)
class QuotaCount:
    """What was used of a quota in one period, and when each open reservation of it ends by itself."""

    source_id: SourceId
    benefit_id: BenefitId
    span: Span
    used: int
    reserved_until: tuple[datetime, ...]


@dataclass(frozen=True, slots=True)
class EntitlementState:
    """Everything that a customer is entitled to, at every instant from its last use on; whatever holds at an instant
    follows from it alone. `revision` rises with every change from 1."""

    customer_id: CustomerId
    tiers: tuple[HeldTier, ...] = ()
    grants: tuple[GrantedBenefit, ...] = ()
    counts: tuple[QuotaCount, ...] = ()
    revision: int = 0


class Sourced(NamedTuple):
    """A benefit and what gives it."""

    source_id: SourceId
    benefit: Benefit


@dataclass(frozen=True, slots=True)
class QuotaLeft:
    """What is left of a quota in the period around an instant; never less than nothing, also after a lower tier."""

    source_id: SourceId
    benefit: Benefit
    quota: Quota
    span: Span
    used: int
    reserved: int

    @property
    def available(self) -> int:
        """Places still free."""
        return max(0, self.quota.uses - self.used - self.reserved)

    @property
    def renews_at(self) -> datetime | None:
        """When the next period begins; None where there is none."""
        return None if self.quota.period is Period.EVER else self.span.end


@dataclass(slots=True)
class Entitlements:
    """What a customer, or one person of it, is entitled to at an instant."""

    state: EntitlementState
    person_id: PersonId
    tiers: tuple[HeldTier, ...]
    discounts: dict[ProductFamily, int] = field(default_factory=dict)
    earn_rates: dict[ProductFamily, int] = field(default_factory=dict)
    service_priority: int = 0
    event_priority: int = 0
    quotas: list[QuotaLeft] = field(default_factory=list)
    perks: list[Benefit] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class EntitlementsChanged:
    """State: everything that the customer is entitled to from now on."""

    state: EntitlementState
    occurred_at: datetime

    @property
    def aggregate_id(self) -> str:
        """The customer orders its facts."""
        return self.state.customer_id

    @property
    def revision(self) -> int:
        """Of the state."""
        return self.state.revision


def entitlements_at(
    state: EntitlementState, person_id: PersonId, instant: datetime, calendar: Calendar
) -> Entitlements:
    """What follows from the state at an instant, for the customer as a whole or for one person of it.

    A person has what the customer as a whole has, and its own. Of rates and priorities the best counts, they are not
    added up; a family that is named has at least what every product has.
    """
    tiers = tuple(tier for tier in state.tiers if _is_for(tier.person_id, person_id))
    held = Entitlements(state, person_id, tiers)
    for sourced in benefits_at(state, person_id, instant):
        match sourced.benefit.terms:
            case Discount() as discount:
                _take_better(held.discounts, discount.family, discount.basis_points)
            case EarnRate() as rate:
                _take_better(held.earn_rates, rate.family, rate.multiplier_percent)
            case ServicePriority() as priority:
                held.service_priority = max(held.service_priority, priority.level)
            case EventPriority() as priority:
                held.event_priority = max(held.event_priority, priority.level)
            case Quota() as quota:
                span = calendar.span(quota.period, instant)
                held.quotas.append(_quota_left(state, sourced, quota, span=span, instant=instant))
            case Perk():
                held.perks.append(sourced.benefit)
            case _:
                assert_never(sourced.benefit.terms)
    _raise_to_every_product(held.discounts)
    _raise_to_every_product(held.earn_rates)
    return held


def benefits_at(state: EntitlementState, person_id: PersonId, instant: datetime) -> Iterator[Sourced]:
    """Benefits held at an instant: first those of the tiers, then what was granted, what ends first before the rest."""
    for tier in state.tiers:
        if _is_for(tier.person_id, person_id):
            for benefit in tier.benefits:
                yield Sourced(SourceId(tier.member_id), benefit)
    for grant in sorted(state.grants, key=lambda each: (each.ends_at, each.grant_id)):
        if _is_for(grant.person_id, person_id) and grant.starts_at <= instant < grant.ends_at:
            yield Sourced(SourceId(grant.grant_id), grant.benefit)


def _is_for(holder: PersonId, asking: PersonId) -> bool:
    """What the customer as a whole holds is each person's too, but not the other way round."""
    return holder in (EVERYBODY, asking)


def _take_better(best: dict[ProductFamily, int], family: ProductFamily, rate: int) -> None:
    best[family] = max(rate, best.get(family, 0))


def _raise_to_every_product(best: dict[ProductFamily, int]) -> None:
    """A family that is named gets at least what every product gets."""
    least = best.get(EVERY_PRODUCT, 0)
    for family, rate in best.items():
        best[family] = max(rate, least)


def _quota_left(state: EntitlementState, sourced: Sourced, quota: Quota, *, span: Span, instant: datetime) -> QuotaLeft:
    source_id, benefit = sourced
    for count in state.counts:
        if (count.source_id, count.benefit_id, count.span) == (source_id, benefit.benefit_id, span):
            reserved = sum(until > instant for until in count.reserved_until)
            return QuotaLeft(source_id, benefit, quota, span, count.used, reserved)
    return QuotaLeft(source_id, benefit, quota, span, 0, 0)
