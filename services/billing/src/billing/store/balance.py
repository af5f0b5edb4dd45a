"""Balances, which are the ledger's: what was booked, where an account stands, and its entries."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

import ledger
from chassis.arrays import array_of_numbers, array_of_texts
from chassis.driver import Row, fetch
from chassis.errors import Refusal
from sqlalchemy.ext.asyncio import AsyncConnection

from billing.domain.account import Account, BalanceParts, Standing
from billing.domain.ids import AccountId, TransactionId
from billing.domain.movement import Booking, Movement, Stand, StatementEntry
from billing.store.posting import (
    BALANCE_PREFIX,
    LEDGER,
    NOTE,
    Lapse,
    Limits,
    account_of,
    balance_of,
    charge_of,
    command_of,
    refusal_of,
)

__all__ = [
    "BALANCE_PREFIX",
    "LEDGER",
    "Lapse",
    "accounts_of",
    "book",
    "due_accounts",
    "expire",
    "open_balances",
    "parts",
    "standings",
    "statement_entries",
    "where_they_stand",
]

_ACCOUNTS_OF = """
SELECT DISTINCT account_id FROM ledger_entries WHERE source = ANY($1::text::text[]) AND account_version IS NOT NULL"""
_STANDS = "SELECT id, balance, version FROM ledger_accounts WHERE id = ANY($1::text::text[])"

# Gift credit is what is in lots, and what open holds took out of lots.
_PARTS = """
SELECT a.id, a.balance, a.held, a.owed, a.version, a.in_lots + coalesce((
    SELECT -sum(m.amount) FROM ledger_holds h
    JOIN ledger_lot_moves m ON m.account_id = h.account_id AND m.account_version = h.account_version
    WHERE h.account_id = a.id AND h.state = 'open'), 0)::bigint AS gift
