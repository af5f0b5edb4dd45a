"""The average spend of accounts, worked out by the database for a round of them at once."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from chassis.arrays import array_of_instants, array_of_numbers, array_of_texts
from chassis.calendar import Calendar
from chassis.driver import fetch
from sqlalchemy.ext.asyncio import AsyncConnection

from billing.domain.movement import MovementKind
from billing.domain.plan import BillPlan
from billing.store.balance import BALANCE_PREFIX

_SPENT = (MovementKind.CHARGE, MovementKind.CHARGE_REFUND, MovementKind.RESERVATION_COMMIT)
# An account younger than the window has the average of its whole days; before the first there is none. What was spent
# is what charges took from this balance, whoever they were for, less what came back of them.
_REFRESH = """
WITH plans AS (
    SELECT * FROM unnest($1::text::text[], $2::text::integer[], $3::text::integer[], $4::text::timestamptz[],
                         $5::text::bigint[], $6::text::bigint[])
         AS p(plan_id, days, window_days, window_start, minimum, maximum)
), due AS (
    SELECT a.account_id, a.opened_at, p.* FROM accounts a JOIN plans p USING (plan_id)
    WHERE a.day_threshold_day < $7 ORDER BY a.account_id LIMIT $8 FOR NO KEY UPDATE OF a SKIP LOCKED
), averages AS (
    SELECT d.*, least(d.window_days, $7 - (d.opened_at AT TIME ZONE $10)::date) AS whole_days, coalesce((
        SELECT -sum(e.amount) FROM ledger_entries e JOIN ledger_transactions t USING (source)
        WHERE e.account_id = $11 || d.account_id AND e.occurred_at >= d.window_start AND e.occurred_at < $9
          AND e.account_version IS NOT NULL AND t.kind = ANY($12::text::text[])), 0) AS spent
    FROM due d
)
UPDATE accounts a SET day_threshold_day = $7, day_threshold_minor = CASE WHEN n.whole_days > 0 THEN
    least(greatest(ceil(greatest(n.spent, 0) * n.days / (n.whole_days * 100.0)) * 100, n.minimum),
          coalesce(n.maximum, 9223372036854775807))::bigint END
FROM averages n WHERE a.account_id = n.account_id RETURNING a.account_id"""


async def refresh_day_thresholds(
    connection: AsyncConnection, plans: Sequence[BillPlan], calendar: Calendar, *, as_of: datetime, limit: int
) -> int:
    """Works out the thresholds of at most `limit` accounts on plans that follow the spend; how many there were. Rounded
    up to a whole unit of the currency, within the plan's bounds."""
    today = calendar.day_of(as_of)
    spends = [plan.spend for plan in plans if plan.spend is not None]
    rows = await fetch(
        connection,
        _REFRESH,
        array_of_texts([plan.plan_id for plan in plans]),
        array_of_numbers([spend.days for spend in spends]),
        array_of_numbers([spend.window_days for spend in spends]),
        array_of_instants([calendar.start_of(today - timedelta(days=spend.window_days)) for spend in spends]),
        array_of_numbers([spend.minimum.minor_units for spend in spends]),
        array_of_numbers([spend.maximum.minor_units if spend.maximum else None for spend in spends]),
        today,
        limit,
        calendar.start_of(today),
        calendar.zone.key,
        BALANCE_PREFIX,
        array_of_texts(_SPENT),
    )
    return len(rows)
