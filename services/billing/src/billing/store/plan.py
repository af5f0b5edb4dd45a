"""Bill plans in the database."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from chassis.money import Money
from sqlalchemy import ARRAY, Row, Text, any_, bindparam, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from billing.domain.ids import PlanId
from billing.domain.plan import BillPlan
from billing.store.tables import BILL_PLANS

# The currency stands in the condition: a plan of another currency is left alone and nothing is returned.
_PUT = text("""
INSERT INTO bill_plans AS p
  (plan_id, display_name, currency, threshold_minor, target_balance_minor, due_days, revision, recorded_at)
VALUES (:plan_id, :display_name, :currency, :threshold_minor, :target_balance_minor, :due_days, 1, :recorded_at)
ON CONFLICT (plan_id) DO UPDATE SET display_name = excluded.display_name, threshold_minor = excluded.threshold_minor,
  target_balance_minor = excluded.target_balance_minor, due_days = excluded.due_days, revision = p.revision + 1,
  recorded_at = excluded.recorded_at
WHERE p.currency = excluded.currency
RETURNING plan_id, display_name, currency, threshold_minor, target_balance_minor, due_days, revision
""")
_FIND = select(
    BILL_PLANS.c.plan_id,
    BILL_PLANS.c.display_name,
    BILL_PLANS.c.currency,
    BILL_PLANS.c.threshold_minor,
    BILL_PLANS.c.target_balance_minor,
    BILL_PLANS.c.due_days,
    BILL_PLANS.c.revision,
).where(BILL_PLANS.c.plan_id == any_(bindparam("plan_ids", type_=ARRAY(Text))))


async def put_plan(connection: AsyncConnection, plan: BillPlan, recorded_at: datetime) -> BillPlan | None:
    """The plan as stored under its next revision; None when the stored one has another currency."""
    row = (
        await connection.execute(
            _PUT,
            {
                "plan_id": plan.plan_id,
                "display_name": plan.display_name,
                "currency": plan.currency,
                "threshold_minor": plan.threshold.minor_units,
                "target_balance_minor": plan.target_balance.minor_units,
                "due_days": plan.due_days,
                "recorded_at": recorded_at,
            },
        )
    ).one_or_none()
    return None if row is None else _plan(row)


async def find_plans(connection: AsyncConnection, plan_ids: Iterable[PlanId | None]) -> dict[PlanId, BillPlan]:
    """Those of the plans that exist; without a plan asked for, without a query."""
    wanted = sorted({plan_id for plan_id in plan_ids if plan_id is not None})
    if not wanted:
        return {}
    rows = await connection.execute(_FIND, {"plan_ids": wanted})
    return {plan.plan_id: plan for plan in map(_plan, rows)}


def _plan(row: Row[*tuple[Any, ...]]) -> BillPlan:
    return BillPlan(
        plan_id=row.plan_id,
        display_name=row.display_name,
        threshold=Money(row.threshold_minor, row.currency),
        target_balance=Money(row.target_balance_minor, row.currency),
        due_days=row.due_days,
        revision=row.revision,
    )
