"""Proration: cycles by day, and what of a cycle was used. All in days of the operator's calendar, never in hours.

A cycle runs from its first day to its end, which is the first day after it. Cycles of months and years end on their
anchor day, or on the month's last where it is shorter; the anchor itself is kept, so that after a February the 31st
comes back.
"""

from calendar import monthrange
from datetime import date, timedelta
from typing import NamedTuple, assert_never

from chassis.calendar import add_months

from billing.domain.product import Cadence, CycleUnit
from billing.domain.rating import Stretch
from billing.domain.reckoning import Line, LineKind, Reckoning
from billing.domain.rounding import round_share

_MONTHS_OF_YEAR = 12


class Cycle(NamedTuple):
    """The days from `start` to `end`, exclusive, of a whole cycle that begins with `whole_start`."""

    start: date
    end: date
    whole_start: date

    @property
    def stretch(self) -> Stretch:
        """Its days, of those that the whole has."""
        return Stretch((self.end - self.start).days, (self.end - self.whole_start).days)


class Anchored(NamedTuple):
    """The first cycle, and the day of the month that further ones are anchored at."""

    anchor_day: int
    cycle: Cycle


def first_cycle(cadence: Cadence, day: date, month_anchor: int) -> Anchored:
    """The cycle that an order of this day begins. Cycles of months are anchored at `month_anchor`, 0 for the day,
    and the first is what is left of one of them, the day included; those of days and years begin with the day."""
    if cadence.unit is not CycleUnit.MONTH or not month_anchor:
        return Anchored(day.day, Cycle(day, _end(day, cadence, day.day), day))
    whole_start = _anchor_in(day, month_anchor)
    if whole_start > day:
        whole_start = _anchor_in(add_months(day.replace(day=1), -1), month_anchor)
    return Anchored(month_anchor, Cycle(day, _end(whole_start, cadence, month_anchor), whole_start))


def cycle_after(cadence: Cadence, end: date, anchor_day: int) -> Cycle:
    """The whole cycle that follows one that ended."""
    return Cycle(end, _end(end, cadence, anchor_day), end)


def cycle_on(cadence: Cadence, end: date, *, anchor_day: int, day: date) -> Cycle:
    """What is left, from a day on, of the cycle that this day falls into, of those that follow one that ended. Cycles
    that passed meanwhile were not owned."""
    cycle = cycle_after(cadence, end, anchor_day)
    while cycle.end <= day:
        cycle = cycle_after(cadence, cycle.end, anchor_day)
    return cycle._replace(start=max(day, cycle.start))


def cycle_ending(cadence: Cadence, end: date, anchor_day: int) -> Cycle:
    """The whole cycle that ends with a day, exclusive."""
    start = _step(end, cadence, anchor_day, -1)
    return Cycle(start, end, start)


class Split(NamedTuple):
    """A charged cycle, cut at a day: the part that is used up and what is given back. They sum to what was charged."""

    used_days: int
    of_days: int
    used_minor: int
    refund_minor: int


def split_after(charged_minor: int, start: date, end: date, day: date) -> Split:
    """What was charged for a cycle, net of every discount, cut after a day, which counts as used. A day before the
    cycle counts as its first, one after it as its last."""
    of_days = (end - start).days
    return _split(charged_minor, min(max((day - start).days + 1, 1), of_days), of_days)


def split_before(charged_minor: int, start: date, end: date, day: date) -> Split:
    """The same cut before a day, which does not count as used."""
    of_days = (end - start).days
    return _split(charged_minor, min(max((day - start).days, 0), of_days), of_days)


class Owned(NamedTuple):
    """A cycle as it was charged."""

    product_id: str
    currency: str
    charged_minor: int
    tax_minor: int


def given_back(owned: Owned, split: Split) -> Reckoning:
    """How a refund comes about: the cycle is taken back, the days used stay charged; the total is the refund, negative.
    The tax given back is the refund's share of what the cycle contained."""
    lines = (
        Line(LineKind.LIST, owned.product_id, "cycle as charged", -owned.charged_minor, -1),
        Line(
            LineKind.PRORATION,
            owned.product_id,
            f"{split.used_days} of {split.of_days} days used",
            split.used_minor,
            split.used_days,
            split.of_days,
        ),
    )
    tax_minor = round_share(owned.tax_minor, split.refund_minor, owned.charged_minor) if owned.charged_minor else 0
    return Reckoning(owned.currency, lines, -split.refund_minor, -tax_minor)


def dearer_by_day(new: Reckoning, new_days: int, old_minor: int, old_days: int) -> bool:
    """Whether the new one costs at least as much a day as the old one did."""
    return new.total_minor * old_days >= old_minor * new_days


def _split(charged_minor: int, used_days: int, of_days: int) -> Split:
    used_minor = round_share(charged_minor, used_days, of_days)
    return Split(used_days, of_days, used_minor, charged_minor - used_minor)


def _end(start: date, cadence: Cadence, anchor_day: int) -> date:
    """The first day after a whole cycle."""
    return _step(start, cadence, anchor_day, 1)


def _step(day: date, cadence: Cadence, anchor_day: int, cycles: int) -> date:
    """So many whole cycles after a day on which one begins; before it where they are negative."""
    units = cycles * cadence.every
    match cadence.unit:
        case CycleUnit.DAY:
            return day + timedelta(days=units)
        case CycleUnit.MONTH:
            return _anchor_in(add_months(day.replace(day=1), units), anchor_day)
        case CycleUnit.YEAR:
            return _anchor_in(add_months(day.replace(day=1), _MONTHS_OF_YEAR * units), anchor_day)
        case _:
            assert_never(cadence.unit)


def _anchor_in(month: date, anchor_day: int) -> date:
    """The anchor day of a month, or its last."""
    return month.replace(day=min(anchor_day, monthrange(month.year, month.month)[1]))
