"""Statements: an account's movements in a span, with the balance before and after.

Every entry belongs to one instant of the statement, the instant at which it is **stated**: its business time, or, when
it came after its own day was closed, the start of the first day that was open then. So a span that is closed never
changes, and opening balance and entries always sum to the closing one.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import NamedTuple

from chassis.calendar import Calendar, Span, add_months
from chassis.errors import InvalidArgument
from chassis.money import Money

from billing.domain.account import Account

SPAN_MAX = timedelta(days=366)
RENDERED_MAX = 1000
"""So many entries, the first, are listed in a statement as a document; the sums are of all."""

_MONTH = re.compile(r"[0-9]{4}-(0[1-9]|1[0-2])")
_YEARS = range(1970, 9900)


class Position(NamedTuple):
    """A place in an account's entries as they are stated."""

    stated_at: datetime
    account_version: int


class StatedEntry(NamedTuple):
    """One movement in its place. `balance_after` follows the order of the statement, which for late entries is not that
    of booking. `gift` is what of the amount was gift credit."""

    transaction_id: str
    kind: str
    amount: Money
    gift: Money
    balance_after: Money
    account_version: int
    note: str
    charge_id: str
    reverses: str
    occurred_at: datetime
    recorded_at: datetime
    stated_at: datetime

    @property
    def late(self) -> bool:
        """Whether its own day was closed when it came."""
        return self.stated_at != self.occurred_at


class Section(NamedTuple):
    """The movements of one kind."""

    kind: str
    amount_minor: int
    entries: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """A span with its balances, sums by kind, and a page of its entries, oldest first."""

    account: Account
    span: Span
    opening: Money
    sections: tuple[Section, ...]
    entries: tuple[StatedEntry, ...]
    closed: bool

    @property
    def closing(self) -> Money:
        """The balance after the span."""
        moved = sum(section.amount_minor for section in self.sections)
        return self.account.money(self.opening.minor_units + moved)

    @property
    def count(self) -> int:
        """How many entries the span has, on all pages."""
        return sum(section.entries for section in self.sections)


def month_span(calendar: Calendar, month: str) -> Span:
    """The month `YYYY-MM` of the operator's calendar. Refuses what is not one."""
    if not _MONTH.fullmatch(month) or int(month[:4]) not in _YEARS:
        raise InvalidArgument("month", "must be a month as YYYY-MM")
    first = date(int(month[:4]), int(month[5:]), 1)
    return Span(calendar.start_of(first), calendar.start_of(add_months(first, 1)))


def checked_span(start: datetime, end: datetime) -> Span:
    """Refuses a span that ends before it begins, or is longer than a year."""
    if end <= start:
        raise InvalidArgument("end", "must be after the start")
    if end - start > SPAN_MAX:
        raise InvalidArgument("end", f"must be at most {SPAN_MAX.days} days after the start")
    return Span(start, end)


def together(sections: Iterable[Section]) -> tuple[Section, ...]:
    """Sums of one kind as one, by name; kinds without entries are left out."""
    sums: dict[str, list[int]] = {}
    for section in sections:
        found = sums.setdefault(section.kind, [0, 0])
        found[0] += section.amount_minor
        found[1] += section.entries
    return tuple(Section(kind, *sums[kind]) for kind in sorted(sums) if sums[kind][1])


def running(before: Money, entries: Sequence[StatedEntry]) -> tuple[StatedEntry, ...]:
    """Entries with the balance after each, from the one before the first on."""
    balance, found = before.minor_units, []
    for entry in entries:
        balance += entry.amount.minor_units
        found.append(entry._replace(balance_after=Money(balance, before.currency)))
    return tuple(found)
