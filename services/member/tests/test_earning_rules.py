"""What rules come to, without a database: which apply, what they give, how they meet, and what caps leave."""

from datetime import UTC, datetime
from fractions import Fraction
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from chassis.calendar import Calendar, Period
from chassis.errors import InvalidArgument
from hypothesis import given, settings
from hypothesis import strategies as st
from member.domain.earning import (
    Counter,
    Earner,
    Occasion,
    RuleSet,
    Verdict,
    consider,
    cut_to_caps,
    local_time,
    parts_of,
    round_points,
)
from member.domain.earning_rule import (
    MAX_BASIS_POINTS,
    WHOLE,
    AsStated,
    Caps,
    Conditions,
    EarningPolicy,
    EarningRule,
    Fixed,
    Multiplier,
    Rate,
    Rounding,
    Stacking,
    Trigger,
    check_policy,
    check_rule,
)
from member.domain.kinds import EarnClass, PointsKind
from member.domain.membership import MemberId
from member.domain.points import MAX_POINTS
from member.domain.program import GENERAL, Program, TierId
from member.use_cases.anniversaries import spans_of

from services.member.tests.earning import rule, version
from services.member.tests.factories import CALENDAR, JANUARY, SILVER, STANDARD, day, program

FANS: Program = program("general", revision=7)
MEMBER = MemberId("m-1")
AMOUNTS = st.integers(min_value=1, max_value=10**9)


def rules(*of: EarningRule, **changes: Any) -> RuleSet:
    """A set of first versions."""
    by_trigger: dict[Trigger, list[Any]] = {}
    for each in of:
        by_trigger.setdefault(each.trigger, []).append(version(each))
    return RuleSet("e", by_trigger, **changes)


def recharge(amount_minor: int = 100_00, at: datetime = JANUARY, **changes: Any) -> Occasion:
    """A recharge."""
    return Occasion(Trigger.RECHARGE, at, amount_minor=amount_minor, **{"currency": "CNY"} | changes)


def given_by(known: RuleSet, occasion: Occasion, tier: Any = STANDARD) -> dict[str, int]:
    """What each rule gives."""
    considered = consider(known, occasion, Earner(MEMBER, FANS, tier), local_time(CALENDAR, occasion.occurred_at))
    return {part.name: part.points for part in parts_of(considered)}


def verdicts(known: RuleSet, occasion: Occasion, tier: Any = STANDARD) -> dict[str, Verdict]:
    """What became of each rule."""
    considered = consider(known, occasion, Earner(MEMBER, FANS, tier), local_time(CALENDAR, occasion.occurred_at))
    return {each.rule.rule.rule_id: each.verdict for each in considered if each.rule}


def test_without_rules_the_tiers_rate_gives_a_hundred_or_a_hundred_and_twenty() -> None:
    assert given_by(RuleSet(), recharge()) == {"tier-rate": 100}
    assert given_by(RuleSet(), recharge(), SILVER) == {"tier-rate": 120}
    assert given_by(RuleSet(), recharge(99)) == {}


def test_the_best_rate_that_fits_replaces_the_tiers() -> None:
    known = rules(
        rule("low", Rate(50)),
        rule("high", Rate(300)),
        rule("silver", Rate(900), conditions=Conditions(tiers=(SILVER.tier_id,))),
    )
    assert given_by(known, recharge()) == {"high": 300}
    assert verdicts(known, recharge()) == {
        "low": Verdict.OUTDONE,
        "high": Verdict.APPLIED,
        "silver": Verdict.OTHER_TIER,
    }
    assert given_by(rules(rule("none", Rate(0)), rule("twice", Multiplier(20_000))), recharge()) == {}


