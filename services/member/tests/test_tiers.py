"""Tiers on the real database: judged by statement as by the rule, moved on events, by evaluation and by placement."""

import asyncio
import random
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from chassis.calendar import Period
from chassis.errors import Refusal
from chassis.money import Money
from chassis.paging import Page
from chassis.work import Transaction, Work
from ledger import AccountId, Entry, Post, Reverse, Shortfall, Source
from member.domain.customer import EVERYBODY, CustomerId, PersonId, Subscriber, SubscriberId, SubscriberKind
from member.domain.kinds import PointsKind
from member.domain.membership import Holder, MemberId, MemberMoved, Standing, TierMove, TierNotFound
from member.domain.pending import Refund
from member.domain.points import Grant, Share
from member.domain.program import GENERAL, Moves, Program, Tier, TierId
from member.domain.requirement import (
    AllOf,
    AnyOf,
    Points,
    Requirement,
    Services,
    Spend,
    Spending,
    SpendKind,
    Tenure,
    TenureSince,
    Window,
)
from member.store import members, points
from member.store import tiers as store
from member.store.counting import count_for_member
from member.store.postings import BOOKS
from member.use_cases import memberships, outlook, tiers
from member.use_cases.customers import UpsertCustomer, upsert_customers
from member.use_cases.memberships import EnrolCustomer
from member.use_cases.outlook import WarnDowngrades, Warnings, warn_downgrades
from member.use_cases.taking_back import TakeBack, take_back
from member.use_cases.tiers import Evaluation, Placement, place_members

from services.member.tests.factories import (
    GOLD,
    JANUARY,
    STANDARD,
    award,
    awarded,
    customer,
    day,
    enrolled,
    program,
    rows,
    scalar,
    told,
)
from services.member.tests.steps import C1, enrol, evaluate, prove, put_program

DICE_KINDS = [PointsKind.EARN_RECHARGE, PointsKind.EARN_AWARD, PointsKind.EARN_TENURE]
WINDOWS = [
    Window(days=30),
    Window(days=365),
    Window(),
    Window(period=Period.YEAR),
    Window(period=Period.QUARTER),
    Window(period=Period.MONTH),
]
FOREVER = Page(50, None)


def moving(**moves: Any) -> Program:
    """The ready-made program, moving members so."""
    return program("general", moves=Moves(**moves))


def asking(requirement: Requirement, **moves: Any) -> Program:
    """The ready-made program with one tier above the first, which asks for this."""
    silver = Tier(TierId("silver"), "Silver", 1, 0, 120, requirement)
    return program("general", tiers=(STANDARD, silver), moves=Moves(**moves))


async def tier_of(work: Work, customer_id: str = "c-1") -> Any:
    """The tier held, and since when."""
    ((found),) = await rows(
        work, "SELECT tier_id, tier_since FROM members WHERE customer_id = :id AND left_at IS NULL", id=customer_id
    )
    return found


async def spent(work: Work, *spendings: tuple[int, datetime]) -> None:
    """Orders of the first customer, noted and judged."""

    async def act(transaction: Transaction) -> None:
        noted = [
            Spending(f"billing:{at}:{amount}", C1, recharged=False, amount=Money(amount, "CNY"), occurred_at=at)
            for amount, at in spendings
        ]
        await tiers.note_spending(transaction, noted)
        await tiers.judge_customers(transaction, {C1: max(at for _, at in spendings)})

    await work.run(act)


async def placed(work: Work, *placements: Placement, reason: str = "run-1") -> list[TierMove | Refusal]:
    """Members placed in one transaction."""
    return await work.run(lambda transaction: place_members(transaction, placements, reason=reason))


def random_requirement(dice: random.Random, depth: int = 0) -> Requirement:
    """Any tree, three deep at most."""
    if depth < 2 and dice.random() < 0.5:
        parts = tuple(random_requirement(dice, depth + 1) for _ in range(dice.randint(1, 3)))
        return AllOf(parts) if dice.random() < 0.5 else AnyOf(parts)
    window = dice.choice(WINDOWS)
    leaves: list[Requirement] = [
        Points(dice.randint(1, 900), window, tuple(dice.sample(DICE_KINDS, dice.randint(0, 2)))),
        Spend(dice.randint(1, 90_000), window, tuple(dice.sample(list(SpendKind), dice.randint(0, 1)))),
        Tenure(dice.randint(1, 800), dice.choice(list(TenureSince))),
        Services(dice.randint(1, 3), tuple(dice.sample(list(SubscriberKind), dice.randint(0, 2)))),
    ]
    return dice.choice(leaves)


