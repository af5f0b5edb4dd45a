"""Closing days: rounds over all accounts, each a few set-based statements, and the snapshots at their end."""

from datetime import date, datetime

from chassis.calendar import Span
from chassis.driver import Row, fetch
from chassis.money import Money
from ledger.store.sealing import find_head
from sqlalchemy.ext.asyncio import AsyncConnection

from billing.domain.snapshot import BookDay, Snapshot
from billing.store.balance import BALANCE_PREFIX
from billing.store.tables import BOOK

_OPEN_DAY = """
SELECT day, starts_at, ends_at, reached FROM book_days WHERE closed_at IS NULL FOR UPDATE"""
_LAST_DAY = (
    "SELECT day, starts_at, ends_at, reached FROM book_days WHERE closed_at IS NOT NULL ORDER BY day DESC LIMIT 1"
)
_CLOSED_DAY = "SELECT day, starts_at, ends_at, reached FROM book_days WHERE closed_at IS NOT NULL AND day = $1"
_BEGIN = "INSERT INTO book_days (day, starts_at, ends_at) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING RETURNING day"
_REACH = "UPDATE book_days SET reached = $2 WHERE day = $1"
_END = "UPDATE book_days SET closed_at = $2 WHERE day = $1"

# A round: what each account had entered since its last day end, up to the end of the day. All is read by one statement,
# so that no posting comes between what is summed and the version that is noted as seen.
_CLOSE_ROUND = """
WITH batch AS (
    SELECT a.account_id, $1 || a.account_id AS balance_id, coalesce(p.balance_minor, 0) AS balance_minor,
           coalesce(p.held_minor, 0) AS held_minor, coalesce(p.account_version, 0) AS seen
    FROM (SELECT account_id FROM accounts WHERE account_id > $5 ORDER BY account_id LIMIT $6) AS a
    LEFT JOIN LATERAL (
        SELECT balance_minor, held_minor, account_version FROM account_day_ends
        WHERE account_id = a.account_id ORDER BY day DESC LIMIT 1) AS p ON true),
taken AS (
    SELECT b.account_id, e.*
    FROM batch b CROSS JOIN LATERAL (
        SELECT source, amount, held_change, account_version, false AS late FROM ledger_entries
        WHERE account_id = b.balance_id AND account_version IS NOT NULL AND occurred_at >= $3 AND occurred_at < $4
        UNION ALL
        SELECT source, amount, held_change, account_version, true FROM ledger_entries
        WHERE account_id = b.balance_id AND account_version > b.seen AND occurred_at < $3) AS e),
ends AS (
    INSERT INTO account_day_ends (account_id, day, balance_minor, held_minor, change_minor, held_change_minor,
                                  entries, account_version)
    SELECT b.account_id, $2, b.balance_minor + sum(t.amount), b.held_minor + sum(t.held_change),
           sum(t.amount), sum(t.held_change), count(*), (SELECT version FROM ledger_accounts WHERE id = b.balance_id)
    FROM batch b JOIN taken t USING (account_id)
    GROUP BY b.account_id, b.balance_id, b.balance_minor, b.held_minor),
by_kind AS (
    INSERT INTO account_day_sums (account_id, day, kind, amount_minor, entries)
    SELECT t.account_id, $2, l.kind, sum(t.amount), count(*)
    FROM taken t JOIN ledger_transactions l ON l.source = t.source
    WHERE t.amount <> 0 GROUP BY t.account_id, l.kind),
late AS (
    INSERT INTO late_entries (account_id, account_version, stated_at)
    SELECT account_id, account_version, $3 FROM taken WHERE late)
SELECT count(*) AS accounts, max(account_id) AS reached FROM batch"""