def test_multipliers_meet_in_the_stated_order_and_under_the_most() -> None:
    known = rules(
        rule("best", Multiplier(20_000)),
        rule("lesser", Multiplier(15_000)),
        rule("plus-a", Multiplier(11_000, Stacking.ADDITIVE)),
        rule("plus-b", Multiplier(12_000, Stacking.ADDITIVE)),
        rule("times", Multiplier(15_000, Stacking.MULTIPLICATIVE)),
        rule("gift", Fixed(7)),
    )
    assert given_by(known, recharge()) == {
        "tier-rate": 100,
        "best": 100,
        "plus-b": 40,
        "plus-a": 20,
        "times": 130,
        "gift": 7,
    }
    least = RuleSet("e", known.by_trigger, [EarningPolicy(GENERAL, JANUARY, most_basis_points=25_000)])
    assert given_by(least, recharge()) == {"tier-rate": 100, "best": 100, "plus-b": 40, "plus-a": 10, "gift": 7}
    assert verdicts(least, recharge())["times"] is Verdict.GIVES_NOTHING


@pytest.mark.parametrize(
    ("where", "fits", "fails", "verdict"),
    [
        ({"products": ("hbo",)}, {"product": "hbo"}, {"product": "f1"}, Verdict.OTHER_PRODUCT),
        (
            {"product_families": ("tv",)},
            {"product_family": "tv"},
            {"product_family": ""},
            Verdict.OTHER_PRODUCT_FAMILY,
        ),
        ({"channels": ("app",)}, {"channel": "app"}, {"channel": "hall"}, Verdict.OTHER_CHANNEL),
        ({"minimum_minor": 100}, {"amount_minor": 100}, {"amount_minor": 99}, Verdict.AMOUNT_TOO_SMALL),
        ({"valid_from": day(3)}, {"at": day(3)}, {"at": day(2)}, Verdict.NOT_VALID_THEN),
        ({"valid_to": day(3)}, {"at": day(2)}, {"at": day(3)}, Verdict.NOT_VALID_THEN),
        # The first of January 2026 is a Thursday, and in Shanghai it is eight in the morning then.
        ({"days_of_week": (4,)}, {"at": day(0)}, {"at": day(1)}, Verdict.OTHER_DAY),
        (
            {"from_hour": 8, "to_hour": 9},
            {"at": day(0)},
            {"at": datetime(2026, 1, 1, 1, tzinfo=UTC)},
            Verdict.OTHER_HOUR,
        ),
        (
            {"from_hour": 22, "to_hour": 9},
            {"at": datetime(2026, 1, 1, 15, tzinfo=UTC)},
            {"at": datetime(2026, 1, 1, 13, 59, tzinfo=UTC)},
            Verdict.OTHER_HOUR,
        ),
    ],
)
def test_a_condition_holds_or_says_why_not(
    where: dict[str, Any], fits: dict[str, Any], fails: dict[str, Any], verdict: Verdict
) -> None:
    known = rules(rule("if", Fixed(5), conditions=Conditions(**where)))
    assert verdicts(known, recharge(**fits)) == {"if": Verdict.APPLIED}
    assert verdicts(known, recharge(**fails)) == {"if": verdict}


def test_a_version_acts_from_its_instant_until_the_next_one_does() -> None:
    first = version(rule("r", Fixed(5)), acts_to=day(2))
    second = version(rule("r", Fixed(6)), 2, acts_from=day(2), acts_to=day(4))
    over = version(rule("r", Fixed(6)), 3, acts_from=day(4), ended=True)
    known = RuleSet("e", {Trigger.RECHARGE: [first, second, over]})
    at = {number: given_by(known, recharge(at=day(number))).get("r") for number in (0, 1, 2, 3, 4, 5)}
    assert at == {0: 5, 1: 5, 2: 6, 3: 6, 4: None, 5: None}


def test_another_currency_earns_nothing_where_the_program_takes_one() -> None:
    known = rules(rule(), policies=[EarningPolicy(GENERAL, day(2), currency="CNY")])
    assert given_by(known, recharge(currency="USD", at=day(1))) == {"tier-rate": 100, "spring": 10}
    assert given_by(known, recharge(currency="USD", at=day(2))) == {}
    assert verdicts(known, recharge(currency="USD", at=day(2))) == {"spring": Verdict.OTHER_CURRENCY}
    assert given_by(known, recharge(at=day(2))) == {"tier-rate": 100, "spring": 10}


