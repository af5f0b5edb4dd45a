"""Coupon templates: what a coupon gives, to whom, when, on what, with which others, and how many there are.

A template has versions. A version is a draft that may be put again until it is activated, and then stays as it is for
the coupons issued under it. How many there may be is a matter of the template as a whole: there the version activated
last decides.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import NamedTuple, NewType

from chassis.calendar import LATEST, Calendar, Period
from chassis.errors import FieldViolation, InvalidArgument, NotFound, Refusal
from chassis.money import AMOUNT_MAX, MAX_BASIS_POINTS, check_currency
from chassis.violations import range_violations

from member.domain.program import ProgramId, TierId
from member.domain.text import MAX_NAME_CHARACTERS, line_violations

TemplateId = NewType("TemplateId", str)

MAX_COUNT = 10**9
MAX_DAYS = 3_660
MAX_FREE = 1_000
MAX_LIST = 200
MAX_PER_MEMBER = 10_000


class TemplateState(StrEnum):
    """A draft is not issued yet; an ended one no longer is, and what was issued stays good."""

    DRAFT = "draft"
    ACTIVE = "active"
    ENDED = "ended"


@dataclass(frozen=True, slots=True)
class AmountOff:
    """So much less, in minor units of the terms' currency."""

    amount_minor: int


@dataclass(frozen=True, slots=True)
class PercentOff:
    """A share less, in basis points (1,000 are 10 %), no more than the cap where it is not 0."""

    basis_points: int
    cap_minor: int = 0


@dataclass(frozen=True, slots=True)
class FreeProduct:
    """Up to so many units of a product for nothing, the dearest first."""

    product_id: str
    quantity: int = 1


Discount = FreeProduct | PercentOff | AmountOff


class Fixed(NamedTuple):
    """Good from one instant (inclusive) to another (exclusive), whenever it is issued."""

    start: datetime
    end: datetime


class Lasting(NamedTuple):
    """Good from its issue to the end of the operator's day so many days later; 0 is the day itself."""

    days: int


class Scope(NamedTuple):
    """What it counts for: these products and families, everything where none is named, and never what is excluded."""

    product_ids: frozenset[str] = frozenset()
    families: frozenset[str] = frozenset()
    excluded_product_ids: frozenset[str] = frozenset()
    excluded_families: frozenset[str] = frozenset()

    def covers(self, product_id: str, family: str) -> bool:
        """Whether the product counts."""
        if product_id in self.excluded_product_ids or family in self.excluded_families:
            return False
        everything = not self.product_ids and not self.families
        return everything or product_id in self.product_ids or family in self.families


class Stacking(NamedTuple):
    """With what it may be used in one order.

    An exclusive coupon is used alone. Another one only with coupons of the groups in `stacks_with`, with any where none
    is named; each of two must admit the other. Of its own group at most `group_limit` are used, and at most
    `order_limit` coupons altogether; 0 is no limit.
    """

    exclusive: bool = False
    group: str = ""
    stacks_with: frozenset[str] = frozenset()
    group_limit: int = 0
    order_limit: int = 0

    def admits(self, other: "Stacking") -> bool:
        """Whether it may be used beside the other, as far as it is asked."""
        return not self.exclusive and (not self.stacks_with or other.group in self.stacks_with)


class Limits(NamedTuple):
    """How many; 0 is no limit. `used` are reserved or redeemed, per member within a period of the calendar."""

    issued: int = 0
    used: int = 0
    issued_per_member: int = 0
    used_per_member: int = 0
    period: Period = Period.EVER


class Audience(NamedTuple):
    """Members of a program with one of the tiers, with any where none is named."""

    program_id: ProgramId
    tier_ids: frozenset[TierId] = frozenset()


_EVERYTHING = Scope()
_WITH_ANY = Stacking()
_NO_LIMITS = Limits()


@dataclass(frozen=True, slots=True)
class Terms:
    """One version of a template. Amounts are minor units of `currency`; the minimum is spent on what is in scope, at
    list prices. A redemption undone when the coupon has expired makes it good for `grace_days` more, or not at all."""

    display_name: str
    currency: str
    discount: Discount
    validity: Fixed | Lasting
    scope: Scope = _EVERYTHING
    minimum_minor: int = 0
    stacking: Stacking = _WITH_ANY
    limits: Limits = _NO_LIMITS
    audience: tuple[Audience, ...] = ()
    channels: frozenset[str] = frozenset()
    grace_days: int = 0

    def span(self, issued_at: datetime, calendar: Calendar) -> tuple[datetime, datetime]:
        """From when (inclusive) to when (exclusive) a coupon issued at an instant is good."""
        if isinstance(self.validity, Fixed):
            return max(self.validity.start, issued_at), self.validity.end
        return issued_at, end_of_day(calendar, issued_at, self.validity.days)


@dataclass(slots=True)
class Template:
    """A template as it stands. `issued` and `used` are counted only where there is a limit to them, so that nobody
    waits for the row of a template without limits."""

    template_id: TemplateId
    state: TemplateState
    active_version: int
    latest_version: int
    limits: Limits
    revision: int
    issued: int = 0
    used: int = 0


