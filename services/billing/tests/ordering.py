"""Orders and cancellations in mid-cycle as acts of the accounts machine: rated by the rules, days counted here."""

from calendar import monthrange
from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import Any, ClassVar, NamedTuple

from billing.domain.ids import ProductId
from billing.domain.price import Price
from billing.domain.product import Cadence, CycleUnit, Product, ProductKind
from billing.domain.proration import first_cycle, split_after
from billing.domain.rating import rate_cycle

from services.billing.tests.machine import AccountsMachine, BillingParts, day
from services.billing.tests.model import OWN

PRICES = (7, 31, 45)
MONTHLY = Cadence(1, CycleUnit.MONTH)
TV = Product(
    product_id=ProductId("tv"),
    display_name="TV",
    display_name_zh="",
    family="tv",
    kind=ProductKind.RECURRING,
    cadence=MONTHLY,
    unit="",
    refundable=True,
    retired=False,
)


class Paid(NamedTuple):
    """A cycle that was ordered and charged."""

    charged: int
    start: date
    end: date


def rated(price_minor: int, on: date) -> Paid:
    """What the rules charge for the rest of the month."""
    begins = datetime(2025, 1, 1, tzinfo=UTC)
    price = Price(product_id=TV.product_id, currency="CNY", effective_from=begins, amount_minor=price_minor)
    _, cycle = first_cycle(MONTHLY, on, 1)
    reckoning = rate_cycle(TV, price, quantity=1, stretch=cycle.stretch, discount=None)
    return Paid(reckoning.total_minor, cycle.start, cycle.end)


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
        paid = rated(price, on)
        if not amount:
            assert not paid.charged
            return
        refusal = self.model.charge(name, OWN, amount, at=day(self.now))
        if self.expect(self.do_charge(name, OWN, paid.charged, on=self.now), refusal):
            self.held[name] = paid

    def cancel(self, parts: BillingParts) -> None:
        of, on = parts.some(list(self.held)), day(self.now).date()
        if of == "nothing":
            return
        charged, start, end = self.held.pop(of)
        used = min((on - start).days + 1, (end - start).days)
        back = charged - share(charged, used, (end - start).days)
        split = split_after(charged, start, end, on)
        if not back:
            assert not split.refund_minor
            return
        refusal = self.model.refund(of, back, at=day(self.now))
        self.expect(self.do_refund(self.name(), of, split.refund_minor, on=self.now), refusal)

    ACTS: ClassVar[tuple[Callable[[Any, BillingParts], None], ...]] = (*AccountsMachine.ACTS, order, order, cancel)
