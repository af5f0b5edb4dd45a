"""Benefits over real gRPC: entitlements in one call or many, the two phases of a use, grants, and who may ask."""

import asyncio
from datetime import timedelta
from typing import Any

from chassis import clock
from chassis.ids import new_id
from chassis.testing.serving import Serving
from chassis.times import to_proto
from touchstone.member.v1 import benefit_pb2
from touchstone.member.v1 import benefit_service_pb2 as pb
from touchstone.member.v1 import membership_service_pb2 as membership_pb

from services.member.tests.calls import Stubs, become_member, refused
from services.member.tests.factories import JANUARY, day, told

YEARLY = benefit_pb2.QuotaBenefit(period=benefit_pb2.BENEFIT_PERIOD_YEAR, uses=2)
LOUNGE = benefit_pb2.Benefit(benefit_id="lounge", display_name="Lounge", quota=YEARLY)
TV_OFF = benefit_pb2.Benefit(
    benefit_id="tv-off", display_name="TV", discount=benefit_pb2.DiscountBenefit(product_family="tv", basis_points=500)
)


def grant_request(customer_id: str = "c-1", **changes: Any) -> pb.GrantBenefitRequest:
    """A request that grants lounge visits for the year."""
    values: dict[str, Any] = {
        "request_id": new_id(),
        "benefit": LOUNGE,
        "starts_at": to_proto(JANUARY),
        "ends_at": to_proto(day(365)),
        "reason": "a long outage",
    }
    return pb.GrantBenefitRequest(customer_id=customer_id, **values | changes)


def use_request(kind: Any = pb.UseBenefitRequest, customer_id: str = "c-1", **changes: Any) -> Any:
    """A request that uses a lounge visit, or reserves one."""
    values: dict[str, Any] = {"request_id": new_id(), "benefit_id": "lounge", "occurred_at": to_proto(day(1))}
    if kind is pb.ReserveBenefitRequest:
        values["expires_at"] = to_proto(day(2))
    return kind(customer_id=customer_id, **values | changes)


async def entitlements(boss: Stubs, customer_id: str = "c-1", number: int = 1) -> benefit_pb2.Entitlements:
    """What a customer is entitled to on a day."""
    asked = pb.GetEntitlementsRequest(customer_id=customer_id, as_of=to_proto(day(number)))
    reply: pb.GetEntitlementsResponse = await boss.benefits.GetEntitlements(asked)
    return reply.entitlements


async def give_to_standard(boss: Stubs, *benefits: benefit_pb2.Benefit) -> None:
    """The first tier of the ready-made program has these benefits from now on."""
    program = (await boss.memberships.GetProgram(membership_pb.GetProgramRequest())).program
    tier = next(tier for tier in program.tiers if tier.tier_id == "standard")
    del tier.benefits[:]
    tier.benefits.extend(benefits)
    await boss.memberships.PutProgram(membership_pb.PutProgramRequest(request_id=new_id(), program=program))


async def test_benefits_of_a_program_reach_its_members_in_rounds(served: Serving, boss: Stubs) -> None:
    await become_member(boss)
    assert not (await entitlements(boss)).discounts
    await give_to_standard(boss, TV_OFF, LOUNGE)
    request = pb.RefreshEntitlementsRequest(request_id="refresh")
    assert (await boss.benefits.RefreshEntitlements(request)).customers == 1
    assert (await boss.benefits.RefreshEntitlements(request)).customers == 1, "a repeat has the first answer"
    found = await entitlements(boss)
    assert [(rate.product_family, rate.rate) for rate in found.discounts] == [("tv", 500)]
    assert [(quota.allowed, quota.available) for quota in found.quotas] == [(2, 2)]
    assert found.revision == 2
    assert await told(served.work, "EntitlementsChanged") == 2


async def test_a_visit_is_reserved_confirmed_and_told(served: Serving, boss: Stubs) -> None:
    await become_member(boss)
    granted = (await boss.benefits.GrantBenefit(grant_request())).grant
    use = (await boss.benefits.ReserveBenefit(use_request(pb.ReserveBenefitRequest, note="gate 7"))).use
    assert (use.source_id, use.state) == (granted.grant_id, benefit_pb2.BENEFIT_USE_STATE_RESERVED)
    end = {"customer_id": "c-1", "use_id": use.use_id, "occurred_at": to_proto(day(1))}
    confirm = pb.ConfirmBenefitRequest(request_id="confirm", **end)
    assert (await boss.benefits.ConfirmBenefit(confirm)).use.state == benefit_pb2.BENEFIT_USE_STATE_USED
    assert (await boss.benefits.ConfirmBenefit(confirm)).use.state == benefit_pb2.BENEFIT_USE_STATE_USED
    release = pb.ReleaseBenefitRequest(request_id="release", **end)
    assert (await refused(boss, "ReleaseBenefit", release)).reason == "BENEFIT_USE_ENDED"
    again = (await boss.benefits.ReserveBenefit(use_request(pb.ReserveBenefitRequest))).use
    release = pb.ReleaseBenefitRequest(
        request_id="release", customer_id="c-1", use_id=again.use_id, occurred_at=to_proto(day(1))
    )
    assert (await boss.benefits.ReleaseBenefit(release)).use.state == benefit_pb2.BENEFIT_USE_STATE_RELEASED
    await boss.benefits.UseBenefit(use_request())
    assert (await refused(boss, "UseBenefit", use_request())).reason == "BENEFIT_USED_UP"
    page = await boss.benefits.ListBenefitUses(pb.ListBenefitUsesRequest(customer_id="c-1", page_size=2))
    rest = await boss.benefits.ListBenefitUses(
        pb.ListBenefitUsesRequest(customer_id="c-1", benefit_id="lounge", page_token=page.next_page_token)
    )
    assert [use.note for use in (*page.uses, *rest.uses)] == ["", "", "gate 7"]