def random_lines(dice: random.Random) -> tuple[Subscriber, ...]:
    """Up to four service lines, some of which are in service no more."""
    lines = []
    for place in range(dice.randint(0, 4)):
        since = dice.randint(-600, 400)
        until = dice.choice([None, day(since + dice.randint(1, 500))])
        kind = dice.choice(list(SubscriberKind))
        lines.append(Subscriber(SubscriberId(f"s-{place}"), kind, day(since), in_service_until=until))
    return tuple(lines)


def random_grants(dice: random.Random, begun: Sequence[Standing]) -> list[Grant]:
    """Up to five earnings of each member."""
    return [
        Grant(
            f"{standing.member.customer_id}/{number}",
            dice.choice(DICE_KINDS),
            "dice",
            day(5 * dice.randint(0, 140)),
            (Share(standing.member.member_id, dice.randint(1, 400), None),),
        )
        for standing in begun
        for number in range(dice.randint(0, 5))
    ]


def random_spending(dice: random.Random, ids: Sequence[str]) -> list[Spending]:
    """Up to four payments of each customer."""
    return [
        Spending(
            f"{each}/{number}",
            CustomerId(each),
            dice.random() < 0.5,
            Money(dice.randint(1, 40_000), "CNY"),
            day(5 * dice.randint(0, 140)),
        )
        for each in ids
        for number in range(dice.randint(0, 4))
    ]


def random_refund(dice: random.Random, paid: Spending) -> Refund:
    """A part of a payment given back, within a year of it."""
    part = dice.randint(1, paid.amount.minor_units)
    at = paid.occurred_at + timedelta(days=5 * dice.randint(0, 70))
    return Refund(f"{paid.source}/back", paid.source, paid.amount.minor_units, part, at)


async def populate(work: Work, dice: random.Random, ids: Sequence[str]) -> None:
    """Customers with lines, as members or a person of them, with points and spend over two years."""

    async def act(transaction: Transaction) -> None:
        put = [customer(each, subscribers=random_lines(dice), registered_at=day(dice.randint(-800, 0))) for each in ids]
        await upsert_customers(transaction, [UpsertCustomer(each) for each in put])
        holders = [Holder(CustomerId(each), GENERAL, dice.choice([EVERYBODY, PersonId("p-1")])) for each in ids]
        begun = await memberships.enrol_customers(transaction, [EnrolCustomer(holder, day(0)) for holder in holders])
        grants = random_grants(dice, [standing for standing in begun if isinstance(standing, Standing)])
        await points.post_grants(transaction.connection, grants, recorded_at=transaction.recorded_at)
        paid = random_spending(dice, ids)
        await tiers.note_spending(transaction, paid)
        await take_back(transaction, [TakeBack(random_refund(dice, each)) for each in paid if dice.random() < 0.5])

    await work.run(act)


async def test_the_statement_reaches_the_tier_that_the_rule_names(work: Work) -> None:
    """Random trees over random customers at random instants: SQL, for all at once and for each at its own instant,
    against the rule on what is counted entry by entry."""
    dice = random.Random(11)
    ids = [f"c-{number:02}" for number in range(25)]
    await populate(work, dice, ids)
    ranks_seen = set()
    async with work.reading() as connection:
        found = await members.find_members_of(connection, [CustomerId(each) for each in ids])
        for _ in range(30):
            trees = [random_requirement(dice) for _ in range(2)]
            rule = program(
                "general",
                tiers=(STANDARD, *(Tier(TierId(f"t-{n}"), "T", n, 0, 100, tree) for n, tree in enumerate(trees, 1))),
                time_zone=dice.choice(["UTC", "Asia/Shanghai"]),
            )
            at = {member.member_id: day(5 * dice.randint(1, 150)) for member in found}
            reached = await store.judge_members(connection, rule, at)
            for member in found:
                as_of = at[member.member_id]
                counted = await count_for_member(connection, rule, member, as_of)
                measured = counted.measured(rule.measures(rule.tiers), as_of)
                assert await store.measure_member(connection, rule, list(measured), member, as_of) == measured
                expected = rule.tier_reached(measured, as_of)
                assert reached[member.member_id] == expected.rank, (rule.tiers, member, as_of)
            as_of = day(5 * dice.randint(1, 150))
            at_once = await store.judge_members(connection, rule, dict.fromkeys(at, as_of))
            seen = await store.preview_round(connection, rule, after="", as_of=as_of, most=100)
            assert {cell.reached: cell.members for cell in seen.cells} == _counted(at_once)
            ranks_seen |= set(reached.values())
    assert ranks_seen == {0, 1, 2}


