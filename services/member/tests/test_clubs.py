"""Clubs on the real database: who may join, places under races, terms, fees, and the grace after a lost tier."""

import asyncio
from datetime import timedelta

import pytest
from chassis.errors import InvalidArgument
from chassis.work import Work
from ledger import InsufficientBalance
from member.domain.club import (
    AlreadyInClub,
    ClubClosed,
    ClubFull,
    ClubMembershipNotFound,
    ClubNotFound,
    ClubState,
    ClubTenureTooShort,
    ClubTierTooLow,
    EndReason,
    NotApplied,
)
from member.domain.membership import MemberNotFound
from member.domain.program import TierId
from member.use_cases.club_terms import check_tiers

from services.member.tests.club_factories import CALENDAR, approve, club, join, leave, put_club, refuse, review
from services.member.tests.factories import award, awarded, customer, day, enrolled, rows, scalar, told
from services.member.tests.steps import balance, evaluate, prove

SILVER = TierId("silver")


async def silver(work: Work, *ids: str, points: int = 300) -> None:
    """Members with so many points, silver from day 1 on."""
    await enrolled(work, *ids)
    await awarded(work, *(award(points, at=day(1), customer_id=each) for each in ids))
    await evaluate(work, 1)


async def moved(work: Work) -> None:
    """Every member's clubs looked at, as the event of a moved tier would."""
    ids = [row[0] for row in await rows(work, "SELECT member_id FROM members")]
    await work.run(lambda transaction: check_tiers(transaction, ids))


async def test_a_club_is_put_noted_and_left_alone_when_nothing_changes(work: Work) -> None:
    assert (await put_club(work, club())).revision == 1
    assert (await put_club(work, club())).revision == 1
    assert (await put_club(work, club(capacity=5))).revision == 2
    assert await rows(work, "SELECT kind, document_id, revision, put_by FROM catalogue_changes ORDER BY revision") == [
        ("clubs", "golf", 1, "boss"),
        ("clubs", "golf", 2, "boss"),
    ]
    with pytest.raises(InvalidArgument):
        await put_club(work, club(least_tier_id=TierId("none")))


async def test_who_meets_the_rules_joins_and_no_other(work: Work) -> None:
    await silver(work, "c-1")
    await enrolled(work, "c-2")
    await put_club(work, club(least_tier_id=SILVER, least_tenure_days=20))
    with pytest.raises(ClubTenureTooShort):
        await join(work, on=19)
    joined = await join(work, on=20)
    assert (joined.state, joined.active_since, joined.term_ends_at, joined.revision) == (
        ClubState.ACTIVE,
        day(20),
        None,
        1,
    )
    with pytest.raises(AlreadyInClub):
        await join(work, on=21)
    with pytest.raises(ClubTierTooLow):
        await join(work, "c-2", on=20)
    with pytest.raises(MemberNotFound):
        await join(work, "nobody", on=20)
    with pytest.raises(ClubNotFound):
        await join(work, club_id="chess")
    await put_club(work, club(closed=True))
    with pytest.raises(ClubClosed):
        await join(work, "c-2", on=20)
    assert await told(work, "ClubMembershipChanged") == 1
    await prove(work)


async def test_fifty_who_want_the_last_three_places(work: Work) -> None:
    ids = [f"c-{number}" for number in range(50)]
    await enrolled(work, *ids)
    await put_club(work, club(capacity=3))
    outcomes = await asyncio.gather(*(join(work, each) for each in ids), return_exceptions=True)
    assert sorted(type(each).__name__ for each in outcomes) == ["ClubFull"] * 47 + ["ClubMembership"] * 3
    assert await scalar(work, "SELECT members FROM clubs") == 3
    await prove(work)


async def test_a_place_left_is_free_again(work: Work) -> None:
    await enrolled(work, "c-1", "c-2")
    await put_club(work, club(capacity=1))
    await join(work)
    with pytest.raises(ClubFull):
        await join(work, "c-2")
    left = await leave(work)
    assert (left.state, left.end_reason, left.ended_at) == (ClubState.ENDED, EndReason.LEFT, day(2))
    with pytest.raises(ClubMembershipNotFound):
        await leave(work)
    await join(work, "c-2", on=2)
    await prove(work)


async def test_joining_and_leaving_at_once_keeps_the_places_true(work: Work) -> None:
    ids = [f"c-{number}" for number in range(6)]
    await enrolled(work, *ids)
    await put_club(work, club(capacity=3))

    async def come_and_go(who: str) -> None:
        for number in range(3):
            try:
                await join(work, who, on=2 * number)
                await leave(work, who, on=2 * number + 1)
            except ClubFull:
                pass

    await asyncio.gather(*(come_and_go(each) for each in ids))
    assert await scalar(work, "SELECT members FROM clubs") == 0
    await prove(work)


async def test_an_application_waits_takes_no_place_and_pays_nothing(work: Work) -> None:
    await enrolled(work, "c-1", "c-2", "c-3")
    await awarded(work, award(100, at=day(1)))
    await put_club(work, club(needs_approval=True, capacity=1, fee_points=60, term_months=1))
    first, second, third = [await join(work, each) for each in ("c-1", "c-2", "c-3")]
    assert (first.state, first.active_since, await balance(work)) == (ClubState.APPLIED, None, (100, 0))
    approved = await approve(work, first)
    assert (approved.state, approved.active_since, await balance(work)) == (ClubState.ACTIVE, day(2), (40, 0))
    with pytest.raises(NotApplied):
        await approve(work, first)
    with pytest.raises(ClubFull):
        await approve(work, second)
    assert (await refuse(work, second)).state is ClubState.REFUSED
    assert (await leave(work, "c-3")).state is ClubState.ENDED
    with pytest.raises(NotApplied):
        await refuse(work, third)
    with pytest.raises(ClubFull):
        await join(work, "c-2", on=5)
    await leave(work, on=6)
    assert (await join(work, "c-2", on=7)).state is ClubState.APPLIED
    await prove(work)


