"""Earning by rules on the real database: payments, caps, pending points, refunds, tiers reached and anniversaries."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from chassis.ids import new_id
from chassis.money import Money
from chassis.paging import Page
from chassis.work import Transaction, Work
from ledger import InsufficientBalance, Posted, Shortfall, SourceReused
from member.domain.customer import CustomerId
from member.domain.earning import Occasion, Verdict
from member.domain.earning_rule import (
    AsStated,
    Caps,
    Conditions,
    EarningCapReached,
    EarningRuleNotFound,
    Fixed,
    Multiplier,
    Rate,
    RuleActsLater,
    RuleEnded,
    RuleId,
    RuleOfAnotherProgram,
    Trigger,
)
from member.domain.kinds import EarnClass, PointsKind
from member.domain.membership import Holder, MemberNotFound
from member.domain.points import Grant, Share
from member.domain.program import GENERAL, ProgramId, ProgramNotFound, TierId
from member.store.earning_rules import rule_sets
from member.use_cases.earning import Booked, award_points, give_points
from member.use_cases.earning_rules import (
    PutRule,
    RulesAsked,
    get_policy,
    get_rule,
    list_rules,
    preview_occasion,
    put_rule,
)
from member.use_cases.memberships import EnrolCustomer
from member.use_cases.occasions import MemberOccasion, ReportedOccasion, Rewarded, reward_occasions, reward_reported

from services.member.tests.earning import (
    HOUSEHOLD,
    celebrate,
    end,
    entries,
    preview,
    put,
    refund,
    ripen,
    rule,
    set_policy,
    waiting,
)
from services.member.tests.factories import (
    CALENDAR,
    JANUARY,
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
from services.member.tests.steps import C1, balance, enrol, evaluate, hold, prove, put_program

TASKS: dict[str, Any] = {"trigger": Trigger.TASK, "earn_class": EarnClass.ACTIVITY}
TENURE: dict[str, Any] = {
    "trigger": Trigger.TENURE,
    "earn_class": EarnClass.EXCLUSIVE,
    "conditions": Conditions(every_years=1),
}


async def member_id(work: Work, customer_id: str = "c-1") -> str:
    """The customer's membership."""
    found = await scalar(work, "SELECT member_id FROM members WHERE customer_id = :customer", customer=customer_id)
    return str(found)


async def task(work: Work, points: int, *, at: datetime = day(1), name: str = "") -> Posted | Exception:  # noqa: B008
    """Points for a task, with the rules having their say."""
    share = Share((await member_id(work)), points, day(700))  # type: ignore[arg-type]
    grant = Grant(name or new_id(), PointsKind.EARN_TASK, "sign-in", at, (share,), rule_id="sign-in")
    (outcome,) = await work.run(lambda transaction: give_points(transaction, [grant], calendar=CALENDAR))
    return outcome


async def test_every_entry_says_which_rules_gave_it_in_which_version(work: Work) -> None:
    await enrolled(work, "c-1")
    await put(work, rule("spring", Fixed(10)))
    await put(work, rule("twice", Multiplier(20_000)))
    await rewarded(work, reward(100_00, at=day(1)), reward(50, at=day(1), kind=PointsKind.EARN_ORDER))
    await put(work, rule("twice", Multiplier(30_000)), since=day(5))
    await rewarded(work, reward(100_00, at=day(5)), reward(100_00, at=day(4)))
    assert await entries(work) == [
        ("earn_recharge", 210, "tier-rate@1", "tier-rate@1=100 twice@1=100 spring@1=10"),
        ("earn_recharge", 310, "tier-rate@1", "tier-rate@1=100 twice@2=200 spring@1=10"),
        ("earn_recharge", 210, "tier-rate@1", "tier-rate@1=100 twice@1=100 spring@1=10"),
    ]
    await prove(work)


async def test_the_papers_figures_hold_by_tier_and_an_upgrade_counts_from_then_on(work: Work) -> None:
    await enrolled(work, "c-1")
    await put(work, rule("spring", Fixed(1), conditions=Conditions(tiers=(TierId("gold"),))))
    await awarded(work, award(300, at=day(1)))
    await evaluate(work, 10)
    await awarded(work, award(1000, at=day(11)))
    await evaluate(work, 20)
    before = (await balance(work))[0]
    for number, worth in ((9, 100), (10, 120), (19, 120), (20, 151)):
        await rewarded(work, reward(100_00, at=day(number)))
        after = (await balance(work))[0]
        assert after - before == worth, number
        before = after


