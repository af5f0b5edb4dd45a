"""Members who left their program, or whose membership went into another by a merge: they earn nothing any more, their
codes tell nothing, and nobody else's turn waits for them."""

import pytest
from chassis.errors import Refusal
from chassis.ids import new_id
from chassis.testing.serving import Serving
from chassis.times import to_proto
from chassis.work import Work
from member.domain.customer import CustomerId
from member.domain.earning_rule import Conditions, Fixed, Trigger
from member.domain.kinds import EarnClass, PointsKind
from member.domain.membership import Holder, MemberId
from member.domain.points import Grant, Share
from member.domain.program import GENERAL
from member.store import points
from member.use_cases.club_terms import follow_members
from member.use_cases.memberships import LeaveProgram, give_up_late_points, leave_program
from member.use_cases.registrations import leave_activities
from touchstone.member.v1.club_service_pb2 import GetClubRequest
from touchstone.member.v1.membership_service_pb2 import LeaveRequest

from services.member.tests.activity_steps import activity, published, register
from services.member.tests.calls import Stubs, become_member
from services.member.tests.club_factories import (
    club,
    issue,
    join,
    merchant,
    put_club,
    put_merchant,
    review,
    sale,
    sell,
    take_back,
    verified,
    verify,
)
from services.member.tests.customers import merge, merging
from services.member.tests.earning import celebrate, entries, put, ripen, rule, waiting
from services.member.tests.factories import award, awarded, day, enrolled, reward, rewarded, rows, scalar, told
from services.member.tests.steps import balance, prove
from services.member.tests.test_bad_clubs import JOIN, club_request, timed
from services.member.tests.test_engagement_api import publish_request, put_activity_request, register_request

TENURE = rule(
    "year",
    Fixed(50),
    trigger=Trigger.TENURE,
    earn_class=EarnClass.EXCLUSIVE,
    conditions=Conditions(every_years=1),
)


async def gone(work: Work, who: str = "c-1", *, on: int = 5) -> None:
    """A customer that left the general program, and gave up its points."""
    command = LeaveProgram(new_id(), Holder(CustomerId(who), GENERAL), day(on), give_up_points=True)
    await work.run(lambda transaction: leave_program(transaction, command))


async def test_a_code_of_who_left_is_not_valid_and_says_nothing_of_its_member(work: Work) -> None:
    await enrolled(work, "c-1")
    await put_merchant(work, merchant())
    code = await issue(work)
    await gone(work)
    try:
        assert await verify(work, code) is None
    except Refusal as refusal:
        pytest.fail(f"the merchant is told {refusal.metadata}")


async def test_a_sale_to_who_left_since_is_settled_and_gives_no_points(work: Work) -> None:
    await enrolled(work, "c-1")
    await put_merchant(work, merchant(earn_rate_percent=100))
    verification_id = await verified(work)
    await gone(work)
    line = await sell(work, sale(verification_id, 100_00))
    assert (line.paid_minor, line.points) == (100_00, 0)
    assert await rows(work, "SELECT source FROM ledger_transactions") == []
    assert (await take_back(work, line.receipt_number)).paid_minor == -100_00


async def test_who_left_has_no_anniversaries(work: Work) -> None:
    await enrolled(work, "c-1", "c-2")
    await put(work, TENURE)
    await gone(work, on=5)
    _, points = await celebrate(work, day(400))
    assert points == 50
    assert [each[:2] for each in await entries(work)] == [("earn_tenure", 50)]
    assert await balance(work, CustomerId("c-2")) == (50, 0)


async def test_points_that_cooled_when_their_member_left_never_ripen(work: Work) -> None:
    await enrolled(work, "c-1", "c-2")
    await put(work, rule("later", Fixed(50), cooling_days=10))
    await rewarded(work, reward(100_00, at=day(2)), reward(100_00, at=day(2), customer_id="c-2"))
    await gone(work)
    assert (await ripen(work, 30)).points == 50
    assert (await ripen(work, 30)).entries == 0
    assert await balance(work, CustomerId("c-2")) == (150, 0)
    assert await scalar(work, "SELECT sum(balance)::bigint FROM ledger_accounts WHERE id LIKE 'points:%'") == 150
    await enrolled(work, "c-1", at=day(40))
    assert await waiting(work) == []
    await prove(work)


async def clubs_of(work: Work) -> list[tuple[str, str, str | None]]:
    """Every membership in a club: whose it is, its state, and why it ended."""
    found = await rows(
        work,
        "SELECT customer_id, state, end_reason FROM club_memberships JOIN members USING (member_id)"
        " ORDER BY club_membership_id",
    )
    return [(customer_id, state, reason) for customer_id, state, reason in found]


async def followed(work: Work) -> None:
    """The clubs of everybody looked at, as the events of who left would."""
    ids = [row[0] for row in await rows(work, "SELECT member_id FROM members")]
    await work.run(lambda transaction: follow_members(transaction, ids))


async def with_points(work: Work, *ids: str) -> None:
    """Members with a thousand points."""
    await enrolled(work, *ids)
    await awarded(work, *(award(1000, at=day(1), customer_id=each) for each in ids))


