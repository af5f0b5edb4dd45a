"""Orders and cancellations in mid-cycle as acts of the accounts machine, with days counted here and no rule asked."""

from calendar import monthrange
from collections.abc import Callable
from datetime import date, timedelta
from typing import Any, ClassVar, NamedTuple

from services.billing.tests.machine import AccountsMachine, BillingParts, day

PRICES = (7, 31, 45)


class Paid(NamedTuple):
    """A cycle that was ordered and charged."""

    charged: int
    start: date
    end: date


def share(amount: int, days: int, of_days: int) -> int:
    """An amount for some of its days, a half rounded up."""
    return (2 * amount * days + of_days) // (2 * of_days)


class OrdersMachine(AccountsMachine):
    """Accounts that order and cancel as well."""

    def __init__(self) -> None:
        super().__init__()
        self.held: dict[str, Paid] = {}

    def order(self, parts: BillingParts) -> None:
        name, on, price = self.name(), day(self.now).date(), PRICES[parts.below(len(PRICES))]
        month = monthrange(on.year, on.month)[1]
        amount = share(price, month - on.day + 1, month)
        refusal = self.model.order(name, amount, at=day(self.now))
        if self.expect(self.do_order(name, price, on=self.now), refusal):
            next_month = on.replace(day=month) + timedelta(days=1)
            self.held[name] = Paid(amount, on, next_month)

    def cancel(self, parts: BillingParts) -> None:
        of, on = parts.some(list(self.held)), day(self.now).date()
        if of == "nothing":
            return
        charged, start, end = self.held.pop(of)
        used = min((on - start).days + 1, (end - start).days)
        refusal = self.model.refund(of, charged - share(charged, used, (end - start).days), at=day(self.now))
        self.expect(self.do_cancel(self.name(), of, on=self.now), refusal)

    ACTS: ClassVar[tuple[Callable[[Any, BillingParts], None], ...]] = (*AccountsMachine.ACTS, order, order, cancel)

    def do_order(self, name: str, price_minor: int, *, on: int) -> str | None:
        raise NotImplementedError

    def do_cancel(self, name: str, of: str, *, on: int) -> str | None:
        raise NotImplementedError
