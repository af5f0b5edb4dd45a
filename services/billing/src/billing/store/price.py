"""Versions of prices in the database; they are only appended."""

from collections.abc import Collection, Sequence
from datetime import date, datetime
from typing import Any, NamedTuple

import orjson
from chassis.arrays import array_of_instants, array_of_numbers, array_of_texts
from chassis.driver import fetch
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from billing.domain.ids import AccountId, ProductId
from billing.domain.price import Price, PriceTier, TierMode, UnitPrice

_COLUMNS = (
    "product_id, currency, version, effective_from, amount_minor, tier_mode, tiers::text AS tiers, package_size,"
    " tax_basis_points"
)
# Of versions that begin at the same instant the later one holds.
_AT = f"""
SELECT n.instant, p.* FROM unnest($1::text::text[], $2::text::text[], $3::text::timestamptz[])
     AS n(product_id, currency, instant)
CROSS JOIN LATERAL (
    SELECT {_COLUMNS} FROM prices
    WHERE product_id = n.product_id AND currency = n.currency AND effective_from <= n.instant
    ORDER BY effective_from DESC, version DESC LIMIT 1) AS p
"""  # noqa: S608 - columns of ours
_OF_VERSIONS = f"""
SELECT p.* FROM unnest($1::text::text[], $2::text::text[], $3::text::bigint[]) AS n(product_id, currency, version)
CROSS JOIN LATERAL (
    SELECT {_COLUMNS} FROM prices
    WHERE product_id = n.product_id AND currency = n.currency AND version = n.version) AS p
"""  # noqa: S608 - columns of ours
_IN_FORCE = f"""
SELECT DISTINCT ON (currency) {_COLUMNS} FROM prices
WHERE product_id = $1::text AND effective_from <= $2::timestamptz
ORDER BY currency, effective_from DESC, version DESC
"""  # noqa: S608
_ADD = text("""
INSERT INTO prices (product_id, currency, version, effective_from, amount_minor, tier_mode, tiers, package_size,
                    tax_basis_points, recorded_at)
SELECT :product_id, :currency, coalesce(max(version), 0) + 1, :effective_from, :amount_minor, :tier_mode,
       CAST(:tiers AS jsonb), :package_size, :tax_basis_points, :recorded_at
FROM prices WHERE product_id = :product_id AND currency = :currency
RETURNING version
""")
_ACTING_SINCE = text("""
SELECT max(effective_from) FROM prices
WHERE product_id = :product_id AND currency = :currency AND effective_from <= :instant
""")
_LIST = f"""
SELECT {_COLUMNS}, price_number FROM prices
WHERE product_id = $1::text AND price_number < $2::bigint ORDER BY price_number DESC LIMIT $3::bigint
"""  # noqa: S608
_UNITS_BEFORE = """
SELECT quantity FROM usage_counters
WHERE account_id = $1::text AND subscriber_id = '' AND product_id = $2::text AND month = $3::date
  AND price_version = $4::bigint
"""
_NEWEST = 2**63 - 1


class Wanted(NamedTuple):
    """The price of a product in a currency, for what begins at an instant."""

    product_id: ProductId
    currency: str
    instant: datetime


class Version(NamedTuple):
    """The name of a version of a price."""

    product_id: ProductId
    currency: str
    version: int


class Listed(NamedTuple):
    """A version with its place in the order in which all came."""

    price: Price
    number: int


async def prices_at(connection: AsyncConnection, wanted: Collection[Wanted]) -> dict[Wanted, Price]:
    """The versions that act; without one asked for, without a query."""
    if not wanted:
        return {}
    keys = list(set(wanted))
    rows = await fetch(
        connection,
        _AT,
        array_of_texts([key.product_id for key in keys]),
        array_of_texts([key.currency for key in keys]),
        array_of_instants([key.instant for key in keys]),
    )
    return {Wanted(row["product_id"], row["currency"], row["instant"]): _price(row) for row in rows}


async def prices_of(connection: AsyncConnection, versions: Collection[Version]) -> dict[Version, Price]:
    """These versions; without one asked for, without a query."""
    if not versions:
        return {}
    keys = sorted(set(versions))
    rows = await fetch(
        connection,
        _OF_VERSIONS,
        array_of_texts([key.product_id for key in keys]),
        array_of_texts([key.currency for key in keys]),
        array_of_numbers([key.version for key in keys]),
    )
    return {Version(row["product_id"], row["currency"], row["version"]): _price(row) for row in rows}


async def prices_in_force(connection: AsyncConnection, product_id: ProductId, instant: datetime) -> list[Price]:
    """A product's price in each currency."""
    return [_price(row) for row in await fetch(connection, _IN_FORCE, product_id, instant)]


async def acting_since(connection: AsyncConnection, price: Price, instant: datetime) -> datetime | None:
    """From when the version acts that acts at an instant, in the price's currency."""
    asked = {"product_id": price.product_id, "currency": price.currency, "instant": instant}
    since: datetime | None = (await connection.execute(_ACTING_SINCE, asked)).scalar_one()
    return since


async def add_price(connection: AsyncConnection, price: Price, recorded_at: datetime) -> int:
    """Appends a version of a locked product; its number."""
    tiers = [[tier.up_to, *tier.unit_price, tier.flat_minor] for tier in price.tiers]
    values = {
        "product_id": price.product_id,
        "currency": price.currency,
        "effective_from": price.effective_from,
        "amount_minor": price.amount_minor,
        "tier_mode": price.tier_mode,
        "tiers": orjson.dumps(tiers).decode() if tiers else None,
        "package_size": price.package_size,
        "tax_basis_points": price.tax_basis_points,
        "recorded_at": recorded_at,
    }
    version: int = (await connection.execute(_ADD, values)).scalar_one()
    return version


async def list_prices(
    connection: AsyncConnection, product_id: ProductId, *, before: int | None, limit: int
) -> Sequence[Listed]:
    """At most `limit` versions, the newest first."""
    rows = await fetch(connection, _LIST, product_id, _NEWEST if before is None else before, limit)
    return [Listed(_price(row), row["price_number"]) for row in rows]


async def units_before(connection: AsyncConnection, account_id: AccountId, price: Price, month: date) -> int:
    """Units that an account's month has already at this version of a price, of no service line in particular."""
    rows = await fetch(connection, _UNITS_BEFORE, account_id, price.product_id, month, price.version)
    return rows[0]["quantity"] if rows else 0


def _price(row: Any) -> Price:
    tiers = orjson.loads(row["tiers"]) if row["tiers"] else ()
    return Price(
        product_id=ProductId(row["product_id"]),
        currency=row["currency"],
        version=row["version"],
        effective_from=row["effective_from"],
        amount_minor=row["amount_minor"],
        tier_mode=TierMode(row["tier_mode"]) if row["tier_mode"] else None,
        tiers=tuple(PriceTier(up_to, UnitPrice(minor, nanos), flat) for up_to, minor, nanos, flat in tiers),
        package_size=row["package_size"],
        tax_basis_points=row["tax_basis_points"],
    )
