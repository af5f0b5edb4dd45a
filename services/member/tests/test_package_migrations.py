"""Package customers become members: what conditions read, what a plan would do, runs in rounds, and the way back."""

from dataclasses import replace
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from chassis.calendar import Calendar
from chassis.errors import InvalidArgument
from chassis.money import Money
from chassis.paging import Page
from chassis.work import Transaction, Work
from member.domain.customer import CustomerId, CustomerKind, HeldProduct, Subscriber, SubscriberId, SubscriberKind
from member.domain.membership import Holder
from member.domain.package_migration import (
    MAX_RULES,
    MappingRule,
    MigrationPlan,
    MigrationUnderWay,
    Move,
    Outcome,
    PlanId,
    PlanNotFound,
    RuleId,
    RunId,
    RunNotFound,
    RunState,
    RunUndone,
    Target,
    Undo,
    check_plan,
)
from member.domain.package_rule import (
    PackageCustomer,
    compile_condition,
    condition_context,
    condition_violations,
    holds,
)
from member.domain.program import GENERAL, ProgramId, TierId
from member.domain.requirement import Spending
from member.store.package_migrations import MoveFilter
from member.use_cases import package_migrations as runs
from member.use_cases import package_plans as plans
from member.use_cases.customers import UpsertCustomer
from member.use_cases.memberships import EnrolCustomer
from member.use_cases.tiers import Placement, note_spending, place_members

from services.member.tests.earning import refund
from services.member.tests.factories import (
    JANUARY,
    award,
    awarded,
    customer,
    day,
    enrolled,
    reward,
    rewarded,
    rows,
    scalar,
    told,
)
from services.member.tests.steps import enrol, prove, put

SHANGHAI = Calendar(ZoneInfo("Asia/Shanghai"))
GOLD, SILVER, STANDARD = (Target(GENERAL, TierId(tier)) for tier in ("gold", "silver", "standard"))
LONG_AGO = datetime(2019, 1, 1, tzinfo=JANUARY.tzinfo)
PLAN = PlanId("plan")


def line(kind: SubscriberKind = SubscriberKind.TV, *packages: str, since: datetime = LONG_AGO) -> Subscriber:
    """A line that holds packages since it began."""
    held = tuple(HeldProduct(package, since) for package in packages)
    return Subscriber(SubscriberId(f"s-{kind.value}-{'-'.join(packages)}"), kind, since, products=held)


def plan(*rules: tuple[str, Target], default: Target | None = None, **changes: Any) -> MigrationPlan:
    """A plan with rules `r0`, `r1` …"""
    mapping = tuple(MappingRule(RuleId(f"r{n}"), condition, to) for n, (condition, to) in enumerate(rules))
    values: dict[str, Any] = {"display_name": "Plan", "spend_days": 365, "moves_members": False}
    return MigrationPlan(PLAN, rules=mapping, default=default, **values | changes)


BY_PACKAGE = plan(
    ('"gold" in customer.packages', GOLD),
    ('lines.exists(l, l.kind == "tv" && l.years >= 3)', SILVER),
)


async def put_plan(work: Work, wanted: MigrationPlan) -> MigrationPlan:
    """A plan put."""
    return await work.run(lambda transaction: plans.put_plan(transaction, plans.PutPlan(wanted, "ops")))


async def dry_run(work: Work, wanted: MigrationPlan, *, samples: int = 2) -> plans.Tried:
    """A plan tried out."""
    async with work.reading() as connection:
        return await plans.dry_run(connection, plans.DryRun(wanted, day(1), samples), SHANGHAI)


async def start(work: Work, wanted: MigrationPlan, *, at: int = 1) -> RunId:
    """A run of a plan begun."""
    kept = await put_plan(work, wanted)
    command = runs.StartRun(kept.plan_id, None, day(at), "ops")
    return (await work.run(lambda transaction: runs.start_run(transaction, command))).run.run_id


