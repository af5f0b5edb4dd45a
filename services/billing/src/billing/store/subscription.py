"""Subscriptions in the database."""

from collections.abc import Iterable

from chassis.arrays import array_of_texts
from chassis.calendar import Calendar
from chassis.driver import fetch
from sqlalchemy.ext.asyncio import AsyncConnection

from billing.domain.ids import AccountId

# The price that will act when the next cycle begins, of versions known now.
_CYCLE_SUMS = """
SELECT s.account_id, sum(s.quantity * p.amount_minor)::bigint AS sum_minor
FROM subscriptions s JOIN accounts a USING (account_id)
CROSS JOIN LATERAL (
    SELECT amount_minor FROM prices
    WHERE product_id = s.product_id AND currency = a.currency
      AND effective_from <= s.cycle_end::timestamp AT TIME ZONE $2::text
    ORDER BY effective_from DESC, version DESC LIMIT 1) AS p
WHERE s.account_id = ANY($1::text::text[]) AND s.state IN ('active', 'past_due', 'resting')
GROUP BY s.account_id
"""


async def cycle_sums(
    connection: AsyncConnection, account_ids: Iterable[AccountId], calendar: Calendar
) -> dict[AccountId, int]:
    """What the next cycles of each account's subscriptions come to at list price, in minor units; those that end with
    the cycle they are in do not count."""
    wanted = sorted(set(account_ids))
    if not wanted:
        return {}
    rows = await fetch(connection, _CYCLE_SUMS, array_of_texts(wanted), calendar.zone.key)
    return {AccountId(row["account_id"]): row["sum_minor"] for row in rows}
