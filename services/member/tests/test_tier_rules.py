"""What tiers ask for, when members move, and what is foreseen: the rules alone."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from chassis.calendar import Period
from chassis.errors import InvalidArgument
from hypothesis import given
from hypothesis import strategies as st
from member.domain.benefit import Benefit, BenefitId, Perk, Quota
from member.domain.customer import CustomerId, SubscriberKind
from member.domain.forecast import Amounts, Counted, forecast
from member.domain.kinds import EARNED, EarnClass, PointsKind
from member.domain.membership import Holder, Member, MemberId, judge, rise
from member.domain.program import GENERAL, Moves, Program, Tier, TierId, Timeline, check_program
from member.domain.program_diff import differences
from member.domain.requirement import (
    AllOf,
    AnyOf,
    Missing,
    Points,
    Requirement,
    Services,
    Spend,
    SpendKind,
    Tenure,
    TenureSince,
    Window,
    in_words,
    is_met,
    leaves,
    unmet,
)
from member.store.program_documents import program_from_json, program_to_json
from member.wire.programs import program_from_proto, program_to_proto

from services.member.tests.factories import GOLD, JANUARY, SILVER, STANDARD, day, program

YEAR = Window(days=365)

windows = st.one_of(
    st.integers(1, 3_660).map(lambda days: Window(days=days)),
    st.sampled_from([Period.EVER, Period.MONTH, Period.QUARTER, Period.YEAR]).map(lambda each: Window(period=each)),
)
trees: st.SearchStrategy[Requirement] = st.recursive(
    st.one_of(
        st.builds(
            Points,
            st.integers(1, 5_000),
            windows,
            st.lists(st.sampled_from(EARNED), unique=True, max_size=3).map(tuple),
            st.lists(st.sampled_from(EarnClass), unique=True, max_size=2).map(tuple),
        ),
        st.builds(
            Spend,
            st.integers(1, 500_000),
            windows,
            st.lists(st.sampled_from(SpendKind), unique=True, max_size=2).map(tuple),
        ),
        st.builds(Tenure, st.integers(1, 2_000), st.sampled_from(TenureSince)),
        st.builds(
            Services,
            st.integers(1, 5),
            st.lists(st.sampled_from(SubscriberKind), unique=True, max_size=3).map(tuple),
        ),
    ),
    lambda inner: st.one_of(
        st.lists(inner, min_size=1, max_size=3).map(lambda of: AllOf(tuple(of))),
        st.lists(inner, min_size=1, max_size=3).map(lambda of: AnyOf(tuple(of))),
    ),
    max_leaves=4,
)


def member(tier: Tier = STANDARD, **changes: Any) -> Member:
    """A member enrolled in January."""
    held = Member(MemberId("m"), Holder(CustomerId("c-1"), GENERAL), tier.tier_id, JANUARY, JANUARY, 1)
    return replace(held, **changes)


def moving(**moves: Any) -> Program:
    """A program with the ready-made one's tiers that moves members so."""
    return program("general", moves=Moves(**moves))


def asking(requirement: Requirement, **changes: Any) -> Program:
    """A program whose second tier asks for this."""
    return program(tiers=(STANDARD, Tier(TierId("silver"), "Silver", 1, 0, 120, requirement)), **changes)


@given(trees)
def test_a_version_is_kept_and_sent_without_loss(requirement: Requirement) -> None:
    benefits = (
        Benefit(BenefitId("lounge"), "Lounge", Quota(Period.YEAR, 4)),
        Benefit(BenefitId("wine"), "Wine", Perk("a bottle")),
    )
    tier = Tier(TierId("silver"), "Silver", 1, 0, 120, requirement, benefits)
    moves = Moves(
        upgrades_at_once=True, validity_years=2, grace_days=3, soft_landing=True, evaluated_every=Period.MONTH
    )
    found = program(tiers=(STANDARD, tier), moves=moves, time_zone="Asia/Shanghai", revision=7)
    assert program_from_json(found.program_id, 7, program_to_json(found)) == found
    assert program_from_proto(program_to_proto(found), "UTC") == replace(found, revision=0)