async def advance(work: Work, run_id: RunId | None, *, most: int = 1000) -> runs.Advanced | None:
    """One round."""
    command = runs.AdvanceRun(run_id, most)
    return await work.run(lambda transaction: runs.advance_run(transaction, command, SHANGHAI))


async def through(work: Work, run_id: RunId) -> runs.Progress:
    """Rounds until nothing is left."""
    while (done := await advance(work, run_id)) and done.more:
        pass
    return await progress(work, run_id)


async def undo(work: Work, run_id: RunId, *, at: int = 9) -> runs.Progress:
    """A run that is to be undone."""
    command = runs.UndoRun(run_id, day(at), "ops-2")
    return await work.run(lambda transaction: runs.undo_run(transaction, command))


async def progress(work: Work, run_id: RunId) -> runs.Progress:
    """How far a run is."""
    async with work.reading() as connection:
        return await runs.get_run(connection, run_id)


async def report(work: Work, run_id: RunId, **only: Any) -> list[Move]:
    """A run's report."""
    async with work.reading() as connection:
        return await runs.list_moves(connection, run_id, MoveFilter(**only), Page(100, None))


async def customers(work: Work) -> None:
    """Five package customers: gold package, long in service, neither, a member, and one without lines."""
    await put(
        work,
        UpsertCustomer(customer("c-1", subscribers=(line(SubscriberKind.MOBILE, "gold", "sport"),))),
        UpsertCustomer(customer("c-2", subscribers=(line(),))),
        UpsertCustomer(customer("c-3", subscribers=(line(since=JANUARY),))),
        UpsertCustomer(customer("c-4", subscribers=(line(SubscriberKind.TV, "gold"),))),
        UpsertCustomer(customer("c-5", subscribers=())),
    )
    await enrol(work, EnrolCustomer(Holder(CustomerId("c-4"), GENERAL), JANUARY))


async def tiers(work: Work) -> dict[str, str]:
    """The tier of everybody who is a member."""
    found = await rows(work, "SELECT customer_id, tier_id FROM members WHERE left_at IS NULL")
    return dict(found)


def package_customer(*lines: Subscriber, **changes: Any) -> PackageCustomer:
    """A customer as conditions see it."""
    return PackageCustomer(CustomerId("c-1"), CustomerKind.HOUSEHOLD, LONG_AGO, lines, **changes)


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ('"gold" in customer.packages', True),
        ('lines.exists(l, l.kind == "tv" && "gold" in l.packages)', False),
        ('lines.exists_one(l, l.kind == "mobile") && lines.all(l, l.days > 10)', True),
        ('customer.tenure_years == 7 && customer.kind == "household"', True),
        ("customer.recharged_minor > 100 * 100 || customer.ordered_minor == 5", True),
        ('customer.kinds == ["mobile", "tv"] && customer.line_count == 2', True),
        ("int(customer.kind) > 3", None),
        ("has(customer.kind) ? true : false", True),
    ],
)
def test_what_conditions_read(condition: str, expected: bool | None) -> None:
    ended = replace(line(SubscriberKind.BROADBAND, "old"), in_service_until=day(1))
    lapsed = replace(line(SubscriberKind.TV), products=(HeldProduct("gold", LONG_AGO, day(1)),))
    mobile = line(SubscriberKind.MOBILE, "gold", since=day(-20))
    asked = package_customer(ended, lapsed, mobile, ordered_minor=5)
    assert list(condition_violations("f", condition)) == []
    assert holds(compile_condition(condition), condition_context(asked, day(1), SHANGHAI)) is expected


