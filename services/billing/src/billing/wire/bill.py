"""Bill plans, bills and their payments on the wire."""

from chassis.errors import InvalidArgument
from chassis.ids import check_id
from chassis.times import from_proto, to_proto
from touchstone.billing.v1 import bill_service_pb2 as pb
from touchstone.billing.v1 import billing_pb2

from billing.domain.bill import Bill
from billing.domain.ids import BillId, PlanId
from billing.domain.movement import Moved
from billing.domain.plan import BillPlan
from billing.store.bill import BillFilter
from billing.use_cases.bill import PayBill
from billing.wire.kind import BILL_STATE_TO_PROTO
from billing.wire.value import (
    account_id_from_proto,
    channel_from_proto,
    money_from_proto,
    money_to_proto,
    owner_from_proto,
    text_from_proto,
)

_STATE_ASKED = {number: state for state, number in BILL_STATE_TO_PROTO.items()}


def plan_from_proto(plan: billing_pb2.BillPlan) -> BillPlan:
    """The plan as it is wished; its revision is not the caller's to say."""
    return BillPlan(
        plan_id=PlanId(check_id("plan.plan_id", plan.plan_id)),
        display_name=text_from_proto("plan.display_name", plan.display_name, required=True),
        threshold=money_from_proto(plan.threshold),
        target_balance=money_from_proto(plan.target_balance),
        due_days=plan.due_days,
    )


def plan_to_proto(plan: BillPlan) -> billing_pb2.BillPlan:
    """The plan as stored."""
    return billing_pb2.BillPlan(
        plan_id=plan.plan_id,
        display_name=plan.display_name,
        threshold=money_to_proto(plan.threshold),
        target_balance=money_to_proto(plan.target_balance),
        due_days=plan.due_days,
        revision=plan.revision,
    )


def bill_to_proto(bill: Bill) -> billing_pb2.Bill:
    """The bill and where it stands."""
    return billing_pb2.Bill(
        bill_id=bill.bill_id,
        bill_number=bill.bill_number,
        account_id=bill.account_id,
        customer_id=bill.customer_id,
        amount=money_to_proto(bill.amount),
        balance_at_issue=money_to_proto(bill.balance_at_issue),
        threshold=money_to_proto(bill.threshold),
        transaction_id=bill.transaction_id or "",
        issued_at=to_proto(bill.issued_at),
        due_at=to_proto(bill.due_at),
        state=BILL_STATE_TO_PROTO[bill.state],
        paid_at=to_proto(bill.paid_at) if bill.paid_at else None,
    )


def bill_filter_from_proto(request: pb.ListBillsRequest) -> BillFilter:
    """Which bills are asked for; refuses a state it does not know."""
    if request.state != billing_pb2.BILL_STATE_UNSPECIFIED and request.state not in _STATE_ASKED:
        raise InvalidArgument("state", "is not a state of a bill")
    return BillFilter(
        customer_id=owner_from_proto(request.customer_id),
        account_id=account_id_from_proto(request.account_id) if request.account_id else None,
        state=_STATE_ASKED.get(request.state),
    )


def pay_bill_from_proto(request: pb.PayBillRequest) -> PayBill:
    """The wish to pay a bill."""
    return PayBill(
        bill_id=BillId(check_id("bill_id", request.bill_id)),
        customer_id=owner_from_proto(request.customer_id),
        channel=channel_from_proto(request.channel),
        occurred_at=from_proto(request.occurred_at, "occurred_at"),
    )


def bill_paid_to_proto(moved: Moved) -> pb.PayBillResponse:
    """The answer to PayBill: the bill, closed."""
    return pb.PayBillResponse(
        bill=bill_to_proto(moved.movement.settles) if moved.movement.settles else None,
        transaction_id=moved.movement.transaction_id,
        balance_after=money_to_proto(moved.balance_after),
        account_version=moved.account_version,
    )
