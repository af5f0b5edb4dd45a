"""After customers became one: what the membership that ended was given, held and came to reaches the standing one."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from chassis.errors import Refusal
from chassis.work import Work
from hypothesis import given
from hypothesis import strategies as st
from ledger import NotReversible, ReversalExceedsOriginal
from member.domain.customer import CustomerId, CustomerNotFound
from member.domain.earning_rule import Caps, Rate
from member.domain.membership import Holder
from member.domain.program import GENERAL
from member.domain.progress import Book
from member.domain.reward import PointsReward
from member.domain.shop import ItemLimitReached
from member.domain.spending import ReversalShortfall
from member.domain.streak import Milestone, SignedDays
from member.domain.task import TaskKind, TaskPeriod
from member.use_cases.merging import carry_late_points
from member.use_cases.reversing import Reversed, ReversePoints, reverse_many

from services.member.tests import earning
from services.member.tests.activity_steps import activity, published, register
from services.member.tests.club_factories import (
    club,
    fulfil,
    issue,
    item,
    join,
    merchant,
    order,
    put_club,
    put_item,
    put_merchant,
    sale,
    sell,
    verified,
)
from services.member.tests.customers import erase, merge, merging
from services.member.tests.engagement import done, open_tasks, put_task, sign_in_task, signed_in, task
from services.member.tests.factories import award, awarded, day, enrolled, reward, rewarded, rows
from services.member.tests.steps import balance, confirm, evaluate, hold, prove, release
from services.member.tests.test_spending import reverse, rules, spend

OTHER = CustomerId("c-2")


async def earned(work: Work, points: int, customer_id: str, *, on: int = 1) -> str:
    """Points given; the name of the transaction."""
    (booked,) = await awarded(work, award(points, at=day(on), customer_id=customer_id))
    assert not isinstance(booked, Refusal)
    return booked.transaction_id


async def become_one(work: Work, customer_id: str = "c-1", merged_id: str = "c-2", *, on: int = 10) -> None:
    """The second customer becomes a part of the first, its person under a name of its own."""
    (outcome,) = await merge(work, merging(customer_id, merged_id, on=on, p_1=f"p-of-{merged_id}"))
    assert not isinstance(outcome, Refusal), outcome


async def tier(work: Work) -> Any:
    """The tier of the membership that stands."""
    ((found,),) = await rows(work, "SELECT tier_id FROM members WHERE left_at IS NULL AND customer_id = 'c-1'")
    return found


@pytest.mark.parametrize("named", ["c-1", "c-2"])
async def test_what_an_ended_membership_earned_is_taken_from_the_one_that_stands(work: Work, named: str) -> None:
    await enrolled(work, "c-1", "c-2")
    theirs = await earned(work, 250, "c-2")
    await earned(work, 100, "c-1")
    await become_one(work)
    part = await reverse(work, theirs, 50, on=11, customer_id=CustomerId(named))
    assert ([(each.holder.customer_id, each.points) for each in part.undone], part.reversed_points) == (
        [("c-1", -50)],
        50,
    )
    await reverse(work, theirs, on=12, customer_id=CustomerId(named))
    assert await balance(work) == (100, 0)
    await prove(work)


async def test_what_is_spent_of_it_is_missing_or_owed_as_the_rules_say(work: Work) -> None:
    await enrolled(work, "c-1", "c-2")
    await rules(work, most_owed=30)
    gone, owed = await earned(work, 100, "c-2"), await earned(work, 50, "c-2")
    await become_one(work)
    await spend(work, 140, on=11)
    less = await reverse(work, gone, on=12)
    assert ([each.points for each in less.undone], less.reversed_points) == ([-10], 100)
    more = await reverse(work, owed, on=13, shortfall=ReversalShortfall.NEGATIVE)
    assert ([each.points for each in more.undone], await balance(work)) == ([-30], (-30, 0))
    await prove(work)


async def test_what_is_refused_beside_others_brings_nothing_back(work: Work) -> None:
    await enrolled(work, "c-1", "c-2")
    theirs = await earned(work, 250, "c-2")
    spent = await spend(work, 40, holder=Holder(OTHER, GENERAL), on=3)
    given_back = await reverse(work, spent.transaction_id, on=4, customer_id=OTHER)
    await become_one(work)
    asked = [(theirs, 200), (theirs, 200), (given_back.transaction_id, None), (theirs, 30)]
    commands = [
        ReversePoints(f"r-{n}", CustomerId("c-1"), of, points, "returned", day(12))
        for n, (of, points) in enumerate(asked)
    ]
    outcomes = await work.run(lambda transaction: reverse_many(transaction, commands))
    assert [type(each) for each in outcomes] == [Reversed, ReversalExceedsOriginal, NotReversible, Reversed]
    assert await balance(work) == (250 - 200 - 30, 0)
    await prove(work)


async def test_it_is_taken_through_a_chain_of_merges_and_late_points(work: Work) -> None:
    await enrolled(work, "c-1", "c-2", "c-3")
    first, second = await earned(work, 70, "c-3"), await earned(work, 20, "c-2")
    await become_one(work, "c-2", "c-3")
    await become_one(work, on=11)
    await reverse(work, first, 30, on=12)
    assert await balance(work) == (60, 0)
    spent = await spend(work, 60, on=13)
    await reverse(work, spent.transaction_id, on=14)
    await reverse(work, first, on=15)
    await reverse(work, second, on=16)
    await work.run(carry_late_points)
    assert await balance(work) == (0, 0)
    await prove(work)


async def test_points_taken_back_do_not_count_for_the_tier_that_stands(work: Work) -> None:
    await enrolled(work, "c-1", "c-2")
    theirs = await earned(work, 400, "c-2")
    await earned(work, 100, "c-1")
    await become_one(work)
    assert await tier(work) == "standard"
    await reverse(work, theirs, on=11)
    await evaluate(work, 12)
    assert await tier(work) == "standard"
    await earned(work, 200, "c-1", on=13)
    await evaluate(work, 14)
    assert await tier(work) == "silver"


async def test_a_refund_takes_from_the_one_that_stands(work: Work) -> None:
    await enrolled(work, "c-1", "c-2")
    payment = reward(100_00, at=day(1), customer_id="c-2")
    await rewarded(work, payment)
    await become_one(work)
    taken = await earning.refund(work, payment.source, 60_00, on=12)
    assert (taken.points, await balance(work)) == (60, (40, 0))
    await prove(work)


@pytest.mark.parametrize("end", [confirm, release])
async def test_a_hold_under_the_old_id_ends_under_the_standing_one(work: Work, end: Any) -> None:
    await enrolled(work, "c-1", "c-2")
    await earned(work, 100, "c-2")
    await hold(work, 40, holder=Holder(OTHER, GENERAL), occurred_at=day(12), expires_at=day(15))
    await become_one(work, on=10)  # dated before the hold
    held = (40,) if end is confirm else ()
    await end(work, *held, on=13)
    await work.run(carry_late_points)
    assert await balance(work) == (60 if end is confirm else 100, 0)
    await prove(work)


async def test_caps_count_what_both_came_to(work: Work) -> None:
    await enrolled(work, "c-1", "c-2")
    await earning.put(work, earning.rule("rate", Rate(100), caps=Caps(member_month=150)))
    await rewarded(work, reward(100_00, at=day(2), customer_id="c-2"), reward(20_00, at=day(2)))
    await become_one(work)
    await rewarded(work, reward(100_00, at=day(11)))
    assert await balance(work) == (150, 0)


async def test_a_task_counts_what_both_did(work: Work) -> None:
    await enrolled(work, "c-1", "c-2")
    await put_task(work, task("month", kind=TaskKind.ACT, period=TaskPeriod.MONTH, times=3))
    await put_task(work, task("once"))
    await done(work, "month", day(2))
    await done(work, "month", day(3), customer_id="c-2")
    await done(work, "once", day(3), customer_id="c-2")
    await become_one(work)
    assert (await done(work, "once", day(11))).done.already_done
    assert (await done(work, "month", day(11))).standing.completions == 1


async def test_the_days_of_both_make_the_streak_and_no_milestone_is_rewarded_again(work: Work) -> None:
    await enrolled(work, "c-1", "c-2")
    await put_task(work, sign_in_task(milestones=(Milestone(3, PointsReward(70)),)))
    for number, customer_id in ((2, "c-2"), (3, "c-2"), (4, "c-2"), (4, "c-1"), (5, "c-1")):
        await signed_in(work, day(number), customer_id)
    assert await balance(work, OTHER) == (85, 0)
    await become_one(work, on=6)
    signed = await signed_in(work, day(6))
    streak = (await open_tasks(work, day(6)))["daily"].streak
    assert streak is not None
    assert (streak.days, [each.points for each in signed.given]) == (5, [5])


async def test_a_limit_of_the_shop_counts_what_both_ordered(work: Work) -> None:
    await enrolled(work, "c-1", "c-2")
    for customer_id in ("c-1", "c-2"):
        await earned(work, 500, customer_id)
    await put_item(work, item(per_member_limit=2), stock=5)
    orders = [await order(work, "c-1"), await order(work, "c-2")]
    for each in orders:
        await fulfil(work, each.order_id)
    await become_one(work)
    with pytest.raises(ItemLimitReached):
        await order(work, on=11)
    await prove(work)


async def test_a_months_discount_of_a_merchant_is_given_once(work: Work) -> None:
    await enrolled(work, "c-1", "c-2")
    for customer_id in ("c-1", "c-2"):
        await earned(work, 300, customer_id)
    await evaluate(work, 1)
    await put_merchant(work, merchant(month_discount_cap_minor=60))
    assert (await sell(work, sale(await verified(work, "c-2")))).discount_minor == 50
    await become_one(work)
    assert (await sell(work, sale(await verified(work)))).discount_minor == 10


@given(st.sets(st.integers(1, 40)), st.sets(st.integers(1, 40)))
def test_days_of_both_are_as_if_one_had_signed_in_on_them(ours: set[int], theirs: set[int]) -> None:
    def signed(numbers: set[int]) -> SignedDays:
        days = SignedDays()
        for number in numbers:
            days = days.with_day(day(number).date())
        return days

    assert Book(signed=signed(ours)).with_book(Book(signed=signed(theirs))).signed == signed(ours | theirs)


async def test_who_was_erased_begins_nothing_new(work: Work) -> None:
    await enrolled(work, "c-1")
    await earned(work, 500, "c-1")
    await put_item(work, item(), stock=5)
    await put_club(work, club(fee_points=0))
    await published(work, activity())
    await erase(work)
    begun: list[Callable[[], Awaitable[object]]] = [
        lambda: order(work, on=21),
        lambda: join(work, on=21),
        lambda: register(work),
        lambda: issue(work),
    ]
    for begin in begun:
        with pytest.raises(CustomerNotFound):
            await begin()
