"""Movements: every change of a balance comes through here, a whole list at once.

The order of locks is the same for all: accounts by id, their balances by id, and last, only where a bill is issued, the
book that numbers bills. A threshold bill is found in the same transaction as the debit that crossed the threshold.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from chassis.errors import Refusal
from chassis.ids import new_id
from chassis.work import Transaction

from billing.domain.account import Account, account_not_found
from billing.domain.facts import facts_of
from billing.domain.ids import AccountId, BillId
from billing.domain.movement import Adjustment, Charge, Moved, Movement, MovementKind, Recharge
from billing.domain.settlement import Plans, demands, settle
from billing.domain.threshold import Booked, Turn
from billing.store.account import accounts_for_update, set_crossings
from billing.store.balance import book, standings
from billing.store.bill import add_bills, add_payments, draw_bill_numbers, open_bill_sums
from billing.store.charge import add_charges
from billing.store.plan import find_plans

Wish = Recharge | Charge | Adjustment


async def move_balances(transaction: Transaction, wanted: Sequence[Wish]) -> list[Moved | Refusal]:
    """Recharges, charges or adjusts, in the order given. Refuses AccountNotFound, a wrong currency,
    InsufficientBalance; each item alone."""
    return await apply_movements(transaction, [wish.movement(new_id()) for wish in wanted])


async def apply_movements(transaction: Transaction, movements: Sequence[Movement]) -> list[Moved | Refusal]:
    """Books movements, issues the bills they cause, and tells it all."""
    connection = transaction.connection
    accounts = await accounts_for_update(connection, {each.account_id for each in movements})
    plans = await find_plans(connection, (account.plan_id for account in accounts.values()))
    outcomes = await _booked(transaction, movements, accounts)
    booked = [(m, o) for m, o in zip(movements, outcomes, strict=True) if isinstance(o, Booked)]
    settled = settle(accounts, plans, booked)
    await _append(transaction, settled)
    settled = await _issue_bills(transaction, settled, plans)
    for moved in settled:
        for fact in facts_of(moved):
            transaction.emit(fact)
    done = iter(settled)
    return [next(done) if isinstance(outcome, Booked) else outcome for outcome in outcomes]


async def _booked(
    transaction: Transaction, movements: Sequence[Movement], accounts: Mapping[AccountId, Account]
) -> list[Booked | Refusal]:
    """What the ledger says of each movement, and for a charge of zero what it said last."""
    outcomes = [_refusal(each, accounts) for each in movements]
    accepted = [each for each, refusal in zip(movements, outcomes, strict=True) if refusal is None]
    unbooked = {each.account_id for each in accepted if not each.booked}
    before = await standings(transaction.connection, (accounts[account_id] for account_id in sorted(unbooked)))
    last = {key: (standing.balance.minor_units, standing.account_version) for key, standing in before.items()}
    to_book = [each for each in accepted if each.booked]
    booked = iter(await book(transaction.connection, to_book, accounts, transaction.recorded_at))
    answers: list[Booked | Refusal] = []
    for movement, refusal in zip(movements, outcomes, strict=True):
        if refusal is not None:
            answers.append(refusal)
            continue
        if movement.booked:
            answer = next(booked)
        else:
            balance, version = last[movement.account_id]
            answer = Booked(balance, balance, version)
        if isinstance(answer, Booked):
            last[movement.account_id] = (answer.balance_after, answer.account_version)
        answers.append(answer)
    return answers


def _refusal(movement: Movement, accounts: Mapping[AccountId, Account]) -> Refusal | None:
    account = accounts.get(movement.account_id)
    if account is None:
        return account_not_found(movement.account_id)
    try:
        movement.check_against(account)
    except Refusal as refusal:
        return refusal
    return None


async def _append(transaction: Transaction, settled: Sequence[Moved]) -> None:
    """Charges, payments, and where the threshold machines stand now."""
    connection, recorded_at = transaction.connection, transaction.recorded_at
    charged = [moved for moved in settled if moved.movement.kind is MovementKind.CHARGE]
    paid = {moved.movement.transaction_id: bill for moved in settled if (bill := moved.movement.settles) is not None}
    turned = {moved.account.account_id: moved.account.crossing for moved in settled if moved.turn is not Turn.NONE}
    await add_charges(connection, charged, recorded_at)
    await add_payments(connection, paid, recorded_at)
    await set_crossings(connection, turned)


async def _issue_bills(transaction: Transaction, settled: list[Moved], plans: Plans) -> list[Moved]:
    """The movements with the bills they caused. What open bills ask for is read under the accounts' locks."""
    connection = transaction.connection
    crossed = [moved for moved in settled if moved.turn is Turn.CROSSED]
    if not crossed:
        return settled
    open_minor = await open_bill_sums(connection, {moved.account.account_id for moved in crossed})
    wanted = demands(crossed, plans, open_minor)
    numbers = await draw_bill_numbers(connection, len(wanted))
    bills = [demand.bill(BillId(new_id()), number) for demand, number in zip(wanted, numbers, strict=True)]
    await add_bills(connection, bills, transaction.recorded_at)
    by_transaction = {bill.transaction_id: bill for bill in bills}
    return [replace(moved, bill=by_transaction.get(moved.movement.transaction_id)) for moved in settled]
