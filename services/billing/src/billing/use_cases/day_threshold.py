"""Thresholds that follow the spend: worked out once for each account and day, and standing all day."""

from datetime import datetime

from chassis.calendar import Calendar
from chassis.work import Transaction

from billing.store.plan import plans_by_spend
from billing.store.spend import refresh_day_thresholds

ROUND = 1000


async def refresh_thresholds(transaction: Transaction, as_of: datetime, calendar: Calendar) -> int:
    """One round over accounts whose plan follows the spend and that have no threshold for this day yet; how many there
    were. A threshold that rises crosses nobody by itself: the next debit does."""
    plans = await plans_by_spend(transaction.connection, as_of)
    if not plans:
        return 0
    return await refresh_day_thresholds(transaction.connection, plans, calendar, as_of=as_of, limit=ROUND)