async def test_late_payments_are_judged_by_the_rules_of_their_time_whatever_the_order(work: Work) -> None:
    await enrolled(work, "c-1", "c-2")
    await put(work, rule("rate", Rate(200)), since=day(3))
    await put(work, rule("rate", Rate(300)), since=day(6))
    await end(work, "rate", day(9))
    numbers = [1, 3, 5, 6, 8, 9]
    await rewarded(work, *(reward(100_00, at=day(number)) for number in numbers))
    for number in reversed(numbers):
        await rewarded(work, reward(100_00, at=day(number), customer_id="c-2"))
    assert await balance(work) == await balance(work, CustomerId("c-2")) == (100 + 200 + 200 + 300 + 300 + 100, 0)


async def test_a_daily_cap_cuts_what_goes_beyond_and_the_entry_says_so(work: Work) -> None:
    await enrolled(work, "c-1", "c-2")
    await put(work, rule("rate", Rate(100), caps=Caps(member_day=150, member_month=200)))
    first, second, third = (reward(100_00, at=day(1)) for _ in range(3))
    await rewarded(work, first, second, third, reward(100_00, at=day(1), customer_id="c-2"))
    assert await balance(work) == (150, 0)
    assert await balance(work, CustomerId("c-2")) == (100, 0)
    await rewarded(work, reward(100_00, at=day(2)), reward(100_00, at=day(31)))
    assert await balance(work) == (150 + 50 + 100, 0)
    parts = [found for _, points, _, found in await entries(work) if points == 50]
    assert parts == ["rate@1=50/100", "rate@1=50/100"]
    causes = await rows(work, "SELECT source, cause FROM unrewarded_payments")
    assert causes == [(third.source, "cap_reached")]
    await rewarded(work, third, second)
    assert await balance(work) == (300, 0)


async def test_a_day_of_a_cap_begins_and_ends_by_the_operators_clock(work: Work) -> None:
    await enrolled(work, "c-1", at=JANUARY - timedelta(days=1))
    await put(work, rule("rate", Rate(100), caps=Caps(member_day=100)), since=JANUARY - timedelta(days=1))
    midnight = datetime(2025, 12, 31, 16, tzinfo=UTC)
    await rewarded(
        work,
        reward(100_00, at=midnight - timedelta(microseconds=1)),
        reward(100_00, at=midnight),
        reward(100_00, at=midnight + timedelta(hours=24) - timedelta(microseconds=1)),
        reward(100_00, at=midnight + timedelta(hours=24)),
    )
    assert await balance(work) == (300, 0)


async def test_sixty_four_awards_at_once_come_to_exactly_the_cap(work: Work) -> None:
    await enrolled(work, "c-1")
    cap = Caps(member_day=100)
    await put(work, rule("gift", AsStated(), trigger=Trigger.CAMPAIGN, earn_class=EarnClass.ACTIVITY, caps=cap))
    await asyncio.gather(*(rewarded_award(work) for _ in range(64)))
    assert await balance(work) == (100, 0)
    assert await scalar(work, "SELECT points FROM earning_counters") == 100
    await prove(work)


async def rewarded_award(work: Work) -> None:
    """Seven points of a campaign, in a transaction of their own."""
    command = award(7, at=day(1), campaign_id="autumn")
    (outcome,) = await work.run(lambda transaction: give_by_rules(transaction, command))
    assert isinstance(outcome, Booked | EarningCapReached)


async def give_by_rules(transaction: Transaction, *commands: Any) -> Any:
    """Awards with the rules having their say."""
    return await award_points(transaction, commands, CALENDAR)


async def test_the_cap_of_a_rule_in_total_holds_for_everybody_together(work: Work) -> None:
    customers = [f"c-{number}" for number in range(8)]
    await enrolled(work, *customers)
    await put(work, rule("first", Fixed(30), caps=Caps(total=100)))
    await asyncio.gather(*(rewarded(work, reward(100, at=day(1), customer_id=each)) for each in customers))
    given = [await balance(work, CustomerId(each)) for each in customers]
    assert sorted(points for points, _ in given) == [1, 1, 1, 1, 11, 31, 31, 31]


