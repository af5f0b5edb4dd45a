"""What customers spent, kept in the order of who spent it."""

from collections.abc import Sequence

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from member.domain.requirement import Spending, SpendKind

_INSERT = text("""
    INSERT INTO tier_spend (source, customer_id, kind, amount_minor, spent_at)
    SELECT spent.source, spent.customer_id, spent.kind, spent.amount_minor, spent.spent_at
    FROM unnest(CAST(:sources AS text[]), CAST(:customers AS text[]), CAST(:kinds AS text[]),
                CAST(:amounts AS bigint[]), CAST(:instants AS timestamptz[]))
        AS spent(source, customer_id, kind, amount_minor, spent_at)
    ORDER BY spent.source
    ON CONFLICT (source) DO NOTHING
""")


async def insert_spending(connection: AsyncConnection, spendings: Sequence[Spending]) -> None:
    """Keep what was spent, each event once; nothing spent is nothing to keep."""
    kept = [spending for spending in spendings if spending.amount.minor_units > 0]
    if not kept:
        return
    await connection.execute(
        _INSERT,
        {
            "sources": [spending.source for spending in kept],
            "customers": [spending.customer_id for spending in kept],
            "kinds": [SpendKind.RECHARGE if spending.recharged else SpendKind.ORDER for spending in kept],
            "amounts": [spending.amount.minor_units for spending in kept],
            "instants": [spending.occurred_at for spending in kept],
        },
    )
