"""Opening accounts, and everything that is asked of the ledger without changing it."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from chassis.driver import fetch
from sqlalchemy.ext.asyncio import AsyncConnection

from ledger.domain.command import AccountId, Asset, HoldId, Metadata, Source
from ledger.domain.refusal import AccountNotFound, AssetMismatch

OPEN_ACCOUNTS = """
INSERT INTO ledger_accounts (id, asset, floor, opened_at)
SELECT new.id, new.asset, new.floor, $4
FROM unnest($1::text[], $2::text[], $3::bigint[]) AS new (id, asset, floor)
ORDER BY new.id
ON CONFLICT (id) DO NOTHING"""

OTHER_ASSET = """
SELECT a.id, a.asset FROM ledger_accounts a
JOIN unnest($1::text[], $2::text[]) AS asked (id, asset) ON asked.id = a.id
WHERE a.asset <> asked.asset
ORDER BY a.id LIMIT 1"""

# Today's balance less what was entered for later; and less what will have expired by then without being booked yet:
# open lots, and what an expiring hold would give back to a lot that is gone, after it has paid what the account owes.
BALANCES = """
SELECT a.id, a.asset,
       a.balance - later.amount - due_lots.amount - due_holds.orphaned AS balance,
       a.held - later.held_change - due_holds.amount AS held,
       a.floor, a.version
FROM ledger_accounts a
CROSS JOIN LATERAL (
    SELECT coalesce(sum(e.amount), 0)::bigint AS amount, coalesce(sum(e.held_change), 0)::bigint AS held_change
    FROM ledger_entries e
    WHERE e.account_id = a.id AND e.account_version IS NOT NULL AND e.occurred_at > $2
) AS later
CROSS JOIN LATERAL (
    SELECT coalesce(sum(l.remaining), 0)::bigint AS amount
    FROM ledger_lots l WHERE l.account_id = a.id AND l.remaining > 0 AND l.expires_at <= $2
) AS due_lots
CROSS JOIN LATERAL (
    SELECT coalesce(sum(h.amount), 0)::bigint AS amount,
           coalesce(sum(greatest(h.gone - least(greatest(a.owed - h.freed_before - h.loose, 0), h.gone), 0)), 0)::bigint
               AS orphaned
    FROM (
        SELECT h.amount, back.gone, h.amount - back.from_lots AS loose,
               sum(h.amount) OVER (ORDER BY h.expires_at, h.account_version) - h.amount AS freed_before
        FROM ledger_holds h
        CROSS JOIN LATERAL (
            SELECT coalesce(sum(-m.amount), 0)::bigint AS from_lots,
                   coalesce(sum(-m.amount) FILTER (WHERE l.expired OR l.expires_at <= $2), 0)::bigint AS gone
            FROM ledger_lot_moves m
            JOIN ledger_lots l ON l.account_id = m.account_id AND l.account_version = m.lot
            WHERE m.account_id = h.account_id AND m.account_version = h.account_version
        ) AS back
        WHERE h.account_id = a.id AND h.state = 'open' AND h.expires_at <= $2
    ) AS h
) AS due_holds
WHERE a.id = ANY($1::text[])"""

ENTRIES = """
SELECT e.source, t.kind, e.amount, e.held_change, e.account_version, e.balance_after, e.held_after,
       t.occurred_at, t.recorded_at, t.reverses, t.ends, t.metadata::text AS metadata
FROM ledger_entries e
JOIN ledger_transactions t ON t.source = e.source
WHERE e.account_id = $1 AND e.account_version IS NOT NULL AND ($2::bigint IS NULL OR e.account_version < $2)
  AND ($4::text[] IS NULL OR t.kind = ANY($4))
  AND ($5::timestamptz IS NULL OR e.occurred_at >= $5) AND ($6::timestamptz IS NULL OR e.occurred_at < $6)