def _counted(ranks: Mapping[MemberId, int]) -> dict[int, int]:
    return {rank: list(ranks.values()).count(rank) for rank in set(ranks.values())}


async def test_a_tier_rises_with_the_points_and_changes_the_rate_from_then_on(work: Work) -> None:
    await put_program(work, moving(upgrades_at_once=True))
    await enrolled(work, "c-1")
    await awarded(work, award(299, at=day(1)))
    assert await tier_of(work) == ("standard", JANUARY)
    await awarded(work, award(1, at=day(2)))
    assert await tier_of(work) == ("silver", day(2))
    async with work.reading() as connection:
        held = await members.members_at(connection, [(C1, day(1)), (C1, day(2)), (C1, day(3))])
    assert [each.tier_id for each in held] == ["standard", "silver", "silver"]
    assert await told(work, "TierChanged") == 2
    await prove(work)


async def test_where_the_program_does_not_move_at_once_only_the_evaluation_does(work: Work) -> None:
    await enrolled(work, "c-1")
    await awarded(work, award(5000, at=day(1)))
    assert await tier_of(work) == ("standard", JANUARY)
    assert await evaluate(work, 3) == Evaluation(1, 1, 0)
    assert await tier_of(work) == ("gold", day(3))


async def test_points_that_arrive_late_raise_the_tier_from_where_it_stands(work: Work) -> None:
    await put_program(work, moving(upgrades_at_once=True))
    await enrolled(work, "c-1")
    await awarded(work, award(300, at=day(20)))
    await awarded(work, award(700, at=day(7)))
    assert await tier_of(work) == ("gold", day(20))
    history = await rows(work, "SELECT tier_id, held_from FROM tier_history ORDER BY revision")
    assert history == [("standard", JANUARY), ("silver", day(20)), ("gold", day(20))]


async def test_spend_and_lines_raise_the_tier_at_once_and_count_once(work: Work) -> None:
    asked = AllOf((Spend(10_000, Window(days=30), (SpendKind.ORDER,)), Services(2, (SubscriberKind.TV,))))
    await put_program(work, asking(asked, upgrades_at_once=True))
    await enrolled(work, "c-1")
    await spent(work, (5_000, day(1)))
    await spent(work, (5_000, day(1)), (4_999, day(2)))
    assert await scalar(work, "SELECT sum(amount_minor) FROM tier_spend") == 9_999
    await spent(work, (1, day(3)))
    assert (await tier_of(work))[0] == "standard"
    lines = tuple(Subscriber(SubscriberId(f"s-{n}"), SubscriberKind.TV, JANUARY) for n in range(2))

    async def second_line(transaction: Transaction) -> None:
        await upsert_customers(transaction, [UpsertCustomer(customer(subscribers=lines))])
        await tiers.judge_customers(transaction, {C1: day(4)})

    await work.run(second_line)
    assert await tier_of(work) == ("silver", day(4))


async def test_a_person_is_judged_by_its_own_points_and_not_by_the_households_money(work: Work) -> None:
    await put_program(work, asking(AnyOf((Spend(100, Window()), Points(50, Window()))), upgrades_at_once=True))
    await enrolled(work, "c-1")
    person = Holder(C1, GENERAL, PersonId("p-1"))
    await enrol(work, EnrolCustomer(person, JANUARY))
    await spent(work, (100, day(1)))
    held = dict(await rows(work, "SELECT person_id, tier_id FROM members"))
    assert held == {"": "silver", "p-1": "standard"}
    await awarded(work, replace(award(50, at=day(2)), holder=person))
    assert dict(await rows(work, "SELECT person_id, tier_id FROM members"))["p-1"] == "silver"


