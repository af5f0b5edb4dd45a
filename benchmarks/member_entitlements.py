"""What it costs to tell what a customer is entitled to, beside an empty method.

10,000 customers are members of the ready-made program with benefits of every kind on its tiers; each call asks for
another one, and is answered from the customer's one row. 64 calls are in flight through real gRPC.
"""

import itertools
from typing import Any

import grpc
import uvloop
from chassis.process import run as run_process
from member.__main__ import PROCESS
from touchstone.member.v1 import benefit_pb2, member_pb2
from touchstone.member.v1 import benefit_service_pb2 as pb
from touchstone.member.v1 import benefit_service_pb2_grpc as benefit_grpc
from touchstone.member.v1 import membership_service_pb2 as membership_pb
from touchstone.member.v1 import membership_service_pb2_grpc as membership_grpc

from benchmarks.member_points import AT, enrol
from benchmarks.serving import Call, Servers, measured, servers, with_empty_method
from benchmarks.serving.beside import Wanted, beside_empty_method

CUSTOMERS = 10_000
ROUNDS = 5
ROUND_SECONDS = 4.0
SCOPES = ("member.read", "member.write", "member.admin")

BENEFITS = [
    benefit_pb2.Benefit(
        benefit_id="tv", display_name="TV", discount=benefit_pb2.DiscountBenefit(product_family="tv", basis_points=500)
    ),
    benefit_pb2.Benefit(
        benefit_id="bonus", display_name="Bonus", earn_rate=benefit_pb2.EarnRateBenefit(multiplier_percent=150)
    ),
    benefit_pb2.Benefit(
        benefit_id="queue", display_name="Hotline", service_priority=benefit_pb2.PriorityBenefit(level=3)
    ),
    benefit_pb2.Benefit(
        benefit_id="lounge",
        display_name="Lounge",
        quota=benefit_pb2.QuotaBenefit(period=benefit_pb2.BENEFIT_PERIOD_YEAR, uses=4),
    ),
    benefit_pb2.Benefit(benefit_id="cake", display_name="Cake", perk=benefit_pb2.PerkBenefit(text="A birthday cake")),
]


def run() -> list[dict[str, object]]:
    """Measure on servers of their own."""
    with servers() as among:
        return uvloop.run(_compare(among))


async def _compare(among: Servers) -> list[dict[str, object]]:
    async with measured(among, __file__, "member", SCOPES) as service:
        await _give_benefits(service.channel)
        await enrol(service.channel, CUSTOMERS)
        wanted = Wanted("member.entitlements", await _entitlements_call(service.channel), 0.5)
        return await beside_empty_method(service, [wanted], rounds=ROUNDS, seconds=ROUND_SECONDS)


async def _give_benefits(channel: grpc.aio.Channel) -> None:
    """The ready-made program with benefits on every tier."""
    stub: Any = membership_grpc.MembershipServiceStub(channel)
    program: member_pb2.Program = (await stub.GetProgram(membership_pb.GetProgramRequest())).program
    for tier in program.tiers:
        tier.benefits.extend(BENEFITS)
    await stub.PutProgram(membership_pb.PutProgramRequest(request_id="benefits", program=program))


async def _entitlements_call(channel: grpc.aio.Channel) -> Call:
    """Asks for one customer after the other, far from each other."""
    stub: Any = benefit_grpc.BenefitServiceStub(channel)
    numbers = itertools.count()

    async def get() -> pb.GetEntitlementsResponse:
        number = next(numbers) * 7919 % CUSTOMERS
        reply: pb.GetEntitlementsResponse = await stub.GetEntitlements(
            pb.GetEntitlementsRequest(customer_id=f"c-{number}", as_of=AT)
        )
        return reply

    assert len((await get()).entitlements.quotas) == 1
    return get


if __name__ == "__main__":
    run_process(with_empty_method(PROCESS, "member.read"))
