"""What customers spent, and what of it was given back, kept in the order of who spent it."""

from collections.abc import Collection, Sequence

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

# A payment is copied for whom its customer was merged into, under a name that says so, and so on along a chain; what is
# given back is given back of every copy. Refunds take their share in the order in which they came.
_INSERT_REFUNDS = text("""
    INSERT INTO tier_spend (source, customer_id, kind, amount_minor, spent_at, refund_of, refunded_at)
    WITH RECURSIVE paid AS (
        SELECT spent.source AS payment, spent.source, spent.customer_id, spent.kind, spent.amount_minor, spent.spent_at
        FROM tier_spend AS spent WHERE spent.source = ANY(CAST(:sources AS text[]))
        UNION ALL
        SELECT paid.payment, copied.source, copied.customer_id, copied.kind, copied.amount_minor, copied.spent_at
        FROM paid
        JOIN customer_merges AS merged ON merged.merged_customer_id = paid.customer_id
        JOIN tier_spend AS copied ON copied.source = paid.source || '@' || merged.customer_id
    ), given_back AS (
        SELECT paid.*, refund.refund_id, refund.refunded_at,
            least(refund.refunded_minor, paid.amount_minor - coalesce(sum(refund.refunded_minor) OVER (
                PARTITION BY paid.source ORDER BY refund.recorded_at, refund.refund_id
                ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0)) AS less_minor
        FROM paid JOIN payment_refunds AS refund ON refund.source = paid.payment
    )
    SELECT source || '#' || refund_id, customer_id, kind, -less_minor, spent_at, source, refunded_at
    FROM given_back WHERE less_minor > 0
    ORDER BY 1
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


async def insert_refunds(connection: AsyncConnection, sources: Collection[str]) -> None:
    """Keep what is noted as given back of these payments, as far as they are kept and each refund once. It counts from
    the refund on where the payment counts: with the payment it leaves the window."""
    await connection.execute(_INSERT_REFUNDS, {"sources": list(sources)})
