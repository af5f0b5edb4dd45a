"""Which subscriptions are due, and which of them were refused as their accounts stand now."""

from collections.abc import Sequence
from datetime import date
from typing import NamedTuple

from chassis.arrays import array_of_texts
from chassis.driver import fetch
from sqlalchemy.ext.asyncio import AsyncConnection

from billing.domain.ids import AccountId, SubscriptionId

# A refused one is not asked about again on the same day unless something moved its account. One that rests is due when
# its account is served again.
_DUE = """
SELECT due.subscription_id, due.account_id FROM (
    (SELECT s.subscription_id, s.account_id, s.cycle_end FROM subscriptions s
     WHERE s.cycle_end <= $1::date AND s.state IN ('active', 'past_due', 'cancelling')
       AND (s.state <> 'past_due' OR NOT EXISTS (
           SELECT FROM recurring_refusals r JOIN ledger_accounts l ON l.id = 'balance:' || s.account_id
           WHERE r.subscription_id = s.subscription_id AND r.day = $1::date AND r.account_version = l.version))
     ORDER BY s.cycle_end, s.subscription_id LIMIT $2::bigint)
    UNION ALL
    (SELECT s.subscription_id, s.account_id, s.cycle_end FROM subscriptions s JOIN accounts a USING (account_id)
     WHERE s.cycle_end <= $1::date AND s.state = 'resting' AND a.state = 'active'
     ORDER BY s.cycle_end, s.subscription_id LIMIT $2::bigint)) AS due
ORDER BY due.cycle_end, due.subscription_id LIMIT $2::bigint
"""
_REFUSED = """
INSERT INTO recurring_refusals (subscription_id, day, account_version)
SELECT n.subscription_id, $1::date, l.version
FROM unnest($2::text::text[], $3::text::text[]) AS n(subscription_id, account_id)
JOIN ledger_accounts l ON l.id = 'balance:' || n.account_id
ON CONFLICT (subscription_id) DO UPDATE SET day = excluded.day, account_version = excluded.account_version
"""


class Due(NamedTuple):
    """A subscription that is due, not locked: to be read again behind its account's lock."""

    subscription_id: SubscriptionId
    account_id: AccountId


async def due_subscriptions(connection: AsyncConnection, day: date, limit: int) -> list[Due]:
    """At most `limit` whose paid cycle has ended by a day, in the order in which they came to be due."""
    return [Due(*row) for row in await fetch(connection, _DUE, day, limit)]


async def note_refused(connection: AsyncConnection, refused: Sequence[Due], day: date) -> None:
    """Lets subscriptions of locked accounts wait until something moves these, or for the next day."""
    if refused:
        named = array_of_texts([each.subscription_id for each in refused])
        await fetch(connection, _REFUSED, day, named, array_of_texts([each.account_id for each in refused]))
