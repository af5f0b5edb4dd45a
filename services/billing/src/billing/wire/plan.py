"""Bill plans on the wire."""

from chassis.errors import InvalidArgument
from chassis.ids import check_id
from chassis.times import from_proto, to_proto
from touchstone.billing.v1 import bill_service_pb2 as pb
from touchstone.billing.v1 import billing_pb2
from touchstone.common.v1 import common_pb2

from billing.domain.ids import PlanId
from billing.domain.plan import (
    WINDOW_DAYS,
    AmountKind,
    BillCycle,
    BillPlan,
    OverdueAction,
    OverdueStep,
    SpendThreshold,
)
from billing.use_cases.plan import PlanSet, SetAccountPlan
from billing.wire.account import account_to_proto
from billing.wire.bill import bill_to_proto
from billing.wire.value import (
    account_id_from_proto,
    money_from_proto,
    money_to_proto,
    plan_id_from_proto,
    text_from_proto,
)

_CYCLES = {
    BillCycle.IMMEDIATE: billing_pb2.BILL_CYCLE_IMMEDIATE,
    BillCycle.DAILY: billing_pb2.BILL_CYCLE_DAILY,
    BillCycle.MONTHLY: billing_pb2.BILL_CYCLE_MONTHLY,
}
_AMOUNT_KINDS = {
    AmountKind.TARGET_BALANCE: billing_pb2.BILL_AMOUNT_KIND_TARGET_BALANCE,
    AmountKind.FIXED: billing_pb2.BILL_AMOUNT_KIND_FIXED,
    AmountKind.RECURRING_CYCLES: billing_pb2.BILL_AMOUNT_KIND_RECURRING_CYCLES,
    AmountKind.SHORTFALL: billing_pb2.BILL_AMOUNT_KIND_SHORTFALL,
}
_ACTIONS = {
    OverdueAction.REMIND: billing_pb2.OVERDUE_ACTION_REMIND,
    OverdueAction.SUSPEND: billing_pb2.OVERDUE_ACTION_SUSPEND,
}
# Unspecified means what billing has always done.
_CYCLES_ASKED = {number: cycle for cycle, number in _CYCLES.items()} | {0: BillCycle.IMMEDIATE}
_KINDS_ASKED = {number: kind for kind, number in _AMOUNT_KINDS.items()} | {0: AmountKind.TARGET_BALANCE}
_ACTIONS_ASKED = {number: action for action, number in _ACTIONS.items()}


def plan_from_proto(plan: billing_pb2.BillPlan) -> BillPlan:
    """The plan as it is wished; its revision is not the caller's to say."""
    if plan.cycle not in _CYCLES_ASKED:
        raise InvalidArgument("plan.cycle", "is not a cycle of bills")
    if plan.amount_kind not in _KINDS_ASKED:
        raise InvalidArgument("plan.amount_kind", "is not a kind of amount")
    kind = _KINDS_ASKED[plan.amount_kind]
    return BillPlan(
        plan_id=PlanId(check_id("plan.plan_id", plan.plan_id)),
        display_name=text_from_proto("plan.display_name", plan.display_name, required=True),
        threshold=money_from_proto(plan.threshold),
        target_balance=money_from_proto(_target(plan, kind)),
        due_days=plan.due_days,
        spend=_spend_from_proto(plan.spend_threshold, plan.threshold.currency)
        if plan.HasField("spend_threshold")
        else None,
        cycle=_CYCLES_ASKED[plan.cycle],
        anchor_day=plan.anchor_day or 1,
        amount_kind=kind,
        fixed_amount=money_from_proto(plan.fixed_amount) if plan.HasField("fixed_amount") else None,
        recurring_cycles=plan.recurring_cycles,
        overdue_steps=tuple(_step_from_proto(place, step) for place, step in enumerate(plan.overdue_steps)),
        effective_from=from_proto(plan.effective_from, "plan.effective_from")
        if plan.HasField("effective_from")
        else None,
    )


def plan_to_proto(plan: BillPlan) -> billing_pb2.BillPlan:
    """The plan as stored."""
    spend = plan.spend
    return billing_pb2.BillPlan(
        plan_id=plan.plan_id,
        display_name=plan.display_name,
        threshold=money_to_proto(plan.threshold),
        target_balance=money_to_proto(plan.target_balance),
        due_days=plan.due_days,
        revision=plan.revision,
        spend_threshold=None if spend is None else _spend_to_proto(spend),
        cycle=_CYCLES[plan.cycle],
        anchor_day=plan.anchor_day,
        amount_kind=_AMOUNT_KINDS[plan.amount_kind],
        fixed_amount=money_to_proto(plan.fixed_amount) if plan.fixed_amount else None,
        recurring_cycles=plan.recurring_cycles,
        overdue_steps=[
            billing_pb2.OverdueStep(days_after_due=step.days_after_due, action=_ACTIONS[step.action])
            for step in plan.overdue_steps
        ],
        effective_from=to_proto(plan.effective_from) if plan.effective_from else None,
    )


def revision_from_proto(revision: int) -> int:
    """A version of a plan, 0 for the one that acts; refuses a negative one."""
    if revision < 0:
        raise InvalidArgument("revision", "must not be negative")
    return revision


def set_account_plan_from_proto(request: pb.SetAccountPlanRequest) -> SetAccountPlan:
    """The wish to change a plan."""
    return SetAccountPlan(
        account_id=account_id_from_proto(request.account_id),
        plan_id=plan_id_from_proto(request.plan_id),
        occurred_at=from_proto(request.occurred_at, "occurred_at"),
    )


def plan_set_to_proto(done: PlanSet) -> pb.SetAccountPlanResponse:
    """The answer to SetAccountPlan, with the bill of a crossing."""
    return pb.SetAccountPlanResponse(
        account=account_to_proto(done.standing), bill=bill_to_proto(done.bill) if done.bill else None
    )


def _target(plan: billing_pb2.BillPlan, kind: AmountKind) -> common_pb2.Money:
    """Plans that do not ask up to a target need none."""
    needs = kind is AmountKind.TARGET_BALANCE or plan.HasField("target_balance")
    return plan.target_balance if needs else plan.threshold


def _spend_from_proto(spend: billing_pb2.SpendThreshold, currency: str) -> SpendThreshold:
    minimum = spend.minimum if spend.HasField("minimum") else common_pb2.Money(currency=currency)
    return SpendThreshold(
        days=spend.days,
        window_days=spend.window_days or WINDOW_DAYS,
        minimum=money_from_proto(minimum),
        maximum=money_from_proto(spend.maximum) if spend.HasField("maximum") else None,
    )


def _spend_to_proto(spend: SpendThreshold) -> billing_pb2.SpendThreshold:
    return billing_pb2.SpendThreshold(
        days=spend.days,
        window_days=spend.window_days,
        minimum=money_to_proto(spend.minimum),
        maximum=money_to_proto(spend.maximum) if spend.maximum else None,
    )


def _step_from_proto(place: int, step: billing_pb2.OverdueStep) -> OverdueStep:
    if step.action not in _ACTIONS_ASKED:
        raise InvalidArgument(f"plan.overdue_steps[{place}].action", "is not an action")
    return OverdueStep(step.days_after_due, _ACTIONS_ASKED[step.action])
