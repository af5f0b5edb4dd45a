"""Whole histories of an account's orders, changes and cancellations through PostgreSQL, equal to the plain model."""

from collections.abc import Awaitable, Callable
from datetime import UTC, date, datetime, time, timedelta
from random import Random

import pytest
from billing.domain.ids import OrderId, ProductId, SubscriptionId
from billing.domain.order import Basket, OrderItem, PlaceOrder
from billing.domain.price import Price
from billing.domain.product import Cadence, CycleUnit, Product, ProductKind
from billing.domain.subscription import CancelSubscription, ChangeSubscription
from billing.store.account import find_account
from billing.store.balance import standings
from billing.use_cases.catalog import put_price, put_product
from billing.use_cases.order import place_order
from billing.use_cases.quote import Sale
from billing.use_cases.subscription import cancel_subscription, change_subscription
from chassis.errors import Refusal
from chassis.work import Transaction, Work

from services.billing.tests.factories import ACCOUNT, CALENDAR, Billing, opening, recharge
from services.billing.tests.order_model import MONTHLY, YEARLY, OrderModel

SALE = Sale(CALENDAR, 1)
PRODUCTS = (*MONTHLY, *YEARLY)
NAMES = tuple(f"s-{n}" for n in range(6))
ACTS, BEGINS = 60, date(2027, 12, 20)


async def sell(transaction: Transaction) -> None:
    """The products of the model."""
    for name, amount in (MONTHLY | YEARLY).items():
        unit = CycleUnit.MONTH if name in MONTHLY else CycleUnit.YEAR
        product = Product(
            product_id=ProductId(name),
            display_name=name,
            display_name_zh="",
            family="",
            kind=ProductKind.RECURRING,
            cadence=Cadence(1, unit),
            unit="",
            refundable=True,
            retired=False,
        )
        await put_product(transaction, product)
        begins = datetime(2026, 1, 1, tzinfo=UTC)
        price = Price(product_id=ProductId(name), currency="CNY", effective_from=begins, amount_minor=amount)
        await put_price(transaction, price)


class Played:
    """The use cases and the model, side by side."""

    def __init__(self, work: Work, seed: int) -> None:
        self.work, self.draw, self.model = work, Random(seed), OrderModel()
        self.number = 0

    async def act(self, day: date) -> tuple[bool, bool]:
        """One act, drawn: whether it was done, and whether the model did it."""
        self.number += 1
        name, product = self.draw.choice(NAMES), self.draw.choice(PRODUCTS)
        quantity, at = self.draw.randint(1, 3), datetime.combine(day, time(self.draw.randint(0, 23)), UTC)
        match self.draw.choice(["order", "order", "change", "change", "cancel", "recharge"]):
            case "order":
                done = await self._done(lambda t: place_order(t, self._order(name, product, quantity, at), SALE))
                return done, self.model.order(name, product, quantity, day)
            case "change":
                done = await self._done(lambda t: change_subscription(t, _change(name, product, quantity, at), SALE))
                return done, self.model.change(name, product, quantity, day)
            case "cancel":
                done = await self._done(lambda t: cancel_subscription(t, _cancel(name, at), SALE))
                return done, self.model.cancel(name, day)
            case _:
                amount = self.draw.randint(1, 300_00)
                await Billing(self.work).move(recharge(amount))
                return True, self.model.recharge(amount)

    async def balance(self) -> int:
        """What the account has."""
        async with self.work.reading() as connection:
            account = await find_account(connection, ACCOUNT)
            assert account is not None
            return (await standings(connection, [account]))[ACCOUNT].balance.minor_units

    async def _done(self, act: Callable[[Transaction], Awaitable[object]]) -> bool:
        try:
            await self.work.run(act)
        except Refusal:
            return False
        return True

    def _order(self, name: str, product: str, quantity: int, at: datetime) -> PlaceOrder:
        item = OrderItem(ProductId(product), quantity, SubscriptionId(name))
        basket = Basket(account_id=ACCOUNT, customer_id=None, items=(item,), at=at)
        return PlaceOrder(order_id=OrderId(f"o-{self.number}"), basket=basket, expected_total=None)


def _change(name: str, product: str, quantity: int, at: datetime) -> ChangeSubscription:
    return ChangeSubscription(
        subscription_id=SubscriptionId(name),
        customer_id=None,
        product_id=ProductId(product),
        quantity=quantity,
        occurred_at=at,
    )


def _cancel(name: str, at: datetime) -> CancelSubscription:
    return CancelSubscription(
        subscription_id=SubscriptionId(name), customer_id=None, at_cycle_end=False, reason="", occurred_at=at
    )


@pytest.mark.parametrize("seed", range(6))
async def test_histories_are_as_the_plain_model_says(work: Work, seed: int) -> None:
    await work.run(sell)
    billing, played, day = Billing(work), Played(work, seed), BEGINS
    await billing.open(opening())
    for _ in range(ACTS):
        day += timedelta(days=played.draw.choice([0, 0, 1, 3, 11, 40]))
        done, expected = await played.act(day)
        assert (done, await played.balance()) == (expected, played.model.balance), played.number
    assert await billing.proof() == []
