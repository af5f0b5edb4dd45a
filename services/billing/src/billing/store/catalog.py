"""Products in the database, under their latest revision."""

from collections.abc import Collection
from datetime import datetime
from typing import Any

from chassis.arrays import array_of_texts
from chassis.driver import fetch
from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from billing.domain.ids import ProductId
from billing.domain.product import Cadence, CycleUnit, Product, ProductKind
from billing.store.order_tables import PRODUCTS

_COLUMNS = (
    "product_id, display_name, display_name_zh, family, kind, cycle_unit, cycle_count, unit, refundable, retired,"
    " revision"
)
# Kind, cycle and unit stand in the condition: a product of another make is left alone and nothing is returned.
_PUT = text(f"""
INSERT INTO products AS p ({_COLUMNS}, recorded_at)
VALUES (:product_id, :display_name, :display_name_zh, :family, :kind, :cycle_unit, :cycle_count, :unit, :refundable,
        :retired, 1, :recorded_at)
ON CONFLICT (product_id) DO UPDATE SET display_name = excluded.display_name,
  display_name_zh = excluded.display_name_zh, family = excluded.family, refundable = excluded.refundable,
  retired = excluded.retired, revision = p.revision + 1, recorded_at = excluded.recorded_at
WHERE (p.kind, p.cycle_unit, p.cycle_count, p.unit)
  IS NOT DISTINCT FROM (excluded.kind, excluded.cycle_unit, excluded.cycle_count, excluded.unit)
RETURNING {_COLUMNS}
""")  # noqa: S608 - columns of ours
_FIND = f"SELECT {_COLUMNS} FROM products WHERE product_id = ANY($1::text::text[])"  # noqa: S608
_LOCK = text("SELECT FROM products WHERE product_id = :product_id FOR NO KEY UPDATE")


async def put_product(connection: AsyncConnection, product: Product, recorded_at: datetime) -> Product | None:
    """The product as stored under its next revision; None when the stored one is of another make."""
    row = (
        await connection.execute(
            _PUT,
            {
                "product_id": product.product_id,
                "display_name": product.display_name,
                "display_name_zh": product.display_name_zh,
                "family": product.family,
                "kind": product.kind,
                "cycle_unit": product.cadence and product.cadence.unit,
                "cycle_count": product.cadence and product.cadence.every,
                "unit": product.unit,
                "refundable": product.refundable,
                "retired": product.retired,
                "recorded_at": recorded_at,
            },
        )
    ).one_or_none()
    return None if row is None else _product(row)


async def find_products(connection: AsyncConnection, product_ids: Collection[ProductId]) -> dict[ProductId, Product]:
    """Those of the products that exist; without one asked for, without a query."""
    if not product_ids:
        return {}
    rows = await fetch(connection, _FIND, array_of_texts(sorted(set(product_ids))))
    return {found.product_id: found for found in map(_product_of, rows)}


async def lock_product(connection: AsyncConnection, product_id: ProductId) -> None:
    """Lets nobody else add a version of its prices until the transaction ends."""
    await connection.execute(_LOCK, {"product_id": product_id})


async def list_products(
    connection: AsyncConnection, *, family: str, retired: bool, after: str | None, limit: int
) -> list[Product]:
    """At most `limit` products whose id follows `after`; an empty family is every one."""
    statement = PRODUCTS.select().where(PRODUCTS.c.product_id > (after or "")).order_by(PRODUCTS.c.product_id)
    if family:
        statement = statement.where(PRODUCTS.c.family == family)
    if not retired:
        statement = statement.where(PRODUCTS.c.retired.is_(False))
    return [_product(row) for row in await connection.execute(statement.limit(limit))]


def _product(row: Row[*tuple[Any, ...]]) -> Product:
    return _product_of(row._mapping)  # noqa: SLF001 - the public way to a row by column names


def _product_of(row: Any) -> Product:
    return Product(
        product_id=ProductId(row["product_id"]),
        display_name=row["display_name"],
        display_name_zh=row["display_name_zh"],
        family=row["family"],
        kind=ProductKind(row["kind"]),
        cadence=Cadence(row["cycle_count"], CycleUnit(row["cycle_unit"])) if row["cycle_unit"] else None,
        unit=row["unit"],
        refundable=row["refundable"],
        retired=row["retired"],
        revision=row["revision"],
    )
