"""What the calendar asks of billing: gift credit expires, and the books are sealed."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta

from chassis.calendar import Calendar
from chassis.timed import Timed
from chassis.work import Transaction
from ledger.sealing import sealing

from billing.domain.snapshot import GRACE
from billing.store.balance import LEDGER
from billing.use_cases import expiry
from billing.use_cases.balance_migration import advance_run
from billing.use_cases.day_threshold import refresh_thresholds
from billing.use_cases.due_bills import issue_due_bills
from billing.use_cases.order import LEFT_ROUND, advance_orders
from billing.use_cases.overdue import run_overdue_steps
from billing.use_cases.recurring import RunRecurring, run_recurring
from billing.use_cases.snapshot import close_days
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


def migrating_balances(calendar: Calendar) -> Callable[[Transaction], Awaitable[bool]]:
    """A run that makes earmarked balances universal is applied, or undone, round by round."""

    async def migrate_balances(transaction: Transaction) -> bool:
        return await advance_run(transaction, None, calendar) > 0

    return migrate_balances


def billing_later(calendar: Calendar) -> Callable[[Transaction], Awaitable[bool]]:
    """Crossings that waited for their bill have it."""

    async def bill_later(transaction: Transaction) -> bool:
        return (await issue_due_bills(transaction, transaction.recorded_at, calendar)).accounts > 0

    return bill_later


def chasing(calendar: Calendar) -> Callable[[Transaction], Awaitable[bool]]:
    """What plans say about bills that nobody paid is done."""

    async def chase(transaction: Transaction) -> bool:
        return (await run_overdue_steps(transaction, transaction.recorded_at, calendar)).accounts > 0

    return chase


def following_spend(calendar: Calendar) -> Callable[[Transaction], Awaitable[bool]]:
    """Thresholds that follow the spend are worked out for the day."""

    async def follow_spend(transaction: Transaction) -> bool:
        return await refresh_thresholds(transaction, transaction.recorded_at, calendar) > 0

    return follow_spend


def charging_cycles(calendar: Calendar) -> Callable[[Transaction], Awaitable[bool]]:
    """Cycles that begin are charged, and subscriptions that end with theirs end."""

    async def charge_cycles(transaction: Transaction) -> bool:
        return any(await run_recurring(transaction, RunRecurring(transaction.recorded_at), calendar))

    return charge_cycles


def closing_days(calendar: Calendar, after: timedelta) -> Callable[[Transaction], Awaitable[bool]]:
    """Whole days are closed, so long after their end."""

    async def close_day(transaction: Transaction) -> bool:
        return (await close_days(transaction, transaction.recorded_at - after, calendar)).more

    return close_day


async def giving_up_orders(transaction: Transaction) -> bool:
    """Orders that a crash left while reserving are given up."""
    return await advance_orders(transaction, transaction.recorded_at) == LEFT_ROUND


def timed(calendar: Calendar, *, close_after: timedelta = GRACE) -> Sequence[Timed]:
    """Everything that is done by itself."""
    return [
        Timed("expire gifts", _MINUTE, expiring_gifts(calendar)),
        Timed("top up", _SOON, topping_up(calendar)),
        Timed("migrate balances", _SOON, migrating_balances(calendar)),
        Timed("bill later", _SOON, billing_later(calendar)),
        Timed("chase overdue bills", _MINUTE, chasing(calendar)),
        Timed("follow the spend", _MINUTE, following_spend(calendar)),
        Timed("charge cycles", _MINUTE, charging_cycles(calendar)),
        Timed("close days", _MINUTE, closing_days(calendar, close_after)),
        Timed("advance orders", _MINUTE, giving_up_orders),
        sealing(LEDGER),
    ]
