"""Points on the real database: earned, held, spent, expired, and told."""

import pytest
from chassis.errors import InvalidArgument
from chassis.money import Money
from chassis.paging import Page
from chassis.work import Work
from ledger import CaptureExceedsHold, HoldEnded, HoldExpired, HoldNotFound, InsufficientBalance, SourceReused
from member.domain.customer import CustomerId
from member.domain.membership import Holder, MemberNotFound
from member.domain.points import PointsKind
from member.domain.program import GENERAL, ProgramId
from member.use_cases import balances, spending
from member.use_cases.earning import AwardPoints, Booked, RewardPayment
from member.use_cases.memberships import EnrolCustomer
from member.use_cases.tiers import Evaluation

from services.member.tests.factories import (
    JANUARY,
    SILVER,
    STANDARD,
    award,
    awarded,
    day,
    enrolled,
    program,
    reward,
    rewarded,
    rows,
    scalar,
    told,
)
from services.member.tests.steps import C1, balance, confirm, enrol, evaluate, expire, hold, prove, put_program, release


async def test_a_hundred_yuan_give_a_hundred_points_and_more_after_an_upgrade_from_then_on(work: Work) -> None:
    await enrolled(work, "c-1")
    await rewarded(work, reward(300_00, at=day(1)))
    assert await balance(work) == (300, 0)
    assert await evaluate(work, 10) == Evaluation(1, 1, 0)
    late, at_once, after = (reward(100_00, at=day(number)) for number in (9, 10, 11))
    await rewarded(work, after, late, at_once)
    assert await balance(work) == (300 + 100 + 120 + 120, 0)
    await awarded(work, award(1000, at=day(12)))
    await evaluate(work, 20)
    await rewarded(work, reward(100_00, at=day(21)))
    assert await balance(work) == (640 + 1000 + 150, 0)
    await prove(work)


async def test_recharge_and_order_give_points_with_the_rule_in_words(work: Work) -> None:
    await enrolled(work, "c-1")
    await rewarded(work, reward(50_99, at=day(1)), reward(20_00, at=day(2), kind=PointsKind.EARN_ORDER))
    async with work.reading() as connection:
        entries = await balances.list_entries(connection, Holder(C1, GENERAL), Page(50, None))
    assert [(entry.kind, entry.amount, entry.balance_after) for entry in entries] == [
        ("earn_order", 20, 70),
        ("earn_recharge", 50, 50),
    ]
    assert entries[0].metadata["reason"] == "general/standard: 100 points for 100"
    assert await told(work, "PointsEarned") == 2


async def test_a_payment_gives_points_in_every_program_at_its_own_rate(work: Work) -> None:
    await enrolled(work, "c-1")
    await put_program(work, program(tiers=(SILVER.__class__(STANDARD.tier_id, "Standard", 0, 0, 50),)))
    await enrol(work, EnrolCustomer(Holder(C1, ProgramId("fans")), JANUARY))
    await rewarded(work, reward(100_00, at=day(1)))
    found = await rows(
        work,
        "SELECT program_id, balance FROM members JOIN ledger_accounts ON id = 'points:' || member_id ORDER BY 1",
    )
    assert found == [("fans", 50), ("general", 100)]
    await prove(work)


async def test_a_payment_before_the_enrolment_is_noted_and_gives_nothing(work: Work) -> None:
    await enrolled(work, "c-1", at=day(5))
    early, unknown = reward(100_00, at=day(4)), reward(100_00, at=day(6), customer_id="c-9")
    await rewarded(work, early, unknown, reward(100_00, at=day(5)))
    assert await balance(work) == (100, 0)
    noted = await rows(work, "SELECT source, customer_id, kind FROM unrewarded_payments ORDER BY customer_id")
    assert noted == [(early.source, "c-1", "earn_recharge"), (unknown.source, "c-9", "earn_recharge")]


async def test_an_order_of_nothing_gives_nothing(work: Work) -> None:
    await enrolled(work, "c-1")
    await rewarded(work, reward(0, at=day(1), kind=PointsKind.EARN_ORDER), reward(99, at=day(1)))
    assert await scalar(work, "SELECT count(*) FROM ledger_transactions") == 0
    assert await scalar(work, "SELECT count(*) FROM unrewarded_payments") == 0


async def test_a_payment_whose_claim_is_forgotten_still_gives_points_once(work: Work) -> None:
    await enrolled(work, "c-1")
    payment = reward(100_00, at=day(1))
    await rewarded(work, payment)
    await rewarded(work, payment, reward(100_00, at=day(2)))
    assert await balance(work) == (200, 0)
    assert await told(work, "PointsEarned") == 2


async def test_a_negative_payment_is_malformed(work: Work) -> None:
    with pytest.raises(InvalidArgument, match=r"amount\.minor_units"):
        RewardPayment("billing:1", C1, PointsKind.EARN_ORDER, Money(-1, "CNY"), day(1))