# What open bills asked for at the end of the day, by business time.
_TAKE_SNAPSHOTS = """
WITH of_currency AS (SELECT currency, count(*) AS accounts FROM accounts GROUP BY currency),
before AS (
    SELECT DISTINCT ON (currency) currency, balances_minor, held_minor, entries FROM snapshots
    ORDER BY currency, day DESC),
moved AS (
    SELECT a.currency, sum(e.change_minor) AS change_minor, sum(e.held_change_minor) AS held_change_minor,
           sum(e.entries) AS entries
    FROM account_day_ends e JOIN accounts a USING (account_id) WHERE e.day = $1 GROUP BY a.currency),
asked AS (
    SELECT b.currency, sum(b.amount_minor - coalesce(n.credited_minor, 0)) AS asked_minor
    FROM bills b LEFT JOIN bill_payments p USING (bill_id) LEFT JOIN bill_closures c USING (bill_id)
    LEFT JOIN (SELECT corrects_bill_id, sum(amount_minor) AS credited_minor FROM bills
               WHERE kind = 'credit_note' AND issued_at < $2 GROUP BY corrects_bill_id) AS n
           ON n.corrects_bill_id = b.bill_id
    WHERE b.kind <> 'credit_note' AND b.issued_at < $2
      AND (p.bill_id IS NULL OR p.paid_at >= $2) AND (c.bill_id IS NULL OR c.occurred_at >= $2)
    GROUP BY b.currency)
INSERT INTO snapshots (day, currency, accounts, balances_minor, held_minor, asked_minor, last_bill_number, entries,
                       chain_digest, taken_at)
SELECT $1, o.currency, o.accounts, coalesce(before.balances_minor, 0) + coalesce(moved.change_minor, 0),
       coalesce(before.held_minor, 0) + coalesce(moved.held_change_minor, 0), coalesce(asked.asked_minor, 0),
       (SELECT last_number FROM bill_books WHERE book = $3),
       coalesce(before.entries, 0) + coalesce(moved.entries, 0), $4, $5
FROM of_currency o LEFT JOIN before USING (currency) LEFT JOIN moved USING (currency) LEFT JOIN asked USING (currency)
RETURNING *"""

_LIST = """
SELECT * FROM snapshots
WHERE ($1::date IS NULL OR (day, currency) < ($1, $2)) AND ($3::text = '' OR currency = $3)
ORDER BY day DESC, currency DESC LIMIT $4"""


async def day_for_update(connection: AsyncConnection) -> BookDay | None:
    """The day that is being closed, locked until the transaction ends."""
    rows = await fetch(connection, _OPEN_DAY)
    return _day(rows[0]) if rows else None


async def closing(connection: AsyncConnection) -> bool:
    """Whether a day is being closed."""
    return bool(await fetch(connection, "SELECT FROM book_days WHERE closed_at IS NULL"))


async def last_closed_day(connection: AsyncConnection) -> BookDay | None:
    """The newest day that is closed."""
    rows = await fetch(connection, _LAST_DAY)
    return _day(rows[0]) if rows else None


async def find_closed_day(connection: AsyncConnection, day: date) -> BookDay | None:
    """A day, where it is closed."""
    rows = await fetch(connection, _CLOSED_DAY, day)
    return _day(rows[0]) if rows else None


async def begin_day(connection: AsyncConnection, day: BookDay) -> bool:
    """Begins to close a day; False where another caller was first."""
    return bool(await fetch(connection, _BEGIN, day.day, day.span.start, day.span.end))


async def close_round(connection: AsyncConnection, day: BookDay, limit: int) -> bool:
    """Closes a day for the next accounts, at most `limit`; False where none were left."""
    args = BALANCE_PREFIX, day.day, *day.span, day.reached, limit
    (row,) = await fetch(connection, _CLOSE_ROUND, *args)
    if row["accounts"]:
        await fetch(connection, _REACH, day.day, row["reached"])
    return bool(row["accounts"] == limit)


async def end_day(connection: AsyncConnection, day: BookDay, recorded_at: datetime) -> list[Snapshot]:
    """Takes the snapshots of a day whose accounts are all closed, and calls it closed."""
    head = await find_head(connection)
    digest = None if head is None else head.digest
    rows = await fetch(connection, _TAKE_SNAPSHOTS, day.day, day.span.end, BOOK, digest, recorded_at)
    await fetch(connection, _END, day.day, recorded_at)
    return sorted(map(_snapshot, rows), key=lambda snapshot: snapshot.balances.currency)


async def list_snapshots(
    connection: AsyncConnection, currency: str, *, before: tuple[date, str] | None, limit: int
) -> list[Snapshot]:
    """At most `limit` before a day and currency, the newest day first."""
    rows = await fetch(connection, _LIST, *(before or (None, "")), currency, limit)
    return [_snapshot(row) for row in rows]


def _day(row: Row) -> BookDay:
    return BookDay(row["day"], Span(row["starts_at"], row["ends_at"]), row["reached"])


def _snapshot(row: Row) -> Snapshot:
    currency = row["currency"]
    return Snapshot(
        day=row["day"],
        accounts=row["accounts"],
        balances=Money(row["balances_minor"], currency),
        held=Money(row["held_minor"], currency),
        asked=Money(row["asked_minor"], currency),
        last_bill_number=row["last_bill_number"],
        entries=row["entries"],
        chain_digest=row["chain_digest"],
        taken_at=row["taken_at"],
    )
