"""A balance in its parts."""

from datetime import datetime
from typing import NamedTuple

from chassis.money import Money

from billing.domain.account import Account


class BalanceParts(NamedTuple):
    """A balance as of an instant of business time: `cash` and `gift` sum to it, and `held` is what of both is set
    aside. Cash is below 0 where the credit limit is used, or something is owed."""

    balance: Money
    cash: Money
    gift: Money
    held: Money
    credit_limit: Money
    as_of: datetime

    @property
    def spendable(self) -> Money:
        """What can be taken, the credit limit on top; never below 0."""
        free = self.balance.minor_units - self.held.minor_units + self.credit_limit.minor_units
        return Money(max(free, 0), self.balance.currency)


def parts_of(
    account: Account, *, balance_minor: int, gift_minor: int, held_minor: int, as_of: datetime
) -> BalanceParts:
    """The parts of an account's balance."""
    return BalanceParts(
        balance=account.money(balance_minor),
        cash=account.money(balance_minor - gift_minor),
        gift=account.money(gift_minor),
        held=account.money(held_minor),
        credit_limit=account.money(account.credit_limit_minor),
        as_of=as_of,
    )
