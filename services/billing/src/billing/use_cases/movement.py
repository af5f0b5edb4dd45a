"""Movements: every change of a balance comes through here, a whole list at once.

The order of locks is the same for all: accounts by id, their balances by id, and last, only where a bill is issued, the
book that numbers bills. A threshold bill is found in the same transaction as the step that crossed the threshold.
"""

from collections.abc import Collection, Mapping, Sequence

from chassis.calendar import Calendar
from chassis.errors import Refusal
from chassis.work import Transaction

from billing.domain.account import Account, account_not_found
from billing.domain.account_facts import gift_expired
from billing.domain.charge import CHARGES
from billing.domain.entry import NOWHERE, dues_over, entry_of, stand_after
from billing.domain.facts import facts_of
from billing.domain.ids import AccountId
from billing.domain.movement import Act, Billing, Booking, Debit, Limit, Moved, Movement, Stand, Undo
from billing.domain.payer import paid_by_others
from billing.store import Connection
from billing.store.account import accounts_for_update, set_credit_limits
from billing.store.balance import accounts_of, book, where_they_stand
from billing.store.charge import add_charges
from billing.store.payer import add_paid
from billing.use_cases.settlement import Settled, settle, tell


async def lock_accounts(
    transaction: Transaction, account_ids: Collection[AccountId], *, with_payers: bool = False
) -> dict[AccountId, Account]:
    """Locks accounts, and who pays for them where wanted, in the one order. Those that do not exist are left out."""
    return await accounts_for_update(transaction.connection, set(account_ids), with_payers=with_payers)


async def apply_whole(
    transaction: Transaction,
    movements: Sequence[Movement],
    calendar: Calendar,
    *,
    accounts: Mapping[AccountId, Account] | None = None,
) -> list[Moved]:
    """All or nothing: raises the first refusal, and the transaction must not be kept then."""
    done = []
    for outcome in await apply_movements(transaction, movements, calendar, accounts=accounts):
        if isinstance(outcome, Refusal):
            raise outcome
        done.append(outcome)
    return done


async def apply_movements(
    transaction: Transaction,
    movements: Sequence[Movement],
    calendar: Calendar,
    *,
    accounts: Mapping[AccountId, Account] | None = None,
) -> list[Moved | Refusal]:
    """Books movements, issues the bills they cause, and tells it all; each is refused alone. To be called once in a
    transaction. `accounts` are those that the caller has locked and not changed since, payers among them."""
    connection = transaction.connection
    if accounts is None:
        accounts = await lock_accounts(transaction, await _touched(connection, movements))
    before = await where_they_stand(connection, _unseen(movements, accounts))
    wanted, outcomes = len(movements), await _book(transaction, movements, accounts)
    stands = _stands(movements, outcomes, before)
    if over := dues_over(movements, outcomes, stands, accounts):
        movements, outcomes = [*movements, *over], [*outcomes, *await _book(transaction, over, accounts)]
        stands = _stands(movements, outcomes, before)
    entries = [
        entry_of(movement, outcome, stand, accounts)
        for movement, outcome, stand in zip(movements, outcomes, stands, strict=True)
    ]
    settled = await settle(transaction, accounts, entries, calendar)
    standing = dict(accounts)
    done: list[Moved | Refusal] = []
    for movement, outcome, stand, meant in zip(movements, outcomes, stands, settled, strict=True):
        stand_after(standing, movement, outcome, meant.turns)
        done.append(outcome if isinstance(outcome, Refusal) else _moved(movement, outcome, stand, meant, standing))
    await _append(transaction, [each for each in done if isinstance(each, Moved)], calendar)
    for each, meant in zip(done, settled, strict=True):
        _tell(transaction, each, meant, accounts)
    return done[:wanted]


async def _touched(connection: Connection, movements: Sequence[Movement]) -> set[AccountId]:
    """The accounts that movements change: their own, the payers', and whose balance an undone one had changed."""
    touched = {movement.account_id for movement in movements}
    for movement in movements:
        if isinstance(movement.act, Debit) and movement.act.payers:
            touched.update(movement.act.payers)
    undone = [movement.act.of for movement in movements if isinstance(movement.act, Undo)]
    return touched | await accounts_of(connection, undone) if undone else touched


def _unseen(movements: Sequence[Movement], accounts: Mapping[AccountId, Account]) -> set[AccountId]:
    """The accounts whose balance the movement itself may not show: a charge of zero, one that others pay or are given
    back, one that is due though it is refused."""
    return {
        movement.account_id
        for movement in movements
        if movement.account_id in accounts
        and (movement.cycle_of is not None or movement.billing is Billing.DUE or _of_nothing(movement.act))
    }


def _of_nothing(act: Act) -> bool:
    return isinstance(act, Debit) and bool(not act.amount.minor_units or act.payers)


async def _book(
    transaction: Transaction, movements: Sequence[Movement], accounts: Mapping[AccountId, Account]
) -> list[Booking | Refusal]:
    """What the ledger says of each movement that is not refused before; nothing of a charge of zero."""
    outcomes: list[Booking | Refusal | None] = [_refusal(movement, accounts) for movement in movements]
    to_book = [each for each, refusal in zip(movements, outcomes, strict=True) if refusal is None and each.booked]
    booked = iter(await book(transaction.connection, to_book, accounts, transaction.recorded_at))
    return [
        refusal if refusal is not None else next(booked) if movement.booked else Booking()
        for movement, refusal in zip(movements, outcomes, strict=True)
    ]


def _refusal(movement: Movement, accounts: Mapping[AccountId, Account]) -> Refusal | None:
    account = accounts.get(movement.account_id)
    if account is None:
        return account_not_found(movement.account_id)
    try:
        movement.check_against(account)
    except Refusal as refusal:
        return refusal
    return None


def _stands(
    movements: Sequence[Movement], outcomes: Sequence[Booking | Refusal], before: Mapping[AccountId, Stand]
) -> list[Stand]:
    """Where each movement's own account stands after it."""
    now, found = dict(before), []
    for movement, outcome in zip(movements, outcomes, strict=True):
        if isinstance(outcome, Booking):
            now.update(outcome.stands)
        found.append(now.get(movement.account_id, NOWHERE))
    return found


def _moved(
    movement: Movement, booking: Booking, stand: Stand, meant: Settled, standing: Mapping[AccountId, Account]
) -> Moved:
    account = standing[movement.account_id]
    return Moved(
        movement=movement,
        account=account,
        shares=booking.shares,
        balance_after=account.money(stand.balance_minor),
        account_version=stand.account_version,
        turns=meant.turns,
        bills=meant.bills,
        expired=booking.expired,
    )


async def _append(transaction: Transaction, moved: Sequence[Moved], calendar: Calendar) -> None:
    """Charges, new credit limits, and what payers paid in the month."""
    connection, recorded_at = transaction.connection, transaction.recorded_at
    await add_charges(connection, [each for each in moved if each.movement.kind in CHARGES], recorded_at)
    limits = {m.account.account_id: m.account.credit_limit_minor for m in moved if isinstance(m.movement.act, Limit)}
    await set_credit_limits(connection, limits)
    await add_paid(connection, paid_by_others(moved, calendar))


def _tell(
    transaction: Transaction, outcome: Moved | Refusal, meant: Settled, accounts: Mapping[AccountId, Account]
) -> None:
    if isinstance(outcome, Moved):
        for expired in outcome.expired:
            transaction.emit(gift_expired(expired, accounts[expired.account_id]))
        for fact in facts_of(outcome):
            transaction.emit(fact)
    tell(transaction, meant.effects)
