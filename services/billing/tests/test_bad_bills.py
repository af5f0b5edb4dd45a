"""Bad input of BillService over real gRPC: each refusal names its field or its reason, and nothing is stored."""

from typing import Any

from chassis.testing.calls import methods_of, refuses_bad_input
from chassis.testing.serving import Serving
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from touchstone.billing.v1 import bill_service_pb2 as pb
from touchstone.billing.v1 import billing_pb2
from touchstone.common.v1.common_pb2 import Money

from services.billing.tests.bills import chase, credit, crossed, issue_due, refresh, resume, suspend
from services.billing.tests.calls import AT, cny, paid, put_plan, set_plan

AT_THE_END = Timestamp(seconds=250_300_000_000)
NOT_INSTANTS = [Timestamp(seconds=-1), Timestamp(seconds=1, nanos=-1), AT_THE_END]
NOT_IDS = ["", "a b", "x" * 65, "../etc", "a\x00b"]
USD = Money(minor_units=1, currency="USD")
FIXED, CYCLES = billing_pb2.BILL_AMOUNT_KIND_FIXED, billing_pb2.BILL_AMOUNT_KIND_RECURRING_CYCLES

Named = tuple[str, Message, list[str]]


def put(field: str, **changed: Any) -> Named:
    """A plan that is refused for one field."""
    return "PutBillPlan", put_plan("bad", **changed), [f"plan.{field}"]


def spends(**changed: Any) -> billing_pb2.SpendThreshold:
    """Seven days of average spend."""
    return billing_pb2.SpendThreshold(**{"days": 7} | changed)


def steps(*days: int, action: Any = billing_pb2.OVERDUE_ACTION_REMIND) -> list[billing_pb2.OverdueStep]:
    """Steps so many days after the due day."""
    return [billing_pb2.OverdueStep(days_after_due=each, action=action) for each in days]


PLANS: list[Named] = [
    put("cycle", cycle=9),
    put("amount_kind", amount_kind=9),
    put("anchor_day", anchor_day=32),
    put("anchor_day", anchor_day=-1),
    put("fixed_amount", amount_kind=FIXED),
    put("fixed_amount", fixed_amount=cny(1)),
    put("fixed_amount.minor_units", amount_kind=FIXED, fixed_amount=cny(0)),
    put("fixed_amount.currency", amount_kind=FIXED, fixed_amount=USD),
    put("recurring_cycles", amount_kind=CYCLES),
    put("recurring_cycles", amount_kind=CYCLES, recurring_cycles=13),
    put("recurring_cycles", recurring_cycles=1),
    put("spend_threshold.days", spend_threshold=spends(days=0)),
    put("spend_threshold.days", spend_threshold=spends(days=366)),
    put("spend_threshold.window_days", spend_threshold=spends(window_days=-1)),
    put("spend_threshold.minimum.minor_units", spend_threshold=spends(minimum=cny(-1))),
    put("spend_threshold.minimum.currency", spend_threshold=spends(minimum=USD)),
    put("spend_threshold.maximum.minor_units", spend_threshold=spends(minimum=cny(2), maximum=cny(1))),
    put("overdue_steps", overdue_steps=steps(*range(1, 12))),
    put("overdue_steps[0].action", overdue_steps=steps(1, action=0)),
    put("overdue_steps[1].days_after_due", overdue_steps=steps(3, 3)),
    put("overdue_steps[0].days_after_due", overdue_steps=steps(-1, action=billing_pb2.OVERDUE_ACTION_SUSPEND)),
    put("overdue_steps[0].days_after_due", overdue_steps=steps(3651)),
    put("effective_from", effective_from=Timestamp(seconds=-1)),
    put("due_days", due_days=-1),
]


def of_operators(bill_id: str) -> list[Named]:
    """What operators get wrong."""
    changes = [("SuspendAccount", suspend), ("ResumeAccount", resume)]
    return [
        *((name, build("r", account_id=bad), ["account_id"]) for name, build in changes for bad in NOT_IDS),
        *((name, build("r", reason=bad), ["reason"]) for name, build in changes for bad in ("", " ", "x" * 501)),
        *((name, build("r", occurred_at=bad), ["occurred_at"]) for name, build in changes for bad in NOT_INSTANTS),
        *((name, build("a b"), ["request_id"]) for name, build in changes),
        *(("IssueCreditNote", credit(bad, "r"), ["bill_id"]) for bad in NOT_IDS),
        *(("IssueCreditNote", credit(bill_id, "r", occurred_at=bad), ["occurred_at"]) for bad in NOT_INSTANTS),
        ("IssueCreditNote", credit(bill_id, ""), ["request_id"]),
        ("IssueCreditNote", credit(bill_id, "r", reason=""), ["reason"]),
        ("IssueCreditNote", credit(bill_id, "r", amount=cny(0)), ["amount.minor_units"]),
        ("IssueCreditNote", credit(bill_id, "r", amount=cny(-(2**63))), ["amount.minor_units"]),
        ("IssueCreditNote", credit(bill_id, "r", amount=cny(2**63 - 1)), ["amount.minor_units"]),
        ("IssueCreditNote", credit(bill_id, "r", amount=USD), ["amount.currency"]),
    ]