@dataclass(frozen=True, slots=True)
class TemplateVersion:
    """A template with the terms of one of its versions."""

    template: Template
    version: int
    terms: Terms


class TemplateNotFound(NotFound):
    """No template has this id, or it has no such version."""

    def __init__(self, template_id: str) -> None:
        super().__init__("no coupon template has this id and version", template_id=template_id)


class TemplateNotActive(Refusal):
    """Coupons are issued and codes are claimed of active templates only."""

    def __init__(self, template: Template) -> None:
        super().__init__(
            f"the coupon template is {template.state.value}",
            template_id=template.template_id,
            state=template.state.value,
        )


class TemplateEnded(Refusal):
    """An ended template stays as it is."""

    def __init__(self, template_id: TemplateId) -> None:
        super().__init__("the coupon template has ended", template_id=template_id)


class NothingToActivate(Refusal):
    """The newest version is active already."""

    def __init__(self, template_id: TemplateId) -> None:
        super().__init__("the newest version of the coupon template is active already", template_id=template_id)


class StockBelowUse(Refusal):
    """More are issued or used already than the version to be activated allows."""

    def __init__(self, template_id: TemplateId, issued: int, used: int) -> None:
        super().__init__(
            "more coupons are issued or in use than the new version allows",
            template_id=template_id,
            issued=str(issued),
            used=str(used),
        )


@dataclass(frozen=True, slots=True)
class CouponTemplateChanged:
    """State: a template as it stands from now on."""

    template: Template
    terms: Terms
    occurred_at: datetime
    revision: int = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "revision", self.template.revision)

    @property
    def aggregate_id(self) -> str:
        """The template orders its facts."""
        return self.template.template_id


def end_of_day(calendar: Calendar, instant: datetime, days: int) -> datetime:
    """The end of the operator's day so many days after the one of the instant, and not after the calendar's end."""
    day = calendar.day_of(instant)
    last = calendar.day_of(LATEST) - timedelta(days=1)
    return calendar.start_of(min(day + timedelta(days=days), last) + timedelta(days=1))


def check_terms(terms: Terms) -> None:
    """Refuses, with InvalidArgument and every fault at once, terms that no coupon could have."""
    violations = [FieldViolation(f"terms.{each.field}", each.description) for each in _violations(terms)]
    if violations:
        raise InvalidArgument.many(violations)


def _violations(terms: Terms) -> Iterator[FieldViolation]:
    yield from line_violations("display_name", terms.display_name, most=MAX_NAME_CHARACTERS)
    try:
        check_currency("currency", terms.currency)
    except InvalidArgument as refusal:
        yield from refusal.violations
    yield from _discount_violations(terms.discount)
    yield from _validity_violations(terms.validity)
    yield from range_violations("minimum_spend_minor_units", terms.minimum_minor, least=0, most=AMOUNT_MAX)
    yield from range_violations("stacking.group_limit", terms.stacking.group_limit, least=0, most=MAX_PER_MEMBER)
    yield from range_violations("stacking.order_limit", terms.stacking.order_limit, least=0, most=MAX_PER_MEMBER)
    if terms.stacking.group_limit and not terms.stacking.group:
        yield FieldViolation("stacking.group", "is required where the group has a limit")
    yield from _limit_violations(terms.limits)
    yield from range_violations("reversal_grace_days", terms.grace_days, least=0, most=MAX_DAYS)


def _discount_violations(discount: Discount) -> Iterator[FieldViolation]:
    match discount:
        case AmountOff():
            yield from range_violations(
                "discount.amount_off_minor_units", discount.amount_minor, least=1, most=AMOUNT_MAX
            )
        case PercentOff():
            yield from range_violations(
                "discount.percent_off.basis_points", discount.basis_points, least=1, most=MAX_BASIS_POINTS
            )
            yield from range_violations(
                "discount.percent_off.cap_minor_units", discount.cap_minor, least=0, most=AMOUNT_MAX
            )
        case FreeProduct():
            yield from range_violations("discount.free_product.quantity", discount.quantity, least=1, most=MAX_FREE)


def _validity_violations(validity: Fixed | Lasting) -> Iterator[FieldViolation]:
    if isinstance(validity, Lasting):
        yield from range_violations("validity.days", validity.days, least=0, most=MAX_DAYS)
    elif validity.end <= validity.start:
        yield FieldViolation("validity.fixed.end", "must be after the start")


def _limit_violations(limits: Limits) -> Iterator[FieldViolation]:
    yield from range_violations("limits.issued", limits.issued, least=0, most=MAX_COUNT)
    yield from range_violations("limits.used", limits.used, least=0, most=MAX_COUNT)
    yield from range_violations("limits.issued_per_member", limits.issued_per_member, least=0, most=MAX_PER_MEMBER)
    yield from range_violations("limits.used_per_member", limits.used_per_member, least=0, most=MAX_PER_MEMBER)
