"""The seals: a chain of hashes over the record, so that what was written cannot change or vanish unseen.

Triggers and privileges keep everybody from the record but who owns the database. Against the owner stands the chain:
each seal is the SHA-256 of the seal before it and of a block of the record, so that an edit of anything old shows in
its block, and hiding it takes a rewrite of every seal since, which a digest that was noted elsewhere gives away.

Each row of `ledger_transactions` says which of the database's transactions wrote it (`written_by`, a default: postings
do not know of it). A block is what was written after one of these numbers and up to another. Numbers are given at the
beginning and commits come in any order, so a block ends below the oldest number that was still in work in the sealing
statement's own snapshot: whatever is below has ended, and nothing can come late.

What is hashed is text that no setting of a session changes: JSON arrays, instants as microseconds since 1970.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple

import asyncpg
from chassis.driver import fetch
from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    DateTime,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    text,
)
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.schema import CreateIndex, CreateTable

if TYPE_CHECKING:
    from chassis.migrations import Operations

BLOCK = 10_000
"""Transactions in a block, about: those of one writer are never parted."""

_PROVEN_AT_ONCE = 10 * BLOCK  # about a second; a statement of a service ends after thirty
_WRITER = "pg_current_xact_id()::text::bigint"


def written_by_column() -> Column[int]:
    """Which of the database's transactions wrote the row."""
    return Column("written_by", BigInteger, nullable=False, server_default=text(f"({_WRITER})"))


def written_by_index() -> Index:
    """Rows of one writer share an entry of this index, and a new one goes to its end."""
    return Index("ledger_transactions_written_by", "written_by")


def seals_table(metadata: MetaData) -> Table:
    """The chain, which is as append-only as what it seals."""
    return Table(
        "ledger_seals",
        metadata,
        Column("number", BigInteger, primary_key=True, autoincrement=False),
        Column("through", BigInteger, nullable=False, comment="the last writer whose transactions are in the block"),
        Column("transactions", Integer, nullable=False),
        Column("entries", Integer, nullable=False),
        Column("previous", LargeBinary, nullable=False),
        Column("digest", LargeBinary, nullable=False),
        Column("sealed_at", DateTime(timezone=True), nullable=False),
        CheckConstraint("number > 0 AND transactions > 0", name="ledger_seals_signs"),
        CheckConstraint("length(previous) = 32 AND length(digest) = 32", name="ledger_seals_digests"),
    )


def create_ledger_seals(op: "Operations") -> None:
    """For a later migration of a service whose ledger was made before there were seals. Does nothing to a ledger made
    since. What is in the books gets writers below any real one, a thousand rows each, so that the first blocks seal it
    in portions; for that the table is rewritten."""
    from chassis.migrations import append_only  # needed by migrations alone, which bring alembic with them

    if op.get_bind().scalar(text("SELECT to_regclass('ledger_seals')")) is not None:
        return
    for statement in _COLUMN.split(";\n"):
        op.execute(statement)
    metadata = MetaData()
    seals = seals_table(metadata)
    transactions = Table("ledger_transactions", metadata, written_by_column(), written_by_index())
    for index in transactions.indexes:
        op.execute(CreateIndex(index))
    op.execute(CreateTable(seals))
    append_only(op, seals.name)


_COLUMN = f"""
CREATE SEQUENCE ledger_written_before MINVALUE -4000000000000000000 MAXVALUE -1;
ALTER TABLE ledger_transactions
    ADD COLUMN written_by bigint NOT NULL DEFAULT nextval('ledger_written_before') / 1000;
ALTER TABLE ledger_transactions ALTER COLUMN written_by SET DEFAULT ({_WRITER});
DROP SEQUENCE ledger_written_before"""


class Seal(NamedTuple):
    """One link of the chain. Whoever notes its digest elsewhere can tell later whether the chain was rewritten."""

    number: int
    transactions: int
    entries: int
    digest: bytes


_FIRST_AFTER = "(-9223372036854775808)::bigint"
_NOTHING_BEFORE = f"decode('{'00' * 32}', 'hex')"


def _instant(of: str) -> str:
    return f"(extract(epoch FROM {of}) * 1000000)::bigint"


_MOVES = """
SELECT string_agg(json_build_array(m.lot, m.amount)::text, ',' ORDER BY m.lot) FROM ledger_lot_moves m
WHERE m.account_id = e.account_id AND m.account_version = e.account_version"""

_LINES = f"""
SELECT count(*) AS entries, string_agg(json_build_array(e.line, e.account_id, e.amount, e.held_change,
       e.account_version, e.balance_after, e.held_after, e.floor, {_instant("e.occurred_at")}, ({_MOVES}))::text,
       chr(10) ORDER BY e.line) AS lines
FROM ledger_entries e WHERE e.source = t.source"""  # noqa: S608 - constants