async def test_whoever_left_takes_no_place_in_a_club_any_more(work: Work) -> None:
    await enrolled(work, "c-1", "c-2")
    await put_club(work, club(capacity=1))
    await join(work, "c-1", on=6)
    await put_club(work, club("chess", needs_approval=True))
    await join(work, "c-1", club_id="chess")
    await gone(work, on=5)
    await followed(work)
    await followed(work)
    assert await clubs_of(work) == [("c-1", "ended", "left"), ("c-1", "ended", "left")]
    assert await scalar(work, "SELECT ended_at FROM club_memberships WHERE club_id = 'golf'") == day(6)
    await join(work, "c-2", on=7)
    await prove(work)


async def test_the_terms_of_others_go_on_when_a_member_left(work: Work) -> None:
    await with_points(work, "c-1", "c-2")
    await put_club(work, club(fee_points=10, term_months=1))
    await join(work, "c-1")
    await join(work, "c-2")
    await gone(work)
    assert await review(work, day(40)) == (1, 1)
    assert await clubs_of(work) == [("c-1", "ended", "left"), ("c-2", "active", None)]
    assert await balance(work, CustomerId("c-2")) == (980, 0)
    await prove(work)


@pytest.mark.parametrize("heard", [True, False])
async def test_a_merge_takes_club_memberships_along_once(work: Work, heard: bool) -> None:
    await with_points(work, "c-1", "c-2", "c-3")
    for each in ("golf", "chess"):
        await put_club(work, club(each, fee_points=10, term_months=1))
    await join(work, "c-1")
    await join(work, "c-2")
    await join(work, "c-3", club_id="chess")
    for merged_id in ("c-2", "c-3"):
        (outcome,) = await merge(work, merging(merged_id=merged_id, p_1=f"p-{merged_id}"))
        assert not isinstance(outcome, Refusal), outcome
    if heard:
        await followed(work)
    await review(work, day(40))
    if not heard:
        await review(work, day(70))
    assert await clubs_of(work) == [("c-1", "active", None), ("c-2", "ended", "left"), ("c-1", "active", None)]
    assert await rows(work, "SELECT club_id, members FROM clubs ORDER BY club_id") == [("chess", 1), ("golf", 1)]
    await prove(work)


async def test_leaving_is_heard_of_and_frees_the_place(served: Serving, boss: Stubs) -> None:
    await become_member(boss)
    await boss.clubs.PutClub(club_request(capacity=1))
    await boss.clubs.JoinClub(timed(JOIN, club_id="golf"))
    leaving = LeaveRequest(request_id=new_id(), customer_id="c-1", occurred_at=to_proto(day(5)))
    await boss.memberships.Leave(leaving)
    await served.settle()
    assert (await boss.clubs.GetClub(GetClubRequest(club_id="golf"))).club.members == 0
    assert await told(served.work, "ClubMembershipChanged") == 2


async def test_the_seat_of_who_left_goes_to_who_waits(work: Work) -> None:
    await enrolled(work, "c-1", "c-2", "c-3")
    await published(work, activity(capacity=1))
    seat, first, second = [await register(work, each) for each in ("c-1", "c-2", "c-3")]
    await gone(work, "c-2", on=11)
    await gone(work, on=11)
    ids = await rows(work, "SELECT member_id FROM members WHERE left_at IS NOT NULL")
    left = {MemberId(each) for (each,) in ids}
    assert await work.run(lambda transaction: leave_activities(transaction, left)) == 2
    assert await work.run(lambda transaction: leave_activities(transaction, left)) == 0
    found = await rows(work, "SELECT registration_id, state FROM activity_registrations ORDER BY sequence")
    assert found == [
        (seat.registration_id, "left"),
        (first.registration_id, "left"),
        (second.registration_id, "seated"),
    ]
    assert (await told(work, "ActivityLeft"), await told(work, "ActivitySeatGained")) == (2, 1)
    await prove(work)


async def test_points_that_arrive_just_as_a_member_leaves_are_given_up_too(work: Work) -> None:
    (member,) = await enrolled(work, "c-1")
    await gone(work)
    share = Share(member.member.member_id, 7, day(900))
    grant = Grant("late-1", PointsKind.EARN_AWARD, "late", day(5), (share,))
    await work.run(lambda t: points.post_grants(t.connection, [grant], recorded_at=t.recorded_at))
    for given_up in (7, 0):
        late = {member.member.member_id}
        assert await work.run(lambda t: give_up_late_points(t, late)) == given_up  # noqa: B023 - called at once
    assert await rows(work, "SELECT balance FROM ledger_accounts") == [(0,)]
    await prove(work)


async def test_of_leaving_the_rooms_hear_by_themselves(served: Serving, boss: Stubs) -> None:
    await become_member(boss, "c-1")
    await become_member(boss, "c-2")
    await boss.activities.PutActivity(put_activity_request(capacity=1))
    await boss.activities.PublishActivity(publish_request())
    for each in ("c-1", "c-2"):
        await boss.activities.RegisterForActivity(register_request(customer_id=each))
    leave = LeaveRequest(request_id=new_id(), customer_id="c-1", occurred_at=to_proto(day(11)), give_up_points=True)
    await boss.memberships.Leave(leave)
    await served.settle()
    states = await rows(served.work, "SELECT state FROM activity_registrations ORDER BY sequence")
    assert states == [("left",), ("seated",)]
