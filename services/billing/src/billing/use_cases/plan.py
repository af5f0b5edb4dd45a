"""Bill plans: put and look up."""

from chassis.work import Transaction

from billing.domain.ids import PlanId
from billing.domain.plan import BillPlan, PlanCurrencyFixed, plan_not_found
from billing.store import Connection
from billing.store import plan as plan_store


async def put_bill_plan(transaction: Transaction, wanted: BillPlan) -> BillPlan:
    """Stores a new plan, or the next revision of one; it acts on the next crossing. Refuses PlanCurrencyFixed."""
    stored = await plan_store.put_plan(transaction.connection, wanted, transaction.recorded_at)
    if stored is None:
        raise PlanCurrencyFixed(f"plan {wanted.plan_id} is in another currency", plan_id=wanted.plan_id)
    return stored


async def get_bill_plan(connection: Connection, plan_id: PlanId) -> BillPlan:
    """Refuses PlanNotFound."""
    found = await plan_store.find_plans(connection, [plan_id])
    if plan_id not in found:
        raise plan_not_found(plan_id)
    return found[plan_id]