def test_stated_points_pass_under_the_first_rule_for_them_and_are_multiplied() -> None:
    known = rules(
        rule("a", AsStated(), trigger=Trigger.TASK, earn_class=EarnClass.ACTIVITY),
        rule("b", AsStated(), trigger=Trigger.TASK, earn_class=EarnClass.ACTIVITY),
        rule("twice", Multiplier(20_000), trigger=Trigger.TASK, earn_class=EarnClass.ACTIVITY),
    )
    task = Occasion(Trigger.TASK, JANUARY, stated_points=5, subject="sign-in")
    assert given_by(known, task) == {"a": 5, "twice": 5}
    assert given_by(RuleSet(), task) == {"sign-in": 5}


def test_a_rule_of_another_class_is_booked_as_that() -> None:
    assert rule().kind is PointsKind.EARN_RECHARGE
    assert rule(earn_class=EarnClass.EXCLUSIVE).kind is PointsKind.EARN_EXCLUSIVE


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"display_name": " "}, "rule.display_name"),
        ({"rule_id": "tier-rate"}, "rule.rule_id"),
        ({"amount": Rate(10_001)}, "rule.rate.points"),
        ({"amount": Rate(1), "trigger": Trigger.TASK, "earn_class": EarnClass.ACTIVITY}, "rule.rate"),
        ({"amount": Multiplier(WHOLE)}, "rule.multiplier.basis_points"),
        ({"amount": Multiplier(MAX_BASIS_POINTS + 1)}, "rule.multiplier.basis_points"),
        ({"amount": Multiplier(20_000), "campaign_id": "c"}, "rule.conditions.valid_to"),
        ({"amount": Multiplier(20_000), "trigger": Trigger.UPGRADE}, "rule.multiplier"),
        ({"amount": Fixed(0)}, "rule.fixed.points"),
        ({"amount": Fixed(MAX_POINTS + 1)}, "rule.fixed.points"),
        ({"amount": AsStated()}, "rule.as_stated"),
        ({"trigger": Trigger.TENURE}, "rule.conditions.every_years"),
        ({"conditions": Conditions(every_years=1)}, "rule.conditions.every_years"),
        ({"conditions": Conditions(days_of_week=(0,))}, "rule.conditions.days_of_week"),
        ({"conditions": Conditions(days_of_week=(1, 1))}, "rule.conditions.days_of_week"),
        ({"conditions": Conditions(from_hour=24)}, "rule.conditions.from_hour"),
        ({"conditions": Conditions(to_hour=25)}, "rule.conditions.to_hour"),
        ({"conditions": Conditions(minimum_minor=-1)}, "rule.conditions.minimum_minor"),
        ({"conditions": Conditions(tiers=(TierId("a b"),))}, "rule.conditions.tiers[0]"),
        ({"conditions": Conditions(channels=("x",) * 101)}, "rule.conditions.channels"),
        ({"conditions": Conditions(valid_from=day(2), valid_to=day(2))}, "rule.conditions.valid_to"),
        ({"caps": Caps(member_day=-1)}, "rule.caps.member_day"),
        ({"caps": Caps(total=MAX_POINTS + 1)}, "rule.caps.total"),
        ({"cooling_days": -1}, "rule.cooling_days"),
        ({"lifetime_days": 3_661}, "rule.lifetime_days"),
        ({"trigger": Trigger.TASK, "earn_class": EarnClass.ACTIVITY, "cooling_days": 1}, "rule.cooling_days"),
        ({"trigger": Trigger.TASK, "earn_class": EarnClass.ACTIVITY, "lifetime_days": 1}, "rule.lifetime_days"),
        ({"trigger": Trigger.TASK, "earn_class": EarnClass.EXCLUSIVE}, "rule.earn_class"),
    ],
)
def test_a_rule_that_nobody_could_follow_names_its_field(changes: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidArgument) as refusal:
        check_rule(rule(**changes))
    assert [violation.field for violation in refusal.value.violations] == [field]


def test_a_policy_limits_multipliers_to_no_less_than_one() -> None:
    for most in (WHOLE - 1, MAX_BASIS_POINTS + 1):
        with pytest.raises(InvalidArgument, match=r"policy\.most_basis_points"):
            check_policy(EarningPolicy(GENERAL, JANUARY, most_basis_points=most))


