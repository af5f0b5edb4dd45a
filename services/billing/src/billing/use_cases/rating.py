"""What rating needs to know, read for a whole batch at once: products, the prices that act, and tiers' discounts."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from chassis.calendar import Calendar

from billing.domain.account import account_not_found
from billing.domain.discount import Discount, HeldTier, best_discount
from billing.domain.ids import AccountId, CustomerId, ProductId
from billing.domain.price import Price, price_not_found
from billing.domain.product import Product, ProductKind, product_not_found
from billing.domain.rating import check_amount, reckon_usage
from billing.domain.reckoning import Reckoned
from billing.store import Connection
from billing.store.account import find_account
from billing.store.catalog import find_products
from billing.store.discount import all_discounts
from billing.store.held_tier import held_tiers
from billing.store.price import Wanted, prices_at, units_before


@dataclass(frozen=True, slots=True)
class PriceBook:
    """Products, and the versions of their prices that act at the instants asked for."""

    products: Mapping[ProductId, Product]
    prices: Mapping[Wanted, Price]

    def product(self, product_id: ProductId) -> Product:
        """Refuses ProductNotFound."""
        if product_id not in self.products:
            raise product_not_found(product_id)
        return self.products[product_id]

    def price(self, product_id: ProductId, currency: str, instant: datetime) -> Price:
        """Refuses PriceNotFound."""
        price = self.prices.get(Wanted(product_id, currency, instant))
        if price is None:
            raise price_not_found(product_id, currency)
        return price


@dataclass(frozen=True, slots=True)
class DiscountBook:
    """Discounts as they hold now, and the tiers that customers hold now."""

    discounts: Collection[Discount]
    held: Mapping[CustomerId, Collection[HeldTier]]

    def best(self, product: Product, customer_id: CustomerId, instant: datetime) -> Discount | None:
        """The greatest that the customer gets on a product, for what begins at an instant."""
        held = self.held.get(customer_id)
        return best_discount(self.discounts, product, held, instant) if held else None


async def price_book(connection: Connection, wanted: Collection[tuple[ProductId, str, datetime]]) -> PriceBook:
    """Everything about these products in these currencies at these instants."""
    keys = {Wanted(*key) for key in wanted}
    products = await find_products(connection, {key.product_id for key in keys})
    return PriceBook(products, await prices_at(connection, keys))


class UsageWish(NamedTuple):
    """Units that are asked about, for an account."""

    account_id: AccountId
    product_id: ProductId
    quantity: int
    occurred_at: datetime


async def quote_usage(connection: Connection, wanted: UsageWish, calendar: Calendar) -> Reckoned:
    """What units would cost after what the account's month has already; nothing is charged. Refuses AccountNotFound,
    ProductNotFound, NotUsage, PriceNotFound."""
    account = await find_account(connection, wanted.account_id)
    if account is None:
        raise account_not_found(wanted.account_id)
    book = await price_book(connection, [(wanted.product_id, account.currency, wanted.occurred_at)])
    product = book.product(wanted.product_id)
    product.check_kind(ProductKind.USAGE)
    price = book.price(product.product_id, account.currency, wanted.occurred_at)
    month = calendar.day_of(wanted.occurred_at).replace(day=1)
    before = await units_before(connection, account.account_id, price, month)
    reckoning = reckon_usage(product, price, before=before, quantity=wanted.quantity)
    check_amount(reckoning, "quantity")
    return Reckoned("", wanted.occurred_at, reckoning)


async def discount_book(connection: Connection, customer_ids: Collection[CustomerId]) -> DiscountBook:
    """What customers get by the tiers that they hold now."""
    held = await held_tiers(connection, customer_ids)
    return DiscountBook(await all_discounts(connection) if held else (), held)