ROUNDS = [("RefreshThresholds", refresh), ("IssueDueBills", issue_due), ("RunOverdueSteps", chase)]
OTHERS: list[Named] = [
    *((name, build(bad, "r"), ["as_of"]) for name, build in ROUNDS for bad in [Timestamp(seconds=-1), AT_THE_END]),
    *((name, build(AT, ""), ["request_id"]) for name, build in ROUNDS),
    *(("GetBill", pb.GetBillRequest(bill_id=bad), ["bill_id"]) for bad in NOT_IDS),
    ("GetBill", pb.GetBillRequest(bill_id="b", customer_id="a b"), ["customer_id"]),
    *(("GetAccountStanding", pb.GetAccountStandingRequest(account_id=bad), ["account_id"]) for bad in NOT_IDS),
    ("GetAccountStanding", pb.GetAccountStandingRequest(account_id="a", customer_id="a b"), ["customer_id"]),
    *(("GetBillPlan", pb.GetBillPlanRequest(plan_id=bad), ["plan_id"]) for bad in NOT_IDS),
    ("GetBillPlan", pb.GetBillPlanRequest(plan_id="p", revision=-1), ["revision"]),
    ("ListBillPlans", pb.ListBillPlansRequest(page_size=501), ["page_size"]),
    ("ListBillPlans", pb.ListBillPlansRequest(page_token="*"), ["page_token"]),
    ("ListBillPlanVersions", pb.ListBillPlanVersionsRequest(plan_id="a b"), ["plan_id"]),
    ("ListBillPlanVersions", pb.ListBillPlanVersionsRequest(plan_id="p", page_size=-1), ["page_size"]),
    ("ListBillPlanVersions", pb.ListBillPlanVersionsRequest(plan_id="p", page_token="eHl6"), ["page_token"]),
    ("ListBills", pb.ListBillsRequest(state=9), ["state"]),  # type: ignore[arg-type]
    ("ListBills", pb.ListBillsRequest(kind=9), ["kind"]),  # type: ignore[arg-type]
    ("ListBills", pb.ListBillsRequest(page_token="eHl6"), ["page_token"]),
    ("SetAccountPlan", set_plan("r", plan_id="a b"), ["plan_id"]),
    ("SetAccountPlan", set_plan("r", occurred_at=AT_THE_END), ["occurred_at"]),
    ("BatchSetAccountPlans", pb.BatchSetAccountPlansRequest(requests=[set_plan()] * 1001), ["requests"]),
    ("PayBill", paid("r", bill_id="a b"), ["bill_id"]),
    ("PayBill", paid("r", channel="x" * 65), ["channel"]),
    ("BatchPayBills", pb.BatchPayBillsRequest(requests=[paid()] * 1001), ["requests"]),
]
UNKNOWN: list[tuple[str, Message, str]] = [
    ("SuspendAccount", suspend("u1", account_id="missing"), "ACCOUNT_NOT_FOUND"),
    ("ResumeAccount", resume("u2", account_id="missing"), "ACCOUNT_NOT_FOUND"),
    ("GetAccountStanding", pb.GetAccountStandingRequest(account_id="missing"), "ACCOUNT_NOT_FOUND"),
    ("SetAccountPlan", set_plan("u3", plan_id="missing"), "PLAN_NOT_FOUND"),
    ("IssueCreditNote", credit("missing", "u4"), "BILL_NOT_FOUND"),
    ("GetBill", pb.GetBillRequest(bill_id="missing"), "BILL_NOT_FOUND"),
    ("PayBill", paid("u5"), "BILL_NOT_FOUND"),
    ("ListBillPlanVersions", pb.ListBillPlanVersionsRequest(plan_id="missing"), "PLAN_NOT_FOUND"),
    ("GetBillPlan", pb.GetBillPlanRequest(plan_id="missing"), "PLAN_NOT_FOUND"),
    ("PutBillPlan", put_plan("u6", threshold=USD, target_balance=USD), "PLAN_CURRENCY_FIXED"),
    ("ResumeAccount", resume("u7"), "ACCOUNT_ACTIVE"),
]


async def test_bad_input_is_refused_by_name_and_stores_nothing(served: Serving) -> None:
    calls, bill = await crossed(served)

    await refuses_bad_input(served, calls, [*PLANS, *OTHERS, *of_operators(bill.bill_id)], UNKNOWN)

    tried = {name for name, _, _ in [*PLANS, *OTHERS, *of_operators(bill.bill_id)]}
    assert tried == methods_of(pb)