_TRANSACTION = f"""
json_build_array(t.source, t.kind, t.asset, {_instant("t.occurred_at")}, {_instant("t.recorded_at")},
                 t.metadata::text, t.ends, t.reverses, t.reversed_before, t.reversed_amount, t.written_by)"""

_DIGEST = f"sha256(convert_to({_TRANSACTION}::text || chr(10) || coalesce(found.lines, ''), 'UTF8'))"

# A transaction has a digest of its own, over it, its entries and what these took from lots; the block is all of them.
_BLOCK = f"""
SELECT count(*)::integer AS transactions, coalesce(sum(entries), 0)::integer AS entries,
       coalesce(string_agg(digest, ''::bytea ORDER BY digest), ''::bytea) AS digests
FROM (SELECT found.entries, {_DIGEST} AS digest
      FROM ledger_transactions t CROSS JOIN LATERAL ({_LINES}) AS found
      WHERE t.written_by > {{after}} AND t.written_by <= {{through}}) AS each"""  # noqa: S608 - constants


def _sealed(previous: str, number: str, through: str, sealed_at: str) -> str:
    """The digest of a seal over `block`."""
    head = f"json_build_array({number}, {through}, block.transactions, block.entries, {_instant(sealed_at)})::text"
    return f"sha256({previous} || convert_to({head} || chr(10), 'UTF8') || block.digests)"


# One sealer at a time; the seal of the one before is seen by the statement after.
_LOCK = "SELECT pg_advisory_xact_lock(hashtext('ledger seals'))"

_SEAL = f"""
WITH last AS (
    SELECT number, through, digest FROM ledger_seals
    UNION ALL SELECT 0, {_FIRST_AFTER}, {_NOTHING_BEFORE}
    ORDER BY number DESC LIMIT 1),
bound AS (
    SELECT max(written_by) AS through
    FROM (SELECT written_by FROM ledger_transactions
          WHERE written_by > (SELECT through FROM last)
            AND written_by < pg_snapshot_xmin(pg_current_snapshot())::text::bigint
          ORDER BY written_by LIMIT $2) AS next)
INSERT INTO ledger_seals (number, through, transactions, entries, previous, digest, sealed_at)
SELECT last.number + 1, bound.through, block.transactions, block.entries, last.digest,
       {_sealed("last.digest", "last.number + 1", "bound.through", "$1::timestamptz")}, $1::timestamptz
FROM last, bound CROSS JOIN LATERAL ({_BLOCK.format(after="last.through", through="bound.through")}) AS block
WHERE bound.through IS NOT NULL
RETURNING number, transactions, entries, digest"""  # noqa: S608 - constants

_PORTIONS = """
SELECT min(number) AS first, max(number) AS last
FROM (SELECT number, sum(transactions) OVER (ORDER BY number) / $1 AS portion FROM ledger_seals) AS s
GROUP BY portion ORDER BY first"""

_BROKEN = f"""
SELECT s.number, s.transactions, block.transactions AS found,
       s.previous IS DISTINCT FROM coalesce(before.digest, {_NOTHING_BEFORE}) AS torn
FROM ledger_seals s LEFT JOIN ledger_seals before ON before.number = s.number - 1
CROSS JOIN LATERAL ({_BLOCK.format(after=f"coalesce(before.through, {_FIRST_AFTER})", through="s.through")}) AS block
WHERE s.number BETWEEN $1 AND $2
  AND (s.previous <> coalesce(before.digest, {_NOTHING_BEFORE})
       OR (s.transactions, s.entries) <> (block.transactions, block.entries)
       OR s.digest <> {_sealed("s.previous", "s.number", "s.through", "s.sealed_at")})
ORDER BY s.number"""  # noqa: S608 - constants

_HEAD = "SELECT number, transactions, entries, digest FROM ledger_seals ORDER BY number DESC LIMIT 1"


async def seal_block(connection: AsyncConnection, sealed_at: datetime, most: int) -> Seal | None:
    """Seal about so many of the transactions that are next; None where there are none."""
    await fetch(connection, _LOCK)
    rows = await fetch(connection, _SEAL, sealed_at, most)
    return Seal(*rows[0]) if rows else None


async def find_head(connection: AsyncConnection) -> Seal | None:
    """The newest seal."""
    rows = await fetch(connection, _HEAD)
    return Seal(*rows[0]) if rows else None


async def find_broken_seals(connection: AsyncConnection, most: int) -> list[str]:
    """The first seals whose blocks are not what was sealed, or that do not follow the one before."""
    broken: list[str] = []
    for first, last in await fetch(connection, _PORTIONS, _PROVEN_AT_ONCE):
        broken += _in_words(await fetch(connection, _BROKEN, first, last))
        if len(broken) >= most:
            break
    return broken[:most]


def _in_words(rows: Sequence[asyncpg.Record]) -> list[str]:
    return [
        f"seal {number} does not follow the one before"
        if torn
        else f"seal {number} of {sealed} transactions, {found} found"
        for number, sealed, found, torn in rows
    ]
