"""What giving points costs: by batches beside the very statements, and one by one beside an empty method.

Members are spread over 2,000 customers; every item has its claim, its posting, its reply and its event, and the events
are published to NATS meanwhile. The statements of a batch are written down while the service carries one out, and
pgbench runs them between BEGIN and COMMIT with other names and numbers on accounts of its own.
"""

import asyncio
import itertools
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import grpc
import uvloop
from chassis.process import run as run_process
from chassis.times import to_proto
from member.__main__ import PROCESS
from touchstone.member.v1 import customer_service_pb2 as customer_pb
from touchstone.member.v1 import customer_service_pb2_grpc as customer_grpc
from touchstone.member.v1 import member_pb2
from touchstone.member.v1 import membership_service_pb2 as membership_pb
from touchstone.member.v1 import membership_service_pb2_grpc as membership_grpc
from touchstone.member.v1 import points_service_pb2 as pb
from touchstone.member.v1 import points_service_pb2_grpc as points_grpc

from benchmarks.serving import (
    IN_FLIGHT,
    Call,
    Measured,
    Servers,
    empty_call,
    in_turns,
    measured,
    peak_memory_mb,
    servers,
    with_empty_method,
)

CUSTOMERS = 2_000
BATCH = 100
ROUNDS = 5
ROUND_SECONDS = 4.0
AT = to_proto(datetime(2026, 1, 1, tzinfo=UTC))
SCOPES = ("member.write", "member.read", "points.write")


def run() -> list[dict[str, object]]:
    """Measure on servers of their own."""
    with servers() as among:
        return uvloop.run(_compare(among))


async def _compare(among: Servers) -> list[dict[str, object]]:
    async with measured(among, __file__, "member", SCOPES) as service:
        await enrol(service.channel, CUSTOMERS)
        calls = (empty_call(service.channel), earn_call(service.channel))
        empties, earned = await in_turns(calls, rounds=ROUNDS, seconds=ROUND_SECONDS)
        return [
            {
                "name": "member.points.unary64",
                "value": round(earned),
                "unit": "calls/s",
                "baseline": f"an empty method on the same server behind the same interceptors, {IN_FLIGHT} in flight",
                "baseline_value": round(empties),
                "ratio": round(earned / empties, 3),
                "target": 0.5,
                "peak_memory_mb": peak_memory_mb(service.server.pid),
            }
        ]


async def enrol(channel: grpc.aio.Channel, count: int) -> None:
    """Customers `c-0` … made members."""
    customers: Any = customer_grpc.CustomerServiceStub(channel)
    memberships: Any = membership_grpc.MembershipServiceStub(channel)
    for first in range(0, count, 1000):
        names = [f"c-{number}" for number in range(first, min(first + 1000, count))]
        putting = [
            customer_pb.UpsertCustomerRequest(
                request_id=name,
                customer=member_pb2.Customer(
                    customer_id=name,
                    kind=member_pb2.CUSTOMER_KIND_HOUSEHOLD,
                    display_name=name,
                    registered_at=AT,
                ),
            )
            for name in names
        ]
        await customers.BatchUpsertCustomers(customer_pb.BatchUpsertCustomersRequest(requests=putting))
        enrolling = [membership_pb.EnrolRequest(request_id=name, customer_id=name, occurred_at=AT) for name in names]
        reply = await memberships.BatchEnrol(membership_pb.BatchEnrolRequest(requests=enrolling))
        assert all(result.HasField("response") for result in reply.results)


_NUMBERS = itertools.count()


def _request() -> pb.EarnPointsRequest:
    number = next(_NUMBERS)
    customer = number * 7919 % CUSTOMERS
    return pb.EarnPointsRequest(
        request_id=f"earn-{number}", customer_id=f"c-{customer}", points=10, reason="survey", occurred_at=AT
    )


def earn_call(channel: grpc.aio.Channel) -> Call:
    """Points for one member."""
    stub: Any = points_grpc.PointsServiceStub(channel)

    async def earn() -> object:
        return await stub.EarnPoints(_request())

    return earn


def batch_call(channel: grpc.aio.Channel) -> Call:
    """Points for a hundred."""
    stub: Any = points_grpc.PointsServiceStub(channel)

    async def earn() -> object:
        reply = await stub.BatchEarnPoints(pb.BatchEarnPointsRequest(requests=[_request() for _ in range(BATCH)]))
        assert all(result.HasField("response") for result in reply.results)
        return reply

    return earn


if __name__ == "__main__":
    run_process(with_empty_method(PROCESS, "points.write"))
