"""A closed day's books, row by row: the entries that its closing took, and what belongs to them.

A charge and a payment go with the first entry of their transaction, a bill with that of its account, so that each is
in one day's files. What the ledger does not know (a charge of zero, a bill that waited, a payment that came to nothing)
goes by its own time; a bill or credit note whose day was closed already goes with the first day that was open when it
came, so that no number is missing.
"""

from collections.abc import Sequence
from datetime import date, datetime
from typing import NamedTuple

import orjson
from chassis.arrays import array_of_texts
from chassis.driver import fetch
from sqlalchemy.ext.asyncio import AsyncConnection

from billing.domain.snapshot import Export, ExportFile
from billing.store.day_books import DAY_ENTRIES, Portion

Rows = list[tuple[object, ...]]

ENTRIES = (
    ("account_id", str),
    ("account_version", int),
    ("transaction_id", str),
    ("kind", str),
    ("currency", str),
    ("amount_minor", int),
    ("held_change_minor", int),
    ("balance_after_minor", int),
    ("late", bool),
    ("reverses_transaction_id", str),
    ("occurred_at", datetime),
    ("recorded_at", datetime),
)
CHARGES = (
    ("charge_id", str),
    ("account_id", str),
    ("amount_minor", int),
    ("currency", str),
    ("gift_minor", int),
    ("payer_minor", int),
    ("category", str),
    ("product_id", str),
    ("order_id", str),
    ("subscription_id", str),
    ("transaction_id", str),
    ("occurred_at", datetime),
    ("recorded_at", datetime),
)
BILLS = (
    ("bill_id", str),
    ("bill_number", int),
    ("account_id", str),
    ("customer_id", str),
    ("kind", str),
    ("corrects_bill_id", str),
    ("amount_minor", int),
    ("currency", str),
    ("transaction_id", str),
    ("issued_at", datetime),
    ("due_at", datetime),
    ("recorded_at", datetime),
)
PAYMENTS = (
    ("payment_id", str),
    ("account_id", str),
    ("customer_id", str),
    ("amount_minor", int),
    ("currency", str),
    ("channel", str),
    ("provider_reference", str),
    ("state", str),
    ("bill_id", str),
    ("transaction_id", str),
    ("requested_at", datetime),
    ("settled_at", datetime),
)
FILES = {"entries": ENTRIES, "charges": CHARGES, "bills": BILLS, "payments": PAYMENTS}
"""The files of a day, with the names and types of their columns."""

_ENTRIES = f"""
SELECT d.account_id, d.account_version, d.source, t.kind, t.asset, d.amount, d.held_change, d.balance_after,
       d.occurred_at < $3, t.reverses, t.occurred_at, t.recorded_at,
       d.line = (SELECT min(line) FROM ledger_entries f WHERE f.source = d.source AND f.account_version IS NOT NULL)
FROM ({DAY_ENTRIES}) AS d JOIN ledger_transactions t ON t.source = d.source
ORDER BY d.account_id, d.account_version"""  # noqa: S608 - constants