def test_years_are_whole_ones_of_the_operators_days() -> None:
    since = datetime(2020, 12, 31, 16, tzinfo=JANUARY.tzinfo)  # 1 January 2021 in Shanghai
    asked = replace(package_customer(line(since=since)), registered_at=since)
    condition = compile_condition("customer.tenure_years == 5 && lines.all(l, l.years == 5)")
    turn = datetime(2025, 12, 31, 16, tzinfo=JANUARY.tzinfo)
    before = datetime(2025, 12, 31, 15, 59, tzinfo=JANUARY.tzinfo)
    assert [holds(condition, condition_context(asked, at, SHANGHAI)) for at in (before, turn)] == [False, True]


@pytest.mark.parametrize(
    ("condition", "place", "what"),
    [
        (" ", "", "must not be blank"),
        ("x" * 4001, "", "must have at most"),
        ("customer.salary > 1", "line 1, column 10", "not 'salary'"),
        ("true &&\n  foo", "line 2, column 3", "'foo' is unknown"),
        ("lines.exists(l, l.name == 'a')", "line 1, column 19", "a line has"),
        ("lines.exists(l, lines.exists(m, m.years > l.years))", "line 1, column 23", "a macro within a macro"),
        ("customer.packages.exists(p, true)", "line 1, column 19", "asks about lines"),
        (" || ".join(["lines.all(l, true)"] * 11), "line 1, column 227", "more than 10 macros"),
        ("customer.kind.lower()", "line 1, column 15", "no function lower()"),
        ("size(customer.packages) > 1", "line 1, column 1", "no function size()"),
        ("customer.packages[0] == 'a'", "line 1, column 18", "an index"),
        ("customer.line_count > 1u", "line 1, column 23", "unsigned"),
        ("customer.kind == 'a", "line 1, column 18", "cannot read"),
        ("customer.kind ==", "line 1, column 17", "Syntax error"),
        ("customer.kind > 3", "line 1, column 1", "cannot be evaluated"),
        ("customer.tenure_days", "line 1, column 1", "must give true or false"),
        ("(" * 25 + "true" + ")" * 25, "line 1, column 25", "nested more than"),
    ],
)
def test_a_condition_that_is_wrong_is_refused_with_its_place(condition: str, place: str, what: str) -> None:
    (first, *_) = condition_violations("plan.rules[0].condition", condition)
    assert first.field == "plan.rules[0].condition"
    assert first.description.startswith(place)
    assert what in first.description


def test_a_plan_names_every_fault() -> None:
    with pytest.raises(InvalidArgument) as refusal:
        check_plan(plan(("fo", GOLD), ("true", GOLD), display_name="", spend_days=0))
    assert [violation.field for violation in refusal.value.violations] == [
        "plan.display_name",
        "plan.spend_days",
        "plan.rules[0].condition",
    ]
    rule = MappingRule(RuleId("r"), "true", GOLD)
    for rules, field in (((rule, rule), "plan.rules[1].rule_id"), ((rule,) * (MAX_RULES + 1), "plan.rules"), ((), "")):
        with pytest.raises(InvalidArgument) as refusal:
            check_plan(replace(plan(), rules=rules))
        assert refusal.value.violations[0].field == (field or "plan.rules")


async def test_a_plan_has_versions_and_targets_that_exist(work: Work) -> None:
    first = await put_plan(work, BY_PACKAGE)
    assert (first.version, (await put_plan(work, BY_PACKAGE)).version) == (1, 1)
    assert (await put_plan(work, replace(BY_PACKAGE, default=STANDARD))).version == 2
    async with work.reading() as connection:
        assert await plans.get_plan(connection, PLAN, 1) == first
        assert [each.version for each in await plans.list_plans(connection, Page(10, None))] == [2]
        with pytest.raises(PlanNotFound):
            await plans.get_plan(connection, PLAN, 3)
        wrong = plan(("fo", Target(ProgramId("none"), TierId("a"))), default=Target(GENERAL, TierId("none")))
        problems = await plans.validate_plan(connection, wrong)
    assert [problem.field for problem in problems] == [
        "plan.rules[0].condition",
        "plan.rules[0].target.program_id",
        "plan.default_target.tier_id",
    ]
    with pytest.raises(InvalidArgument):
        await put_plan(work, plan(default=Target(GENERAL, TierId("none"))))