async def test_whoever_meets_a_tier_when_enrolled_starts_there_where_moves_are_at_once(work: Work) -> None:
    await put_program(work, asking(Services(1), upgrades_at_once=True))
    (standing,) = await enrolled(work, "c-1", at=day(3))
    assert standing.tier.tier_id == "silver"
    assert await tier_of(work) == ("silver", day(3))


async def test_grace_runs_before_a_member_falls_and_a_second_pass_changes_nothing(work: Work) -> None:
    await put_program(work, moving(grace_days=10))
    await enrolled(work, "c-1", "c-2")
    await awarded(work, award(300, at=day(1)), award(300, at=day(1), customer_id="c-2"))
    assert await evaluate(work, 2) == Evaluation(2, 2, 0)
    assert await evaluate(work, 366) == Evaluation(2, 0, 0)
    assert await evaluate(work, 366) == Evaluation(2, 0, 0)
    ends = await rows(work, "SELECT DISTINCT in_grace, holds_until FROM members")
    assert ends == [(True, day(376))]
    await awarded(work, award(300, at=day(370), customer_id="c-2"))
    assert await evaluate(work, 376) == Evaluation(2, 0, 1)
    left = await rows(work, "SELECT customer_id, tier_id, in_grace, holds_until FROM members ORDER BY 1")
    assert left == [("c-1", "standard", False, None), ("c-2", "silver", False, None)]
    await prove(work)


async def test_soft_landing_takes_one_tier_a_pass(work: Work) -> None:
    await put_program(work, moving(soft_landing=True))
    await enrolled(work, "c-1")
    await awarded(work, award(1000, at=day(1)))
    await evaluate(work, 2)
    for number, expected in ((366, "silver"), (366, "silver"), (367, "standard"), (368, "standard")):
        await evaluate(work, number)
        assert (await tier_of(work))[0] == expected


async def test_a_move_later_than_the_evaluation_is_left_alone(work: Work) -> None:
    await put_program(work, moving(upgrades_at_once=True))
    await enrolled(work, "c-1")
    await awarded(work, award(300, at=day(20)))
    assert await evaluate(work, 10) == Evaluation(0, 0, 0)
    assert await tier_of(work) == ("silver", day(20))


async def test_a_placement_holds_and_is_undone_only_where_nothing_happened_since(work: Work) -> None:
    await put_program(work, moving(validity_days=100))
    first, second = await enrolled(work, "c-1", "c-2")
    ids = [first.member.member_id, second.member.member_id]
    gold = TierId("gold")
    moves = await placed(work, *(Placement(each, gold, day(1)) for each in ids))
    assert [move.member.holds_until for move in moves if isinstance(move, TierMove)] == [day(101), day(101)]
    assert await evaluate(work, 100) == Evaluation(2, 0, 0)
    assert await evaluate(work, 101) == Evaluation(2, 0, 2)
    again = await placed(work, Placement(ids[0], gold, day(102)), Placement(ids[1], TierId("none"), day(102)))
    assert isinstance(again[1], TierNotFound)
    undone = await placed(
        work,
        Placement(ids[0], TierId("standard"), day(103), at_revision=4),
        Placement(ids[1], TierId("silver"), day(103), at_revision=99),
    )
    assert isinstance(undone[0], TierMove)
    assert isinstance(undone[1], MemberMoved)
    early = await placed(work, Placement(ids[0], gold, day(50)))
    assert isinstance(early[0], MemberMoved)
    async with work.reading() as connection:
        history = await memberships.list_history(connection, Holder(C1, GENERAL), FOREVER)
    assert [(line.tier_id, line.reason.value, line.note, line.version) for line in history] == [
        ("standard", "placement", "run-1", 2),
        ("gold", "placement", "run-1", 2),
        ("standard", "evaluation", "", 2),
        ("gold", "placement", "run-1", 2),
        ("standard", "enrolment", "", 2),
    ]
    await prove(work)


