"""Ends of days: the books as they stood when a whole day was closed.

Days are closed one after the other, in rounds of accounts. An entry belongs to the first day whose closing saw it; so
what was closed never changes, and what comes late belongs to a later day. The first day that is ever closed takes all
that was before it.
"""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import NamedTuple

from chassis.calendar import EARLIEST, Calendar, Span
from chassis.errors import InvalidArgument, Refusal
from chassis.money import Money

GRACE = timedelta(hours=1)
"""How long a day is left open after its end for what is still on its way, when days are closed by themselves."""

_YEARS_END = 9900


class DayNotClosed(Refusal):
    """The books of this day are not closed yet."""


class ExportUnavailable(Refusal):
    """No folder is configured that exports could be written to."""


class BookDay(NamedTuple):
    """A day of the books. `reached` is the last account of the rounds done so far."""

    day: date
    span: Span
    reached: str = ""


class Snapshot(NamedTuple):
    """What the accounts of one currency stood at when a day was closed."""

    day: date
    accounts: int
    balances: Money
    held: Money
    asked: Money
    last_bill_number: int
    entries: int
    chain_digest: bytes | None
    taken_at: datetime


class ExportFile(NamedTuple):
    """One file below the export folder."""

    name: str
    rows: int
    size: int
    sha256: str


class Export(NamedTuple):
    """A day's books as files."""

    day: date
    files: tuple[ExportFile, ...]
    finished_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class DayClosed:
    """Effect: the books of a day were closed, for one currency."""

    day: date
    balances: Money
    accounts: int
    occurred_at: datetime

    @property
    def aggregate_id(self) -> str:
        """The day: all days are told in their order."""
        return "books"


def next_day(last: BookDay | None, as_of: datetime, calendar: Calendar) -> BookDay | None:
    """The day to be closed next, where it has ended by `as_of`; the first ever is the last whole one. A day begins
    where the one before ended, whatever became of the operator's time zone since."""
    ended = calendar.day_of(as_of) - timedelta(days=1)
    if last is None:
        return BookDay(ended, Span(EARLIEST, calendar.start_of(ended + timedelta(days=1))))
    day = last.day + timedelta(days=1)
    end = calendar.start_of(day + timedelta(days=1))
    return BookDay(day, Span(last.span.end, end)) if last.span.end < end <= as_of else None


def day_not_closed(day: date) -> DayNotClosed:
    """The answer for a day whose books are open."""
    return DayNotClosed(f"the books of {day.isoformat()} are not closed", day=day.isoformat())


def day_from_text(field: str, text: str) -> date:
    """The day `YYYY-MM-DD`. Refuses what is not one."""
    try:
        day = date.fromisoformat(text)
    except ValueError:
        day = date.min
    if day.isoformat() != text or not EARLIEST.year <= day.year < _YEARS_END:
        raise InvalidArgument(field, "must be a day as YYYY-MM-DD")
    return day