_CHARGES = """
SELECT c.charge_id, c.account_id, c.amount_minor, a.currency, c.gift_minor, c.payer_minor, c.category, c.product_id,
       c.order_id, c.subscription_id, c.transaction_id, c.occurred_at, c.recorded_at
FROM charges c JOIN accounts a USING (account_id)"""
_BILLS = """
SELECT bill_id, bill_number, account_id, customer_id, kind, corrects_bill_id, amount_minor, currency, transaction_id,
       issued_at, due_at, recorded_at
FROM bills"""
_PAYMENTS = """
SELECT payment_id, account_id, customer_id, amount_minor, currency, channel, provider_reference, state, bill_id,
       transaction_id, requested_at, settled_at
FROM payments"""
_WITH_ENTRIES = {
    "charges": f"{_CHARGES} WHERE c.transaction_id = ANY($1::text::text[]) ORDER BY c.charge_id",
    "bills": f"""{_BILLS}
        WHERE account_id = ANY($2::text::text[]) AND transaction_id = ANY($1::text::text[]) ORDER BY bill_number""",
    "payments": f"{_PAYMENTS} WHERE transaction_id = ANY($1::text::text[]) ORDER BY payment_id",
}
_WITHOUT = {
    "charges": f"""{_CHARGES}
        WHERE c.transaction_id IS NULL AND c.occurred_at >= $1 AND c.occurred_at < $2 ORDER BY c.charge_id""",
    "bills": f"""{_BILLS} CROSS JOIN (
            SELECT closed_at, (SELECT max(closed_at) FROM book_days WHERE ends_at <= $1) AS before_closed_at
            FROM book_days WHERE starts_at = $1) AS closing
        WHERE transaction_id IS NULL AND recorded_at <= closed_at AND issued_at < $2
          AND (issued_at >= $1 OR recorded_at > before_closed_at) ORDER BY bill_number""",  # noqa: S608 - constants
    "payments": f"""{_PAYMENTS}
        WHERE transaction_id IS NULL AND settled_at >= $1 AND settled_at < $2 ORDER BY payment_id""",
}
_ADD = "INSERT INTO exports (day, files, finished_at) VALUES ($1, $2::jsonb, $3) ON CONFLICT DO NOTHING"
_ONE = "SELECT day, files::text AS files, finished_at FROM exports WHERE day = $1"
_LIST = """
SELECT day, files::text AS files, finished_at FROM exports WHERE $1::date IS NULL OR day < $1
ORDER BY day DESC LIMIT $2"""


class DayRows(NamedTuple):
    """Rows for each file."""

    entries: Rows
    charges: Rows
    bills: Rows
    payments: Rows


async def rows_of_portion(connection: AsyncConnection, portion: Portion) -> DayRows:
    """The entries of a portion of accounts, with the charges, bills and payments that belong to them."""
    entries = [tuple(row) for row in await fetch(connection, _ENTRIES, *portion.arguments)]
    firsts = array_of_texts(sorted({str(source) for _, _, source, *_, first in entries if first}))
    # A payer's bill has an entry of the payer, which is not the first of the charge that others share.
    sources = array_of_texts(sorted({str(source) for _, _, source, *_ in entries}))
    accounts = array_of_texts(sorted({str(account) for account, *_ in entries}))
    asked = {"charges": [firsts], "bills": [sources, accounts], "payments": [firsts]}
    found = {
        name: [tuple(row) for row in await fetch(connection, sql, *asked[name])] for name, sql in _WITH_ENTRIES.items()
    }
    return DayRows(entries=[entry[:-1] for entry in entries], **found)


async def rows_without_entries(connection: AsyncConnection, start: datetime, end: datetime) -> DayRows:
    """What happened from `start` on and before `end` that the ledger does not know."""
    found = {name: [tuple(row) for row in await fetch(connection, sql, start, end)] for name, sql in _WITHOUT.items()}
    return DayRows(entries=[], **found)


async def add_export(connection: AsyncConnection, export: Export) -> None:
    """Stores that a day was exported; the first is kept."""
    files = orjson.dumps([each._asdict() for each in export.files]).decode()
    await fetch(connection, _ADD, export.day, files, export.finished_at)


async def find_export(connection: AsyncConnection, day: date) -> Export | None:
    """The export of a day."""
    rows = await fetch(connection, _ONE, day)
    return _export(*rows[0]) if rows else None


async def list_exports(connection: AsyncConnection, *, before: date | None, limit: int) -> Sequence[Export]:
    """At most `limit` of days before one, the newest first."""
    return [_export(*row) for row in await fetch(connection, _LIST, before, limit)]


def _export(day: date, files: str, finished_at: datetime) -> Export:
    return Export(day, tuple(ExportFile(**each) for each in orjson.loads(files)), finished_at)