async def test_stated_points_are_multiplied_and_capped_and_refused_when_nothing_is_left(work: Work) -> None:
    await enrolled(work, "c-1")
    await put(work, rule("daily", AsStated(), **TASKS, caps=Caps(member_day=8)))
    await put(work, rule("twice", Multiplier(20_000), **TASKS, caps=Caps(member_day=5)))
    assert isinstance(await task(work, 5, name="t-1"), Posted)
    assert await balance(work) == (10, 0)
    assert isinstance(await task(work, 5), Posted)
    assert await balance(work) == (13, 0)
    assert isinstance(await task(work, 5), EarningCapReached)
    assert isinstance(await task(work, 5, name="t-1"), SourceReused)
    assert isinstance(await task(work, 5, at=day(2)), Posted)
    assert await balance(work) == (23, 0)


async def test_points_for_tasks_stand_as_they_are_without_rules(work: Work) -> None:
    await enrolled(work, "c-1")
    assert isinstance(await task(work, 5), Posted)
    assert await entries(work) == [("earn_task", 5, "sign-in", "")]


async def test_a_rule_of_its_own_lifetime_or_class_has_an_entry_of_its_own(work: Work) -> None:
    await enrolled(work, "c-1")
    await put(work, rule("brief", Fixed(10), lifetime_days=1))
    await put(work, rule("anchor", Fixed(20), earn_class=EarnClass.EXCLUSIVE))
    payment = reward(100_00, at=day(1))
    await rewarded(work, payment)
    await rewarded(work, payment)
    assert await entries(work) == [
        ("earn_recharge", 100, "tier-rate@1", ""),
        ("earn_exclusive", 20, "anchor@1", ""),
        ("earn_recharge", 10, "brief@1", ""),
    ]
    assert [(await balance(work, on=number))[0] for number in (1, 2)] == [130, 120]


async def test_points_that_cool_ripen_once_and_only_then_count(work: Work) -> None:
    await enrolled(work, "c-1")
    await put(work, rule("later", Fixed(400), cooling_days=14, lifetime_days=30))
    await rewarded(work, reward(100_00, at=day(1)))
    assert await balance(work) == (100, 0)
    (pending,) = await waiting(work)
    assert (pending.points, pending.ripens_at, pending.expires_at) == (400, day(15), day(45))
    assert (await ripen(work, 14)).entries == 0
    assert [(await ripen(work, 15)).points for _ in range(2)] == [400, 0]
    assert await balance(work) == (500, 0)
    assert [await balance(work, on=number) for number in (14, 15, 44, 45)] == [(100, 0), (500, 0), (500, 0), (100, 0)]
    assert await waiting(work) == []
    assert [len(await waiting(work, number)) for number in (0, 1, 14, 15)] == [0, 1, 1, 0]
    assert (await entries(work))[1] == ("earn_recharge", 400, "later@1", "")
    await prove(work)


async def test_two_rounds_of_ripening_at_once_book_everything_once(work: Work) -> None:
    await enrolled(work, "c-1")
    await put(work, rule("later", Fixed(10), cooling_days=1))
    await rewarded(work, *(reward(100, at=day(1)) for _ in range(40)))
    await asyncio.gather(*(ripen(work, 2) for _ in range(4)))
    assert await balance(work) == (40 * 11, 0)
    assert await told(work, "PointsEarned") == 80


async def test_a_refund_takes_back_its_share_rounded_down_and_all_with_the_last_of_it(work: Work) -> None:
    await enrolled(work, "c-1")
    await put(work, rule("later", Fixed(10), cooling_days=14))
    payment = reward(100_00, at=day(1))
    await rewarded(work, payment)
    assert (await refund(work, payment.source, 33_33, on=2)).points == 33
    assert await balance(work) == (67, 0)
    assert [each.left for each in await waiting(work)] == [7]
    assert (await refund(work, payment.source, 33_33, on=3, refund_id="billing:r2")).points == 33
    assert (await refund(work, payment.source, 33_33, on=3, refund_id="billing:r2")).points == 0
    await ripen(work, 15)
    assert await balance(work) == (34 + 4, 0)
    last = await refund(work, payment.source, 33_34, on=16)
    assert (last.points, last.cancelled) == (34 + 4, 0)
    assert await balance(work) == (0, 0)
    assert await told(work, "PointsReversed") == 4
    await prove(work)


