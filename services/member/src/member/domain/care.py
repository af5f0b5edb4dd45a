"""Days on which a customer is thought of: by whose rule, on which occasion, once a year."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import NamedTuple, NewType, assert_never

from chassis.calendar import Calendar, anniversary
from chassis.errors import FieldViolation, InvalidArgument, NotFound

from member.domain.customer import (
    EVERYBODY,
    Customer,
    CustomerId,
    CustomerKind,
    PersonId,
    Subscriber,
    SubscriberKind,
)
from member.domain.program import ProgramId
from member.domain.text import MAX_NAME_CHARACTERS, line_violations

HolidayId = NewType("HolidayId", str)
CareRuleId = NewType("CareRuleId", str)
CareId = NewType("CareId", str)

MAX_HOLIDAY_DAYS = 100
MAX_DAYS_AHEAD = 60
MAX_YEARS = 100


class HolidayNotFound(NotFound):
    """No holiday has this id."""

    def __init__(self, holiday_id: HolidayId) -> None:
        super().__init__("no holiday has this id", holiday_id=holiday_id)


class Occasion(StrEnum):
    """Why a customer is thought of."""

    BIRTHDAY = "birthday"
    HOLIDAY = "holiday"
    MEMBERSHIP_ANNIVERSARY = "membership_anniversary"
    SERVICE_ANNIVERSARY = "service_anniversary"
    LONG_HELD_NUMBER = "long_held_number"


@dataclass(frozen=True, slots=True)
class Holiday:
    """A public holiday or one of the operator's own, with its first day in each year that is known."""

    holiday_id: HolidayId
    display_name: str
    days: tuple[date, ...]
    revision: int = 0


@dataclass(frozen=True, slots=True)
class CareRule:
    """When to think of whom: so many days ahead of the occasion, and only from so many full years on."""

    rule_id: CareRuleId
    occasion: Occasion
    holiday_id: HolidayId | None
    days_ahead: int
    years_at_least: int
    customer_kind: CustomerKind | None
    active: bool


@dataclass(frozen=True, slots=True)
class PutRule:
    """A rule as stored: who put it last and when."""

    rule: CareRule
    revision: int
    put_by: str
    put_at: datetime


class Enrolled(NamedTuple):
    """A membership, as far as anniversaries ask."""

    program_id: ProgramId
    person_id: PersonId
    enrolled_at: datetime


class Due(NamedTuple):
    """Care that is due. Without `years` it is the key: one of a customer, person, occasion, subject and year is told.

    `subject_id` is the holiday, the program or the kind of service; `year` is that of the occasion itself.
    """

    customer_id: CustomerId
    person_id: PersonId
    occasion: Occasion
    subject_id: str
    year: int
    years: int


class CareOf(NamedTuple):
    """What is asked for care: the rules in force, the days of the holidays, and the operator's calendar."""

    rules: Sequence[CareRule]
    holidays: Mapping[HolidayId, Holiday]
    calendar: Calendar


@dataclass(frozen=True, slots=True)
class Care:
    """Care that was told; `occurred_at` is the beginning of the day of telling."""

    care_id: CareId
    due: Due
    occurred_at: datetime


@dataclass(frozen=True, slots=True)
class CareDue:
    """Effect: a customer or a person of it is to be thought of. It says no birthday and no age."""

    care: Care

    @property
    def aggregate_id(self) -> str:
        """The customer orders its facts."""
        return self.care.due.customer_id

    @property
    def occurred_at(self) -> datetime:
        """The beginning of the day."""
        return self.care.occurred_at


def check_holiday(holiday: Holiday) -> None:
    """Refuses, with InvalidArgument and every fault at once, a holiday that cannot be kept."""
    violations = list(line_violations("holiday.display_name", holiday.display_name, most=MAX_NAME_CHARACTERS))
    if len(holiday.days) > MAX_HOLIDAY_DAYS:
        violations.append(FieldViolation("holiday.days", f"must have at most {MAX_HOLIDAY_DAYS} items"))
    if len({day.year for day in holiday.days}) < len(holiday.days):
        violations.append(FieldViolation("holiday.days", "must have at most one day in a year"))
    if violations:
        raise InvalidArgument.many(violations)


