"""Requests about plans, bills and standings, each with what does not matter already filled in."""

from datetime import datetime, timedelta
from typing import Any

from chassis.testing.serving import Serving
from chassis.times import to_proto
from google.protobuf.timestamp_pb2 import Timestamp
from touchstone.billing.v1 import bill_service_pb2 as pb
from touchstone.billing.v1 import billing_pb2

from services.billing.tests.calls import AT, Calls, charged, cny, opened, put_plan, recharged
from services.billing.tests.factories import ACCOUNT, OCCURRED_AT

REMIND, SUSPEND = billing_pb2.OVERDUE_ACTION_REMIND, billing_pb2.OVERDUE_ACTION_SUSPEND
CHASED = [
    billing_pb2.OverdueStep(days_after_due=-3, action=REMIND),
    billing_pb2.OverdueStep(days_after_due=1, action=REMIND),
    billing_pb2.OverdueStep(days_after_due=7, action=SUSPEND),
]


def days_later(days: int) -> Timestamp:
    """The same time of day so many days after."""
    return to_proto(OCCURRED_AT + timedelta(days=days))


def credit(bill_id: str, request_id: str = "credit-1", **changed: Any) -> pb.IssueCreditNoteRequest:
    """Takes back all that a bill asks for."""
    values: dict[str, Any] = {"bill_id": bill_id, "reason": "our mistake", "occurred_at": AT}
    return pb.IssueCreditNoteRequest(request_id=request_id, **values | changed)


def suspend(request_id: str = "suspend-1", **changed: Any) -> pb.SuspendAccountRequest:
    """Suspends the account."""
    values: dict[str, Any] = {"account_id": ACCOUNT, "reason": "fraud", "occurred_at": AT}
    return pb.SuspendAccountRequest(request_id=request_id, **values | changed)


def resume(request_id: str = "resume-1", **changed: Any) -> pb.ResumeAccountRequest:
    """Resumes the account."""
    values: dict[str, Any] = {"account_id": ACCOUNT, "reason": "cleared", "occurred_at": AT}
    return pb.ResumeAccountRequest(request_id=request_id, **values | changed)


def issue_due(as_of: Timestamp, request_id: str = "due-1") -> pb.IssueDueBillsRequest:
    """Issues the bills that waited."""
    return pb.IssueDueBillsRequest(request_id=request_id, as_of=as_of)


def chase(as_of: Timestamp, request_id: str = "chase-1") -> pb.RunOverdueStepsRequest:
    """Does what is due about bills that nobody paid."""
    return pb.RunOverdueStepsRequest(request_id=request_id, as_of=as_of)


def refresh(as_of: Timestamp, request_id: str = "refresh-1") -> pb.RefreshThresholdsRequest:
    """Works out the thresholds of a day."""
    return pb.RefreshThresholdsRequest(request_id=request_id, as_of=as_of)


def operator(served: Serving) -> Calls:
    """A caller who may do everything, timed work too."""
    return Calls(served, "billing.write", "billing.read", "billing.charge", "billing.admin", "billing.jobs")


async def crossed(served: Serving, **plan: Any) -> tuple[Calls, billing_pb2.Bill]:
    """The account on a plan, with 100 yuan of which 60 are charged; and its bill."""
    calls = operator(served)
    await calls.bills.PutBillPlan(put_plan(**plan))
    await calls.accounts.OpenAccount(opened())
    await calls.accounts.Recharge(recharged())
    reply = await calls.charging.Charge(charged(amount=cny(60_00)))
    return calls, reply.bill


def at(instant: datetime) -> Timestamp:
    """An instant on the wire."""
    return to_proto(instant)
