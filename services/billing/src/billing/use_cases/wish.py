"""Recharges, charges and corrections, as they are asked for."""

from collections.abc import Sequence

from chassis.calendar import Calendar
from chassis.errors import Refusal
from chassis.ids import new_id
from chassis.work import Transaction

from billing.domain.movement import Moved
from billing.domain.payer import Bearing
from billing.domain.wish import Adjustment, Charge, Recharge
from billing.use_cases.movement import apply_movements, lock_accounts
from billing.use_cases.payer import choose_payers


async def move_balances(
    transaction: Transaction, wanted: Sequence[Recharge | Adjustment], *, calendar: Calendar
) -> list[Moved | Refusal]:
    """Recharges or adjusts, in the order given. Refuses AccountNotFound, a wrong currency, InsufficientBalance; each
    item alone."""
    return await apply_movements(transaction, [wish.movement(new_id()) for wish in wanted], calendar)


async def charge_accounts(
    transaction: Transaction, wanted: Sequence[Charge], *, calendar: Calendar
) -> list[Moved | Refusal]:
    """Takes rated charges, from who pays for an account first. Refuses as `move_balances` does."""
    accounts = await lock_accounts(transaction, {each.account_id for each in wanted}, with_payers=True)
    bearings = [Bearing(each.account_id, each.amount.minor_units, each.family, each.occurred_at) for each in wanted]
    payers = await choose_payers(transaction, accounts, bearings, calendar)
    movements = [each.movement(new_id(), paying) for each, paying in zip(wanted, payers, strict=True)]
    return await apply_movements(transaction, movements, calendar, accounts=accounts)