async def test_reservations_expire_by_themselves_and_by_call(boss: Stubs) -> None:
    await become_member(boss)
    await boss.benefits.GrantBenefit(grant_request())
    await boss.benefits.ReserveBenefit(use_request(pb.ReserveBenefitRequest))
    assert [(await entitlements(boss, number=number)).quotas[0].reserved for number in (1, 2)] == [1, 0]
    expire = pb.ExpireBenefitReservationsRequest(request_id="expire", as_of=to_proto(day(2)))
    assert (await boss.benefits.ExpireBenefitReservations(expire)).expired == 1
    (use,) = (await boss.benefits.ListBenefitUses(pb.ListBenefitUsesRequest(customer_id="c-1"))).uses
    assert (use.state, use.ended_at) == (benefit_pb2.BENEFIT_USE_STATE_EXPIRED, to_proto(day(2)))


async def test_a_grant_says_who_gave_and_took_it_and_why(served: Serving, boss: Stubs) -> None:
    await become_member(boss)
    granted = (await boss.benefits.GrantBenefit(grant_request())).grant
    revoke = pb.RevokeBenefitRequest(
        request_id="revoke",
        customer_id="c-1",
        grant_id=granted.grant_id,
        occurred_at=to_proto(day(3)),
        reason="a slip",
    )
    revoked = (await boss.benefits.RevokeBenefit(revoke)).grant
    assert granted.granted_by == revoked.revoked_by != ""
    assert (revoked.reason, revoked.revoke_reason) == ("a long outage", "a slip")
    listed = await boss.benefits.ListBenefitGrants(pb.ListBenefitGrantsRequest(customer_id="c-1"))
    assert list(listed.grants) == [revoked]


async def test_a_batch_tells_each_customer_or_why_not(boss: Stubs) -> None:
    await become_member(boss)
    asked = [pb.GetEntitlementsRequest(customer_id=who) for who in ("c-1", "nobody", "c 1", "\x00")]
    reply = await boss.benefits.BatchGetEntitlements(pb.BatchGetEntitlementsRequest(requests=asked))
    assert [result.WhichOneof("result") for result in reply.results] == ["response", "error", "error", "error"]
    assert reply.results[0].response.entitlements.tiers[0].tier_id == "standard"


async def test_a_member_reaches_its_own_benefits_only(served: Serving, boss: Stubs) -> None:
    await become_member(boss)
    await become_member(boss, "c-2")
    await boss.benefits.GrantBenefit(grant_request())
    member = Stubs.of(served.channel("member.read", "member.write", subject="c-1", customer_id="c-1"))
    assert (await entitlements(member)).quotas[0].available == 2
    for at in (day(1), clock.now() - timedelta(days=31), clock.now() + timedelta(days=31)):
        untimely = await refused(member, "UseBenefit", use_request(occurred_at=to_proto(at)))
        assert [each.field for each in untimely.violations] == ["occurred_at"]
    kept = (await boss.benefits.ReserveBenefit(use_request(pb.ReserveBenefitRequest))).use
    confirm = pb.ConfirmBenefitRequest(
        request_id=new_id(), customer_id="c-1", use_id=kept.use_id, occurred_at=to_proto(day(1))
    )
    assert [each.field for each in (await refused(member, "ConfirmBenefit", confirm)).violations] == ["occurred_at"]
    await boss.benefits.GrantBenefit(grant_request(ends_at=to_proto(clock.now() + timedelta(days=1))))
    await member.benefits.UseBenefit(use_request(occurred_at=to_proto(clock.now())))
    for name, request in (
        ("GetEntitlements", pb.GetEntitlementsRequest(customer_id="c-2")),
        ("GetEntitlements", pb.GetEntitlementsRequest(customer_id="nobody")),
        ("UseBenefit", use_request(customer_id="c-2")),
        ("ListBenefitUses", pb.ListBenefitUsesRequest(customer_id="c-2")),
        ("BatchGetEntitlements", pb.BatchGetEntitlementsRequest()),
        ("GrantBenefit", grant_request()),
    ):
        assert (await refused(member, name, request)).code.value == "PERMISSION_DENIED", name


async def test_takers_through_the_gate_win_as_often_as_the_quota_allows(boss: Stubs) -> None:
    await become_member(boss)
    await boss.benefits.GrantBenefit(grant_request())
    outcomes = await asyncio.gather(
        *(boss.benefits.UseBenefit(use_request()) for _ in range(20)), return_exceptions=True
    )
    assert sum(isinstance(outcome, pb.UseBenefitResponse) for outcome in outcomes) == 2