FROM ledger_accounts a WHERE a.id = ANY($1::text::text[])"""

# The same at an instant: what was moved by then into lots that live then; and what holds that were open then had taken,
# or, where a hold has expired without being booked, what goes back to lots that live then.
_GIFTS_AT = """
SELECT a.id, (coalesce((
    SELECT sum(m.amount) FROM ledger_lot_moves m
    JOIN ledger_entries e ON e.account_id = m.account_id AND e.account_version = m.account_version
    JOIN ledger_lots l ON l.account_id = m.account_id AND l.account_version = m.lot
    WHERE m.account_id = a.id AND e.occurred_at <= $2 AND (l.expires_at IS NULL OR l.expires_at > $2)
), 0) + coalesce((
    SELECT -sum(m.amount) FROM ledger_holds h
    JOIN ledger_entries e ON e.account_id = h.account_id AND e.account_version = h.account_version
    JOIN ledger_lot_moves m ON m.account_id = h.account_id AND m.account_version = h.account_version
    JOIN ledger_lots l ON l.account_id = m.account_id AND l.account_version = m.lot
    LEFT JOIN ledger_transactions ending ON ending.ends = h.id
    WHERE h.account_id = a.id AND e.occurred_at <= $2 AND (ending.source IS NULL OR ending.occurred_at > $2)
      AND (h.expires_at > $2 OR l.expires_at IS NULL OR l.expires_at > $2)
), 0))::bigint AS gift
FROM ledger_accounts a WHERE a.id = ANY($1::text::text[])"""

_GIFTS_OF = """
SELECT account_version, sum(amount)::bigint AS gift FROM ledger_lot_moves
WHERE account_id = $1 AND account_version = ANY($2::text::bigint[]) GROUP BY account_version"""


async def open_balances(connection: AsyncConnection, accounts: Sequence[Account], opened_at: datetime) -> None:
    """Opens a balance of 0 for each account, which never goes below its credit limit."""
    wanted = [
        ledger.NewAccount(balance_of(a.account_id), ledger.Asset(a.currency), -a.credit_limit_minor) for a in accounts
    ]
    await LEDGER.open_accounts(connection, wanted, opened_at=opened_at)


async def book(
    connection: AsyncConnection,
    movements: Sequence[Movement],
    accounts: Mapping[AccountId, Account],
    recorded_at: datetime,
) -> list[Booking | Refusal]:
    """Books movements of locked accounts in their order, each with its own outcome. Refuses InsufficientBalance,
    CreditLimitInUse, and what the ledger refuses of what is set aside or undone."""
    outcomes = await LEDGER.post(connection, [command_of(m) for m in movements], recorded_at=recorded_at)
    limits = Limits(accounts)
    return [
        refusal_of(outcome, accounts[movement.account_id])
        if isinstance(outcome, Refusal)
        else limits.booking_of(movement, outcome)
        for movement, outcome in zip(movements, outcomes, strict=True)
    ]


async def due_accounts(connection: AsyncConnection, as_of: datetime, limit: int) -> set[AccountId]:
    """The accounts of the expiries, about so many, that came first by an instant. Nothing is locked."""
    due, _ = await LEDGER.due(connection, as_of, limit=limit)
    return {account_of(balance) for balance in due}


async def expire(
    connection: AsyncConnection, accounts: Mapping[AccountId, Account], as_of: datetime, recorded_at: datetime
) -> list[Lapse]:
    """Books what has expired by an instant on these locked accounts, each dated at its own."""
    balances = [balance_of(account_id) for account_id in sorted(accounts)]
    limits = Limits(accounts)
    posted = await LEDGER.expire(connection, balances, as_of, recorded_at=recorded_at)
    return [limits.lapse_of(each) for each in posted]


async def where_they_stand(connection: AsyncConnection, account_ids: Iterable[AccountId]) -> dict[AccountId, Stand]:
    """Balances with everything that is booked, whatever its business time; without an account, without a query."""
    wanted = sorted(map(balance_of, account_ids))
    if not wanted:
        return {}
    found = await fetch(connection, _STANDS, array_of_texts(wanted))
    return {account_of(row["id"]): Stand(row["balance"], row["version"]) for row in found}


async def accounts_of(connection: AsyncConnection, transaction_ids: Sequence[TransactionId]) -> set[AccountId]:
    """Whose balances these transactions changed."""
    found = await fetch(connection, _ACCOUNTS_OF, array_of_texts(transaction_ids))
    return {account_of(row["account_id"]) for row in found}


async def standings(connection: AsyncConnection, accounts: Iterable[Account]) -> dict[AccountId, Standing]:
    """Where accounts stand with everything that is booked; without an account, without a query."""
    wanted = {balance_of(account.account_id): account for account in accounts}
    if not wanted:
        return {}
    found = await fetch(connection, _PARTS, array_of_texts(list(wanted)))
    return {
        wanted[row["id"]].account_id: Standing(wanted[row["id"]], _parts(row, wanted[row["id"]]), row["version"])
        for row in found
    }


async def parts(
    connection: AsyncConnection, accounts: Iterable[Account], as_of: datetime | None
) -> dict[AccountId, BalanceParts]:
    """What balances consist of: with everything that is booked, or at an instant of business time. The credit limit
    is today's in both cases."""
    wanted = {account.account_id: account for account in accounts}
    found = {key: standing.parts for key, standing in (await standings(connection, wanted.values())).items()}
    if as_of is None or not wanted:
        return found
    keys = [balance_of(account_id) for account_id in wanted]
    balances = await LEDGER.balances(connection, keys, as_of)
    gifts = {row["id"]: row["gift"] for row in await fetch(connection, _GIFTS_AT, array_of_texts(keys), as_of)}
    return {
        account_id: found[account_id]._replace(
            balance=account.money(balances[balance_of(account_id)].balance),
            held=account.money(balances[balance_of(account_id)].held),
            gift=account.money(gifts[balance_of(account_id)]),
        )
        for account_id, account in wanted.items()
    }


def _parts(row: Row, account: Account) -> BalanceParts:
    return BalanceParts(
        balance=account.money(row["balance"]),
        gift=account.money(row["gift"]),
        held=account.money(row["held"]),
        credit_limit=account.money(account.credit_limit_minor),
        owed=account.money(row["owed"]),
    )


async def statement_entries(
    connection: AsyncConnection, account: Account, *, before: int | None, limit: int
) -> list[StatementEntry]:
    """At most `limit` entries of versions below `before`, newest first."""
    balance = balance_of(account.account_id)
    records = await LEDGER.entries(connection, balance, before=before, limit=limit)
    versions = array_of_numbers([record.account_version for record in records])
    gifts = {row["account_version"]: row["gift"] for row in await fetch(connection, _GIFTS_OF, balance, versions)}
    return [
        StatementEntry(
            transaction_id=TransactionId(record.source),
            kind=record.kind,
            amount=account.money(record.amount),
            gift=account.money(gifts.get(record.account_version, 0)),
            balance_after=account.money(record.balance_after),
            account_version=record.account_version,
            note=str(record.metadata.get(NOTE, "")),
            occurred_at=record.occurred_at,
            recorded_at=record.recorded_at,
            charge_id=charge_of(record),
            reverses=TransactionId(record.reverses) if record.reverses else None,
        )
        for record in records
    ]