async def test_points_cancelled_before_they_ripen_never_do(work: Work) -> None:
    await enrolled(work, "c-1")
    await put(work, rule("later", Fixed(10), cooling_days=14))
    payment = reward(100_00, at=day(1))
    await rewarded(work, payment)
    taken = await refund(work, payment.source, 100_00, on=2)
    assert (taken.points, taken.cancelled) == (100, 10)
    assert (await ripen(work, 20)).entries == 0
    assert await balance(work) == (0, 0)


async def test_a_refund_that_comes_before_its_payment_is_taken_as_soon_as_that_comes(work: Work) -> None:
    await enrolled(work, "c-1")
    await put(work, rule("later", Fixed(10), cooling_days=14))
    payment = reward(100_00, at=day(1))
    assert (await refund(work, payment.source, 50_00, on=2)).points == 0
    await rewarded(work, payment)
    assert await balance(work) == (50, 0)
    assert [each.left for each in await waiting(work)] == [5]
    assert (await refund(work, payment.source, 50_00, on=3)).points == 50


async def test_a_payment_and_its_refund_at_once_leave_nothing_whichever_is_first(work: Work) -> None:
    await enrolled(work, "c-1")
    payments = [reward(100_00, at=day(1)) for _ in range(10)]
    await asyncio.gather(
        *(rewarded(work, each) for each in payments), *(refund(work, each.source, 100_00, on=2) for each in payments)
    )
    assert await balance(work) == (0, 0)
    await prove(work)


async def test_what_is_spent_already_is_taken_as_the_policy_says(work: Work) -> None:
    await enrolled(work, "c-1")
    first, second, third = (reward(100_00, at=day(1)) for _ in range(3))
    await rewarded(work, first)
    await hold(work, 60)
    await rewarded(work, second, third)
    assert (await refund(work, first.source, 100_00, on=3)).points == 40
    await hold(work, 150, hold_id="h-2")
    with pytest.raises(InsufficientBalance):
        await refund(work, second.source, 100_00, on=3, shortfall=Shortfall.REFUSE)
    assert (await refund(work, third.source, 100_00, on=3, shortfall=Shortfall.DOWN_TO_FLOOR)).points == 50
    await prove(work)


async def test_a_payment_in_several_programs_is_taken_back_in_each(work: Work) -> None:
    await enrolled(work, "c-1")
    await put_program(work, program())
    await enrol(work, EnrolCustomer(Holder(C1, ProgramId("fans")), JANUARY))
    payment = reward(100_00, at=day(1))
    await rewarded(work, payment)
    names = await rows(work, "SELECT source FROM ledger_transactions ORDER BY 1")
    assert names == [(payment.source,), (f"{payment.source}/fans",)]
    assert (await refund(work, payment.source, 50_00, on=2)).points == 100
    await prove(work)


async def test_another_currency_is_noted_where_the_program_takes_one(work: Work) -> None:
    await enrolled(work, "c-1")
    await set_policy(work, currency="CNY", acts_from=day(2))
    foreign, before = (replace(reward(1, at=day(number)), amount=Money(100_00, "USD")) for number in (2, 1))
    await rewarded(work, foreign, before, reward(100_00, at=day(2)))
    assert await balance(work) == (200, 0)
    assert await rows(work, "SELECT source, cause FROM unrewarded_payments") == [(foreign.source, "other_currency")]


async def test_a_put_rule_acts_at_once_for_every_process(work: Work) -> None:
    await enrolled(work, "c-1")
    await rewarded(work, reward(100_00, at=day(1)))
    for number in range(1, 4):
        await put(work, rule("rate", Rate(100 * number)), since=day(number))
        await rewarded(work, reward(100_00, at=day(number)))
    assert await balance(work) == (100 + 100 + 200 + 300, 0)


async def test_rules_that_were_not_committed_are_not_kept(work: Work) -> None:
    await enrolled(work, "c-1")

    async def act(transaction: Transaction) -> None:
        await put_rule(transaction, PutRule(rule("rate", Rate(900)), JANUARY, "boss"))
        assert (await rule_sets(transaction.connection, [GENERAL]))[GENERAL].by_rule().keys() == {"rate"}
        raise MemberNotFound(HOUSEHOLD)

    with pytest.raises(MemberNotFound):
        await work.run(act)
    await rewarded(work, reward(100_00, at=day(1)))
    assert await balance(work) == (100, 0)


