"""Products, versions of their prices, and discounts: put and look up."""

from dataclasses import replace
from datetime import datetime
from typing import NamedTuple

from chassis.paging import Page
from chassis.work import Transaction

from billing.domain.discount import Discount
from billing.domain.ids import ProductId
from billing.domain.price import Price, PriceInForce
from billing.domain.product import Product, ProductKindFixed, product_not_found
from billing.store import Connection, catalog, discount, price


class ProductFilter(NamedTuple):
    """Which products to list; an empty family is every one."""

    family: str
    retired: bool


class Priced(NamedTuple):
    """A product with its price in each currency."""

    product: Product
    prices: list[Price]


async def put_product(transaction: Transaction, wanted: Product) -> Product:
    """Stores a new product, or the next revision of one. Refuses ProductKindFixed."""
    stored = await catalog.put_product(transaction.connection, wanted, transaction.recorded_at)
    if stored is None:
        raise ProductKindFixed(f"product {wanted.product_id} is charged in another way", product_id=wanted.product_id)
    return stored


async def get_product(connection: Connection, product_id: ProductId, as_of: datetime) -> Priced:
    """Refuses ProductNotFound."""
    product = await _product(connection, product_id)
    return Priced(product, await price.prices_in_force(connection, product_id, as_of))


async def products_page(connection: Connection, wanted: ProductFilter, page: Page) -> list[Product]:
    """One more than the page holds, by id."""
    return await catalog.list_products(
        connection, family=wanted.family, retired=wanted.retired, after=page.after, limit=page.wanted
    )


async def put_price(transaction: Transaction, wanted: Price) -> Price:
    """Adds the next version. Refuses ProductNotFound, and PriceInForce for one that would begin before, or with, the
    version that acts at the time of recording: what was charged by it is never priced again."""
    connection = transaction.connection
    await catalog.lock_product(connection, wanted.product_id)
    wanted.check_suits(await _product(connection, wanted.product_id))
    since = await price.acting_since(connection, wanted, transaction.recorded_at)
    if since is not None and wanted.effective_from <= since:
        raise PriceInForce(
            f"product {wanted.product_id} has a price in {wanted.currency} from {since.isoformat()} on",
            product_id=wanted.product_id,
            effective_from=since.isoformat(),
        )
    return replace(wanted, version=await price.add_price(connection, wanted, transaction.recorded_at))


async def prices_page(
    connection: Connection, product_id: ProductId, *, before: int | None, limit: int
) -> list[price.Listed]:
    """Versions that came before the one with this number, newest first. Refuses ProductNotFound."""
    await _product(connection, product_id)
    return list(await price.list_prices(connection, product_id, before=before, limit=limit))


async def put_discount(transaction: Transaction, wanted: Discount) -> Discount:
    """Stores a new discount, or the next revision of one; it acts on what is rated from then on."""
    revision = await discount.put_discount(transaction.connection, wanted, transaction.recorded_at)
    return replace(wanted, revision=revision)


async def discounts_page(connection: Connection, page: Page) -> list[Discount]:
    """One more than the page holds, by id."""
    return await discount.list_discounts(connection, after=page.after, limit=page.wanted)


async def _product(connection: Connection, product_id: ProductId) -> Product:
    found = await catalog.find_products(connection, [product_id])
    if product_id not in found:
        raise product_not_found(product_id)
    return found[product_id]
