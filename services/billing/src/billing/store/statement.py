"""Statements from the ledger's entries and the days that are closed.

What a day or more of entries came to is read from the sums that closing stored; single entries are read for the parts
of a span that are no whole closed days, and for the page that is shown. So the history behind an account costs nothing.
"""

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import NamedTuple

from chassis.calendar import EARLIEST, Span
from chassis.driver import Row, fetch
from sqlalchemy.ext.asyncio import AsyncConnection

from billing.domain.account import Account
from billing.domain.statement import Position, Section, StatedEntry
from billing.store.balance import BALANCE_PREFIX

_INSTANT = timedelta(microseconds=1)

# Where an account stands with the closed days around a span: what closing saw last, the last closed day before the
# span, and the closed days that lie whole within it.
_FRAME = """
SELECT last.ends_at AS open_from, seen.account_version AS seen, before.ends_at AS before_ends_at, base.balance_minor,
       whole.first_day, whole.last_day, whole.starts_at, whole.ends_at
FROM (SELECT) AS one
LEFT JOIN LATERAL (
    SELECT day, ends_at FROM book_days WHERE closed_at IS NOT NULL ORDER BY day DESC LIMIT 1) AS last ON true
LEFT JOIN LATERAL (
    SELECT account_version FROM account_day_ends WHERE account_id = $1 AND day <= last.day
    ORDER BY day DESC LIMIT 1) AS seen ON true
LEFT JOIN LATERAL (
    SELECT day, ends_at FROM book_days WHERE closed_at IS NOT NULL AND ends_at <= $2
    ORDER BY day DESC LIMIT 1) AS before ON true
LEFT JOIN LATERAL (
    SELECT balance_minor FROM account_day_ends WHERE account_id = $1 AND day <= before.day
    ORDER BY day DESC LIMIT 1) AS base ON true
LEFT JOIN LATERAL (
    SELECT min(day) AS first_day, max(day) AS last_day, min(starts_at) AS starts_at, max(ends_at) AS ends_at
    FROM book_days WHERE closed_at IS NOT NULL AND starts_at >= $2 AND ends_at <= $3) AS whole ON true"""


class _Tails(NamedTuple):
    """What else each part of the entries is restricted to."""

    own_day: str = ""
    late: str = ""
    waiting: str = ""


_NO_TAILS = _Tails()


def _stated(start: str, end: str, tails: _Tails = _NO_TAILS) -> str:
    """Entries stated from `start` on and before `end`: those whose own day took them, those that a later closed day
    took, and those that wait for the day that is open. $1 is the account's balance, $2 the account, $3 the newest
    version that closing saw, $4 where the open day begins."""
    columns = "e.source, e.amount, e.account_version, e.occurred_at"
    return f"""
(SELECT {columns}, e.occurred_at AS stated_at FROM ledger_entries e
 WHERE e.account_id = $1 AND e.account_version IS NOT NULL AND e.amount <> 0
   AND e.occurred_at >= {start} AND e.occurred_at < {end} AND (e.account_version <= $3 OR e.occurred_at >= $4)
   AND NOT EXISTS (SELECT FROM late_entries l WHERE l.account_id = $2 AND l.account_version = e.account_version)
   {tails.own_day})
UNION ALL
(SELECT {columns}, l.stated_at FROM late_entries l
 JOIN ledger_entries e ON e.account_id = $1 AND e.account_version = l.account_version
 WHERE l.account_id = $2 AND e.amount <> 0
   AND l.stated_at >= {start} AND l.stated_at < {end} AND l.stated_at < $4 {tails.late})
UNION ALL
(SELECT {columns}, $4::timestamptz AS stated_at FROM ledger_entries e
 WHERE e.account_id = $1 AND e.account_version > $3 AND e.occurred_at < $4 AND e.amount <> 0
   AND $4 >= {start} AND $4 < {end} {tails.waiting})"""  # noqa: S608 - constants


# Each part of a span by kind, from entries; $7 counts versions up to it alone.
_SUMS = f"""
SELECT part.place, t.kind, sum(stated.amount)::bigint AS amount_minor, count(*)::bigint AS entries
FROM unnest($5::timestamptz[], $6::timestamptz[]) WITH ORDINALITY AS part (starts_at, ends_at, place)
CROSS JOIN LATERAL ({_stated("part.starts_at", "part.ends_at")}) AS stated
JOIN ledger_transactions t ON t.source = stated.source
WHERE stated.account_version <= $7
GROUP BY part.place, t.kind"""  # noqa: S608 - constants

_DAY_SUMS = """
SELECT kind, sum(amount_minor)::bigint AS amount_minor, sum(entries)::bigint AS entries
FROM account_day_sums WHERE account_id = $1 AND day BETWEEN $2 AND $3 GROUP BY kind"""

# Each part in the order of the page and no longer than it, however many came late.
_EARLY = _Tails(
    "AND (e.occurred_at, e.account_version) > ($5, $7) ORDER BY e.occurred_at, e.account_version LIMIT $8",
    "AND (l.stated_at, l.account_version) > ($5, $7) ORDER BY l.stated_at, l.account_version LIMIT $8",
    "AND ($4, e.account_version) > ($5, $7) ORDER BY e.account_version LIMIT $8",
)