async def test_versions_are_put_in_order_and_the_same_again_changes_nothing(work: Work) -> None:
    first = await put(work, rule("r", Fixed(5)))
    assert (first.version, (await put(work, rule("r", Fixed(5)), since=day(3))).version) == (1, 1)
    assert (await put(work, rule("r", Fixed(6)), since=day(3))).version == 2
    for since in (day(2), day(3)):
        with pytest.raises(RuleActsLater):
            await put(work, rule("r", Fixed(7)), since=since)
    with pytest.raises(RuleOfAnotherProgram):
        await put(work, rule("r", Fixed(7), trigger=Trigger.ORDER), since=day(9))
    with pytest.raises(ProgramNotFound):
        await put(work, rule("s", Fixed(7), program_id=ProgramId("none")))
    assert (await end(work, "r", day(5))).version == 3
    with pytest.raises(RuleEnded):
        await end(work, "r", day(6))
    with pytest.raises(EarningRuleNotFound):
        await end(work, "unknown", day(6))
    assert (await put(work, rule("r", Fixed(6)), since=day(8))).version == 4
    async with work.reading() as connection:
        found = [(await get_rule(connection, RuleId("r"), number)).acts_from for number in (1, 2, 3, 4, None)]
        assert found == [JANUARY, day(3), day(5), day(8), day(8)]
        with pytest.raises(EarningRuleNotFound):
            await get_rule(connection, RuleId("r"), 5)


async def test_rules_are_listed_by_trigger_and_as_they_act_at_an_instant(work: Work) -> None:
    await put(work, rule("b", Fixed(1)))
    await put(work, rule("b", Fixed(2)), since=day(4))
    await put(work, rule("a", Fixed(1), trigger=Trigger.ORDER), since=day(2))
    await end(work, "a", day(6))

    async def listed(trigger: Trigger | None = None, number: int | None = None, **page: Any) -> list[tuple[str, int]]:
        asked = RulesAsked(GENERAL, trigger, None if number is None else day(number))
        async with work.reading() as connection:
            found = await list_rules(connection, asked, Page(**{"size": 50, "after": None} | page))
        return [(each.rule.rule_id, each.version) for each in found]

    assert await listed() == [("a", 2), ("b", 2)]
    assert await listed(Trigger.ORDER) == [("a", 2)]
    assert [await listed(number=number) for number in (1, 2, 4, 6)] == [
        [("b", 1)],
        [("a", 1), ("b", 1)],
        [("a", 1), ("b", 2)],
        [("b", 2)],
    ]
    assert await listed(size=1, after="a") == [("b", 2)]


async def test_a_policy_holds_from_its_instant_on(work: Work) -> None:
    await set_policy(work, currency="CNY", acts_from=day(2))
    await set_policy(work, most_basis_points=20_000, acts_from=day(4))
    with pytest.raises(RuleActsLater):
        await set_policy(work, acts_from=day(4))
    async with work.reading() as connection:
        found = [await get_policy(connection, GENERAL, day(number)) for number in (1, 2, 4)]
        assert [(each.version, each.currency, each.most_basis_points) for each in found] == [
            (0, "", 100_000),
            (1, "CNY", 100_000),
            (2, "", 20_000),
        ]
        with pytest.raises(ProgramNotFound):
            await get_policy(connection, ProgramId("none"), JANUARY)


async def test_a_preview_says_of_each_rule_what_it_would_give_or_why_not_and_changes_nothing(work: Work) -> None:
    await enrolled(work, "c-1")
    await put(work, rule("capped", Fixed(10), caps=Caps(member_day=12)))
    await put(work, rule("gold", Fixed(5), conditions=Conditions(tiers=(TierId("gold"),))))
    occasion = Occasion(Trigger.RECHARGE, day(1), amount_minor=100_00, currency="CNY")
    for left in (10, 2, 0):
        found = await preview(work, occasion)
        assert found.tier_id == "standard"
        assert [(each.name, each.verdict) for each in found.considered] == [
            ("", Verdict.OTHER_TIER),
            ("tier-rate", Verdict.APPLIED),
            ("capped", Verdict.APPLIED),
        ]
        assert [part.points for part in found.parts] == [100, left]
        await rewarded(work, reward(100_00, at=day(1)))
    async with work.reading() as connection:
        for holder, at in ((Holder(CustomerId("c-9"), GENERAL), day(1)), (HOUSEHOLD, JANUARY - timedelta(days=1))):
            with pytest.raises(MemberNotFound):
                await preview_occasion(connection, holder, Occasion(Trigger.RECHARGE, at, 1), CALENDAR)


