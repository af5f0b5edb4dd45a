"""What a call costs among 1,000,000 members, beside the same call among 10,000.

Two member services run side by side, each on a database of its own in one server: the one is loaded with a hundred
times as many members as the other, each with as many points entries. The same calls, on members chosen evenly over all
of them, are made to the one and the other in turns. The figure is that of the call which loses most.
"""

import itertools
from collections.abc import Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from typing import Any

import uvloop
from chassis.process import run as run_process
from chassis.times import to_proto
from member.__main__ import PROCESS
from touchstone.member.v1 import membership_service_pb2 as membership_pb
from touchstone.member.v1 import membership_service_pb2_grpc as membership_grpc
from touchstone.member.v1 import points_service_pb2 as pb
from touchstone.member.v1 import points_service_pb2_grpc as points_grpc

from benchmarks.member_loading import load_members
from benchmarks.serving import (
    Call,
    Measured,
    Servers,
    in_turns,
    measured,
    peak_memory_mb,
    servers,
    with_empty_method,
)

FEW, MANY = 10_000, 1_000_000
EARNINGS = 2
ROUNDS = 3
ROUND_SECONDS = 4.0
# 1.3 times the cost is 1 / 1.3 of the rate.
TARGET = 0.769
AT = to_proto(datetime(2026, 1, 1, tzinfo=UTC))
SCOPES = ("member.read", "points.write")
# A step that shares no factor with either count, so that every member is met before one is met again.
_STEP = 7919

Asking = Callable[[Any, Any, str, int], Any]


def run() -> list[dict[str, object]]:
    """Measure on servers of their own."""
    with servers() as among:
        return uvloop.run(_compare(among))


async def _compare(among: Servers) -> list[dict[str, object]]:
    async with AsyncExitStack() as stack:
        services = [
            await stack.enter_async_context(measured(among, __file__, f"member_{count}", SCOPES))
            for count in (FEW, MANY)
        ]
        for service, count in zip(services, (FEW, MANY), strict=True):
            await load_members(service.database_url, count, earnings=EARNINGS)
        results = [await _measure(services, name, asking) for name, asking in ASKING.items()]
    worst = min(results, key=lambda each: float(str(each["ratio"])))
    return [{**worst, "name": "member.growth", "target": TARGET}, *results]


async def _measure(services: list[Measured], name: str, asking: Asking) -> dict[str, object]:
    calls = [_call(service, asking, count) for service, count in zip(services, (FEW, MANY), strict=True)]
    few, many = await in_turns(calls, rounds=ROUNDS, seconds=ROUND_SECONDS)
    return {
        "name": f"member.growth.{name}",
        "value": round(many),
        "unit": "calls/s",
        "baseline": f"the same call ({name}) among {FEW:,} members instead of {MANY:,}",
        "baseline_value": round(few),
        "ratio": round(many / few, 3),
        "peak_memory_mb": peak_memory_mb(services[1].server.pid),
    }


def _call(service: Measured, asking: Asking, count: int) -> Call:
    memberships = membership_grpc.MembershipServiceStub(service.channel)
    points = points_grpc.PointsServiceStub(service.channel)
    numbers = itertools.count()

    async def call() -> object:
        number = next(numbers)
        return await asking(memberships, points, f"c-{1 + number * _STEP % count}", number)

    return call


async def _earn(_: Any, points: Any, customer_id: str, number: int) -> object:
    request = pb.EarnPointsRequest(
        request_id=f"earn-{number}", customer_id=customer_id, points=10, reason="survey", occurred_at=AT
    )
    return await points.EarnPoints(request)


async def _member(memberships: Any, _: Any, customer_id: str, __: int) -> object:
    return await memberships.GetMember(membership_pb.GetMemberRequest(customer_id=customer_id, as_of=AT))


async def _balance(_: Any, points: Any, customer_id: str, __: int) -> object:
    return await points.GetPointsBalance(pb.GetPointsBalanceRequest(customer_id=customer_id, as_of=AT))


async def _entries(_: Any, points: Any, customer_id: str, __: int) -> object:
    return await points.ListPointsEntries(pb.ListPointsEntriesRequest(customer_id=customer_id))


ASKING: dict[str, Asking] = {"earn": _earn, "member": _member, "balance": _balance, "entries": _entries}

if __name__ == "__main__":
    run_process(with_empty_method(PROCESS, "points.write"))