async def test_awards_are_refused_one_by_one(work: Work) -> None:
    await enrolled(work, "c-1")
    twice = award(5, at=day(1))
    outcomes = await awarded(work, twice, award(5, at=day(1), customer_id="c-9"), twice, award(7, at=day(1)))
    assert [type(outcome) for outcome in outcomes] == [Booked, MemberNotFound, SourceReused, Booked]
    assert await balance(work) == (12, 0)


def test_an_award_that_ends_before_it_begins_is_malformed() -> None:
    with pytest.raises(InvalidArgument, match="expires_at"):
        AwardPoints("t", Holder(C1, GENERAL), 5, "survey", day(2), expires_at=day(2))


async def test_a_hold_is_spent_in_part_and_the_rest_is_free(work: Work) -> None:
    await enrolled(work, "c-1")
    await awarded(work, award(100, at=day(1)))
    held = await hold(work, 80)
    assert (held.balance.balance, held.balance.held, held.balance.available) == (100, 80, 20)
    spent = await confirm(work, 30)
    assert (spent.balance.balance, spent.balance.held) == (70, 0)
    assert await told(work, "PointsRedeemed") == 1
    with pytest.raises(HoldEnded):
        await confirm(work, None)
    await prove(work)


async def test_a_hold_takes_no_more_than_is_free_and_gives_no_more_than_it_holds(work: Work) -> None:
    await enrolled(work, "c-1")
    await awarded(work, award(100, at=day(1)))
    with pytest.raises(InsufficientBalance):
        await hold(work, 101)
    await hold(work, 60)
    with pytest.raises(InsufficientBalance):
        await hold(work, 41, hold_id="h-2")
    with pytest.raises(CaptureExceedsHold):
        await confirm(work, 61)
    assert await balance(work) == (100, 60)


async def test_a_released_hold_is_free_again(work: Work) -> None:
    await enrolled(work, "c-1")
    await awarded(work, award(100, at=day(1)))
    await hold(work, 60)
    assert (await release(work)).balance.available == 100
    assert await told(work, "PointsRedeemed") == 0


async def test_a_hold_of_somebody_else_is_not_found(work: Work) -> None:
    await enrolled(work, "c-1", "c-2")
    await awarded(work, award(100, at=day(1)))
    await hold(work, 60)
    with pytest.raises(HoldNotFound):
        await confirm(work, None, customer_id=CustomerId("c-2"))
    with pytest.raises(HoldNotFound):
        await release(work, customer_id=CustomerId("c-2"))
    assert await balance(work) == (100, 60)


async def test_a_hold_ends_by_itself(work: Work) -> None:
    await enrolled(work, "c-1")
    await awarded(work, award(100, at=day(1)))
    await hold(work, 60)
    with pytest.raises(HoldExpired):
        await confirm(work, None, on=5)
    assert await balance(work, on=5) == (100, 0)
    assert await expire(work, 5) == spending.Expired(accounts=1, points=0)
    assert await balance(work) == (100, 0)


async def test_points_expire_at_their_instant_and_once(work: Work) -> None:
    await enrolled(work, "c-1", "c-2")
    await awarded(work, award(100, at=day(1), expires_at=day(10)), award(5, at=day(1), expires_at=day(20)))
    await awarded(work, award(40, at=day(1), expires_at=day(10), customer_id="c-2"))
    assert (await balance(work, on=9), await balance(work, on=10)) == ((105, 0), (5, 0))
    assert await expire(work, 9) == spending.Expired(0, 0)
    assert await expire(work, 10) == spending.Expired(2, 140)
    assert await expire(work, 10) == spending.Expired(0, 0)
    assert (await balance(work), await balance(work, on=9)) == ((5, 0), (105, 0))
    assert await told(work, "PointsExpired") == 2
    await prove(work)


async def test_points_that_expire_on_the_way_are_told_by_whoever_books_it(work: Work) -> None:
    await enrolled(work, "c-1")
    await awarded(work, award(100, at=day(1), expires_at=day(10)))
    await awarded(work, award(5, at=day(11)))
    assert await balance(work) == (5, 0)
    assert await told(work, "PointsExpired") == 1


async def test_what_expires_next_is_summed_by_instant_soonest_first(work: Work) -> None:
    await enrolled(work, "c-1")
    ends = [30, 10, 10, *range(40, 60)]
    await awarded(work, *(award(7, at=day(1), expires_at=day(end)) for end in ends))
    async with work.reading() as connection:
        _, soon = await balances.get_balance(connection, Holder(C1, GENERAL), as_of=None)
        _, later = await balances.get_balance(connection, Holder(C1, GENERAL), as_of=day(10))
    assert soon[:2] == [(day(10), 14), (day(30), 7)]
    assert len(soon) == 22
    assert later[0] == (day(30), 7)
