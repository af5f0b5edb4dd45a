"""Balances, which are the ledger's: what was booked, where an account stands, and its entries."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

import ledger
from chassis.arrays import array_of_texts
from chassis.driver import fetch
from chassis.errors import Refusal
from sqlalchemy.ext.asyncio import AsyncConnection

from billing.domain.account import Account, Standing
from billing.domain.ids import AccountId, TransactionId
from billing.domain.movement import Booking, Movement, Stand, StatementEntry
from billing.store.posting import BALANCE_PREFIX, LEDGER, NOTE, Limits, account_of, balance_of, command_of, refusal_of

__all__ = [
    "BALANCE_PREFIX",
    "LEDGER",
    "accounts_of",
    "book",
    "open_balances",
    "standings",
    "statement_entries",
    "where_they_stand",
]

_ACCOUNTS_OF = """
SELECT DISTINCT account_id FROM ledger_entries WHERE source = ANY($1::text::text[]) AND account_version IS NOT NULL"""
_STANDS = "SELECT id, balance, version FROM ledger_accounts WHERE id = ANY($1::text::text[])"


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
    """Where accounts stand now; without an account, without a query."""
    wanted = {account.account_id: account for account in accounts}
    found = await where_they_stand(connection, wanted)
    return {
        account_id: Standing(account, account.money(found[account_id].balance_minor), found[account_id].account_version)
        for account_id, account in wanted.items()
    }


async def statement_entries(
    connection: AsyncConnection, account: Account, *, before: int | None, limit: int
) -> list[StatementEntry]:
    """At most `limit` entries of versions below `before`, newest first."""
    records = await LEDGER.entries(connection, balance_of(account.account_id), before=before, limit=limit)
    return [
        StatementEntry(
            transaction_id=TransactionId(record.source),
            kind=record.kind,
            amount=account.money(record.amount),
            gift=account.money(0),
            balance_after=account.money(record.balance_after),
            account_version=record.account_version,
            note=str(record.metadata.get(NOTE, "")),
            occurred_at=record.occurred_at,
            recorded_at=record.recorded_at,
        )
        for record in records
    ]
