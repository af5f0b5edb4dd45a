"""Calls over real gRPC: twins, batches, pages, members' own tokens, and bad input that names its field."""

import asyncio
from datetime import timedelta

import grpc
import pytest
from chassis import clock
from chassis.errors import Code
from chassis.ids import new_id
from chassis.rpc.errors import from_status, remote_refusal
from chassis.testing.serving import DATED_LONG_AGO, Serving
from chassis.times import to_proto
from touchstone.member.v1 import customer_service_pb2 as customer_pb
from touchstone.member.v1 import membership_service_pb2 as membership_pb
from touchstone.member.v1 import points_service_pb2 as points_pb

from services.member.tests.calls import SCOPES, Stubs, become_member, fields, refused
from services.member.tests.factories import (
    customer_message,
    day,
    earn_request,
    enrol_request,
    hold_request,
    scalar,
    told,
    upsert_request,
)


async def test_a_customer_is_put_read_and_reached(boss: Stubs) -> None:
    put = await boss.customers.UpsertCustomer(upsert_request())
    assert (put.created, put.customer.revision) == (True, 1)
    read = await boss.customers.GetCustomer(customer_pb.GetCustomerRequest(customer_id="c-1"))
    assert read.customer == customer_message(revision=1)
    address = await boss.customers.GetContactAddress(customer_pb.GetContactAddressRequest(customer_id="c-1"))
    assert (address.display_name, address.phone, address.email) == (
        "Wang Fang",
        "+8613800138000",
        "fang@example.com",
    )


async def test_customers_are_listed_page_by_page(boss: Stubs) -> None:
    ids = [f"c-{number}" for number in range(5)]
    await boss.customers.BatchUpsertCustomers(
        customer_pb.BatchUpsertCustomersRequest(requests=[upsert_request(each) for each in ids])
    )
    seen, token = [], ""
    while True:
        page = await boss.customers.ListCustomers(customer_pb.ListCustomersRequest(page_size=2, page_token=token))
        seen.append([each.customer_id for each in page.customers])
        if not (token := page.next_page_token):
            break
    assert seen == [["c-0", "c-1"], ["c-2", "c-3"], ["c-4"]]


async def test_fifty_twins_of_an_award_are_one(served: Serving, boss: Stubs) -> None:
    await become_member(boss)
    request = earn_request(10)
    answers = await asyncio.gather(*(boss.points.EarnPoints(request) for _ in range(50)))
    assert len({answer.SerializeToString() for answer in answers}) == 1
    assert answers[0].balance.balance == 10
    assert await scalar(served.work, "SELECT count(*) FROM ledger_transactions") == 1
    assert await told(served.work, "PointsEarned") == 1
    other = points_pb.EarnPointsRequest()
    other.CopyFrom(request)
    other.points = 11
    assert (await refused(boss, "EarnPoints", other)).reason == "REQUEST_ID_REUSED"


async def test_fifty_twins_of_an_enrolment_are_one(served: Serving, boss: Stubs) -> None:
    await boss.customers.UpsertCustomer(upsert_request())
    request = enrol_request()
    answers = await asyncio.gather(*(boss.memberships.Enrol(request) for _ in range(50)))
    assert len({answer.SerializeToString() for answer in answers}) == 1
    assert await told(served.work, "MemberEnrolled") == 1
    again = await refused(boss, "Enrol", enrol_request())
    assert (again.code, again.reason) == (Code.ALREADY_EXISTS, "ALREADY_ENROLLED")


async def test_fifty_awards_at_once_lose_none(boss: Stubs) -> None:
    await become_member(boss)
    answers = await asyncio.gather(*(boss.points.EarnPoints(earn_request(10)) for _ in range(50)))
    assert sorted(answer.balance.account_version for answer in answers) == list(range(1, 51))
    assert max(answer.balance.balance for answer in answers) == 500


async def test_holds_at_once_never_take_more_than_there_is(boss: Stubs) -> None:
    await become_member(boss)
    await boss.points.EarnPoints(earn_request(100))
    calls = (boss.points.HoldPoints(hold_request(30)) for _ in range(10))
    outcomes = await asyncio.gather(*calls, return_exceptions=True)
    held = [outcome for outcome in outcomes if isinstance(outcome, points_pb.HoldPointsResponse)]
    assert len(held) == 3
    assert {remote_refusal(each).reason for each in outcomes if isinstance(each, grpc.aio.AioRpcError)} == {
        "INSUFFICIENT_BALANCE"
    }


