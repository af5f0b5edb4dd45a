"""Who pays for accounts, and what they paid in a month."""

from collections.abc import Mapping

from chassis.arrays import array_of_numbers, array_of_texts
from chassis.driver import fetch
from sqlalchemy.ext.asyncio import AsyncConnection

from billing.domain.payer import PaidMonth

_ADD_PAID = """
INSERT INTO payer_months AS m (account_id, payer_account_id, month, paid_minor)
SELECT * FROM unnest($1::text::text[], $2::text::text[], $3::text::date[], $4::text::bigint[])
ON CONFLICT (account_id, payer_account_id, month) DO UPDATE SET paid_minor = m.paid_minor + excluded.paid_minor"""


async def add_paid(connection: AsyncConnection, paid_minor: Mapping[PaidMonth, int]) -> None:
    """Counts what payers of locked accounts paid."""
    if paid_minor:
        await fetch(
            connection,
            _ADD_PAID,
            array_of_texts([each.account_id for each in paid_minor]),
            array_of_texts([each.payer_account_id for each in paid_minor]),
            array_of_texts([each.month.isoformat() for each in paid_minor]),
            array_of_numbers(list(paid_minor.values())),
        )
