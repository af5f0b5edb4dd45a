"""Recharges, charges and corrections, as they are asked for."""

from collections.abc import Sequence

from chassis.calendar import Calendar
from chassis.errors import Refusal
from chassis.ids import new_id
from chassis.work import Transaction

from billing.domain.movement import Moved
from billing.domain.wish import Adjustment, Charge, Recharge
from billing.use_cases.movement import apply_movements

Wish = Recharge | Charge | Adjustment


async def move_balances(
    transaction: Transaction, wanted: Sequence[Wish], *, calendar: Calendar
) -> list[Moved | Refusal]:
    """Recharges, charges or adjusts, in the order given. Refuses AccountNotFound, a wrong currency,
    InsufficientBalance; each item alone."""
    return await apply_movements(transaction, [wish.movement(new_id()) for wish in wanted], calendar)
