"""What an order would come to: every item rated for its account, as prices and tiers stand then."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from chassis.calendar import Calendar
from chassis.money import Money

from billing.domain.account import Account, account_not_found
from billing.domain.deduction import Rated, check_worth, less_coupons, less_points
from billing.domain.ids import OrderId
from billing.domain.order import Basket, OrderItem
from billing.domain.product import Product
from billing.domain.proration import Anchored, first_cycle
from billing.domain.rating import check_amount, rate_cycle, rate_once
from billing.domain.reckoning import Reckoned, Reckoning, together
from billing.domain.reserving import Reservation, Reserved, ReservedLine
from billing.store import Connection
from billing.store.account import find_account
from billing.store.balance import standings
from billing.use_cases.rating import discount_book, price_book


class Sale(NamedTuple):
    """How the operator sells: its calendar, and the day of the month at which cycles of months begin, 0 for the day of
    each order."""

    calendar: Calendar
    month_anchor: int


class Bought(NamedTuple):
    """An item with how it is priced, and the first cycle of a recurring one."""

    item: OrderItem
    rated: Rated
    cycle: Anchored | None

    @property
    def product(self) -> Product:
        """What is bought."""
        return self.rated.product

    @property
    def reckoning(self) -> Reckoning:
        """How it is charged."""
        return self.rated.reckoning


async def rate_basket(connection: Connection, account: Account, basket: Basket, sale: Sale) -> list[Bought]:
    """Every item at list price, to the day, less the tier's discount. Refuses ProductNotFound, ProductRetired,
    PriceNotFound, ProductKindDiffers, and items that do not suit their product."""
    keys = {(item.product_id, account.currency, basket.at) for item in basket.items}
    book = await price_book(connection, keys)
    discounts = await discount_book(connection, {account.customer_id})
    day = sale.calendar.day_of(basket.at)
    bought = []
    for place, item in enumerate(basket.items):
        field = f"items[{place}]"
        product = book.product(item.product_id)
        item.check_suits(product, field)
        price = book.price(item.product_id, account.currency, basket.at)
        discount = discounts.best(product, account.customer_id, basket.at)
        if product.cadence is None:
            first, reckoning = None, rate_once(product, price, quantity=item.quantity, discount=discount)
        else:
            first = first_cycle(product.cadence, day, sale.month_anchor)
            reckoning = rate_cycle(
                product, price, quantity=item.quantity, stretch=first.cycle.stretch, discount=discount
            )
        check_amount(reckoning, f"{field}.quantity")
        bought.append(Bought(item, Rated(product, price, reckoning), first))
    check_amount(whole_of(account, bought), "items")
    return bought


def whole_of(account: Account, bought: Sequence[Bought]) -> Reckoning:
    """All items as one reckoning."""
    return together(account.currency, (each.reckoning for each in bought))


def reservation_of(
    order_id: OrderId, account: Account, *, basket: Basket, bought: Sequence[Bought], until: datetime
) -> Reservation:
    """What the member service is to set aside for an order, and until when."""
    lines = tuple(
        ReservedLine(each.product.product_id, each.product.family, each.item.quantity, each.reckoning.total_minor)
        for each in bought
    )
    return Reservation(
        order_id=order_id,
        customer_id=account.customer_id,
        currency=account.currency,
        lines=lines,
        coupon_ids=basket.coupon_ids,
        points=basket.points,
        occurred_at=basket.at,
        until=until,
    )


def less_reserved(bought: Sequence[Bought], reserved: Reserved) -> list[Bought]:
    """With coupons and points taken off. Refuses PointsExceedOrder."""
    rated = less_coupons([each.rated for each in bought], reserved.coupons)
    check_worth(rated, reserved.points_worth_minor)
    rated = less_points(rated, reserved.points_hold_id, reserved.points_worth_minor)
    return [each._replace(rated=less) for each, less in zip(bought, rated, strict=True)]


class Quote(NamedTuple):
    """What an order would come to, and what the account can spend."""

    reckoned: Reckoned
    spendable: Money

    @property
    def affordable(self) -> bool:
        """Whether that is enough."""
        return self.reckoned.reckoning.total_minor <= self.spendable.minor_units


async def account_of(connection: Connection, basket: Basket) -> Account:
    """Refuses AccountNotFound, also for an account of another than the customer named."""
    account = await find_account(connection, basket.account_id)
    if account is None:
        raise account_not_found(basket.account_id)
    account.check_owner(basket.customer_id)
    return account


class Asked(NamedTuple):
    """A basket rated for its account, before coupons and points; the order has no name yet."""

    account: Account
    bought: Sequence[Bought]
    reservation: Reservation
    spendable: Money


async def ask_quote(connection: Connection, basket: Basket, sale: Sale) -> Asked:
    """What an order would come to now, and what there is for it. Refuses AccountNotFound, and what rating refuses."""
    account = await account_of(connection, basket)
    bought = await rate_basket(connection, account, basket, sale)
    standing = (await standings(connection, [account]))[account.account_id]
    reservation = reservation_of(OrderId(""), account, basket=basket, bought=bought, until=basket.at)
    return Asked(account, bought, reservation, standing.parts.spendable)


def quote_of(asked: Asked, reserved: Reserved) -> Quote:
    """The same less what coupons and points would take off. Refuses PointsExceedOrder."""
    whole = whole_of(asked.account, less_reserved(asked.bought, reserved))
    return Quote(Reckoned("", asked.reservation.occurred_at, whole), asked.spendable)
