"""What the calendar asks of billing: gift credit expires, and the books are sealed."""

from collections.abc import Awaitable, Callable, Sequence

from chassis.calendar import Calendar
from chassis.timed import Timed
from chassis.work import Transaction
from ledger.sealing import sealing

from billing.store.balance import LEDGER
from billing.use_cases.top_up import run_top_ups

_SOON = 5.0


def topping_up(calendar: Calendar) -> Callable[[Transaction], Awaitable[bool]]:
    """Open bills of accounts with an automatic top-up are paid."""

    async def top_up(transaction: Transaction) -> bool:
        done = await run_top_ups(transaction, transaction.recorded_at, calendar)
        return done.payments > 0 or done.paused > 0

    return top_up


def timed(calendar: Calendar) -> Sequence[Timed]:
    """Everything that is done by itself."""
    return [Timed("top up", _SOON, topping_up(calendar)), sealing(LEDGER)]
