"""Bills, their life and their payments on the wire."""

from datetime import datetime

from chassis.calendar import Calendar
from chassis.errors import InvalidArgument
from chassis.ids import check_id
from chassis.times import from_proto, to_proto
from touchstone.billing.v1 import bill_pb2, billing_pb2
from touchstone.billing.v1 import bill_service_pb2 as pb

from billing.domain.bill import Bill
from billing.domain.bill_life import BillStep, BillStepKind
from billing.domain.effects import Credited
from billing.domain.ids import BillId
from billing.domain.movement import Moved
from billing.domain.overdue import is_overdue
from billing.store.bill import BillFilter
from billing.use_cases.bill import BillLife, CreditBill, PayBill
from billing.wire.kind import BILL_KIND_TO_PROTO, BILL_STATE_TO_PROTO, CAUSE_TO_PROTO
from billing.wire.value import (
    account_id_from_proto,
    channel_from_proto,
    minor_to_proto,
    money_from_proto,
    money_to_proto,
    owner_from_proto,
    text_from_proto,
)

_STATES_ASKED = {number: state for state, number in BILL_STATE_TO_PROTO.items()}
_KINDS_ASKED = {number: kind for kind, number in BILL_KIND_TO_PROTO.items()}
_STEPS = {
    BillStepKind.ISSUED: bill_pb2.BILL_STEP_KIND_ISSUED,
    BillStepKind.REMINDED: bill_pb2.BILL_STEP_KIND_REMINDED,
    BillStepKind.SUSPENDED: bill_pb2.BILL_STEP_KIND_SUSPENDED,
    BillStepKind.CREDITED: bill_pb2.BILL_STEP_KIND_CREDITED,
    BillStepKind.SUPPLEMENTED: bill_pb2.BILL_STEP_KIND_SUPPLEMENTED,
    BillStepKind.PAID: bill_pb2.BILL_STEP_KIND_PAID,
    BillStepKind.CLOSED: bill_pb2.BILL_STEP_KIND_CLOSED,
}


def bill_to_proto(bill: Bill, *, overdue: bool = False) -> billing_pb2.Bill:
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
        kind=BILL_KIND_TO_PROTO[bill.kind],
        corrects_bill_id=bill.corrects or "",
        remaining=money_to_proto(bill.remaining),
        cause=CAUSE_TO_PROTO[bill.cause] if bill.cause else billing_pb2.CROSSING_CAUSE_UNSPECIFIED,
        plan_revision=bill.plan.revision if bill.plan else 0,
        closed_at=to_proto(bill.closed_at) if bill.closed_at else None,
        credit_limit_at_issue=minor_to_proto(bill.credit_limit_minor, bill.amount.currency),
        overdue=overdue,
        reason=bill.reason,
    )


def dated_bill_to_proto(bill: Bill, calendar: Calendar, as_of: datetime) -> billing_pb2.Bill:
    """The bill as it stands at an instant: overdue once its due day has passed."""
    asked = bill.remaining.minor_units > 0
    return bill_to_proto(bill, overdue=asked and is_overdue(bill, calendar, as_of))


def bill_id_from_proto(value: str) -> BillId:
    """Refuses a malformed id."""
    return BillId(check_id("bill_id", value))


def bill_filter_from_proto(request: pb.ListBillsRequest, today: datetime) -> BillFilter:
    """Which bills are asked for; refuses a state or kind it does not know. `today` is when the day began."""
    if request.state != billing_pb2.BILL_STATE_UNSPECIFIED and request.state not in _STATES_ASKED:
        raise InvalidArgument("state", "is not a state of a bill")
    if request.kind != billing_pb2.BILL_KIND_UNSPECIFIED and request.kind not in _KINDS_ASKED:
        raise InvalidArgument("kind", "is not a kind of bill")
    return BillFilter(
        customer_id=owner_from_proto(request.customer_id),
        account_id=account_id_from_proto(request.account_id) if request.account_id else None,
        state=_STATES_ASKED.get(request.state),
        kind=_KINDS_ASKED.get(request.kind),
        due_before=today if request.overdue else None,
    )


def bill_life_to_proto(life: BillLife, calendar: Calendar, as_of: datetime) -> pb.GetBillResponse:
    """A bill, what happened to it, and its documents."""
    return pb.GetBillResponse(
        bill=dated_bill_to_proto(life.bill, calendar, as_of),
        steps=map(_step_to_proto, life.steps),
        documents=[dated_bill_to_proto(document, calendar, as_of) for document in life.documents],
    )


def pay_bill_from_proto(request: pb.PayBillRequest) -> PayBill:
    """The wish to pay a bill."""
    return PayBill(
        bill_id=bill_id_from_proto(request.bill_id),
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


def credit_bill_from_proto(request: pb.IssueCreditNoteRequest) -> CreditBill:
    """The wish to take back what a bill asks for."""
    return CreditBill(
        bill_id=bill_id_from_proto(request.bill_id),
        amount=money_from_proto(request.amount) if request.HasField("amount") else None,
        reason=text_from_proto("reason", request.reason, required=True),
        occurred_at=from_proto(request.occurred_at, "occurred_at"),
    )


def bill_credited_to_proto(credited: Credited) -> pb.IssueCreditNoteResponse:
    """The answer to IssueCreditNote."""
    return pb.IssueCreditNoteResponse(credit_note=bill_to_proto(credited.note), bill=bill_to_proto(credited.bill))


def _step_to_proto(step: BillStep) -> bill_pb2.BillStep:
    return bill_pb2.BillStep(
        kind=_STEPS[step.kind],
        amount=money_to_proto(step.amount) if step.amount else None,
        bill_id=step.document or "",
        occurred_at=to_proto(step.occurred_at),
    )