async def test_anniversaries_are_awarded_once_on_their_day_in_the_operators_calendar(work: Work) -> None:
    await enrolled(work, "c-1", at=datetime(2024, 2, 29, 4, tzinfo=UTC))
    await enrolled(work, "c-2", at=datetime(2024, 3, 1, 4, tzinfo=UTC))
    await put(work, rule("year", Fixed(50), **TENURE), since=datetime(2024, 1, 1, tzinfo=UTC))
    await put(
        work,
        rule("two", Fixed(500), **TENURE | {"conditions": Conditions(every_years=2)}),
        since=datetime(2024, 1, 1, tzinfo=UTC),
    )
    eve = datetime(2025, 2, 27, 15, 59, 59, tzinfo=UTC)
    assert await celebrate(work, eve) == (0, 0)
    assert await celebrate(work, eve + timedelta(seconds=1)) == (1, 50)
    assert await celebrate(work, eve + timedelta(days=2)) == (1, 50)
    assert await celebrate(work, eve + timedelta(days=2)) == (0, 0)
    assert await celebrate(work, datetime(2026, 12, 31, tzinfo=UTC)) == (2, 1100)
    assert await rows(work, "SELECT occurred_at FROM ledger_transactions ORDER BY 1") == [
        (datetime(2025, 2, 27, 16, tzinfo=UTC),),
        (datetime(2025, 2, 28, 16, tzinfo=UTC),),
        (datetime(2026, 2, 27, 16, tzinfo=UTC),),
        (datetime(2026, 2, 28, 16, tzinfo=UTC),),
    ]
    assert {rule_id for _, _, rule_id, _ in await entries(work)} == {"year@1", "two@1"}
    await prove(work)


async def test_anniversaries_of_one_day_take_rounds_that_are_safe_to_do_at_once(
    work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("member.use_cases.anniversaries.MEMBERS_PER_ROUND", 3)
    await enrolled(work, *(f"c-{number}" for number in range(8)))
    await put(work, rule("year", Fixed(50), **TENURE))
    done = await asyncio.gather(*(celebrate(work, day(400)) for _ in range(3)))
    assert sum(members for members, _ in done) == 8
    assert await scalar(work, "SELECT sum(balance) FROM ledger_accounts") == 400


async def test_a_tier_reached_is_rewarded_once(work: Work) -> None:
    await enrolled(work, "c-1")
    await put(work, rule("up", Fixed(88), trigger=Trigger.UPGRADE, earn_class=EarnClass.EXCLUSIVE))
    occasion = MemberOccasion(
        "upgrade:m:2",
        (await member_id(work)),  # type: ignore[arg-type]
        Occasion(Trigger.UPGRADE, day(5), subject="silver"),
        "standard to silver",
    )
    for _ in range(2):
        await work.run(lambda transaction: reward_occasions(transaction, [occasion], CALENDAR))
    assert await entries(work) == [("earn_upgrade", 88, "up@1", "")]


async def test_reported_orders_are_rewarded_by_product_each_with_its_own_outcome(work: Work) -> None:
    await enrolled(work, "c-1")
    where = Conditions(products=("hbo",), product_families=("tv",))
    await put(work, rule("film", Rate(500), trigger=Trigger.ORDER, conditions=where))
    order = Occasion(Trigger.ORDER, day(1), amount_minor=100_00, currency="CNY", product="hbo", product_family="tv")
    commands = [
        ReportedOccasion("o-1", HOUSEHOLD, order),
        ReportedOccasion("o-2", Holder(CustomerId("c-9"), GENERAL), order),
        ReportedOccasion("o-3", HOUSEHOLD, Occasion(Trigger.ORDER, day(1), 100_00, "CNY", product="f1")),
    ]
    outcomes = await work.run(lambda transaction: reward_reported(transaction, commands, CALENDAR))
    assert [each.points if isinstance(each, Rewarded) else type(each) for each in outcomes] == [
        500,
        MemberNotFound,
        100,
    ]
    assert await entries(work) == [("earn_order", 500, "film@1", ""), ("earn_order", 100, "tier-rate@1", "")]
