"""Tasks on the real database: what counts, when, how often, and what it gives."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from chassis.calendar import Calendar
from chassis.errors import Refusal
from chassis.paging import Page
from chassis.work import Transaction, Work
from member.domain.audience import Audience, NotForThisTier, TierNotInProgram
from member.domain.customer import EVERYBODY, CustomerId, PersonId
from member.domain.membership import Holder, MemberNotFound
from member.domain.program import GENERAL, ProgramId, ProgramNotFound, TierId
from member.domain.progress import WithheldReason
from member.domain.reward import CouponReward, PointsReward
from member.domain.streak import Milestone
from member.domain.task import (
    MAX_OPEN_TASKS,
    NoSignInTask,
    NotRecordedByCall,
    NotRecordedByMembers,
    ProofMissing,
    SignInTasksOverlap,
    TaskId,
    TaskKind,
    TaskNotActive,
    TaskNotFound,
    TaskPeriod,
    TaskShapeFixed,
    TooManyTasks,
    WatchedTooShort,
)
from member.use_cases import balances, tasks
from member.use_cases.counting import Recorded
from member.use_cases.memberships import EnrolCustomer
from member.use_cases.progress import CountEarning

from services.member.tests.engagement import (
    count,
    do,
    doing,
    done,
    open_tasks,
    put_task,
    sign_in,
    sign_in_task,
    signed_in,
    signing_in,
    task,
)
from services.member.tests.factories import JANUARY, RECORDED_AT, day, enrolled, rows, scalar, told
from services.member.tests.steps import balance, enrol, prove

NOON = JANUARY + timedelta(hours=4)
WEEK = Milestone(7, PointsReward(70))


def noon(number: int) -> datetime:
    """Noon in Shanghai so many days after the first of January."""
    return NOON + timedelta(days=number)


async def test_seven_days_in_a_row_give_points_each_and_a_reward_for_the_week(work: Work) -> None:
    await enrolled(work, "c-1")
    await put_task(work, sign_in_task(milestones=(WEEK,)))
    outcomes = [await signed_in(work, noon(number)) for number in range(7)]
    assert [sum(given.points for given in outcome.given) for outcome in outcomes] == [5, 5, 5, 5, 5, 5, 75]
    assert [outcome.standing.streak.days for outcome in outcomes if outcome.standing.streak] == [1, 2, 3, 4, 5, 6, 7]
    assert outcomes[2].standing.next_milestone == (WEEK, 4)
    assert await balance(work) == (7 * 5 + 70, 0)
    assert (await told(work, "TaskCompleted"), await told(work, "StreakReached")) == (7, 1)
    async with work.reading() as connection:
        entries = await balances.list_entries(connection, Holder(CustomerId("c-1"), GENERAL), Page(50, None))
    assert {(entry.kind, entry.metadata["reason"], entry.metadata["rule"]) for entry in entries} == {
        ("earn_task", "Sign in", "task:daily@1")
    }
    await prove(work)


async def test_a_repeat_within_the_day_gives_nothing_and_says_so(work: Work) -> None:
    await enrolled(work, "c-1")
    await put_task(work, sign_in_task(milestones=(WEEK,)))
    first = await signed_in(work, noon(1))
    again = await signed_in(work, noon(1) + timedelta(hours=3))
    assert (first.done.already_done, again.done.already_done, again.given) == (False, True, ())
    assert again.standing.streak == first.standing.streak
    assert again.standing.next_milestone == (WEEK, 6)
    assert again.standing.again_on == noon(2).date()
    assert await balance(work) == (5, 0)
    assert await scalar(work, "SELECT count(*) FROM task_records") == 1


async def test_the_day_is_the_operators(work: Work) -> None:
    await enrolled(work, "c-1")
    await put_task(work, sign_in_task())
    midnight = datetime(2026, 3, 9, 16, tzinfo=UTC)
    for at in (midnight - timedelta(microseconds=1), midnight, midnight + timedelta(days=1)):
        assert not (await signed_in(work, at)).done.already_done
    assert await rows(work, "SELECT day::text FROM task_days ORDER BY day") == [
        ("2026-03-09",),
        ("2026-03-10",),
        ("2026-03-11",),
    ]


@pytest.mark.parametrize(
    ("night", "hours"), [(datetime(2026, 3, 28, 23, tzinfo=UTC), 23), (datetime(2026, 10, 24, 22, tzinfo=UTC), 25)]
)
async def test_a_day_with_a_change_of_clocks_is_one_day(work: Work, night: datetime, hours: int) -> None:
    berlin = Calendar(ZoneInfo("Europe/Berlin"))
    await enrolled(work, "c-1")
    await put_task(work, sign_in_task())
    instants = [
        night - timedelta(minutes=1),
        night,
        night + timedelta(hours=hours, minutes=-1),
        night + timedelta(hours=hours),
    ]
    outcomes = await sign_in(work, *map(signing_in, instants), calendar=berlin)
    assert [outcome.done.already_done for outcome in outcomes if isinstance(outcome, Recorded)] == [
        False,
        False,
        True,
        False,
    ]
    assert isinstance(outcomes[-1], Recorded)
    assert outcomes[-1].standing.streak
    assert outcomes[-1].standing.streak.days == 3


async def test_a_late_sign_in_takes_its_own_day_and_closes_the_gap(work: Work) -> None:
    await enrolled(work, "c-1")
    await put_task(work, sign_in_task(milestones=(WEEK,)))
    await sign_in(work, *(signing_in(noon(number)) for number in (0, 1, 2, 4, 5, 6)))
    late = await signed_in(work, noon(3))
    assert [given.points for given in late.given] == [5, 70]
    assert late.standing.streak
    assert late.standing.streak.days == 7
    repeated = await signed_in(work, noon(3))
    assert repeated.done.already_done
    assert await balance(work) == (7 * 5 + 70, 0)


async def test_a_member_may_miss_as_many_days_as_the_task_bears(work: Work) -> None:
    await enrolled(work, "c-1", "c-2")
    await put_task(work, sign_in_task(milestones=(WEEK,), freeze_days=1))
    for number in (0, 1, 2, 4, 5, 6, 7):
        await signed_in(work, noon(number))
    streak = (await open_tasks(work, noon(9)))["daily"].streak
    assert streak
    assert (streak.days, streak.frozen_days) == (4, 0)
    assert (await open_tasks(work, noon(10)))["daily"].streak is None
    assert await balance(work) == (7 * 5 + 70, 0)


async def test_sixty_four_sign_ins_at_once_give_one_reward(work: Work) -> None:
    await enrolled(work, "c-1")
    await put_task(work, sign_in_task(milestones=(Milestone(2, PointsReward(100)),)))
    for number in (0, 1):  # the second time on connections that are open, of a member whose book is there
        outcomes = await asyncio.gather(*(signed_in(work, noon(number)) for _ in range(64)))
        assert [outcome.done.already_done for outcome in outcomes].count(False) == 1
    assert await balance(work) == (110, 0)
    assert await told(work, "TaskCompleted") == 2


async def test_a_persons_streak_is_its_own(work: Work) -> None:
    await enrolled(work, "c-1")
    await enrol(work, EnrolCustomer(Holder(CustomerId("c-1"), GENERAL, PersonId("p-1")), JANUARY))
    await put_task(work, sign_in_task())
    whole, child = await signed_in(work, noon(1)), await signed_in(work, noon(1), person_id="p-1")
    assert not whole.done.already_done
    assert not child.done.already_done


async def test_a_monthly_task_counts_up_and_begins_anew_with_the_month(work: Work) -> None:
    await enrolled(work, "c-1")
    await put_task(work, task("monthly", kind=TaskKind.ACT, period=TaskPeriod.MONTH, times=3, reward=PointsReward(30)))
    end_of_january = datetime(2026, 1, 31, 15, 59, tzinfo=UTC)
    first, second = await done(work, "monthly", noon(1)), await done(work, "monthly", noon(2))
    assert [(each.done.completions, each.standing.progress) for each in (first, second)] == [(0, 1), (0, 2)]
    assert (await open_tasks(work, noon(3)))["monthly"].progress == 2
    third = await done(work, "monthly", end_of_january, times=9)
    assert (third.done.times, third.done.completions, third.standing.done) == (1, 1, True)
    assert str(third.standing.again_on) == "2026-02-01"
    assert (await done(work, "monthly", end_of_january)).done.already_done
    anew = await done(work, "monthly", end_of_january + timedelta(minutes=1))
    assert (anew.done.already_done, anew.standing.progress) == (False, 1)
    assert await balance(work) == (30, 0)


async def test_advertisements_count_once_each_and_so_many_a_day_and_month(work: Work) -> None:
    await enrolled(work, "c-1", "c-2")
    await put_task(
        work,
        task("ads", kind=TaskKind.AD, period=TaskPeriod.DAY, most_per_period=2, most_per_month=3, min_watch_seconds=15),
    )
    watched = {"watched_seconds": 15}
    assert [
        (await done(work, "ads", noon(number), proof_id=proof, **watched)).done.already_done
        for number, proof in [(1, "a"), (1, "a"), (1, "b"), (1, "c"), (2, "d"), (2, "e")]
    ] == [False, True, False, True, False, True]
    standing = (await open_tasks(work, noon(2)))["ads"]
    assert (standing.done, str(standing.again_on)) == (True, "2026-02-01")
    stolen, own = await do(work, *(doing("ads", noon(1), "c-2", proof_id=proof, **watched) for proof in ("a", "own")))
    assert isinstance(stolen, Recorded)
    assert isinstance(own, Recorded)
    assert (stolen.done.already_done, own.done.already_done) == (True, False)
    assert await balance(work) == (30, 0)


async def test_one_proof_at_once_by_many_members_counts_for_one(work: Work) -> None:
    ids = [f"c-{number}" for number in range(8)]
    await enrolled(work, *ids)
    await put_task(work, task("ads", kind=TaskKind.AD, period=TaskPeriod.DAY))
    outcomes = await asyncio.gather(*(done(work, "ads", noon(1), customer_id=each, proof_id="p") for each in ids))
    assert [outcome.done.already_done for outcome in outcomes].count(False) == 1


async def test_what_is_asked_of_an_advertisement_is_said(work: Work) -> None:
    await enrolled(work, "c-1")
    await put_task(work, task("ads", kind=TaskKind.AD, period=TaskPeriod.DAY, min_watch_seconds=15))
    outcomes = await do(
        work,
        doing("ads", noon(1), watched_seconds=15),
        doing("ads", noon(1), watched_seconds=14, proof_id="a"),
        doing("ads", noon(1), watched_seconds=15, proof_id="a"),
    )
    assert [type(outcome) for outcome in outcomes] == [ProofMissing, WatchedTooShort, Recorded]


async def test_budgets_are_never_overdrawn_and_the_act_counts_all_the_same(work: Work) -> None:
    ids = [f"c-{number}" for number in range(12)]
    await enrolled(work, *ids)
    await put_task(work, task(budget_points=35))
    outcomes = await asyncio.gather(*(done(work, "survey", noon(1), customer_id=each) for each in ids))
    given = [outcome for outcome in outcomes if outcome.given]
    assert len(given) == 3
    assert {outcome.withheld[0].reason for outcome in outcomes if not outcome.given} == {WithheldReason.BUDGET_SPENT}
    assert await scalar(work, "SELECT sum(balance)::bigint FROM ledger_accounts") == 30
    assert await rows(work, "SELECT points_given, rewards_given FROM tasks") == [(30, 3)]
    assert await scalar(work, "SELECT count(*) FROM task_records") == 12


async def test_a_reward_that_is_not_to_be_had_is_withheld_and_goes_back_into_the_budget(work: Work) -> None:
    await enrolled(work, "c-1")
    await put_task(work, task(reward=CouponReward("none"), budget_rewards=1))
    outcome = await done(work, "survey", noon(1))
    assert (outcome.given, outcome.withheld[0].reason) == ((), WithheldReason.NOT_AVAILABLE)
    assert await rows(work, "SELECT rewards_given FROM tasks") == [(0,)]
    assert (await done(work, "survey", noon(2))).done.already_done


async def test_a_batch_is_judged_in_its_order_each_with_its_own_outcome(work: Work) -> None:
    await enrolled(work, "c-1")
    await put_task(work, task())
    await put_task(work, task("gold", audience=Audience(GENERAL, frozenset({TierId("gold")}))))
    await put_task(work, task("over", active_until=day(5)))
    await put_task(work, sign_in_task())
    twice = doing("survey", noon(1))
    outcomes = await do(
        work,
        twice,
        replace(twice, source="another"),
        doing("none", noon(1)),
        doing("survey", noon(1), "c-9"),
        doing("survey", JANUARY - timedelta(microseconds=1)),
        doing("gold", noon(1)),
        doing("over", day(5)),
        doing("over", day(5) - timedelta(microseconds=1)),
        doing("daily", noon(1)),
        doing("survey", RECORDED_AT, by_member=True),
    )
    assert [type(outcome) for outcome in outcomes] == [
        Recorded,
        Recorded,
        TaskNotFound,
        MemberNotFound,
        MemberNotFound,
        NotForThisTier,
        TaskNotActive,
        Recorded,
        NotRecordedByCall,
        NotRecordedByMembers,
    ]
    assert [outcome.done.already_done for outcome in outcomes if isinstance(outcome, Recorded)] == [False, True, False]
    assert await balance(work) == (20, 0)


async def test_what_a_request_did_is_not_done_again_when_its_claim_is_forgotten(work: Work) -> None:
    await enrolled(work, "c-1")
    await put_task(work, task("act", kind=TaskKind.ACT, period=TaskPeriod.DAY, most_per_period=5))
    command = doing("act", noon(1))
    await do(work, command)
    (again,) = await do(work, command)
    assert isinstance(again, Recorded)
    assert again.done.already_done
    assert await balance(work) == (10, 0)


async def test_recharges_and_orders_count_by_themselves(work: Work) -> None:
    await enrolled(work, "c-1")
    (member_id,) = (await rows(work, "SELECT member_id FROM members"))[0]
    await put_task(work, task("thrice", kind=TaskKind.RECHARGE, period=TaskPeriod.MONTH, times=3))
    await put_task(work, task("order", kind=TaskKind.ORDER))
    payments = [CountEarning(f"billing:{number}", member_id, TaskKind.RECHARGE, noon(number)) for number in range(3)]
    await count(work, payments[0], payments[1], CountEarning("billing:9", member_id, TaskKind.ORDER, noon(3)))
    await count(work, payments[1])
    assert (await open_tasks(work, noon(3)))["thrice"].progress == 2
    await count(work, payments[2])
    assert await balance(work) == (20, 0)
    assert [type(each) for each in await do(work, doing("order", noon(1)))] == [NotRecordedByCall]


async def test_signing_in_needs_a_task_that_is_open(work: Work) -> None:
    await enrolled(work, "c-1")
    gold = Audience(GENERAL, frozenset({TierId("gold")}))
    await put_task(work, sign_in_task("golden", audience=gold))
    other = Audience(GENERAL, frozenset({TierId("standard")}))
    await put_task(work, sign_in_task(audience=other, active_from=day(5)))
    outcomes: list[Recorded | Refusal] = await sign_in(
        work, signing_in(day(5) - timedelta(seconds=1)), signing_in(noon(5), "c-9")
    )
    assert [type(outcome) for outcome in outcomes] == [NoSignInTask, MemberNotFound]


async def test_a_task_is_versioned_and_keeps_its_shape(work: Work) -> None:
    first = await put_task(work, task(version=77))
    assert first == task()
    assert await put_task(work, task(), by="somebody else") == first
    second = await put_task(work, task(title="Answer again"), by="another")
    assert second.version == 2
    for changed in (task(kind=TaskKind.ACT), task(period=TaskPeriod.DAY)):
        with pytest.raises(TaskShapeFixed):
            await put_task(work, changed)
    async with work.reading() as connection:
        versions = [(await tasks.get_task(connection, TaskId("survey"), number))[0] for number in (0, 1, 2)]
        with pytest.raises(TaskNotFound):
            await tasks.get_task(connection, TaskId("survey"), 3)
    assert [(put.task.title, put.put_by) for put in versions] == [
        ("Answer again", "another"),
        ("Answer the survey", "operator"),
        ("Answer again", "another"),
    ]


async def test_a_task_is_for_tiers_of_a_program_that_is_there(work: Work) -> None:
    with pytest.raises(ProgramNotFound):
        await put_task(work, task(audience=Audience(ProgramId("none"))))
    with pytest.raises(TierNotInProgram):
        await put_task(work, task(audience=Audience(GENERAL, frozenset({TierId("platinum")}))))


async def test_a_member_has_one_sign_in_a_day(work: Work) -> None:
    def only(*tiers: str) -> Audience:
        return Audience(GENERAL, frozenset(map(TierId, tiers)))

    await put_task(work, sign_in_task("a", audience=only("standard", "silver"), active_until=day(100)))
    await put_task(work, sign_in_task("b", audience=only("gold")))
    await put_task(work, sign_in_task("c", audience=only("silver"), active_from=day(100)))
    for overlapping in (
        sign_in_task("d"),
        sign_in_task("d", audience=only("gold", "standard"), active_from=day(200)),
        sign_in_task("d", audience=only("silver"), active_from=day(99), active_until=day(100)),
    ):
        with pytest.raises(SignInTasksOverlap):
            await put_task(work, overlapping)


async def test_sign_in_tasks_put_at_once_do_not_miss_each_other(work: Work) -> None:
    outcomes = await asyncio.gather(
        *(put_task(work, sign_in_task(f"t-{number}")) for number in range(6)), return_exceptions=True
    )
    assert sorted(type(outcome).__name__ for outcome in outcomes) == [*["SignInTasksOverlap"] * 5, "Task"]


async def test_a_program_has_no_more_open_tasks_than_a_member_can_be_shown(work: Work) -> None:
    async def fill(transaction: Transaction) -> None:
        for number in range(MAX_OPEN_TASKS):
            until = day(5) if number == 0 else None
            await tasks.put_task(transaction, tasks.PutTask(task(f"t-{number}", active_until=until), "operator"))

    await work.run(fill)
    await put_task(work, task("one-more"))
    with pytest.raises(TooManyTasks):
        await put_task(work, task("too-many"))
    await put_task(work, task("t-1", title="changed"))


async def test_records_are_listed_newest_first(work: Work) -> None:
    await enrolled(work, "c-1", "c-2")
    await put_task(work, sign_in_task())
    await put_task(work, task())
    await sign_in(work, *(signing_in(noon(number)) for number in range(3)), signing_in(noon(1), "c-2"))
    await done(work, "survey", noon(1))
    holder = Holder(CustomerId("c-1"), GENERAL, EVERYBODY)
    async with work.reading() as connection:
        everything = await tasks.list_records(connection, holder, None, Page(2, None))
        rest = await tasks.list_records(connection, holder, None, Page(2, str(everything[1].sequence)))
        daily = await tasks.list_records(connection, holder, TaskId("daily"), Page(9, None))
    assert [each.record.task_id for each in everything] == ["survey", "daily", "daily"]
    assert [each.record.occurred_at for each in rest] == [noon(1), noon(0)]
    assert [each.record.day.day for each in daily] == [3, 2, 1]
