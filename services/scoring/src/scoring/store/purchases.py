"""Purchase days: added up as purchases arrive, read back as histories as of a day."""

from collections.abc import Sequence
from datetime import date, datetime

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from scoring.domain.history import CustomerHistory, CustomerId, PurchaseDay
from scoring.domain.run import RunTerms

# The rows come sorted by key, so that two batches never wait for each other in a circle.
_ADD = text("""
INSERT INTO purchase_days (customer_id, currency, business_day, purchases, amount_minor, recorded_at)
SELECT d.customer_id, CAST(:currency AS text), d.business_day, d.purchases, d.amount_minor,
       CAST(:recorded_at AS timestamptz)
FROM unnest(CAST(:customer_ids AS text[]), CAST(:business_days AS date[]), CAST(:purchases AS bigint[]),
            CAST(:amounts_minor AS bigint[])) AS d(customer_id, business_day, purchases, amount_minor)
ON CONFLICT (customer_id, currency, business_day) DO UPDATE
SET purchases = purchase_days.purchases + excluded.purchases,
    amount_minor = purchase_days.amount_minor + excluded.amount_minor,
    recorded_at = excluded.recorded_at
""")
_CURRENCIES = text("SELECT DISTINCT currency FROM purchase_days")
_HISTORIES = text("""
SELECT customer_id, min(business_day) AS first_day, max(business_day) AS last_day, count(*) AS purchase_days,
       CAST(sum(purchases) AS bigint) AS purchases, CAST(sum(amount_minor) AS bigint) AS total_minor,
       (array_agg(amount_minor ORDER BY business_day))[1] AS first_day_minor
FROM purchase_days
WHERE currency = CAST(:currency AS text) AND business_day <= CAST(:until AS date)
GROUP BY customer_id
HAVING min(business_day) <= CAST(:first_until AS date)
""")


async def add_purchase_days(
    connection: AsyncConnection, currency: str, days: Sequence[PurchaseDay], recorded_at: datetime
) -> None:
    """Adds to what is stored of each customer and day; `days` holds each of these once, sorted."""
    await connection.execute(
        _ADD,
        {
            "currency": currency,
            "recorded_at": recorded_at,
            "customer_ids": [each.customer_id for each in days],
            "business_days": [each.day for each in days],
            "purchases": [each.purchases for each in days],
            "amounts_minor": [each.amount_minor for each in days],
        },
    )


async def load_currencies(connection: AsyncConnection) -> list[str]:
    """Every currency that anything was bought in."""
    return list((await connection.execute(_CURRENCIES)).scalars())


async def load_histories(connection: AsyncConnection, terms: RunTerms) -> list[CustomerHistory]:
    """Everybody's history as far as the terms look, without the customers first met too late for them."""
    first_until: date = terms.first_purchase_until or terms.until
    rows = await connection.execute(
        _HISTORIES, {"currency": terms.currency, "until": terms.until, "first_until": first_until}
    )
    return [
        CustomerHistory(
            customer_id=CustomerId(row.customer_id),
            first_day=row.first_day,
            last_day=row.last_day,
            purchase_days=row.purchase_days,
            purchases=row.purchases,
            total_minor=row.total_minor,
            first_day_minor=row.first_day_minor,
        )
        for row in rows
    ]