async def test_a_dry_run_counts_by_rule_and_touches_nothing(work: Work) -> None:
    await customers(work)
    before = await scalar(work, "SELECT count(*) FROM outbox")
    tried = await dry_run(work, replace(BY_PACKAGE, rules=(*plan(("int(customer.kind) > 1", GOLD)).rules,)))
    assert [(rule_id, tally.outcomes, tally.undecided) for rule_id, tally in tried.rules] == [
        ("r0", {}, 5),
        ("", {Outcome.UNMATCHED: 5}, 0),
    ]
    tried = await dry_run(work, BY_PACKAGE)
    assert tried.total == 5
    assert [(rule_id, tally.outcomes, tally.samples) for rule_id, tally in tried.rules] == [
        ("r0", {Outcome.ENROLLED: 1, Outcome.LEFT_ALONE: 1}, ["c-1", "c-4"]),
        ("r1", {Outcome.ENROLLED: 1}, ["c-2"]),
        ("", {Outcome.UNMATCHED: 2}, ["c-3", "c-5"]),
    ]
    assert await tiers(work) == {"c-4": "standard"}
    assert await scalar(work, "SELECT count(*) FROM outbox") == before


async def test_a_run_places_everybody_once_in_rounds(work: Work) -> None:
    await customers(work)
    run_id = await start(work, replace(BY_PACKAGE, default=STANDARD, moves_members=True))
    assert [await advance(work, None, most=2) for _ in range(3)] == [
        (2, RunState.RUNNING),
        (2, RunState.RUNNING),
        (1, RunState.DONE),
    ]
    assert await advance(work, run_id) == (0, RunState.DONE)
    assert await advance(work, None) is None
    assert await tiers(work) == {"c-1": "gold", "c-2": "silver", "c-3": "standard", "c-4": "gold", "c-5": "standard"}
    found = await progress(work, run_id)
    assert (found.run.total, found.run.done) == (5, 5)
    assert {rule_id: dict(tally.outcomes) for rule_id, tally in found.rules} == {
        "r0": {Outcome.ENROLLED: 1, Outcome.MOVED: 1},
        "r1": {Outcome.ENROLLED: 1},
        "": {Outcome.ENROLLED: 2},
    }
    lines = await report(work, run_id)
    assert [(move.customer_id, move.rule_id, move.packages, move.previous_tier_id) for move in lines] == [
        ("c-1", "r0", ("gold", "sport"), None),
        ("c-2", "r1", (), None),
        ("c-3", "", (), None),
        ("c-4", "r0", ("gold",), "standard"),
        ("c-5", "", (), None),
    ]
    assert await told(work, "MemberEnrolled") == 5
    await prove(work)


async def test_a_round_that_is_lost_is_done_again(work: Work) -> None:
    await customers(work)
    run_id = await start(work, replace(BY_PACKAGE, default=STANDARD))

    async def killed(transaction: Transaction) -> None:
        await runs.advance_run(transaction, runs.AdvanceRun(run_id, 3), SHANGHAI)
        raise RuntimeError("killed")

    await advance(work, run_id, most=1)
    with pytest.raises(RuntimeError):
        await work.run(killed)
    assert await tiers(work) == {"c-1": "gold", "c-4": "standard"}
    assert (await through(work, run_id)).run.done == 5
    assert await scalar(work, "SELECT count(*) FROM members") == 5


