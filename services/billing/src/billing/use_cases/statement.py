"""Statements of a month or a span, by pages."""

from datetime import datetime

from chassis.calendar import EARLIEST, LATEST, Span
from chassis.errors import InvalidArgument
from chassis.paging import Page

from billing.domain.account import Account
from billing.domain.statement import Position, StatedEntry, Statement, running, together
from billing.store import Connection
from billing.store.statement import balance_at, find_frame, list_entries, sums

_VERSIONS_END = 2**62


async def statement_of(
    connection: Connection, account: Account, span: Span, *, after: Position | None, limit: int
) -> Statement:
    """The span's balances and sums, and at most `limit` of its entries after a position, which lies in the span."""
    if after is not None and not span.start <= after.stated_at < span.end:
        raise _not_returned()
    frame = await find_frame(connection, account, span)
    opening, sections = await sums(connection, frame, span)
    before = opening if after is None else await balance_at(connection, account, after)
    entries = await list_entries(connection, frame, span, after=after, limit=limit)
    return Statement(
        account=account,
        span=span,
        opening=account.money(opening),
        sections=together(sections),
        entries=running(account.money(before), entries),
        closed=span.end <= frame.open_from,
    )


def position_after(page: Page) -> Position | None:
    """The place that a page begins after; refuses a token that no list call returned."""
    if page.after is None:
        return None
    stated_at, _, version = page.after.partition(" ")
    try:
        position = Position(datetime.fromisoformat(stated_at), int(version))
    except ValueError:
        raise _not_returned() from None
    aware = position.stated_at.tzinfo is not None
    if not aware or not EARLIEST <= position.stated_at < LATEST or not 0 < position.account_version < _VERSIONS_END:
        raise _not_returned()
    return position


def position_key(entry: StatedEntry) -> str:
    """An entry's place in its statement."""
    return f"{entry.stated_at.isoformat()} {entry.account_version}"


def _not_returned() -> InvalidArgument:
    return InvalidArgument("page_token", "is not a token that a list call returned")
