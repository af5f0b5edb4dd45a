"""What a charge costs on top of the call itself: unary charges a second beside an empty method.

The charges are spread over 2,000 accounts on a bill plan; each is claimed, locked, booked, recorded and told, and the
events are published to NATS meanwhile.
"""

import itertools
from datetime import UTC, datetime
from typing import Any

import grpc
import uvloop
from billing.__main__ import PROCESS
from chassis.process import run as run_process
from chassis.times import to_proto
from touchstone.billing.v1 import account_service_pb2 as account_pb
from touchstone.billing.v1 import (
    account_service_pb2_grpc,
    bill_service_pb2_grpc,
    billing_pb2,
    charging_service_pb2_grpc,
)
from touchstone.billing.v1 import bill_service_pb2 as bill_pb
from touchstone.billing.v1 import charging_service_pb2 as charging_pb
from touchstone.common.v1.common_pb2 import Money

from benchmarks.serving import (
    IN_FLIGHT,
    Call,
    Servers,
    empty_call,
    in_turns,
    measured,
    peak_memory_mb,
    servers,
    with_empty_method,
)

ACCOUNTS = 2_000
ROUNDS = 5
ROUND_SECONDS = 4.0
TARGET = 0.2
AT = to_proto(datetime(2026, 1, 1, tzinfo=UTC))
SCOPES = ("billing.write", "billing.admin", "billing.charge")


def run() -> list[dict[str, object]]:
    """Measure on servers of their own."""
    with servers() as among:
        return [uvloop.run(_compare(among))]


async def _compare(among: Servers) -> dict[str, object]:
    async with measured(among, __file__, "billing", SCOPES) as service:
        await _prepare(service.channel)
        calls = (empty_call(service.channel), _charge_call(service.channel))
        empties, charges = await in_turns(calls, rounds=ROUNDS, seconds=ROUND_SECONDS)
        peak_mb = peak_memory_mb(service.server.pid)
    return {
        "name": "rpc.charge",
        "value": round(charges),
        "unit": "charges/s",
        "baseline": f"an empty method on the same server behind the same interceptors, {IN_FLIGHT} calls in flight",
        "baseline_value": round(empties),
        "ratio": round(charges / empties, 3),
        "target": TARGET,
        "peak_memory_mb": peak_mb,
    }


async def _prepare(channel: grpc.aio.Channel) -> None:
    """A plan, the accounts on it, and so much money on each that no bill comes between."""
    accounts: Any = account_service_pb2_grpc.AccountServiceStub(channel)
    bills: Any = bill_service_pb2_grpc.BillServiceStub(channel)
    plan = billing_pb2.BillPlan(
        plan_id="plan", display_name="Plan", threshold=_cny(50_00), target_balance=_cny(100_00), due_days=14
    )
    await bills.PutBillPlan(bill_pb.PutBillPlanRequest(request_id="plan", plan=plan))
    for first in range(0, ACCOUNTS, 1000):
        names = [f"acc-{number}" for number in range(first, first + 1000)]
        opening = [
            account_pb.OpenAccountRequest(
                request_id=name, account_id=name, customer_id=name, currency="CNY", plan_id="plan", occurred_at=AT
            )
            for name in names
        ]
        await accounts.BatchOpenAccounts(account_pb.BatchOpenAccountsRequest(requests=opening))
        recharging = [
            account_pb.RechargeRequest(request_id=name, account_id=name, amount=_cny(10**9), occurred_at=AT)
            for name in names
        ]
        reply = await accounts.BatchRecharge(account_pb.BatchRechargeRequest(requests=recharging))
        assert all(result.HasField("response") for result in reply.results)


def _charge_call(channel: grpc.aio.Channel) -> Call:
    stub: Any = charging_service_pb2_grpc.ChargingServiceStub(channel)
    numbers = itertools.count()

    async def charge() -> object:
        number = next(numbers)
        request = charging_pb.ChargeRequest(
            request_id=f"charge-{number}",
            account_id=f"acc-{number * 7919 % ACCOUNTS}",
            amount=_cny(100),
            description="a charge",
            occurred_at=AT,
        )
        return await stub.Charge(request)

    return charge


def _cny(minor_units: int) -> Money:
    return Money(minor_units=minor_units, currency="CNY")


if __name__ == "__main__":
    run_process(with_empty_method(PROCESS, "billing.charge"))
