"""Payments in the database."""

from collections.abc import Iterable

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from billing.domain.ids import AccountId

# What is on its way for an open bill is not counted: the bill itself asks for it already.
_PENDING_SUMS = text("""
SELECT p.account_id, sum(p.amount_minor)::bigint AS pending_minor
FROM payments p LEFT JOIN bill_payments paid USING (bill_id)
WHERE p.account_id = ANY(CAST(:account_ids AS text[])) AND p.state IN ('requested', 'pending')
  AND (p.bill_id IS NULL OR paid.bill_id IS NOT NULL)
GROUP BY p.account_id
""")


async def pending_sums(connection: AsyncConnection, account_ids: Iterable[AccountId]) -> dict[AccountId, int]:
    """What is on its way into accounts, in minor units, and is not asked for by an open bill already; accounts with
    nothing on its way are left out."""
    rows = await connection.execute(_PENDING_SUMS, {"account_ids": sorted(set(account_ids))})
    return {AccountId(account_id): pending_minor for account_id, pending_minor in rows}