async def test_members_are_warned_once_of_each_date(work: Work) -> None:
    await put_program(work, moving(grace_days=10, warning_days=7))
    await enrolled(work, "c-1", "c-2")
    await awarded(work, award(300, at=day(1)))
    await evaluate(work, 2)
    await evaluate(work, 366)

    async def warn(number: int) -> Warnings:
        return await work.run(lambda transaction: warn_downgrades(transaction, WarnDowngrades(GENERAL, day(number))))

    assert await warn(368) == Warnings(0, 0)
    assert await warn(369) == Warnings(1, 1)
    assert await warn(369) == Warnings(1, 0)
    assert await warn(370) == Warnings(1, 0)
    assert await told(work, "DowngradeWarned") == 1
    async with work.reading() as connection:
        seen = await outlook.forecast_tier(connection, Holder(C1, GENERAL), as_of=day(370))
    assert seen.keeping is not None
    assert seen.keeping.held_until == day(376)


async def test_the_forecast_is_that_of_the_version_in_force(work: Work) -> None:
    await put_program(work, moving(grace_days=10))
    await enrolled(work, "c-1")
    await awarded(work, award(160, at=day(1)), award(200, at=day(5)))
    await evaluate(work, 6)
    async with work.reading() as connection:
        seen = await outlook.forecast_tier(connection, Holder(C1, GENERAL), as_of=day(10))
    assert seen.goal is not None
    assert (seen.goal.tier, [each.amount for each in seen.goal.missing], seen.goal.by) == (GOLD, [640], day(366))
    assert seen.keeping is not None
    assert (seen.keeping.lost_at, seen.keeping.held_until) == (day(366), day(376))
    assert [each.amount for each in seen.keeping.needed] == [100]


async def test_programs_are_judged_by_themselves_when_their_period_begins(work: Work) -> None:
    await put_program(work, moving(evaluated_every=Period.MONTH, warning_days=3))
    await enrolled(work, "c-1")
    await awarded(work, award(300, at=day(290)))
    while await work.run(outlook.look_after_programs):
        pass
    assert await tier_of(work) == ("silver", datetime.fromisoformat("2026-11-01T00:00:00+00:00"))
    assert not await work.run(outlook.look_after_programs)


async def test_many_who_earn_at_once_rise_once_each(work: Work) -> None:
    """Distinct transactions on one member: the one that brings the tier moves it, and no other."""
    await put_program(work, moving(upgrades_at_once=True))
    await enrolled(work, "c-1")
    await asyncio.gather(*(awarded(work, award(30, at=day(1))) for _ in range(40)))
    history = await rows(work, "SELECT tier_id FROM tier_history ORDER BY revision")
    assert history == [("standard",), ("silver",), ("gold",)]
    await prove(work)


async def test_an_evaluation_and_earnings_side_by_side_lose_no_upgrade(work: Work) -> None:
    ids = [f"c-{number}" for number in range(20)]
    await put_program(work, moving(upgrades_at_once=True))
    await enrolled(work, *ids)
    earned = [awarded(work, award(300, at=day(1), customer_id=each)) for each in ids]
    await asyncio.gather(*earned, *(evaluate(work, 2, most=7) for _ in range(6)))
    assert await scalar(work, "SELECT count(*) FROM members WHERE tier_id = 'silver'") == 20
    assert await scalar(work, "SELECT count(*) FROM tier_history") == 40
    await prove(work)


async def test_what_is_taken_back_counts_for_no_tier_even_where_it_was_spent(work: Work) -> None:
    (standing,) = await enrolled(work, "c-1")
    await awarded(work, award(400, at=day(1), transaction_id="t-1"))
    account = AccountId(f"points:{standing.member.member_id}")
    spend = Post(
        source=Source("cup"),
        kind="redeem",
        occurred_at=day(2),
        entries=(Entry(account, -390), Entry(AccountId("redeemed"), 390)),
    )
    undo = Reverse(
        source=Source("undo"),
        kind="reversal",
        occurred_at=day(3),
        of=Source("t-1"),
        shortfall=Shortfall.ONLY_WHAT_IS_LEFT,
    )

    async def post(transaction: Transaction) -> None:
        for command in (spend, undo):
            await BOOKS.post_one(transaction.connection, command, recorded_at=transaction.recorded_at)

    await work.run(post)
    async with work.reading() as connection:
        for number, expected in ((2, 400), (3, 0)):
            seen = await memberships.get_standing(connection, Holder(C1, GENERAL), as_of=day(number))
            assert seen.qualifying_points == expected