ORDER BY e.account_version DESC
LIMIT $3"""

LOTS = """
SELECT account_version AS version, granted, remaining, expires_at, priority
FROM ledger_lots
WHERE account_id = $1 AND remaining > 0
ORDER BY priority, expires_at NULLS LAST, account_version"""

DUE_ACCOUNTS = """
SELECT account_id FROM (
    SELECT account_id, expires_at FROM ledger_lots WHERE remaining > 0 AND expires_at <= $1
    UNION ALL
    SELECT account_id, expires_at FROM ledger_holds WHERE state = 'open' AND expires_at <= $1
    ORDER BY expires_at
    LIMIT $2
) AS due"""


class NewAccount(NamedTuple):
    """An account to open. `floor` is 0, or minus a credit limit."""

    id: AccountId
    asset: Asset
    floor: int = 0


class Balance(NamedTuple):
    """What an account stands at. `account_version` is the account's newest step, whatever instant was asked for."""

    account: AccountId
    asset: Asset
    balance: int
    held: int
    floor: int
    account_version: int

    @property
    def available(self) -> int:
        """Balance less held: what a threshold is compared with. The credit limit comes on top."""
        return self.balance - self.held


class EntryRecord(NamedTuple):
    """One step in an account's history."""

    source: Source
    kind: str
    amount: int
    held_change: int
    account_version: int
    balance_after: int
    held_after: int
    occurred_at: datetime
    recorded_at: datetime
    reverses: Source | None
    ends: HoldId | None
    metadata: Metadata


class EntryFilter(NamedTuple):
    """Which entries are asked for: of these kinds, from `start` (inclusive) to `end` (exclusive) of business time; None
    stands for all."""

    kinds: Sequence[str] | None = None
    start: datetime | None = None
    end: datetime | None = None


EVERY_ENTRY = EntryFilter()


class OpenLot(NamedTuple):
    """What is left of one grant, in the order in which debits take it."""

    version: int
    granted: int
    remaining: int
    expires_at: datetime | None
    priority: int


async def insert_accounts(connection: AsyncConnection, accounts: Sequence[NewAccount], opened_at: datetime) -> None:
    """Open what is not open yet. Refuses AssetMismatch for an account that is open in another asset."""
    ids, assets, floors = ([account[place] for account in accounts] for place in range(3))
    await fetch(connection, OPEN_ACCOUNTS, ids, assets, floors, opened_at)
    for row in await fetch(connection, OTHER_ASSET, ids, assets):
        raise AssetMismatch(f"{row['id']} is open in {row['asset']}", account=row["id"])


async def load_balances(
    connection: AsyncConnection, accounts: Sequence[AccountId], as_of: datetime
) -> Mapping[AccountId, Balance]:
    """Balances at an instant of business time, past or future. Refuses AccountNotFound."""
    found = {row["id"]: Balance(*row) for row in await fetch(connection, BALANCES, accounts, as_of)}
    for account in accounts:
        if account not in found:
            raise AccountNotFound(f"account {account} was never opened", account=account)
    return found


async def load_entries(
    connection: AsyncConnection, account: AccountId, among: EntryFilter, *, before: int | None, limit: int
) -> list[EntryRecord]:
    """Newest first, from below the version `before`."""
    rows = await fetch(connection, ENTRIES, account, before, limit, *among)
    return [EntryRecord(*row)._replace(metadata=json.loads(row["metadata"])) for row in rows]


async def load_lots(connection: AsyncConnection, account: AccountId) -> list[OpenLot]:
    """Open lots, the next to be taken first."""
    return [OpenLot(*row) for row in await fetch(connection, LOTS, account)]


async def find_due_accounts(connection: AsyncConnection, as_of: datetime, limit: int) -> tuple[list[AccountId], bool]:
    """Accounts of the `limit` expiries that are due first, and whether there may be more."""
    rows = await fetch(connection, DUE_ACCOUNTS, as_of, limit)
    return sorted({row["account_id"] for row in rows}), len(rows) == limit