@given(trees, st.data())
def test_nothing_is_missing_exactly_where_it_is_met(requirement: Requirement, data: st.DataObject) -> None:
    measured: dict[Any, Any] = {}
    for leaf in leaves(requirement):
        since = st.one_of(st.none(), st.integers(-3_000, 300).map(day))
        value = since if isinstance(leaf, Tenure) else st.integers(-10, 600_000)
        measured.setdefault(leaf.measure, data.draw(value))
    assert is_met(requirement, measured, JANUARY) == (not unmet(requirement, measured, JANUARY))
    assert all(missing.amount > 0 for missing in unmet(requirement, measured, JANUARY))


def test_trees_are_judged_as_they_read() -> None:
    points, services = Points(300, YEAR), Services(2)
    tenure = Tenure(730, TenureSince.REGISTRATION)
    tree = AllOf((points, AnyOf((services, tenure))))
    known: dict[Any, Any] = {points.measure: 300, services.measure: 1, tenure.measure: day(-729)}
    assert in_words(tree) == "300 points in 365 days and (2 services or 730 days since registration)"
    assert not is_met(tree, known, JANUARY)
    assert is_met(tree, known, day(1))
    assert is_met(tree, known | {services.measure: 2}, JANUARY)
    assert not is_met(tree, known | {points.measure: 299}, day(1))
    assert unmet(tree, known | {points.measure: 290}, JANUARY) == [
        Missing(points, 10),
        Missing(services, 1),
        Missing(tenure, 1, day(1)),
    ]


def test_classes_stand_for_their_kinds() -> None:
    measure = Points(1, YEAR, (PointsKind.EARN_TENURE,), (EarnClass.SUBSCRIPTION,)).measure
    assert set(measure.kinds) == {
        PointsKind.EARN_RECHARGE,
        PointsKind.EARN_ORDER,
        PointsKind.EARN_SUBSCRIPTION,
        PointsKind.EARN_TENURE,
    }


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"moves": Moves(validity_days=-1)}, "program.moves.validity_days"),
        ({"moves": Moves(validity_days=1, validity_years=1)}, "program.moves.validity_years"),
        ({"moves": Moves(grace_days=3_661)}, "program.moves.grace_days"),
        ({"moves": Moves(warning_days=-1)}, "program.moves.warning_days"),
        ({"time_zone": "Mars/Phobos"}, "program.time_zone"),
        ({"time_zone": "../etc/passwd"}, "program.time_zone"),
        ({"tiers": (replace(STANDARD, requirement=Services(1)),)}, "program.tiers[0].requirement"),
        ({"tiers": (STANDARD, replace(SILVER, requirement=Services(1)))}, "program.tiers[1].points_required"),
    ],
)
def test_a_program_that_could_not_move_members_is_refused(changes: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidArgument) as error:
        check_program(program(**changes))
    assert [violation.field for violation in error.value.violations] == [field]


@pytest.mark.parametrize(
    ("requirement", "field"),
    [
        (Points(0, YEAR), "points.at_least"),
        (Points(1, Window(days=3_661)), "points.window.days"),
        (Spend(0, YEAR), "spend.at_least_minor"),
        (Tenure(0, TenureSince.ENROLMENT), "tenure.days"),
        (Services(501), "services.at_least"),
        (AnyOf(()), "any.of"),
        (AllOf((Services(1), AnyOf((Services(0),)))), "all.of[1].any.of[0].services.at_least"),
    ],
)
def test_a_requirement_that_asks_for_nothing_is_refused(requirement: Requirement, field: str) -> None:
    with pytest.raises(InvalidArgument) as error:
        check_program(asking(requirement))
    assert [violation.field for violation in error.value.violations] == [f"program.tiers[1].requirement.{field}"]


