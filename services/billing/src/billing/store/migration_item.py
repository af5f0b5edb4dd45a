"""What runs of balance migration did with each balance, and what was taken back; both are only appended."""

from collections.abc import Sequence
from datetime import datetime

from chassis.arrays import array_of_instants, array_of_numbers, array_of_texts
from chassis.driver import Row, fetch
from sqlalchemy.ext.asyncio import AsyncConnection

from billing.domain.balance_migration import (
    BalanceId,
    Decision,
    EarmarkedBalance,
    Item,
    Line,
    MigrationRun,
    MigrationRunId,
    TakenBack,
    Target,
)
from billing.domain.ids import AccountId, TransactionId
from billing.domain.movement import GiftTerms

_ADD = """
INSERT INTO balance_migration_items (run_id, balance_id, account_id, earmark, old_minor, target, new_minor,
    rounding_parts, expires_at, transaction_id, refused, applied, undo_place, recorded_at)
SELECT $1, n.*, $14
FROM unnest($2::text::text[], $3::text::text[], $4::text::text[], $5::text::bigint[], $6::text::text[],
            $7::text::bigint[], $8::text::bigint[], $9::text::timestamptz[], $10::text::text[], $11::text::text[],
            $12::text::boolean[], $13::text::text[]) AS n"""
_ADD_UNDOS = """
INSERT INTO balance_migration_undos (run_id, balance_id, taken_minor, kept_minor, transaction_id, recorded_at)
SELECT $1, n.*, $6
FROM unnest($2::text::text[], $3::text::bigint[], $4::text::bigint[], $5::text::text[]) AS n"""
_SELECT = """
SELECT i.balance_id, i.account_id, i.earmark, i.old_minor, i.target, i.new_minor, i.rounding_parts, i.expires_at,
       i.transaction_id, i.refused, i.applied,
       u.taken_minor, u.kept_minor, u.transaction_id AS undo_transaction_id
FROM balance_migration_items i LEFT JOIN balance_migration_undos u USING (run_id, balance_id)"""
_TO_UNDO = f"{_SELECT} WHERE i.run_id = $1 AND i.applied AND i.undo_place > $2 ORDER BY i.undo_place LIMIT $3"
_LIST = f"{_SELECT} WHERE i.run_id = $1 AND i.balance_id > $2 ORDER BY i.balance_id LIMIT $3"
_LIST_REFUSED = f"""{_SELECT}
WHERE i.run_id = $1 AND i.balance_id > $2 AND i.refused IS NOT NULL ORDER BY i.balance_id LIMIT $3"""


async def add_items(
    connection: AsyncConnection, run_id: MigrationRunId, items: Sequence[Item], recorded_at: datetime
) -> None:
    """Appends what a round did."""
    decisions = [item.decision for item in items]
    await fetch(
        connection,
        _ADD,
        run_id,
        array_of_texts([item.balance.balance_id for item in items]),
        array_of_texts([item.balance.account_id for item in items]),
        array_of_texts([item.balance.earmark for item in items]),
        array_of_numbers([item.balance.amount_minor for item in items]),
        array_of_texts([decision.target for decision in decisions]),
        array_of_numbers([decision.new_minor for decision in decisions]),
        array_of_numbers([decision.parts for decision in decisions]),
        array_of_instants([decision.terms.expires_at if decision.terms else None for decision in decisions]),
        array_of_texts([item.transaction_id for item in items]),
        array_of_texts([decision.refused for decision in decisions]),
        array_of_numbers([item.applied for item in items]),
        array_of_texts([item.undo_place for item in items]),
        recorded_at,
    )


async def items_to_undo(connection: AsyncConnection, run: MigrationRun, most: int) -> list[Item]:
    """What a run took over and is to be taken back next, at most so many."""
    return [_item(row) for row in await fetch(connection, _TO_UNDO, run.run_id, run.reached, most)]


async def add_taken_back(
    connection: AsyncConnection, run_id: MigrationRunId, taken: Sequence[TakenBack], recorded_at: datetime
) -> None:
    """Appends what was taken back."""
    await fetch(
        connection,
        _ADD_UNDOS,
        run_id,
        array_of_texts([each.balance_id for each in taken]),
        array_of_numbers([each.taken_minor for each in taken]),
        array_of_numbers([each.kept_minor for each in taken]),
        array_of_texts([each.transaction_id for each in taken]),
        recorded_at,
    )


async def list_lines(
    connection: AsyncConnection, run_id: MigrationRunId, *, refused: bool, after: str, limit: int
) -> list[Line]:
    """At most `limit` lines of a run's report by balance, all or those that were refused."""
    rows = await fetch(connection, _LIST_REFUSED if refused else _LIST, run_id, after, limit)
    return [Line(_item(row), _taken_back(row)) for row in rows]


def _item(row: Row) -> Item:
    target = Target(row["target"]) if row["target"] else None
    return Item(
        # The balance's own expiry is not kept: what it meant for the gift is.
        EarmarkedBalance(
            BalanceId(row["balance_id"]), AccountId(row["account_id"]), row["earmark"], row["old_minor"], None
        ),
        Decision(
            target,
            row["new_minor"],
            row["rounding_parts"],
            GiftTerms(row["expires_at"]) if target is Target.GIFT else None,
            row["refused"],
        ),
        TransactionId(row["transaction_id"]) if row["transaction_id"] else None,
        row["applied"],
    )


def _taken_back(row: Row) -> TakenBack | None:
    if row["taken_minor"] is None:
        return None
    transaction_id = row["undo_transaction_id"]
    return TakenBack(
        BalanceId(row["balance_id"]),
        row["taken_minor"],
        row["kept_minor"],
        TransactionId(transaction_id) if transaction_id else None,
    )