async def test_one_run_at_a_time(work: Work) -> None:
    await customers(work)
    run_id = await start(work, BY_PACKAGE)
    with pytest.raises(MigrationUnderWay):
        await start(work, BY_PACKAGE)
    await through(work, run_id)
    second = await start(work, BY_PACKAGE)
    with pytest.raises(MigrationUnderWay):
        await undo(work, run_id)
    outcomes = [tally.outcomes for _, tally in (await through(work, second)).rules]
    assert outcomes[:2] == [{Outcome.ALREADY_THERE: 1, Outcome.LEFT_ALONE: 1}, {Outcome.ALREADY_THERE: 1}]
    with pytest.raises(RunNotFound):
        await advance(work, RunId("none"))


async def test_undoing_takes_back_what_nothing_else_touched(work: Work) -> None:
    await customers(work)
    await put(work, UpsertCustomer(customer("c-6", subscribers=(line(),))))
    run_id = await start(work, replace(BY_PACKAGE, default=STANDARD, moves_members=True))
    await through(work, run_id)
    await awarded(work, award(5, at=day(2), customer_id="c-5"))
    moved = await scalar(work, "SELECT member_id FROM members WHERE customer_id = 'c-6'")
    await work.run(lambda t: place_members(t, [Placement(moved, TierId("gold"), day(3))], reason="by hand"))
    with pytest.raises(InvalidArgument):
        await undo(work, run_id, at=0)
    assert (await undo(work, run_id)).run.state is RunState.UNDOING
    with pytest.raises(RunUndone):
        await undo(work, run_id)
    found = await through(work, run_id)
    assert (found.run.state, found.undone, found.kept, found.run.undone_by) == (RunState.UNDONE, 4, 2, "ops-2")
    assert await tiers(work) == {"c-4": "standard", "c-5": "standard", "c-6": "gold"}
    kept = await report(work, run_id, undo=Undo.KEPT)
    assert [(move.customer_id, move.undo_reason) for move in kept] == [
        ("c-5", "MEMBER_HAS_POINTS"),
        ("c-6", "MEMBER_MOVED"),
    ]
    assert await told(work, "MemberLeft") == 3
    await prove(work)
    again = await start(work, BY_PACKAGE, at=10)
    await through(work, again)
    assert (await tiers(work))["c-1"] == "gold"


async def test_a_run_is_undone_midway(work: Work) -> None:
    await customers(work)
    run_id = await start(work, replace(BY_PACKAGE, default=STANDARD))
    await advance(work, run_id, most=2)
    await undo(work, run_id)
    assert (await through(work, run_id)).undone == 2
    assert await tiers(work) == {"c-4": "standard"}


async def test_who_is_merged_away_or_not_yet_a_customer_is_left_out(work: Work) -> None:
    await customers(work)
    await put(work, UpsertCustomer(customer("c-7", registered_at=day(2))))
    assert (await dry_run(work, BY_PACKAGE)).total == 5


async def test_a_condition_counts_money_of_the_plans_window(work: Work) -> None:
    await enrolled(work, "c-1", "c-2")

    money = [("c-1", 1, 500), ("c-1", -9, 400), ("c-2", -10, 900)]
    noted = [
        Spending(
            f"{who}{number}", CustomerId(who), recharged=True, amount=Money(amount, "CNY"), occurred_at=day(number)
        )
        for who, number, amount in money
    ]
    await work.run(lambda transaction: note_spending(transaction, noted))
    tried = await dry_run(work, plan(("customer.recharged_minor == 900", GOLD), spend_days=11))
    assert tried.rules[0][1].samples == ["c-1"]


async def test_a_condition_counts_money_less_what_was_given_back(work: Work) -> None:
    await enrolled(work, "c-1", "c-2")
    for who in ("c-1", "c-2"):
        await rewarded(work, reward(900, at=day(-1), customer_id=who, source=f"billing:{who}"))
    await refund(work, "billing:c-1", 300, on=1, paid_minor=900)
    await refund(work, "billing:c-2", 300, on=100, paid_minor=900)
    tried = await dry_run(work, plan(("customer.recharged_minor == 600", GOLD), spend_days=30))
    assert tried.rules[0][1].samples == ["c-1"]