def test_trees_are_bounded_in_depth_and_size() -> None:
    deep: Requirement = Services(1)
    for _ in range(4):
        deep = AllOf((deep,))
    check_program(asking(deep))
    for tree in (AllOf((deep,)), AnyOf(tuple(Services(each) for each in range(1, 14)))):
        with pytest.raises(InvalidArgument):
            check_program(asking(tree))


def test_a_tier_reached_holds_for_its_validity_and_then_for_its_grace() -> None:
    rule = moving(validity_days=30, grace_days=10)
    risen = judge(member(), rule, SILVER, day(5))
    assert risen is not None
    assert (risen.tier_id, risen.tier_since, risen.holds_until, risen.revision) == ("silver", day(5), day(35), 2)
    assert judge(risen, rule, STANDARD, day(35) - timedelta(microseconds=1)) is None
    in_grace = judge(risen, rule, STANDARD, day(35))
    assert in_grace == replace(risen, in_grace=True, holds_until=day(45))
    assert judge(in_grace, rule, STANDARD, day(44)) is None
    assert judge(in_grace, rule, SILVER, day(44)) == replace(risen, holds_until=None)
    fallen = judge(in_grace, rule, STANDARD, day(45))
    assert fallen is not None
    assert (fallen.tier_id, fallen.tier_since, fallen.holds_until, fallen.revision) == ("standard", day(45), None, 3)


def test_validity_by_calendar_years_ends_with_the_operators_year() -> None:
    shanghai = replace(moving(validity_years=1), time_zone="Asia/Shanghai")
    last_hours = datetime(2026, 12, 31, 17, tzinfo=UTC)
    assert shanghai.valid_until(day(5)) == datetime(2026, 12, 31, 16, tzinfo=UTC)
    assert shanghai.valid_until(last_hours) == datetime(2027, 12, 31, 16, tzinfo=UTC)
    assert moving(validity_years=2).valid_until(day(5)) == datetime(2028, 1, 1, tzinfo=UTC)
    assert moving().valid_until(day(5)) is None


def test_soft_landing_goes_one_tier_down_at_a_time_and_never_twice_at_one_instant() -> None:
    rule = moving(soft_landing=True)
    first = judge(member(GOLD), rule, STANDARD, day(10))
    assert first is not None
    assert first.tier_id == "silver"
    assert judge(first, rule, STANDARD, day(10)) is None
    second = judge(first, rule, STANDARD, day(11))
    assert second is not None
    assert second.tier_id == "standard"
    direct = judge(member(GOLD), moving(), STANDARD, day(10))
    assert direct is not None
    assert direct.tier_id == "standard"


def test_where_one_lands_softly_has_its_own_validity_unless_it_is_met() -> None:
    rule = moving(soft_landing=True, validity_days=30)
    landed = [judge(member(GOLD), rule, reached, day(10)) for reached in (STANDARD, SILVER)]
    assert [each.holds_until for each in landed if each] == [day(40), None]


def test_a_late_upgrade_takes_effect_when_the_tier_held_was_taken() -> None:
    held = member(SILVER, tier_since=day(20), revision=2)
    risen = rise(held, moving(), GOLD, day(7))
    assert risen is not None
    assert (risen.tier_since, risen.revision) == (day(20), 3)
    assert rise(held, moving(), SILVER, day(30)) is None
    assert rise(held, moving(), STANDARD, day(30)) is None


def test_a_timeline_says_which_version_is_in_force() -> None:
    first, second = program(revision=1), program(revision=2)
    line = Timeline(((day(0), first), (day(10), second)))
    at = [line.at(instant).revision for instant in (day(-5), day(0), day(10) - timedelta(microseconds=1), day(10))]
    assert at == [1, 1, 1, 2]


