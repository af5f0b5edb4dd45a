"""What a tier asks for: points, spend, tenure, service lines, and any combination of them.

A requirement is a tree of bounded depth and size. Its leaves ask for measures of a member at an instant; a measure is
a number (points, minor units, lines) or, for tenure, the instant since when.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TypeAlias, assert_never

from chassis.calendar import EARLIEST, LATEST, Calendar, Period
from chassis.errors import FieldViolation
from chassis.money import Money
from chassis.violations import range_violations

from member.domain.customer import CustomerId, SubscriberKind
from member.domain.kinds import CLASS_OF, EARNED, EarnClass, PointsKind

MAX_WINDOW_DAYS = 3_660
MAX_TENURE_DAYS = 36_600
MAX_POINTS_REQUIRED = 10**12
MAX_SPEND_MINOR = 10**15
MAX_SERVICES = 500
MAX_DEPTH = 4
MAX_LEAVES = 12
MAX_KINDS = 50


class TenureSince(StrEnum):
    """Where tenure counts from."""

    ENROLMENT = "enrolment"
    REGISTRATION = "registration"
    IN_SERVICE = "in_service"


class SpendKind(StrEnum):
    """What counts as spend."""

    RECHARGE = "recharge"
    ORDER = "order"


@dataclass(frozen=True, slots=True)
class Spending:
    """Money that a customer recharged or was charged; `source` names the event, so that it counts once."""

    source: str
    customer_id: CustomerId
    recharged: bool
    amount: Money
    occurred_at: datetime


@dataclass(frozen=True, slots=True)
class Window:
    """What counts: the last so many days (each of 24 hours) where `days` is more than 0, or else what came since the
    calendar period around the instant began; EVER is everything."""

    days: int = 0
    period: Period = Period.EVER

    def start(self, as_of: datetime, calendar: Calendar) -> datetime:
        """What came after this instant, and not later than `as_of`, counts."""
        if self.days:
            return max(EARLIEST, as_of - timedelta(days=self.days))
        if self.period is Period.EVER:
            return EARLIEST - timedelta(microseconds=1)
        return calendar.span(self.period, as_of).start - timedelta(microseconds=1)

    def leaves_at(self, counted_at: datetime, calendar: Calendar) -> datetime:
        """The first instant at which something of an earlier one no longer counts; LATEST where it always does."""
        if self.days:
            return min(LATEST, counted_at + timedelta(days=self.days))
        return calendar.span(self.period, counted_at).end


@dataclass(frozen=True, slots=True)
class PointsIn:
    """Measure: points earned of these kinds in a window, less what was taken back of them."""

    kinds: tuple[PointsKind, ...]
    window: Window


@dataclass(frozen=True, slots=True)
class SpendIn:
    """Measure: minor units recharged or ordered in a window by the customer as a whole."""

    kinds: tuple[SpendKind, ...]
    window: Window


@dataclass(frozen=True, slots=True)
class Since:
    """Measure: the instant from which tenure counts."""

    since: TenureSince


@dataclass(frozen=True, slots=True)
class LinesOf:
    """Measure: how many service lines of these kinds are in service."""

    kinds: tuple[SubscriberKind, ...]


Measure: TypeAlias = PointsIn | SpendIn | Since | LinesOf
Measured: TypeAlias = Mapping[Measure, int | datetime | None]


@dataclass(frozen=True, slots=True)
class Points:
    """At least so many points, of kinds or classes; of every earned kind where neither is named."""

    at_least: int
    window: Window
    kinds: tuple[PointsKind, ...] = ()
    classes: tuple[EarnClass, ...] = ()

    @property
    def measure(self) -> PointsIn:
        """What it looks at."""
        named = {*self.kinds, *(kind for kind in EARNED if CLASS_OF[kind] in self.classes)}
        return PointsIn(tuple(kind for kind in EARNED if not named or kind in named), self.window)


@dataclass(frozen=True, slots=True)
class Spend:
    """At least so many minor units spent; recharges and orders both count where no kind is named."""

    at_least_minor: int
    window: Window
    kinds: tuple[SpendKind, ...] = ()

    @property
    def measure(self) -> SpendIn:
        """What it looks at."""
        return SpendIn(tuple(kind for kind in SpendKind if not self.kinds or kind in self.kinds), self.window)


@dataclass(frozen=True, slots=True)
class Tenure:
    """So many days (of 24 hours) since enrolment, registration, or the oldest service line went into service."""

    days: int
    since: TenureSince

    @property
    def measure(self) -> Since:
        """What it looks at."""
        return Since(self.since)


@dataclass(frozen=True, slots=True)
class Services:
    """At least so many service lines in service, of these kinds; of any where none is named."""

    at_least: int
    kinds: tuple[SubscriberKind, ...] = ()

    @property
    def measure(self) -> LinesOf:
        """What it looks at."""
        return LinesOf(tuple(kind for kind in SubscriberKind if not self.kinds or kind in self.kinds))


Leaf: TypeAlias = Points | Spend | Tenure | Services


@dataclass(frozen=True, slots=True)
class AllOf:
    """Everything of these."""

    of: tuple["Requirement", ...]


@dataclass(frozen=True, slots=True)
class AnyOf:
    """One of these at least."""

    of: tuple["Requirement", ...]


Requirement: TypeAlias = Leaf | AllOf | AnyOf


@dataclass(frozen=True, slots=True)
class Missing:
    """What is missing to a leaf: so much of it, and for tenure the instant at which it is reached by itself."""

    leaf: Leaf
    amount: int
    at: datetime | None = None


def leaves(requirement: Requirement) -> Iterator[Leaf]:
    """The leaves, from left to right."""
    if isinstance(requirement, AllOf | AnyOf):
        for each in requirement.of:
            yield from leaves(each)
    else:
        yield requirement


def is_met(requirement: Requirement, measured: Measured, as_of: datetime) -> bool:
    """Whether what was measured at an instant meets the requirement."""
    match requirement:
        case AllOf(of):
            return all(is_met(each, measured, as_of) for each in of)
        case AnyOf(of):
            return any(is_met(each, measured, as_of) for each in of)
        case _:
            return missing_of(requirement, measured, as_of).amount <= 0


def missing_of(leaf: Leaf, measured: Measured, as_of: datetime) -> Missing:
    """What is missing to a leaf; nothing where it is met."""
    value = measured.get(leaf.measure)
    match leaf:
        case Tenure(days):
            if not isinstance(value, datetime):
                return Missing(leaf, days)
            reached = min(value, LATEST - timedelta(days=days)) + timedelta(days=days)
            return Missing(leaf, _days_until(reached, as_of), reached)
        case Points(at_least) | Services(at_least):
            return Missing(leaf, max(0, at_least - _number(value)))
        case Spend(at_least_minor):
            return Missing(leaf, max(0, at_least_minor - _number(value)))
        case _:
            assert_never(leaf)


def unmet(requirement: Requirement, measured: Measured, as_of: datetime) -> list[Missing]:
    """What is missing to a requirement: every unmet part of `all`, of `any` each way there is; nothing where met."""
    if is_met(requirement, measured, as_of):
        return []
    if isinstance(requirement, AllOf | AnyOf):
        return [missing for each in requirement.of for missing in unmet(each, measured, as_of)]
    return [missing_of(requirement, measured, as_of)]


def in_words(requirement: Requirement) -> str:
    """One line for operators, such as "300 points in 365 days and (2 services or 730 days since enrolment)"."""
    match requirement:
        case AllOf(of) | AnyOf(of):
            word = " and " if isinstance(requirement, AllOf) else " or "
            return word.join(
                f"({in_words(each)})" if isinstance(each, AllOf | AnyOf) else in_words(each) for each in of
            )
        case Points(at_least, window, kinds, classes):
            return f"{at_least} points{_of_kinds([*kinds, *classes])}{_in_window(window)}"
        case Spend(at_least_minor, window, kinds):
            return f"{at_least_minor} minor units spent{_of_kinds(kinds)}{_in_window(window)}"
        case Tenure(days, since):
            return f"{days} days since {since.value.replace('_', ' ')}"
        case Services(at_least, kinds):
            return f"{at_least} services{_of_kinds(kinds)}"
        case _:
            assert_never(requirement)


def requirement_violations(field: str, requirement: Requirement, depth: int = 1) -> Iterator[FieldViolation]:
    """What keeps a requirement from being judged by: too deep, too large, or a leaf that asks for nothing."""
    if depth == 1 and sum(1 for _ in leaves(requirement)) > MAX_LEAVES:
        yield FieldViolation(field, f"must have at most {MAX_LEAVES} conditions")
    if isinstance(requirement, AllOf | AnyOf):
        name = "all" if isinstance(requirement, AllOf) else "any"
        if depth > MAX_DEPTH:
            yield FieldViolation(field, f"must be nested at most {MAX_DEPTH} deep")
            return
        if not requirement.of:
            yield FieldViolation(f"{field}.{name}.of", "must have an item")
        for index, each in enumerate(requirement.of):
            yield from requirement_violations(f"{field}.{name}.of[{index}]", each, depth + 1)
    else:
        yield from _leaf_violations(field, requirement)


def _leaf_violations(field: str, leaf: Leaf) -> Iterator[FieldViolation]:
    match leaf:
        case Points(at_least, window):
            yield from range_violations(f"{field}.points.at_least", at_least, least=1, most=MAX_POINTS_REQUIRED)
            yield from _window_violations(f"{field}.points.window", window)
        case Spend(at_least_minor, window):
            yield from range_violations(f"{field}.spend.at_least_minor", at_least_minor, least=1, most=MAX_SPEND_MINOR)
            yield from _window_violations(f"{field}.spend.window", window)
        case Tenure(days):
            yield from range_violations(f"{field}.tenure.days", days, least=1, most=MAX_TENURE_DAYS)
        case Services(at_least):
            yield from range_violations(f"{field}.services.at_least", at_least, least=1, most=MAX_SERVICES)
        case _:
            assert_never(leaf)


def _window_violations(field: str, window: Window) -> Iterator[FieldViolation]:
    yield from range_violations(f"{field}.days", window.days, least=0, most=MAX_WINDOW_DAYS)


def _number(value: int | datetime | None) -> int:
    return value if isinstance(value, int) else 0


def _days_until(instant: datetime, as_of: datetime) -> int:
    """Days of 24 hours that are left, begun ones counting whole."""
    return max(0, -((as_of - instant) // timedelta(days=1)))


def _of_kinds(kinds: Sequence[StrEnum]) -> str:
    return f" of {', '.join(kind.value for kind in kinds)}" if kinds else ""


def _in_window(window: Window) -> str:
    if window.days:
        return f" in {window.days} days"
    return "" if window.period is Period.EVER else f" in the {window.period.value}"
