"""Differences in the database: each is there once, and how it was settled is a row of its own."""

from collections.abc import Sequence
from datetime import date, datetime

from chassis.arrays import array_of_numbers, array_of_texts
from chassis.driver import Row, fetch
from chassis.money import Money
from sqlalchemy.ext.asyncio import AsyncConnection

from billing.domain.difference import Difference, DifferenceId, DifferenceKind, FoundDifference

_ADD = """
INSERT INTO differences (difference_id, kind, reference, here_minor, here_currency, there_minor, there_currency,
                         day, found_at)
SELECT n.*, $9
FROM unnest($1::text::text[], $2::text::text[], $3::text::text[], $4::text::bigint[], $5::text::text[],
            $6::text::bigint[], $7::text::text[], $8::text::date[]) AS n
ON CONFLICT DO NOTHING RETURNING difference_id"""

_SELECT = """
SELECT d.*, coalesce(r.resolution, '') AS resolution
FROM differences d LEFT JOIN difference_resolutions r USING (difference_id)"""
_ONE = f"{_SELECT} WHERE difference_id = $1"
_LIST = f"""{_SELECT}
WHERE d.number < $1 AND ($2::date IS NULL OR d.day = $2) AND ($3::boolean OR r.difference_id IS NULL)
ORDER BY d.number DESC LIMIT $4"""
_RESOLVE = """
INSERT INTO difference_resolutions (difference_id, resolution, resolved_at, recorded_at) VALUES ($1, $2, $3, $4)
ON CONFLICT DO NOTHING RETURNING difference_id"""
_NEWEST = 2**63 - 1


async def add_differences(
    connection: AsyncConnection, differences: Sequence[Difference], recorded_at: datetime
) -> list[Difference]:
    """Stores what is not known yet; those that are new, in their order."""
    found = {each.difference_id: each for each in differences}
    if not found:
        return []
    rows = await fetch(
        connection,
        _ADD,
        array_of_texts(list(found)),
        array_of_texts([each.kind for each in found.values()]),
        array_of_texts([each.reference for each in found.values()]),
        array_of_numbers([_minor(each.here) for each in found.values()]),
        array_of_texts([_currency(each.here) for each in found.values()]),
        array_of_numbers([_minor(each.there) for each in found.values()]),
        array_of_texts([_currency(each.there) for each in found.values()]),
        array_of_texts([each.day.isoformat() for each in found.values()]),
        recorded_at,
    )
    added = {row["difference_id"] for row in rows}
    return [each for key, each in found.items() if key in added]


async def find_difference(connection: AsyncConnection, difference_id: DifferenceId) -> FoundDifference | None:
    """The difference with how it was settled."""
    rows = await fetch(connection, _ONE, difference_id)
    return _difference(rows[0]) if rows else None


async def list_differences(
    connection: AsyncConnection, day: date | None, *, resolved: bool, before: int | None, limit: int
) -> list[tuple[int, FoundDifference]]:
    """At most `limit` found before the number `before`, newest first, with their numbers."""
    rows = await fetch(connection, _LIST, _NEWEST if before is None else before, day, resolved, limit)
    return [(row["number"], _difference(row)) for row in rows]


async def add_resolution(
    connection: AsyncConnection, difference_id: DifferenceId, resolution: str, *, at: datetime, recorded_at: datetime
) -> bool:
    """Writes down how a difference was settled; False when that was done before."""
    return bool(await fetch(connection, _RESOLVE, difference_id, resolution, at, recorded_at))


def _difference(row: Row) -> FoundDifference:
    return FoundDifference(
        Difference(
            kind=DifferenceKind(row["kind"]),
            reference=row["reference"],
            day=row["day"],
            here=_money(row["here_minor"], row["here_currency"]),
            there=_money(row["there_minor"], row["there_currency"]),
        ),
        found_at=row["found_at"],
        resolution=row["resolution"],
    )


def _money(minor_units: int | None, currency: str | None) -> Money | None:
    return None if minor_units is None or currency is None else Money(minor_units, currency)


def _minor(money: Money | None) -> int | None:
    return None if money is None else money.minor_units


def _currency(money: Money | None) -> str | None:
    return None if money is None else money.currency