def test_a_difference_is_told_in_lines() -> None:
    before = program(moves=Moves(grace_days=5))
    silver = replace(SILVER, earn_rate_percent=125, benefits=(Benefit(BenefitId("wine"), "Wine", Perk("a bottle")),))
    top = Tier(TierId("top"), "Top", 2, 0, 200, Services(3))
    after = program(tiers=(STANDARD, silver, top), window_days=180, moves=Moves(soft_landing=True))
    assert differences(before, after) == [
        "window_days changed from 365 to 180",
        "moves.grace_days changed from 5 to 0",
        "moves.soft_landing changed from False to True",
        "tier gold removed",
        "tier silver: earn_rate_percent changed from 120 to 125",
        "tier silver: requirement changed from 300 points in 365 days to 300 points in 180 days",
        "tier silver: benefit wine added",
        "tier top added at rank 2: 3 services",
    ]
    assert differences(before, before) == []


def counted(rule: Program, *amounts: tuple[int, int]) -> Counted:
    """Points earned on days."""
    earned = Amounts.of((day(number), points) for number, points in amounts)
    return Counted(rule.calendar, {rule.points_measure: earned})


def test_the_forecast_says_what_is_missing_and_until_when() -> None:
    seen = forecast(member(), program("general"), counted(program(), (1, 100), (8, 80)), day(10))
    assert seen.goal is not None
    assert (seen.goal.tier, [each.amount for each in seen.goal.missing], seen.goal.by) == (SILVER, [120], day(366))
    assert seen.keeping is None


def test_in_a_calendar_year_the_way_ends_on_31_december() -> None:
    asked = Points(1000, Window(period=Period.YEAR))
    rule = asking(asked, time_zone="Asia/Shanghai")
    earned = Amounts.of([(day(1), 680)])
    known = Counted(rule.calendar, {rule.points_measure: earned, asked.measure: earned})
    seen = forecast(member(), rule, known, day(100))
    assert seen.goal is not None
    assert [each.amount for each in seen.goal.missing] == [320]
    assert seen.goal.by == datetime(2026, 12, 31, 16, tzinfo=UTC)


def test_the_forecast_says_when_the_tier_is_lost_and_what_keeps_it() -> None:
    rule = moving(grace_days=10)
    seen = forecast(member(SILVER), rule, counted(rule, (1, 140), (20, 200)), day(30))
    assert seen.keeping is not None
    assert seen.keeping.lost_at == day(366)
    assert seen.keeping.held_until == day(376)
    assert [each.amount for each in seen.keeping.needed] == [100]
    assert seen.keeping.falls_to == STANDARD


def test_validity_puts_off_what_is_lost() -> None:
    held = member(SILVER, holds_until=day(500))
    rule = moving()
    kept = forecast(held, rule, counted(rule, (1, 400)), day(30)).keeping
    assert kept is not None
    assert (kept.lost_at, kept.held_until, [each.amount for each in kept.needed]) == (day(366), day(500), [300])
    in_grace = replace(held, in_grace=True, holds_until=day(35))
    left = forecast(in_grace, moving(grace_days=10), counted(rule, (1, 160)), day(30)).keeping
    assert left is not None
    assert (left.lost_at, left.held_until, [each.amount for each in left.needed]) == (day(30), day(35), [140])


@given(st.lists(st.tuples(st.integers(0, 300), st.integers(1, 500)), max_size=8), st.integers(301, 400))
def test_whoever_earns_what_is_missing_reaches_the_tier(amounts: list[tuple[int, int]], number: int) -> None:
    rule = program("general")
    seen = forecast(member(), rule, counted(rule, *amounts), day(number))
    assert seen.goal is not None
    more = sum(each.amount for each in seen.goal.missing)
    then = counted(rule, *amounts, (number, more)).measured([rule.points_measure], day(number))
    assert rule.tier_reached(then, day(number)).rank >= 1
    if more:
        less = counted(rule, *amounts, (number, more - 1)).measured([rule.points_measure], day(number))
        assert rule.tier_reached(less, day(number)) == STANDARD
