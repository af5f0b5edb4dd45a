"""Charges in the database: what was charged and what for, the charges of zero among them."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from billing.domain.movement import Moved

_ADD = text("""
INSERT INTO charges (charge_id, account_id, amount_minor, description, transaction_id, occurred_at, recorded_at)
SELECT n.charge_id, n.account_id, n.amount_minor, n.description, n.transaction_id, n.occurred_at,
       CAST(:recorded_at AS timestamptz)
FROM unnest(CAST(:charge_ids AS text[]), CAST(:account_ids AS text[]), CAST(:amounts_minor AS bigint[]),
            CAST(:descriptions AS text[]), CAST(:transaction_ids AS text[]), CAST(:occurred_ats AS timestamptz[]))
     AS n(charge_id, account_id, amount_minor, description, transaction_id, occurred_at)
""")


async def add_charges(connection: AsyncConnection, charged: Sequence[Moved], recorded_at: datetime) -> None:
    """Appends the charges that were taken."""
    if not charged:
        return
    await connection.execute(
        _ADD,
        {
            "charge_ids": [m.movement.identity for m in charged],
            "account_ids": [m.movement.account_id for m in charged],
            "amounts_minor": [m.movement.amount.minor_units for m in charged],
            "descriptions": [m.movement.note for m in charged],
            "transaction_ids": [m.transaction_id for m in charged],
            "occurred_ats": [m.movement.occurred_at for m in charged],
            "recorded_at": recorded_at,
        },
    )