def check_rule(rule: CareRule) -> None:
    """Refuses, with InvalidArgument and every fault at once, a rule that cannot be followed."""
    violations: list[FieldViolation] = []
    if not 0 <= rule.days_ahead <= MAX_DAYS_AHEAD:
        violations.append(FieldViolation("rule.days_ahead", f"must be 0 to {MAX_DAYS_AHEAD}"))
    if not 0 <= rule.years_at_least <= MAX_YEARS:
        violations.append(FieldViolation("rule.years_at_least", f"must be 0 to {MAX_YEARS}"))
    if (rule.holiday_id is not None) != (rule.occasion is Occasion.HOLIDAY):
        violations.append(FieldViolation("rule.holiday_id", "is required for a holiday, and for nothing else"))
    if violations:
        raise InvalidArgument.many(violations)


def care_due(customer: Customer, memberships: Sequence[Enrolled], on: date, asked: CareOf) -> set[Due]:
    """What the rules say of the customer on a day; several rules for one occasion make it due once."""
    return {
        due
        for rule in asked.rules
        if rule.active and rule.customer_kind in (None, customer.kind)
        for due in _due_by(rule, customer, memberships, on + timedelta(days=rule.days_ahead), asked)
    }


def _due_by(
    rule: CareRule, customer: Customer, memberships: Sequence[Enrolled], day: date, asked: CareOf
) -> Iterator[Due]:
    at_least = max(1, rule.years_at_least)
    for person_id, subject_id, years in _occasions(rule, customer, memberships, day, asked):
        if years is None or years >= at_least:
            yield Due(customer.customer_id, person_id, rule.occasion, subject_id, day.year, years or 0)


def _occasions(
    rule: CareRule, customer: Customer, memberships: Sequence[Enrolled], day: date, asked: CareOf
) -> Iterator[tuple[PersonId, str, int | None]]:
    """Whose occasion of the rule's sort falls on the day: the person, the subject, and the years where they count."""
    match rule.occasion:
        case Occasion.BIRTHDAY:
            for person in customer.persons:
                if person.birthday is not None and _full_years(person.birthday, day):
                    yield person.person_id, "", None
        case Occasion.HOLIDAY:
            holiday = asked.holidays.get(rule.holiday_id) if rule.holiday_id else None
            if holiday is not None and day in holiday.days:
                yield EVERYBODY, holiday.holiday_id, None
        case Occasion.MEMBERSHIP_ANNIVERSARY:
            for program_id, person_id, enrolled_at in memberships:
                yield person_id, program_id, _full_years(asked.calendar.day_of(enrolled_at), day)
        case Occasion.SERVICE_ANNIVERSARY:
            yield from _years_of(customer.subscribers, day, asked.calendar)
        case Occasion.LONG_HELD_NUMBER:
            yield from _years_of(_numbers(customer), day, asked.calendar)
        case _:
            assert_never(rule.occasion)


def _numbers(customer: Customer) -> list[Subscriber]:
    """Lines whose number may be honoured: those that the operator marked, and where none is, the mobile ones."""
    marked = [line for line in customer.subscribers if line.marks]
    return marked or [line for line in customer.subscribers if line.kind is SubscriberKind.MOBILE]


def _years_of(lines: Sequence[Subscriber], day: date, calendar: Calendar) -> Iterator[tuple[PersonId, str, int]]:
    """For each kind of service the full years of the line that has been in use for longest."""
    first: dict[SubscriberKind, Subscriber] = {}
    for line in sorted(lines, key=lambda each: each.in_service_since):
        if line.in_service_at(calendar.start_of(day)):
            first.setdefault(line.kind, line)
    for kind, line in first.items():
        yield EVERYBODY, kind.value, _full_years(calendar.day_of(line.in_service_since), day)


def _full_years(since: date, day: date) -> int:
    """Years that are full on this very day; 0 where the day is not the one that is kept."""
    years = day.year - since.year
    return years if years > 0 and anniversary(since, day.year) == day else 0
