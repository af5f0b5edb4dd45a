"""Charges in the database: what was charged and what for, the charges of zero among them."""

from collections.abc import Sequence
from datetime import datetime

from chassis.arrays import array_of_instants, array_of_numbers, array_of_texts
from chassis.driver import fetch
from sqlalchemy.ext.asyncio import AsyncConnection

from billing.domain.movement import Moved

_ADD = """
INSERT INTO charges (charge_id, account_id, amount_minor, description, transaction_id, occurred_at, recorded_at)
SELECT n.charge_id, n.account_id, n.amount_minor, n.description, n.transaction_id, n.occurred_at, $7::timestamptz
FROM unnest($1::text::text[], $2::text::text[], $3::text::bigint[], $4::text::text[], $5::text::text[],
            $6::text::timestamptz[])
     AS n(charge_id, account_id, amount_minor, description, transaction_id, occurred_at)
"""


async def add_charges(connection: AsyncConnection, charged: Sequence[Moved], recorded_at: datetime) -> None:
    """Appends the charges that were taken."""
    if not charged:
        return
    movements = [moved.movement for moved in charged]
    await fetch(
        connection,
        _ADD,
        array_of_texts([each.identity for each in movements]),
        array_of_texts([each.account_id for each in movements]),
        array_of_numbers([each.amount.minor_units for each in movements]),
        array_of_texts([each.note for each in movements]),
        array_of_texts([moved.transaction_id for moved in charged]),
        array_of_instants([each.occurred_at for each in movements]),
        recorded_at,
    )
