"""Recharges taken back."""

from chassis.calendar import Calendar
from chassis.ids import new_id
from chassis.work import Transaction

from billing.domain.account_facts import recharge_reversed
from billing.domain.movement import Moved
from billing.domain.reversal import ReverseRecharge, recharge_not_found
from billing.store.reversal import find_recharge
from billing.use_cases.movement import apply_whole, lock_accounts


async def reverse_recharge(transaction: Transaction, wanted: ReverseRecharge, *, calendar: Calendar) -> Moved:
    """Takes back a recharge, the payment of a bill included: the bill stays paid, and a balance that falls below its
    threshold by it is billed anew. Refuses RechargeNotFound, RechargeOfPayment, RechargeAlreadyReversed,
    RechargeExceeded, and InsufficientBalance unless the account may owe."""
    connection = transaction.connection
    seen = await find_recharge(connection, wanted.transaction_id)
    if seen is None:
        raise recharge_not_found(wanted.transaction_id)
    accounts = await lock_accounts(transaction, {seen.account_id})
    recharged = await find_recharge(connection, wanted.transaction_id)
    assert recharged is not None, "what the ledger has stays"
    (moved,) = await apply_whole(transaction, [wanted.movement(new_id(), recharged)], calendar, accounts=accounts)
    transaction.emit(recharge_reversed(moved, recharged))
    return moved
