"""Days, months and years as the operator lives them: in its own time zone, told as instants in UTC.

A day there may have 23 or 25 hours, and a month ends where the operator's clock says so. Rules that count "a day" or
"a month" ask here for the span and compare instants with it.
"""

from calendar import monthrange
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from functools import lru_cache
from typing import NamedTuple, assert_never
from zoneinfo import ZoneInfo

# The instants that the platform takes in. The century below the calendar's end is left to what domains add.
EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)
LATEST = datetime(9900, 1, 1, tzinfo=UTC)

_DAYS_OF_WEEK = 7
_MONTHS_OF_QUARTER = 3
_MONTHS_OF_YEAR = 12


class Period(StrEnum):
    """A stretch of the calendar; weeks begin on Monday."""

    DAY = "day"
    WEEK = "week"
    MONTH = "month"
    QUARTER = "quarter"
    YEAR = "year"
    EVER = "ever"


class Span(NamedTuple):
    """Instants from `start` (inclusive) to `end` (exclusive), both aware and in UTC."""

    start: datetime
    end: datetime


@dataclass(frozen=True, slots=True)
class Calendar:
    """The operator's calendar."""

    zone: ZoneInfo

    def day_of(self, instant: datetime) -> date:
        """The day on which an instant falls."""
        return instant.astimezone(self.zone).date()

    def start_of(self, day: date) -> datetime:
        """The instant at which a day begins."""
        return datetime.combine(day, time(), self.zone).astimezone(UTC)

    def span(self, period: Period, instant: datetime) -> Span:
        """The day, week, month, quarter or year around an instant; all of time for EVER."""
        if period is Period.EVER:
            return Span(EARLIEST, LATEST)
        return _span(self, period, self.day_of(instant))


def add_months(day: date, months: int) -> date:
    """The same day of the month so many months later, or the month's last where it has no such day."""
    years, month = divmod(day.month - 1 + months, _MONTHS_OF_YEAR)
    year = day.year + years
    return date(year, month + 1, min(day.day, monthrange(year, month + 1)[1]))


def anniversary(of: date, year: int) -> date:
    """The day in a year that is kept for a day of an earlier one; 29 February is kept on the 28th in common years."""
    return add_months(of, _MONTHS_OF_YEAR * (year - of.year))


@lru_cache(maxsize=1024)
def _span(calendar: Calendar, period: Period, day: date) -> Span:
    """The span of a period around a day; asked for the days of now again and again."""
    first, following = _around(period, day)
    return Span(calendar.start_of(first), calendar.start_of(following))


def _around(period: Period, day: date) -> tuple[date, date]:
    """The first day of the period around a day, and the first of the next period."""
    match period:
        case Period.DAY:
            return day, day + timedelta(days=1)
        case Period.WEEK:
            first = day - timedelta(days=day.weekday())
            return first, first + timedelta(days=_DAYS_OF_WEEK)
        case Period.MONTH:
            first = day.replace(day=1)
            return first, add_months(first, 1)
        case Period.QUARTER:
            first = date(day.year, (day.month - 1) // _MONTHS_OF_QUARTER * _MONTHS_OF_QUARTER + 1, 1)
            return first, add_months(first, _MONTHS_OF_QUARTER)
        case Period.YEAR:
            return date(day.year, 1, 1), date(day.year + 1, 1, 1)
        case Period.EVER:
            raise ValueError("all of time has no first day")
        case _:
            assert_never(period)
