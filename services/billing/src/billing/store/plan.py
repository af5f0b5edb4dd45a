"""Bill plans and their versions in the database. A version is appended once; the plan's row counts them."""

import json
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from chassis.arrays import array_of_texts
from chassis.driver import Row as DriverRow
from chassis.driver import fetch
from chassis.money import Money
from sqlalchemy import Row, bindparam, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncConnection

from billing.domain.ids import PlanId
from billing.domain.plan import AmountKind, BillCycle, BillPlan, OverdueAction, OverdueStep, Plans, SpendThreshold

# The currency stands in the condition: a plan of another currency is left alone and nothing is returned.
_COUNT = text("""
INSERT INTO bill_plans AS p (plan_id, currency, revision, recorded_at) VALUES (:plan_id, :currency, 1, :recorded_at)
ON CONFLICT (plan_id) DO UPDATE SET revision = p.revision + 1, recorded_at = excluded.recorded_at
WHERE p.currency = excluded.currency
RETURNING revision
""")
_ADD = text("""
INSERT INTO bill_plan_versions (plan_id, revision, display_name, threshold_minor, target_balance_minor, due_days,
  spend_days, spend_window_days, spend_minimum_minor, spend_maximum_minor, cycle, anchor_day, amount_kind,
  fixed_amount_minor, recurring_cycles, overdue_steps, effective_from, recorded_at)
VALUES (:plan_id, :revision, :display_name, :threshold_minor, :target_balance_minor, :due_days,
  :spend_days, :spend_window_days, :spend_minimum_minor, :spend_maximum_minor, :cycle, :anchor_day, :amount_kind,
  :fixed_amount_minor, :recurring_cycles, :overdue_steps, :effective_from, :recorded_at)
""").bindparams(bindparam("overdue_steps", type_=JSONB))
_COLUMNS = """v.plan_id, p.currency, v.revision, v.display_name, v.threshold_minor, v.target_balance_minor, v.due_days,
  v.spend_days, v.spend_window_days, v.spend_minimum_minor, v.spend_maximum_minor, v.cycle, v.anchor_day,
  v.amount_kind, v.fixed_amount_minor, v.recurring_cycles, v.overdue_steps::text AS overdue_steps, v.effective_from"""
# Which of a plan's versions acts is a matter of business time. All that may act from $2 on are read: the newest that
# acts then, and those after it.
_IN_FORCE = f"""
SELECT {_COLUMNS} FROM bill_plan_versions v JOIN bill_plans p USING (plan_id)
WHERE v.plan_id = ANY($1::text::text[]) AND v.revision >= coalesce((
    SELECT max(acting.revision) FROM bill_plan_versions acting
    WHERE acting.plan_id = v.plan_id AND (acting.effective_from IS NULL OR acting.effective_from <= $2)), 1)
ORDER BY v.plan_id, v.revision DESC
"""  # noqa: S608 - constants
_NEWEST = text(f"""
SELECT {_COLUMNS} FROM bill_plan_versions v JOIN bill_plans p ON (p.plan_id, p.revision) = (v.plan_id, v.revision)
WHERE v.plan_id = ANY(CAST(:plan_ids AS text[]))
""")  # noqa: S608 - constants
_EXACT = text(f"""
SELECT {_COLUMNS} FROM bill_plan_versions v JOIN bill_plans p USING (plan_id)
JOIN unnest(CAST(:plan_ids AS text[]), CAST(:revisions AS bigint[])) AS n(plan_id, revision)
  ON (n.plan_id, n.revision) = (v.plan_id, v.revision)
""")  # noqa: S608 - constants
_ACTING_PAGE = text(f"""
SELECT {_COLUMNS} FROM bill_plans p CROSS JOIN LATERAL (
    SELECT * FROM bill_plan_versions acting WHERE acting.plan_id = p.plan_id
    ORDER BY acting.effective_from IS NULL OR acting.effective_from <= :as_of DESC, acting.revision DESC LIMIT 1) AS v
WHERE p.plan_id > :after ORDER BY p.plan_id LIMIT :limit
""")  # noqa: S608 - constants
_VERSIONS_PAGE = text(f"""
SELECT {_COLUMNS} FROM bill_plan_versions v JOIN bill_plans p USING (plan_id)
WHERE v.plan_id = :plan_id AND (CAST(:before AS bigint) IS NULL OR v.revision < :before)
ORDER BY v.revision DESC LIMIT :limit
""")  # noqa: S608 - constants
_BY_SPEND = text(f"""
SELECT {_COLUMNS} FROM bill_plan_versions v JOIN bill_plans p USING (plan_id)
WHERE v.spend_days IS NOT NULL AND v.revision = (
    SELECT max(acting.revision) FROM bill_plan_versions acting
    WHERE acting.plan_id = v.plan_id AND (acting.effective_from IS NULL OR acting.effective_from <= :as_of))
ORDER BY v.plan_id
""")  # noqa: S608 - constants