# What a capture took of gift credit was moved when it was set aside.
_PAGE = f"""
WITH page AS (
    SELECT * FROM ({_stated("$5", "$6", _EARLY)}) AS stated
    WHERE (stated_at, account_version) > ($5, $7) ORDER BY stated_at, account_version LIMIT $8)
SELECT page.*, t.kind, coalesce(t.metadata->>'note', '') AS note, t.recorded_at, coalesce(t.reverses, '') AS reverses,
       coalesce(c.charge_id, '') AS charge_id,
       coalesce((SELECT sum(m.amount) FROM ledger_lot_moves m
                 WHERE m.account_id = $1 AND (m.account_version = page.account_version
                       OR m.account_version = h.account_version)), 0)::bigint AS gift
FROM page JOIN ledger_transactions t ON t.source = page.source
LEFT JOIN ledger_holds h ON h.id = t.ends AND h.account_id = $1
LEFT JOIN charges c ON c.transaction_id = coalesce(t.reverses, page.source)
ORDER BY page.stated_at, page.account_version"""  # noqa: S608 - constants

_ALL = 2**62


class Frame(NamedTuple):
    """The closed days around a span, for an account. `open_from` is where the open day begins, `seen` the newest
    version that closing saw; `covered_until` and `balance_minor` are the last closed day's before the span; `whole` are
    the closed days within the span, with the instants that they cover."""

    account: Account
    open_from: datetime
    seen: int
    covered_until: datetime
    balance_minor: int
    whole: tuple[date, date] | None
    whole_span: Span | None


async def find_frame(connection: AsyncConnection, account: Account, span: Span) -> Frame:
    """How the closed days lie around a span."""
    (row,) = await fetch(connection, _FRAME, account.account_id, span.start, span.end)
    whole = row["first_day"] is not None
    return Frame(
        account=account,
        open_from=row["open_from"] or EARLIEST,
        seen=row["seen"] or 0,
        covered_until=row["before_ends_at"] or EARLIEST,
        balance_minor=row["balance_minor"] or 0,
        whole=(row["first_day"], row["last_day"]) if whole else None,
        whole_span=Span(row["starts_at"], row["ends_at"]) if whole else None,
    )


async def sums(connection: AsyncConnection, frame: Frame, span: Span) -> tuple[int, list[Section]]:
    """The balance before a span, in minor units, and what the span came to by kind."""
    parts = [Span(frame.covered_until, span.start)]
    if frame.whole_span is None:
        parts.append(span)
    else:
        parts += [Span(span.start, frame.whole_span.start), Span(frame.whole_span.end, span.end)]
    found = await _sums_of(connection, frame, parts)
    opening = frame.balance_minor + sum(section.amount_minor for place, section in found if place == 1)
    sections = [section for place, section in found if place > 1]
    if frame.whole is not None:
        rows = await fetch(connection, _DAY_SUMS, frame.account.account_id, *frame.whole)
        sections += [Section(row["kind"], row["amount_minor"], row["entries"]) for row in rows]
    return opening, sections


async def balance_at(connection: AsyncConnection, account: Account, position: Position) -> int:
    """The balance with the entry at a position and all stated before it, in minor units."""
    at = position.stated_at
    frame = await find_frame(connection, account, Span(at, at + _INSTANT))
    before = await _sums_of(connection, frame, [Span(frame.covered_until, at)])
    same = await _sums_of(connection, frame, [Span(at, at + _INSTANT)], position.account_version)
    return frame.balance_minor + sum(section.amount_minor for _, section in (*before, *same))


async def list_entries(
    connection: AsyncConnection, frame: Frame, span: Span, *, after: Position | None, limit: int
) -> list[StatedEntry]:
    """At most `limit` entries of a span as they are stated, oldest first. Their balances are not reckoned yet."""
    start = after or Position(span.start, 0)
    rows = await fetch(connection, _PAGE, *_of(frame), start.stated_at, span.end, start.account_version, limit)
    return [_entry(frame.account, row) for row in rows]


async def _sums_of(
    connection: AsyncConnection, frame: Frame, parts: Sequence[Span], until: int = _ALL
) -> list[tuple[int, Section]]:
    """Sums of the parts that are not empty, each with its place."""
    if all(part.start >= part.end for part in parts):
        return []
    starts, ends = [part.start for part in parts], [part.end for part in parts]
    rows = await fetch(connection, _SUMS, *_of(frame), starts, ends, until)
    return [(row["place"], Section(row["kind"], row["amount_minor"], row["entries"])) for row in rows]


def _of(frame: Frame) -> tuple[str, str, int, datetime]:
    account_id = frame.account.account_id
    return BALANCE_PREFIX + account_id, account_id, frame.seen, frame.open_from


def _entry(account: Account, row: Row) -> StatedEntry:
    return StatedEntry(
        transaction_id=row["source"],
        kind=row["kind"],
        amount=account.money(row["amount"]),
        gift=account.money(row["gift"]),
        balance_after=account.money(0),
        account_version=row["account_version"],
        note=row["note"],
        charge_id=row["charge_id"],
        reverses=row["reverses"],
        occurred_at=row["occurred_at"],
        recorded_at=row["recorded_at"],
        stated_at=row["stated_at"],
    )
