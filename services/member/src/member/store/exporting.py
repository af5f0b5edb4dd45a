"""Everything that the tables hold of a customer: whatever table names a customer or a membership is asked.

A table that is added is exported without being named here, so that nothing which is kept can be forgotten.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Table, bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.types import Text

from member.domain.customer import EVERYBODY, CustomerId, PersonId
from member.store.postings import ACCOUNT_PREFIX
from member.store.tables import METADATA, customers, members

ROWS_MAX = 5_000

# Each person by the names that it had, back to the first merge of a chain.
_MERGED = text("""
    WITH RECURSIVE known (customer_id, person_id) AS (
        SELECT CAST(:customer_id AS text), CAST(:person_id AS text)
        UNION
        SELECT merges.merged_customer_id, coalesce(moved.key, '')
        FROM known
        JOIN customer_merges AS merges ON merges.customer_id = known.customer_id
        LEFT JOIN LATERAL jsonb_each_text(merges.person_moves) AS moved ON moved.value = known.person_id
        WHERE known.person_id = '' OR moved.key IS NOT NULL
    )
    SELECT customer_id, person_id FROM known ORDER BY customer_id <> :customer_id, customer_id, person_id
""")

_POINTS = text("""
    SELECT jsonb_build_object(
        'member_id', asked.member_id, 'transaction_id', entries.source, 'kind', booked.kind,
        'points', entries.amount, 'held_change', entries.held_change, 'balance_after', entries.balance_after,
        'occurred_at', booked.occurred_at, 'metadata', booked.metadata) AS content
    FROM unnest(CAST(:members AS text[])) AS asked(member_id)
    JOIN ledger_entries AS entries ON entries.account_id = :prefix || asked.member_id
    JOIN ledger_transactions AS booked ON booked.source = entries.source
    ORDER BY asked.member_id, entries.account_version DESC
    LIMIT :limit
""")


class Known(NamedTuple):
    """Under which names a customer or a person is kept: its own, and those of what was merged into it."""

    names: Sequence[tuple[CustomerId, PersonId]]
    whole: bool


async def known_as(connection: AsyncConnection, customer_id: CustomerId, person_id: PersonId) -> Known:
    """The names of the customer with everybody, or of one person."""
    found = await connection.execute(_MERGED, {"customer_id": customer_id, "person_id": person_id})
    names = [(CustomerId(row.customer_id), PersonId(row.person_id)) for row in found]
    return Known(names, whole=person_id == EVERYBODY)


async def export_tables(connection: AsyncConnection, known: Known) -> Mapping[str, list[Any]]:
    """The rows of every table that names the customer or one of its memberships, by table; the last 5,000 of each."""
    parameters = {
        "customers": [customer_id for customer_id, _ in known.names],
        "persons": [person_id for _, person_id in known.names],
        "limit": ROWS_MAX,
    }
    found: dict[str, list[Any]] = {}
    for table in METADATA.sorted_tables:
        if (condition := _names(table, known)) is not None:
            keys = ", ".join(f"kept.{column.name} DESC" for column in table.primary_key or table.c)
            query = text(
                f"SELECT to_jsonb(kept) AS content FROM {table.name} AS kept WHERE {condition} "  # noqa: S608
                f"ORDER BY {keys} LIMIT :limit"
            )
            bound = query.bindparams(*(bindparam(name, type_=ARRAY(Text)) for name in _asked(condition)))
            asked = {name: parameters[name] for name in (*_asked(condition), "limit")}
            found[table.name] = [row.content for row in await connection.execute(bound, asked)]
    return {name: rows for name, rows in found.items() if rows}


async def export_points(connection: AsyncConnection, ids: Sequence[str]) -> list[Any]:
    """The entries of memberships, newest first; the last 5,000."""
    asked = {"members": list(ids), "prefix": ACCOUNT_PREFIX, "limit": ROWS_MAX}
    return [row.content for row in await connection.execute(_POINTS, asked)]


def named_tables() -> set[str]:
    """The tables that are exported."""
    return {table.name for table in METADATA.sorted_tables if _names(table, Known([], whole=True)) is not None}


def _names(table: Table, known: Known) -> str | None:
    """The condition under which a row of the table is about the customer; None where the table names nobody."""
    pairs = "SELECT * FROM unnest(:customers, :persons) AS asked"
    if table is customers:
        return None
    if "customer_id" in table.c:
        if known.whole:
            return "kept.customer_id = ANY(:customers)"
        return f"(kept.customer_id, kept.person_id) IN ({pairs})" if "person_id" in table.c else None
    if "member_id" in table.c:
        held = "customer_id = ANY(:customers)" if known.whole else f"(customer_id, person_id) IN ({pairs})"
        return f"kept.member_id IN (SELECT member_id FROM {members.name} WHERE {held})"  # noqa: S608
    return None


def _asked(condition: str) -> list[str]:
    return [name for name in ("customers", "persons") if f":{name}" in condition]