async def test_who_cannot_pay_does_not_join(work: Work) -> None:
    await enrolled(work, "c-1")
    await awarded(work, award(59, at=day(1)))
    await put_club(work, club(fee_points=60))
    with pytest.raises(InsufficientBalance):
        await join(work)
    assert await scalar(work, "SELECT count(*) FROM club_memberships") == 0
    assert await scalar(work, "SELECT members FROM clubs") == 0


async def test_terms_follow_the_calendar_and_are_paid_while_points_last(work: Work) -> None:
    await enrolled(work, "c-1")
    await awarded(work, award(130, at=day(1)))
    await put_club(work, club(fee_points=60, term_months=1))
    joined = await join(work, on=30)
    start = CALENDAR.day_of(day(30))
    assert (start.month, start.day) == (1, 31)
    assert joined.term_ends_at == CALENDAR.start_of(start.replace(month=2, day=28))
    end = joined.term_ends_at
    assert end is not None
    assert await review(work, end - timedelta(microseconds=1)) == (0, 0)
    assert await review(work, end) == (1, 0)
    assert await review(work, end) == (0, 0)
    assert await rows(work, "SELECT terms, term_ends_at FROM club_memberships") == [
        (2, CALENDAR.start_of(start.replace(month=3)))
    ]
    assert await balance(work) == (10, 0)
    assert await review(work, day(400)) == (0, 1)
    ended = await rows(work, "SELECT state, end_reason, ended_at FROM club_memberships")
    assert ended == [("ended", "fee_not_paid", CALENDAR.start_of(start.replace(month=3)))]
    assert await balance(work) == (10, 0)
    await prove(work)


async def test_many_renewals_are_one_round_each_with_its_own_outcome(work: Work) -> None:
    ids = [f"c-{number}" for number in range(6)]
    await enrolled(work, *ids)
    await awarded(
        work, *(award(20 if number % 2 else 10, at=day(1), customer_id=each) for number, each in enumerate(ids))
    )
    await put_club(work, club(fee_points=10, term_months=1))
    for each in ids:
        await join(work, each)
    assert await review(work, day(40)) == (3, 3)
    assert await scalar(work, "SELECT members FROM clubs") == 3
    await prove(work)


async def test_a_term_that_is_not_renewed_ends_when_it_does(work: Work) -> None:
    await enrolled(work, "c-1", "c-2")
    await put_club(work, club(term_months=1))
    once = await join(work, renews=False)
    await join(work, "c-2")
    staying = await leave(work, "c-2", on=5, at_term_end=True)
    assert (staying.state, staying.renews) == (ClubState.ACTIVE, False)
    assert (await leave(work, "c-2", on=6, at_term_end=True)).revision == staying.revision
    assert await review(work, day(60)) == (0, 2)
    ended = await rows(work, "SELECT DISTINCT end_reason, ended_at FROM club_memberships")
    assert ended == [("term_ended", once.term_ends_at)]


async def test_a_lost_tier_ends_the_membership_after_the_grace(work: Work) -> None:
    await silver(work, "c-1")
    await put_club(work, club(least_tier_id=SILVER, grace_days=30))
    await join(work, on=2)
    await moved(work)
    assert await told(work, "ClubMembershipChanged") == 1
    await evaluate(work, 366)
    await moved(work)
    await moved(work)
    assert await rows(work, "SELECT state, lapses_at, revision FROM club_memberships") == [("active", day(396), 2)]
    assert await review(work, day(396) - timedelta(microseconds=1)) == (0, 0)
    assert await review(work, day(396)) == (0, 1)
    assert await rows(work, "SELECT end_reason, ended_at FROM club_memberships") == [("tier_lost", day(396))]
    await prove(work)


async def test_a_tier_that_comes_back_within_the_grace_ends_it(work: Work) -> None:
    await silver(work, "c-1")
    await put_club(work, club(least_tier_id=SILVER, grace_days=30))
    await join(work, on=2)
    await evaluate(work, 366)
    await moved(work)
    await awarded(work, award(300, at=day(370)))
    await evaluate(work, 370)
    assert await review(work, day(400)) == (0, 0)
    assert await rows(work, "SELECT state, lapses_at FROM club_memberships") == [("active", None)]


async def test_a_next_term_is_not_begun_by_who_lost_the_tier(work: Work) -> None:
    await silver(work, "c-1")
    await put_club(work, club(least_tier_id=SILVER, grace_days=366, term_months=13))
    joined = await join(work, on=2)
    await evaluate(work, 366)
    await moved(work)
    assert await review(work, day(500)) == (0, 1)
    assert await rows(work, "SELECT end_reason, ended_at FROM club_memberships") == [("tier_lost", joined.term_ends_at)]


async def test_a_customer_known_for_long_is_told_by_the_customer_not_by_the_membership(work: Work) -> None:
    assert customer().registered_at == day(0)
    await enrolled(work, "c-1", at=day(50))
    await put_club(work, club(least_tenure_days=40))
    assert (await join(work, on=51)).state is ClubState.ACTIVE
