"""Balances, which are the ledger's: what was booked, where an account stands, and its entries.

The other side of every entry is a system account named after the movement's kind, which has no balance row and so is
no hot spot.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

import ledger
from chassis.errors import Refusal
from sqlalchemy.ext.asyncio import AsyncConnection

from billing.domain.account import Account, Standing
from billing.domain.ids import AccountId, TransactionId
from billing.domain.movement import OCCURRED_BEFORE, Movement, MovementKind, StatementEntry, insufficient_balance
from billing.domain.threshold import Booked

LEDGER = ledger.Ledger(MovementKind)
BALANCE_PREFIX = "balance:"
_NOTE = "note"
# The balance with everything booked, whatever its business time.
_AS_OF = OCCURRED_BEFORE


async def open_balances(connection: AsyncConnection, accounts: Sequence[Account], opened_at: datetime) -> None:
    """Opens a balance of 0 for each account, which never goes below 0."""
    wanted = [ledger.NewAccount(_balance(a.account_id), ledger.Asset(a.currency)) for a in accounts]
    await LEDGER.open_accounts(connection, wanted, opened_at=opened_at)


async def book(
    connection: AsyncConnection,
    movements: Sequence[Movement],
    accounts: Mapping[AccountId, Account],
    recorded_at: datetime,
) -> list[Booked | Refusal]:
    """Books movements of locked accounts in their order, each with its own outcome. Refuses InsufficientBalance."""
    outcomes = await LEDGER.post(connection, [_command(m) for m in movements], recorded_at=recorded_at)
    return [_booked(o, accounts[m.account_id]) for m, o in zip(movements, outcomes, strict=True)]


async def standings(connection: AsyncConnection, accounts: Iterable[Account]) -> dict[AccountId, Standing]:
    """Where accounts stand now; without an account, without a query."""
    wanted = {_balance(account.account_id): account for account in accounts}
    if not wanted:
        return {}
    found = await LEDGER.balances(connection, list(wanted), _AS_OF)
    return {
        account.account_id: Standing(account, account.money(found[key].balance), found[key].account_version)
        for key, account in wanted.items()
    }


async def statement_entries(
    connection: AsyncConnection, account: Account, *, before: int | None, limit: int
) -> list[StatementEntry]:
    """At most `limit` entries of versions below `before`, newest first."""
    records = await LEDGER.entries(connection, _balance(account.account_id), before=before, limit=limit)
    return [
        StatementEntry(
            transaction_id=TransactionId(record.source),
            kind=MovementKind(record.kind),
            amount=account.money(record.amount),
            balance_after=account.money(record.balance_after),
            account_version=record.account_version,
            note=str(record.metadata[_NOTE]),
            occurred_at=record.occurred_at,
            recorded_at=record.recorded_at,
        )
        for record in records
    ]


def _balance(account_id: AccountId) -> ledger.AccountId:
    return ledger.AccountId(BALANCE_PREFIX + account_id)


def _command(movement: Movement) -> ledger.Post:
    change = movement.change.minor_units
    return ledger.Post(
        source=ledger.Source(movement.transaction_id),
        kind=movement.kind,
        occurred_at=movement.occurred_at,
        metadata={_NOTE: movement.note},
        entries=(
            ledger.Entry(_balance(movement.account_id), change),
            ledger.Entry(ledger.AccountId(movement.kind), -change),
        ),
    )


def _booked(outcome: ledger.Posted | Refusal, account: Account) -> Booked | Refusal:
    match outcome:
        case ledger.InsufficientBalance():
            return insufficient_balance(account, int(outcome.metadata["available"]))
        case Refusal():
            return outcome
        case ledger.Posted(lines=(line,)):
            return Booked(line.balance_before, line.balance_after, line.account_version)
        case _:
            raise AssertionError("a movement has one line")
