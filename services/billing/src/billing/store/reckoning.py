"""Reckonings in the database; they are only appended. A charge that came rated has none: its one line is derived."""

from collections.abc import Collection, Sequence
from datetime import datetime
from itertools import groupby
from typing import Any

from chassis.arrays import array_of_instants, array_of_numbers, array_of_texts
from chassis.driver import fetch
from sqlalchemy.ext.asyncio import AsyncConnection

from billing.domain.price import UnitPrice
from billing.domain.reckoning import Line, LineKind, Reckoned, Reckoning

_ADD = """
INSERT INTO reckonings (reckoning_id, currency, total_minor, tax_minor, rated_at, recorded_at)
SELECT n.*, $6::timestamptz
FROM unnest($1::text::text[], $2::text::text[], $3::text::bigint[], $4::text::bigint[], $5::text::timestamptz[]) AS n
"""
_ADD_LINES = """
INSERT INTO reckoning_lines (reckoning_id, line, kind, product_id, description, amount_minor, quantity, of_quantity,
                             unit_minor, unit_nanos, reference, price_version)
SELECT * FROM unnest($1::text::text[], $2::text::integer[], $3::text::text[], $4::text::text[], $5::text::text[],
                     $6::text::bigint[], $7::text::bigint[], $8::text::bigint[], $9::text::bigint[],
                     $10::text::integer[], $11::text::text[], $12::text::bigint[])
"""
_FIND = """
SELECT r.reckoning_id, r.currency, r.total_minor, r.tax_minor, r.rated_at, l.kind, l.product_id, l.description,
       l.amount_minor, l.quantity, l.of_quantity, l.unit_minor, l.unit_nanos, l.reference, l.price_version
FROM reckonings r LEFT JOIN reckoning_lines l USING (reckoning_id)
WHERE r.reckoning_id = ANY($1::text::text[]) ORDER BY r.reckoning_id, l.line
"""


async def add(connection: AsyncConnection, reckonings: Sequence[Reckoned], recorded_at: datetime) -> None:
    """Appends reckonings with their lines, by two statements however many there are."""
    if not reckonings:
        return
    await fetch(
        connection,
        _ADD,
        array_of_texts([each.reckoning_id for each in reckonings]),
        array_of_texts([each.reckoning.currency for each in reckonings]),
        array_of_numbers([each.reckoning.total_minor for each in reckonings]),
        array_of_numbers([each.reckoning.tax_minor for each in reckonings]),
        array_of_instants([each.rated_at for each in reckonings]),
        recorded_at,
    )
    numbered = [(each.reckoning_id, *pair) for each in reckonings for pair in enumerate(each.reckoning.lines, 1)]
    lines = [line for _, _, line in numbered]
    await fetch(
        connection,
        _ADD_LINES,
        array_of_texts([reckoning_id for reckoning_id, _, _ in numbered]),
        array_of_numbers([number for _, number, _ in numbered]),
        array_of_texts([line.kind for line in lines]),
        array_of_texts([line.product_id for line in lines]),
        array_of_texts([line.description for line in lines]),
        array_of_numbers([line.amount_minor for line in lines]),
        array_of_numbers([line.quantity for line in lines]),
        array_of_numbers([line.of_quantity for line in lines]),
        array_of_numbers([line.unit_price and line.unit_price.minor_units for line in lines]),
        array_of_numbers([line.unit_price and line.unit_price.nanos for line in lines]),
        array_of_texts([line.reference for line in lines]),
        array_of_numbers([line.price_version for line in lines]),
    )


async def find(connection: AsyncConnection, reckoning_ids: Collection[str]) -> dict[str, Reckoned]:
    """Those of the reckonings that there are."""
    if not reckoning_ids:
        return {}
    rows = await fetch(connection, _FIND, array_of_texts(sorted(set(reckoning_ids))))
    return {key: _reckoned(list(group)) for key, group in groupby(rows, key=lambda row: str(row["reckoning_id"]))}


def _reckoned(rows: Sequence[Any]) -> Reckoned:
    head = rows[0]
    lines = tuple(_line(row) for row in rows if row["kind"] is not None)
    reckoning = Reckoning(head["currency"], lines, head["total_minor"], head["tax_minor"])
    return Reckoned(head["reckoning_id"], head["rated_at"], reckoning)


def _line(row: Any) -> Line:
    return Line(
        LineKind(row["kind"]),
        row["product_id"],
        row["description"],
        row["amount_minor"],
        row["quantity"],
        row["of_quantity"],
        UnitPrice(row["unit_minor"], row["unit_nanos"]) if row["unit_minor"] is not None else None,
        row["reference"],
        row["price_version"],
    )
