"""Discounts in the database: every version is kept, the latest holds."""

from datetime import datetime
from typing import Any

from chassis.driver import fetch
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from billing.domain.discount import Discount, HeldTier
from billing.domain.ids import DiscountId

_NEXT = text("""
INSERT INTO discounts AS d (discount_id, revision) VALUES (:discount_id, 1)
ON CONFLICT (discount_id) DO UPDATE SET revision = d.revision + 1 RETURNING revision
""")
_ADD = text("""
INSERT INTO discount_versions (discount_id, revision, display_name, program_id, tier_id, product_ids, families,
                               basis_points, effective_from, effective_until, recorded_at)
VALUES (:discount_id, :revision, :display_name, :program_id, :tier_id, :product_ids, :families, :basis_points,
        :effective_from, :effective_until, :recorded_at)
""")
_LIST = """
SELECT v.* FROM discounts JOIN discount_versions v USING (discount_id, revision)
WHERE discount_id > $1::text ORDER BY discount_id LIMIT $2::bigint
"""
_ALL = 2**31


async def put_discount(connection: AsyncConnection, discount: Discount, recorded_at: datetime) -> int:
    """Appends the next version; its number."""
    asked = {"discount_id": discount.discount_id}
    revision: int = (await connection.execute(_NEXT, asked)).scalar_one()
    values = {
        "revision": revision,
        "display_name": discount.display_name,
        "program_id": discount.held.program_id,
        "tier_id": discount.held.tier_id,
        "product_ids": list(discount.product_ids),
        "families": list(discount.families),
        "basis_points": discount.basis_points,
        "effective_from": discount.effective_from,
        "effective_until": discount.effective_until,
        "recorded_at": recorded_at,
    }
    await connection.execute(_ADD, asked | values)
    return revision


async def list_discounts(connection: AsyncConnection, *, after: str | None, limit: int) -> list[Discount]:
    """At most `limit` discounts as they hold now, whose id follows `after`."""
    return [_discount(row) for row in await fetch(connection, _LIST, after or "", limit)]


async def all_discounts(connection: AsyncConnection) -> list[Discount]:
    """Every discount as it holds now. An operator has a handful."""
    return await list_discounts(connection, after=None, limit=_ALL)


def _discount(row: Any) -> Discount:
    return Discount(
        discount_id=DiscountId(row["discount_id"]),
        display_name=row["display_name"],
        held=HeldTier(row["program_id"], row["tier_id"]),
        product_ids=tuple(row["product_ids"]),
        families=tuple(row["families"]),
        basis_points=row["basis_points"],
        effective_from=row["effective_from"],
        effective_until=row["effective_until"],
        revision=row["revision"],
    )