@given(st.fractions(min_value=0, max_value=10**6))
def test_rounding_is_as_it_is_called(exact: Fraction) -> None:
    down, even, up = (round_points(exact, rounding) for rounding in (Rounding.DOWN, Rounding.HALF_EVEN, Rounding.UP))
    assert down <= even <= up
    assert down <= exact < down + 1
    assert up - 1 < exact <= up
    assert abs(even - exact) <= Fraction(1, 2)
    assert abs(even - exact) < Fraction(1, 2) or even % 2 == 0


@settings(max_examples=300)
@given(
    payments=st.lists(AMOUNTS, min_size=1, max_size=8),
    rate=st.integers(0, 10_000),
    rounding=st.sampled_from(Rounding),
    multipliers=st.lists(st.tuples(st.integers(WHOLE + 1, MAX_BASIS_POINTS), st.sampled_from(Stacking)), max_size=4),
)
def test_splitting_a_payment_gives_no_more_than_its_rounding_allows(
    payments: list[int], rate: int, rounding: Rounding, multipliers: list[tuple[int, Stacking]]
) -> None:
    known = rules(
        rule("rate", Rate(rate, rounding)),
        *(rule(f"m{index}", Multiplier(*each)) for index, each in enumerate(multipliers)),
    )
    whole = sum(given_by(known, recharge(sum(payments))).values())
    split = sum(sum(given_by(known, recharge(each)).values()) for each in payments)
    match rounding:
        case Rounding.DOWN:
            assert split <= whole
        case Rounding.HALF_EVEN:
            assert abs(split - whole) <= (len(payments) + 1) / 2
        case Rounding.UP:
            assert whole <= split <= whole + len(payments) - 1


@settings(max_examples=300)
@given(
    amounts=st.lists(st.tuples(AMOUNTS, st.integers(0, 3)), min_size=1, max_size=12),
    caps=st.tuples(*(st.one_of(st.none(), st.integers(1, 10**7)) for _ in range(3))),
)
def test_caps_hold_at_every_prefix_and_what_they_leave_does_not_depend_on_the_order(
    amounts: list[tuple[int, int]], caps: tuple[int | None, int | None, int | None]
) -> None:
    known = rules(rule("rate", Rate(100), caps=Caps(*caps)))

    def total(order: list[tuple[int, int]]) -> int:
        counted: dict[Counter, int] = {}
        left = 0
        for amount, number in order:
            occasion = recharge(amount, at=day(number))
            local = local_time(CALENDAR, occasion.occurred_at)
            parts = parts_of(consider(known, occasion, Earner(MEMBER, FANS, STANDARD), local))
            left += sum(part.points for part in cut_to_caps(parts, MEMBER, local, counted))
            by_period = {Period.DAY: caps[0], Period.MONTH: caps[1], Period.EVER: caps[2]}
            assert all(points <= (by_period[counter.period] or 0) for counter, points in counted.items())
            assert caps[2] is None or left <= caps[2]
        return left

    assert total(amounts) == total(amounts[::-1]) == total(sorted(amounts))


def test_a_leap_day_is_kept_on_the_day_before_in_common_years() -> None:
    calendar = Calendar(ZoneInfo("UTC"))
    leap = datetime(2024, 2, 29, 12, tzinfo=UTC)
    kept = {
        day_of: [
            each.years
            for each in spans_of(datetime(*day_of, tzinfo=UTC).date(), {1}, calendar, first_year=2020)
            if each.span.start <= leap < each.span.end
        ]
        for day_of in [(2025, 2, 28), (2025, 3, 1), (2027, 2, 28), (2028, 2, 28), (2028, 2, 29)]
    }
    assert kept == {
        (2025, 2, 28): [1],
        (2025, 3, 1): [],
        (2027, 2, 28): [3],
        (2028, 2, 28): [],
        (2028, 2, 29): [4],
    }


def test_only_anniversaries_that_a_rule_asks_for_are_looked_for() -> None:
    kept = spans_of(day(0).date(), {5, 8}, CALENDAR, first_year=2005)
    assert [each.years for each in kept] == [5, 8, 10, 15, 16, 20]
