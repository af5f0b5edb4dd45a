"""Expiries of accounts that nobody touches: gift credit, and what was set aside, once its time is over."""

from datetime import datetime
from typing import NamedTuple

from chassis.calendar import Calendar
from chassis.work import Transaction

from billing.domain.account_facts import gift_expired
from billing.domain.entry import Entry
from billing.store.balance import Lapse, due_accounts, expire
from billing.use_cases.movement import lock_accounts
from billing.use_cases.settlement import settle, tell

ROUND = 500
"""Expiries of a round, about."""


class ExpiredRound(NamedTuple):
    """What a round booked off: accounts touched, and bills issued because of it."""

    accounts: int
    bills: int


async def expire_gifts(transaction: Transaction, as_of: datetime, *, calendar: Calendar) -> ExpiredRound:
    """Books off what has expired by an instant, each dated at its own; whoever falls below the threshold is billed."""
    connection = transaction.connection
    due = await due_accounts(connection, as_of, ROUND)
    if not due:
        return ExpiredRound(0, 0)
    accounts = await lock_accounts(transaction, due)
    lapses = await expire(connection, accounts, as_of, transaction.recorded_at)
    settled = await settle(transaction, accounts, [_entry(each) for each in lapses], calendar)
    for lapse, meant in zip(lapses, settled, strict=True):
        for expired in lapse.booking.expired:
            transaction.emit(gift_expired(expired, accounts[expired.account_id]))
        tell(transaction, meant.effects)
    return ExpiredRound(len(accounts), sum(len(meant.bills) for meant in settled))


def _entry(lapse: Lapse) -> Entry:
    return Entry(lapse.account_id, lapse.occurred_at, lapse.booking.steps, lapse.transaction_id)
