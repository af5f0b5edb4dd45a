"""Requests as BOSS and the gateway send them, each with what does not matter already filled in."""

from typing import Any

import grpc
import pytest
from chassis.rpc.errors import RemoteRefusal, remote_refusal
from chassis.testing.serving import Serving
from chassis.times import to_proto
from google.protobuf.message import Message
from touchstone.billing.v1 import account_service_pb2 as account_pb
from touchstone.billing.v1 import account_service_pb2_grpc as account_grpc
from touchstone.billing.v1 import bill_service_pb2 as bill_pb
from touchstone.billing.v1 import bill_service_pb2_grpc as bill_grpc
from touchstone.billing.v1 import billing_pb2
from touchstone.billing.v1 import charging_service_pb2 as charging_pb
from touchstone.billing.v1 import charging_service_pb2_grpc as charging_grpc
from touchstone.billing.v1 import notice_service_pb2_grpc as notice_grpc
from touchstone.billing.v1 import payment_service_pb2_grpc as payment_grpc
from touchstone.billing.v1 import proof_service_pb2_grpc as proof_grpc
from touchstone.billing.v1 import top_up_service_pb2_grpc as top_up_grpc
from touchstone.billing.v1 import usage_service_pb2_grpc as usage_grpc
from touchstone.common.v1.common_pb2 import Money

from services.billing.tests.factories import ACCOUNT, CUSTOMER, OCCURRED_AT, PLAN

AT = to_proto(OCCURRED_AT)


def cny(minor_units: int) -> Money:
    """Yuan, in fen."""
    return Money(minor_units=minor_units, currency="CNY")


def plan(**changed: Any) -> billing_pb2.BillPlan:
    """The basic plan: a bill below 50 yuan, up to 100."""
    values: dict[str, Any] = {
        "plan_id": PLAN,
        "display_name": "Basic",
        "threshold": cny(50_00),
        "target_balance": cny(100_00),
        "due_days": 14,
    }
    return billing_pb2.BillPlan(**values | changed)


def put_plan(request_id: str = "put-1", **changed: Any) -> bill_pb.PutBillPlanRequest:
    """Puts the basic plan."""
    return bill_pb.PutBillPlanRequest(request_id=request_id, plan=plan(**changed))


def opened(request_id: str = "open-1", **changed: Any) -> account_pb.OpenAccountRequest:
    """Opens the account on the basic plan."""
    values: dict[str, Any] = {"account_id": ACCOUNT, "customer_id": CUSTOMER, "currency": "CNY", "plan_id": PLAN}
    return account_pb.OpenAccountRequest(request_id=request_id, **{"occurred_at": AT} | values | changed)


def recharged(request_id: str = "recharge-1", **changed: Any) -> account_pb.RechargeRequest:
    """Puts 100 yuan into the account."""
    values: dict[str, Any] = {"account_id": ACCOUNT, "amount": cny(100_00), "channel": "counter", "occurred_at": AT}
    return account_pb.RechargeRequest(request_id=request_id, **values | changed)


def charged(request_id: str = "charge-1", **changed: Any) -> charging_pb.ChargeRequest:
    """Takes 10 yuan from the account."""
    values: dict[str, Any] = {"account_id": ACCOUNT, "amount": cny(10_00), "description": "TV", "occurred_at": AT}
    return charging_pb.ChargeRequest(request_id=request_id, **values | changed)


def adjusted(request_id: str = "adjust-1", **changed: Any) -> account_pb.AdjustBalanceRequest:
    """Takes 1 yuan from the account as a correction."""
    values: dict[str, Any] = {"account_id": ACCOUNT, "amount": cny(-1_00), "reason": "typed twice", "occurred_at": AT}
    return account_pb.AdjustBalanceRequest(request_id=request_id, **values | changed)


def set_plan(request_id: str = "set-1", **changed: Any) -> bill_pb.SetAccountPlanRequest:
    """Hangs the account on the basic plan."""
    values: dict[str, Any] = {"account_id": ACCOUNT, "plan_id": PLAN, "occurred_at": AT}
    return bill_pb.SetAccountPlanRequest(request_id=request_id, **values | changed)


def paid(request_id: str = "pay-1", **changed: Any) -> bill_pb.PayBillRequest:
    """Pays a bill."""
    values: dict[str, Any] = {"bill_id": "missing", "channel": "app", "occurred_at": AT}
    return bill_pb.PayBillRequest(request_id=request_id, **values | changed)


class Calls:
    """Stubs of the services for one caller."""

    def __init__(self, served: Serving, *scopes: str, subject: str = "boss", customer_id: str | None = None) -> None:
        channel = served.channel(*scopes, subject=subject, customer_id=customer_id)
        self.accounts: Any = account_grpc.AccountServiceStub(channel)
        self.charging: Any = charging_grpc.ChargingServiceStub(channel)
        self.bills: Any = bill_grpc.BillServiceStub(channel)
        self.usage: Any = usage_grpc.UsageServiceStub(channel)
        self.payments: Any = payment_grpc.PaymentServiceStub(channel)
        self.top_ups: Any = top_up_grpc.TopUpServiceStub(channel)
        self.notices: Any = notice_grpc.NoticeServiceStub(channel)
        self.proof: Any = proof_grpc.ProofServiceStub(channel)

    def method(self, name: str) -> Any:
        """The method with this name, in whichever service."""
        return next(getattr(stub, name) for stub in vars(self).values() if hasattr(stub, name))


def boss(served: Serving) -> Calls:
    """A caller who may do everything."""
    return Calls(served, "billing.write", "billing.read", "billing.charge", "billing.admin")


def member(served: Serving, customer_id: str = CUSTOMER) -> Calls:
    """A member with a channel app."""
    return Calls(served, "billing.read", "billing.recharge", subject=customer_id, customer_id=customer_id)


async def refused(method: Any, request: Message) -> RemoteRefusal:
    """What the call is refused with."""
    with pytest.raises(grpc.RpcError) as failed:
        await method(request)
    return remote_refusal(failed.value)


def fields(refusal: RemoteRefusal) -> list[str]:
    """The fields that a refusal names."""
    return [violation.field for violation in refusal.violations]