async def put_plan(connection: AsyncConnection, plan: BillPlan, recorded_at: datetime) -> int | None:
    """Appends the plan's next version; its revision, or None when the stored plan has another currency."""
    of_plan = {"plan_id": plan.plan_id, "currency": plan.currency, "recorded_at": recorded_at}
    revision = (await connection.execute(_COUNT, of_plan)).scalar_one_or_none()
    if revision is None:
        return None
    spend = plan.spend
    await connection.execute(
        _ADD,
        {
            "plan_id": plan.plan_id,
            "revision": revision,
            "display_name": plan.display_name,
            "threshold_minor": plan.threshold.minor_units,
            "target_balance_minor": plan.target_balance.minor_units,
            "due_days": plan.due_days,
            "spend_days": spend and spend.days,
            "spend_window_days": spend and spend.window_days,
            "spend_minimum_minor": spend and spend.minimum.minor_units,
            "spend_maximum_minor": spend.maximum.minor_units if spend and spend.maximum else None,
            "cycle": plan.cycle,
            "anchor_day": plan.anchor_day,
            "amount_kind": plan.amount_kind,
            "fixed_amount_minor": plan.fixed_amount.minor_units if plan.fixed_amount else None,
            "recurring_cycles": plan.recurring_cycles,
            "overdue_steps": [[step.days_after_due, step.action] for step in plan.overdue_steps],
            "effective_from": plan.effective_from,
            "recorded_at": recorded_at,
        },
    )
    return int(revision)


async def find_plans(connection: AsyncConnection, plan_ids: Iterable[PlanId | None]) -> dict[PlanId, BillPlan]:
    """Those of the plans that exist, in their newest versions; without a plan asked for, without a query."""
    wanted = sorted({plan_id for plan_id in plan_ids if plan_id is not None})
    if not wanted:
        return {}
    plans = [_plan(row) for row in await connection.execute(_NEWEST, {"plan_ids": wanted})]
    return {plan.plan_id: plan for plan in plans}


async def plans_since(connection: AsyncConnection, plan_ids: Iterable[PlanId | None], since: datetime) -> Plans:
    """Of the plans that exist the versions that may act at a business time from `since` on, newest first; without a
    plan asked for, without a query."""
    wanted = sorted({plan_id for plan_id in plan_ids if plan_id is not None})
    if not wanted:
        return {}
    found: dict[PlanId, list[BillPlan]] = {}
    for row in await fetch(connection, _IN_FORCE, array_of_texts(wanted), since):
        plan = _plan(row)
        found.setdefault(plan.plan_id, []).append(plan)
    return found


async def find_versions(
    connection: AsyncConnection, wanted: Iterable[tuple[PlanId, int]]
) -> dict[tuple[PlanId, int], BillPlan]:
    """Those versions of plans that exist."""
    pairs = sorted(set(wanted))
    if not pairs:
        return {}
    asked = {"plan_ids": [plan_id for plan_id, _ in pairs], "revisions": [revision for _, revision in pairs]}
    plans = [_plan(row) for row in await connection.execute(_EXACT, asked)]
    return {(plan.plan_id, plan.revision): plan for plan in plans}


async def acting_plans(
    connection: AsyncConnection, as_of: datetime, *, after: PlanId | None, limit: int
) -> list[BillPlan]:
    """At most `limit` plans whose id follows `after`, each in the version that acts, or the newest before any does."""
    asked = {"as_of": as_of, "after": after or "", "limit": limit}
    return [_plan(row) for row in await connection.execute(_ACTING_PAGE, asked)]


async def plan_versions(
    connection: AsyncConnection, plan_id: PlanId, *, before: int | None, limit: int
) -> list[BillPlan]:
    """At most `limit` versions of a plan below a revision, newest first."""
    asked = {"plan_id": plan_id, "before": before, "limit": limit}
    return [_plan(row) for row in await connection.execute(_VERSIONS_PAGE, asked)]


async def plans_by_spend(connection: AsyncConnection, as_of: datetime) -> list[BillPlan]:
    """The acting versions whose threshold follows the spend."""
    return [_plan(row) for row in await connection.execute(_BY_SPEND, {"as_of": as_of})]


def _plan(row: Row[*tuple[Any, ...]] | DriverRow) -> BillPlan:
    (plan_id, currency, revision, display_name, threshold, target, due_days, *spent, cycle, anchor_day, kind) = row[:14]
    (fixed, cycles, steps, effective_from) = row[14:]
    days, window_days, minimum, maximum = spent
    return BillPlan(
        plan_id=PlanId(plan_id),
        display_name=display_name,
        threshold=Money(threshold, currency),
        target_balance=Money(target, currency),
        due_days=due_days,
        revision=revision,
        spend=SpendThreshold(days, window_days, Money(minimum, currency), _money(maximum, currency)) if days else None,
        cycle=BillCycle(cycle),
        anchor_day=anchor_day,
        amount_kind=AmountKind(kind),
        fixed_amount=_money(fixed, currency),
        recurring_cycles=cycles,
        overdue_steps=tuple(OverdueStep(after, OverdueAction(action)) for after, action in json.loads(steps)),
        effective_from=effective_from,
    )


def _money(minor_units: int | None, currency: str) -> Money | None:
    return None if minor_units is None else Money(minor_units, currency)
