"""What the calendar asks of billing: gift credit expires, and the books are sealed."""

from collections.abc import Awaitable, Callable, Sequence

from chassis.calendar import Calendar
from chassis.timed import Timed
from chassis.work import Transaction
from ledger.sealing import sealing

from billing.store.balance import LEDGER
from billing.use_cases import expiry
from billing.use_cases.top_up import run_top_ups

_SOON = 5.0
_MINUTE = 60.0


def expiring_gifts(calendar: Calendar) -> Callable[[Transaction], Awaitable[bool]]:
    """Gift credit and what was set aside are booked off once their time is over."""

    async def expire_gifts(transaction: Transaction) -> bool:
        return (await expiry.expire_gifts(transaction, transaction.recorded_at, calendar=calendar)).accounts > 0

    return expire_gifts


def topping_up(calendar: Calendar) -> Callable[[Transaction], Awaitable[bool]]:
    """Open bills of accounts with an automatic top-up are paid."""

    async def top_up(transaction: Transaction) -> bool:
        done = await run_top_ups(transaction, transaction.recorded_at, calendar)
        return done.payments > 0 or done.paused > 0

    return top_up


def timed(calendar: Calendar) -> Sequence[Timed]:
    """Everything that is done by itself."""
    return [
        Timed("expire gifts", _MINUTE, expiring_gifts(calendar)),
        Timed("top up", _SOON, topping_up(calendar)),
        sealing(LEDGER),
    ]