async def test_points_are_held_confirmed_and_shown(boss: Stubs) -> None:
    await become_member(boss)
    await boss.points.EarnPoints(earn_request(100))
    hold = await boss.points.HoldPoints(hold_request(60))
    confirm = points_pb.ConfirmHoldRequest(
        request_id=new_id(), customer_id="c-1", hold_id=hold.hold_id, points=25, occurred_at=to_proto(day(2))
    )
    spent = await boss.points.ConfirmHold(confirm)
    assert spent == await boss.points.ConfirmHold(confirm)
    assert (spent.balance.balance, spent.balance.available) == (75, 75)
    listed, token = [], ""
    while True:
        page = await boss.points.ListPointsEntries(
            points_pb.ListPointsEntriesRequest(customer_id="c-1", page_size=2, page_token=token)
        )
        listed += [(each.kind, each.points, each.balance_after, each.account_version) for each in page.entries]
        if not (token := page.next_page_token):
            break
    assert listed == [("redeem", -25, 75, 3), ("hold", 0, 100, 2), ("earn_award", 100, 100, 1)]


async def test_expiry_booked_twice_answers_the_same_and_changes_once(boss: Stubs) -> None:
    ids = [f"c-{number}" for number in range(3)]
    for each in ids:
        await become_member(boss, each)
    awards = [earn_request(7, each, expires_at=to_proto(day(10))) for each in ids]
    await boss.points.BatchEarnPoints(points_pb.BatchEarnPointsRequest(requests=awards))
    request = points_pb.ExpirePointsRequest(request_id=new_id(), as_of=to_proto(day(10)))
    first = await boss.points.ExpirePoints(request)
    assert (first.accounts, first.points) == (3, 21)
    assert await boss.points.ExpirePoints(request) == first
    fresh = await boss.points.ExpirePoints(points_pb.ExpirePointsRequest(request_id=new_id(), as_of=to_proto(day(10))))
    assert (fresh.accounts, fresh.points) == (0, 0)
    other = points_pb.ExpirePointsRequest(request_id=request.request_id, as_of=to_proto(day(11)))
    assert (await refused(boss, "ExpirePoints", other)).reason == "REQUEST_ID_REUSED"


async def test_the_balance_is_told_for_the_past_and_the_future(boss: Stubs) -> None:
    await become_member(boss)
    await boss.points.EarnPoints(earn_request(100, expires_at=to_proto(day(10))))
    seen = {}
    for number in (0, 1, 9, 10):
        request = points_pb.GetPointsBalanceRequest(customer_id="c-1", as_of=to_proto(day(number)))
        seen[number] = (await boss.points.GetPointsBalance(request)).balance.balance
    assert seen == {0: 0, 1: 100, 9: 100, 10: 0}
    last = await boss.points.GetPointsBalance(points_pb.GetPointsBalanceRequest(customer_id="c-1"))
    assert last.balance.balance == 100
    assert [(each.points, each.expires_at) for each in last.expiries] == [(100, to_proto(day(10)))]


async def test_a_member_sees_what_is_missing_and_rises(boss: Stubs) -> None:
    await become_member(boss)
    await boss.points.EarnPoints(earn_request(299))
    asked = membership_pb.GetMemberRequest(customer_id="c-1", as_of=to_proto(day(2)))
    before = (await boss.memberships.GetMember(asked)).member
    assert (before.tier.tier_id, before.qualifying_points, before.points_to_next_tier) == ("standard", 299, 1)
    assert before.next_tier.tier_id == "silver"
    await boss.points.EarnPoints(earn_request(1))
    request = membership_pb.EvaluateTiersRequest(request_id=new_id(), as_of=to_proto(day(3)))
    done = await boss.memberships.EvaluateTiers(request)
    assert (done.evaluated, done.upgraded, done.downgraded) == (1, 1, 0)
    assert await boss.memberships.EvaluateTiers(request) == done
    after = (await boss.memberships.GetMember(asked)).member
    assert (after.tier.tier_id, after.tier_since, after.revision) == ("silver", to_proto(day(3)), 2)
    counts = await boss.memberships.CountMembers(membership_pb.CountMembersRequest())
    assert [(each.tier_id, each.members) for each in counts.tiers] == [("standard", 0), ("silver", 1), ("gold", 0)]


async def test_every_item_of_a_batch_has_its_outcome(served: Serving, boss: Stubs) -> None:
    await become_member(boss)
    twin = earn_request(5)
    items = [twin, earn_request(-1), earn_request(5, "nobody"), twin, earn_request(7, request_id="")]
    reply = await boss.points.BatchEarnPoints(points_pb.BatchEarnPointsRequest(requests=items))
    assert reply.results[0] == reply.results[3]
    assert reply.results[0].response.balance.balance == 5
    refusals = [from_status(reply.results[place].error) for place in (1, 2, 4)]
    assert [(each.reason, fields(each)) for each in refusals] == [
        ("INVALID_ARGUMENT", ["points"]),
        ("MEMBER_NOT_FOUND", []),
        ("INVALID_ARGUMENT", ["request_id"]),
    ]
    assert await told(served.work, "PointsEarned") == 1


