"""Payers: accounts that pay another's charges, in their order and before the account itself."""

from collections import Counter
from collections.abc import Iterable
from datetime import date, datetime
from typing import NamedTuple

from chassis.calendar import Calendar

from billing.domain.ids import AccountId
from billing.domain.movement import Debit, Moved


class PaidMonth(NamedTuple):
    """A payer's month for an account it pays for; `month` is its first day in the operator's calendar."""

    account_id: AccountId
    payer_account_id: AccountId
    month: date


def month_of(calendar: Calendar, instant: datetime) -> date:
    """The first day of the month in which an instant falls."""
    return calendar.day_of(instant).replace(day=1)


def paid_by_others(moved: Iterable[Moved], calendar: Calendar) -> dict[PaidMonth, int]:
    """What payers paid of charges, by month. What comes back with a refund does not make room in a month again."""
    paid: Counter[PaidMonth] = Counter()
    for each in moved:
        if isinstance(each.movement.act, Debit) and each.movement.act.payers:
            month = month_of(calendar, each.movement.occurred_at)
            for share in each.paid_by_others:
                key = PaidMonth(each.account.account_id, share.account_id, month)
                paid[key] += share.amount.minor_units
    return dict(paid)