async def test_a_batch_of_enrolments_has_its_outcomes(boss: Stubs) -> None:
    await become_member(boss)
    await boss.customers.UpsertCustomer(upsert_request("c-2"))
    items = [enrol_request("c-1"), enrol_request("c-2"), enrol_request("c-3"), enrol_request("c-2", program_id="x")]
    reply = await boss.memberships.BatchEnrol(membership_pb.BatchEnrolRequest(requests=items))
    assert reply.results[1].response.member.customer_id == "c-2"
    reasons = [from_status(reply.results[place].error).reason for place in (0, 2, 3)]
    assert reasons == ["ALREADY_ENROLLED", "CUSTOMER_NOT_FOUND", "PROGRAM_NOT_FOUND"]


@pytest.mark.parametrize("settings", [DATED_LONG_AGO])
async def test_a_member_reaches_the_own_data_only(served: Serving, boss: Stubs) -> None:
    await become_member(boss, "c-1")
    await become_member(boss, "c-2")
    await boss.points.EarnPoints(earn_request(100, "c-2"))
    hold = await boss.points.HoldPoints(hold_request(10, "c-2"))
    app = Stubs.of(served.channel(*SCOPES, subject="app", customer_id="c-1"))
    own = await app.memberships.GetMember(membership_pb.GetMemberRequest(customer_id="c-1"))
    assert own.member.customer_id == "c-1"
    for name, request in [
        ("GetCustomer", customer_pb.GetCustomerRequest(customer_id="c-2")),
        ("GetMember", membership_pb.GetMemberRequest(customer_id="c-2")),
        ("GetMember", membership_pb.GetMemberRequest(customer_id="nobody")),
        ("GetPointsBalance", points_pb.GetPointsBalanceRequest(customer_id="c-2")),
        ("ListPointsEntries", points_pb.ListPointsEntriesRequest(customer_id="c-2")),
        ("HoldPoints", hold_request(1, "c-2")),
        ("ListCustomers", customer_pb.ListCustomersRequest()),
        ("EarnPoints", earn_request(5)),
    ]:
        assert (await refused(app, name, request)).reason == "NOT_YOUR_CUSTOMER", name
    steal = points_pb.ConfirmHoldRequest(
        request_id=new_id(), customer_id="c-1", hold_id=hold.hold_id, occurred_at=to_proto(day(2))
    )
    assert (await refused(app, "ConfirmHold", steal)).reason == "HOLD_NOT_FOUND"


async def test_a_member_does_not_choose_since_when_it_is_one(served: Serving, boss: Stubs) -> None:
    await boss.customers.UpsertCustomer(upsert_request())
    app = Stubs.of(served.channel(*SCOPES, subject="app", customer_id="c-1"))
    for at in (day(1), clock.now() + timedelta(days=1)):
        untimely = await refused(app, "Enrol", enrol_request(occurred_at=to_proto(at)))
        assert [each.field for each in untimely.violations] == ["occurred_at"]
    await app.memberships.Enrol(enrol_request(occurred_at=to_proto(clock.now())))


async def test_a_method_asks_for_its_scope(served: Serving) -> None:
    reader = Stubs.of(served.channel("member.read"))
    for name, request in [
        ("UpsertCustomer", upsert_request()),
        ("GetContactAddress", customer_pb.GetContactAddressRequest(customer_id="c-1")),
        ("EarnPoints", earn_request(5)),
        ("EvaluateTiers", membership_pb.EvaluateTiersRequest()),
        ("PutProgram", membership_pb.PutProgramRequest()),
    ]:
        assert (await refused(reader, name, request)).reason == "SCOPE_MISSING", name


async def test_the_operators_proof_holds_and_says_what_was_looked_at(served: Serving, boss: Stubs) -> None:
    from touchstone.common.v1 import operations_service_pb2

    await become_member(boss)
    await boss.points.EarnPoints(earn_request(100))
    proof = await served.operations.Prove(operations_service_pb2.ProveRequest())
    assert proof.holds
    assert [check.claim for check in proof.checks if check.claim.startswith("points: ")]
    assert all(check.examined > 0 for check in proof.checks if check.claim.startswith(("points: ", "ledger")))
