"""Earning rules: what a member gets for what, under which conditions, how much at most, and in which version."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import NewType

from chassis.errors import FieldViolation, InvalidArgument, NotFound, Refusal
from chassis.ids import check_id
from chassis.violations import range_violations

from member.domain.kinds import EarnClass, PointsKind
from member.domain.points import MAX_POINTS
from member.domain.program import ProgramId, TierId
from member.domain.text import MAX_NAME_CHARACTERS, line_violations

RuleId = NewType("RuleId", str)

TIER_RATE = RuleId("tier-rate")
"""What the ready-made rule is called that every program has: the tier's rate, in the program's revision."""

WHOLE = 10_000
"""Basis points of a multiplier of one."""

MAX_RULES = 500
MAX_VERSIONS = 200
MAX_RATE = 10_000
MAX_BASIS_POINTS = 10 * WHOLE
MAX_DAYS = 3_660
MAX_YEARS = 100
MAX_CONDITION_VALUES = 100
_WEEK = range(1, 8)
_HOURS_OF_DAY = 24


class Trigger(StrEnum):
    """What makes a member earn."""

    RECHARGE = "recharge"
    ORDER = "order"
    TASK = "task"
    ACTIVITY = "activity"
    CAMPAIGN = "campaign"
    TENURE = "tenure"
    UPGRADE = "upgrade"
    ENROLMENT = "enrolment"
    OCCASION = "occasion"


PAID = frozenset({Trigger.RECHARGE, Trigger.ORDER})
"""Triggers with an amount of money."""

STATED = frozenset({Trigger.TASK, Trigger.ACTIVITY, Trigger.CAMPAIGN})
"""Triggers where whoever reports them states the points, and waits for the entry."""

KIND_OF: Mapping[Trigger, PointsKind] = {
    Trigger.RECHARGE: PointsKind.EARN_RECHARGE,
    Trigger.ORDER: PointsKind.EARN_ORDER,
    Trigger.TASK: PointsKind.EARN_TASK,
    Trigger.ACTIVITY: PointsKind.EARN_ACTIVITY,
    Trigger.CAMPAIGN: PointsKind.EARN_CAMPAIGN,
    Trigger.TENURE: PointsKind.EARN_TENURE,
    Trigger.UPGRADE: PointsKind.EARN_UPGRADE,
    Trigger.ENROLMENT: PointsKind.EARN_ENROLMENT,
    Trigger.OCCASION: PointsKind.EARN_OCCASION,
}

KIND_OF_CLASS: Mapping[EarnClass, PointsKind] = {
    EarnClass.SUBSCRIPTION: PointsKind.EARN_SUBSCRIPTION,
    EarnClass.ACTIVITY: PointsKind.EARN_ACTIVITY,
    EarnClass.EXCLUSIVE: PointsKind.EARN_EXCLUSIVE,
}
"""The kind of entry for points of another class than their trigger's."""


class Rounding(StrEnum):
    """What becomes of a part of a point, for each payment on its own."""

    DOWN = "down"
    HALF_EVEN = "half_even"
    UP = "up"


class Stacking(StrEnum):
    """How multipliers of one payment meet, in this order: the best of the first, then the sum, then the product."""

    BEST_OF = "best_of"
    ADDITIVE = "additive"
    MULTIPLICATIVE = "multiplicative"


@dataclass(frozen=True, slots=True)
class Rate:
    """Points for 100 units of the currency, in the place of the tier's rate."""

    points: int
    rounding: Rounding = Rounding.DOWN


@dataclass(frozen=True, slots=True)
class Multiplier:
    """More of what the basis gives: 20,000 basis points double it."""

    basis_points: int
    stacking: Stacking = Stacking.BEST_OF


@dataclass(frozen=True, slots=True)
class Fixed:
    """So many points on top, whatever the basis gives."""

    points: int


@dataclass(frozen=True, slots=True)
class AsStated:
    """What the task, the activity or the campaign states, under this rule's caps."""


Amount = Rate | Multiplier | Fixed | AsStated


@dataclass(frozen=True, slots=True)
class Conditions:
    """What must hold; an empty condition always does. Hours count in the operator's calendar, `from_hour` inclusive and
    `to_hour` exclusive, over midnight where the first is the larger; days of the week count from 1, Monday."""

    tiers: tuple[TierId, ...] = ()
    products: tuple[str, ...] = ()
    product_families: tuple[str, ...] = ()
    channels: tuple[str, ...] = ()
    subjects: tuple[str, ...] = ()
    days_of_week: tuple[int, ...] = ()
    from_hour: int = 0
    to_hour: int = 0
    minimum_minor: int = 0
    every_years: int = 0
    valid_from: datetime | None = None
    valid_to: datetime | None = None


@dataclass(frozen=True, slots=True)
class Caps:
    """The most that a rule gives: to a member on a day and in a month of the operator's, and to all for ever. What goes
    beyond is cut. None: no cap."""

    member_day: int | None = None
    member_month: int | None = None
    total: int | None = None

    def __bool__(self) -> bool:
        return (self.member_day, self.member_month, self.total) != (None, None, None)


@dataclass(frozen=True, slots=True)
class EarningRule:
    """One rule. Points become the member's `cooling_days` after they were earned, and live `lifetime_days` from then
    on: None as the program says, 0 for ever. `campaign_id` says which campaign the rule belongs to."""

    rule_id: RuleId
    program_id: ProgramId
    display_name: str
    earn_class: EarnClass
    trigger: Trigger
    amount: Amount
    conditions: Conditions = field(default_factory=Conditions)
    caps: Caps = field(default_factory=Caps)
    cooling_days: int = 0
    lifetime_days: int | None = None
    campaign_id: str = ""

    @property
    def kind(self) -> PointsKind:
        """The kind of entry that the rule's points are booked as."""
        natural = NATURAL_CLASS[self.trigger]
        return KIND_OF[self.trigger] if self.earn_class is natural else KIND_OF_CLASS[self.earn_class]


NATURAL_CLASS: Mapping[Trigger, EarnClass] = {
    Trigger.RECHARGE: EarnClass.SUBSCRIPTION,
    Trigger.ORDER: EarnClass.SUBSCRIPTION,
    Trigger.TASK: EarnClass.ACTIVITY,
    Trigger.ACTIVITY: EarnClass.ACTIVITY,
    Trigger.CAMPAIGN: EarnClass.ACTIVITY,
    Trigger.TENURE: EarnClass.EXCLUSIVE,
    Trigger.UPGRADE: EarnClass.EXCLUSIVE,
    Trigger.ENROLMENT: EarnClass.EXCLUSIVE,
    Trigger.OCCASION: EarnClass.EXCLUSIVE,
}


@dataclass(frozen=True, slots=True)
class RuleVersion:
    """A rule as it acts on everything that happens from `acts_from` to before `acts_to` (None: no end is known).
    `ended` versions give nothing: they say from when on the rule is over."""

    rule: EarningRule
    version: int
    acts_from: datetime
    acts_to: datetime | None
    ended: bool
    put_by: str
    recorded_at: datetime


@dataclass(frozen=True, slots=True)
class EarningPolicy:
    """What holds for all rules of a program from `acts_from` on: the only currency that earns (empty: any, each in its
    own unit), and the most that all multipliers together may come to."""

    program_id: ProgramId
    acts_from: datetime
    currency: str = ""
    most_basis_points: int = MAX_BASIS_POINTS
    version: int = 0
    put_by: str = ""


class EarningRuleNotFound(NotFound):
    """No earning rule has this id, or it has no such version."""

    def __init__(self, rule_id: RuleId) -> None:
        super().__init__("no earning rule has this id", rule_id=rule_id)


class RuleOfAnotherProgram(Refusal):
    """A rule stays in the program, and with the trigger, that it began with."""

    def __init__(self, rule: EarningRule) -> None:
        super().__init__(
            "the rule stays in its program and with its trigger", program_id=rule.program_id, trigger=rule.trigger
        )


class RuleActsLater(Refusal):
    """A version of the rule acts from this instant or a later one already; what was earned by it stands."""

    def __init__(self, acts_from: datetime) -> None:
        super().__init__("a later version of it exists", acts_from=acts_from.isoformat())


class RuleEnded(Refusal):
    """The rule has ended already."""

    def __init__(self, rule_id: RuleId) -> None:
        super().__init__("the rule has ended already", rule_id=rule_id)


class TooManyRules(Refusal):
    """A program has a bounded number of rules, and a rule a bounded number of versions."""

    def __init__(self, most: int) -> None:
        super().__init__("there are too many of them", most=str(most))


class EarningCapReached(Refusal):
    """A cap of the rule leaves nothing to give."""

    def __init__(self, rule_id: RuleId) -> None:
        super().__init__("the cap of the rule is reached", rule_id=rule_id)


def check_rule(rule: EarningRule) -> None:
    """Refuses, with InvalidArgument and every fault at once, a rule that could not be followed."""
    violations = [
        *line_violations("rule.display_name", rule.display_name, most=MAX_NAME_CHARACTERS),
        *_amount_violations(rule),
        *_condition_violations(rule),
        *_cap_violations(rule.caps),
        *_term_violations(rule),
    ]
    if violations:
        raise InvalidArgument.many(violations)


def check_policy(policy: EarningPolicy) -> None:
    """Refuses, with InvalidArgument, a policy that could not be followed."""
    if not WHOLE <= policy.most_basis_points <= MAX_BASIS_POINTS:
        raise InvalidArgument("policy.most_basis_points", f"must be from {WHOLE} to {MAX_BASIS_POINTS}")


def _amount_violations(rule: EarningRule) -> Iterator[FieldViolation]:
    match rule.amount:
        case Rate(points, _):
            yield from range_violations("rule.rate.points", points, least=0, most=MAX_RATE)
            if rule.trigger not in PAID:
                yield FieldViolation("rule.rate", "is for recharges and orders")
        case Multiplier(basis_points, _):
            yield from range_violations(
                "rule.multiplier.basis_points", basis_points, least=WHOLE + 1, most=MAX_BASIS_POINTS
            )
            if rule.trigger not in PAID | STATED:
                yield FieldViolation("rule.multiplier", "needs a basis: a payment, or points that are stated")
            if rule.campaign_id and not (rule.conditions.valid_from and rule.conditions.valid_to):
                yield FieldViolation("rule.conditions.valid_to", "is required: a campaign's multiplier has an end")
        case Fixed(points):
            yield from range_violations("rule.fixed.points", points, least=1, most=MAX_POINTS)
        case AsStated():
            if rule.trigger not in STATED:
                yield FieldViolation("rule.as_stated", "is for tasks, activities and campaigns")


def _condition_violations(rule: EarningRule) -> Iterator[FieldViolation]:
    where = rule.conditions
    for name in ("tiers", "products", "product_families", "channels", "subjects"):
        yield from _ids_violations(f"rule.conditions.{name}", getattr(where, name))
    if not set(where.days_of_week) <= set(_WEEK) or len(set(where.days_of_week)) != len(where.days_of_week):
        yield FieldViolation("rule.conditions.days_of_week", "must be days from 1 to 7, each once")
    yield from range_violations("rule.conditions.from_hour", where.from_hour, least=0, most=_HOURS_OF_DAY - 1)
    yield from range_violations("rule.conditions.to_hour", where.to_hour, least=0, most=_HOURS_OF_DAY)
    if where.minimum_minor and rule.trigger not in PAID:
        yield FieldViolation("rule.conditions.minimum_minor", "is for recharges and orders")
    yield from range_violations("rule.conditions.minimum_minor", where.minimum_minor, least=0, most=MAX_POINTS)
    if rule.trigger is Trigger.TENURE:
        yield from range_violations("rule.conditions.every_years", where.every_years, least=1, most=MAX_YEARS)
    elif where.every_years:
        yield FieldViolation("rule.conditions.every_years", "is for anniversaries")
    if where.valid_from and where.valid_to and where.valid_to <= where.valid_from:
        yield FieldViolation("rule.conditions.valid_to", "must be after valid_from")


def _cap_violations(caps: Caps) -> Iterator[FieldViolation]:
    for name in ("member_day", "member_month", "total"):
        cap = getattr(caps, name)
        if cap is not None:
            yield from range_violations(f"rule.caps.{name}", cap, least=1, most=MAX_POINTS)


def _term_violations(rule: EarningRule) -> Iterator[FieldViolation]:
    yield from range_violations("rule.cooling_days", rule.cooling_days, least=0, most=MAX_DAYS)
    if rule.lifetime_days is not None:
        yield from range_violations("rule.lifetime_days", rule.lifetime_days, least=0, most=MAX_DAYS)
    if rule.trigger in STATED:
        if rule.cooling_days:
            yield FieldViolation("rule.cooling_days", "must be 0: who states the points gives them at once")
        if rule.lifetime_days is not None:
            yield FieldViolation("rule.lifetime_days", "must be unset: points that are stated bring their own")
        if rule.earn_class is not NATURAL_CLASS[rule.trigger]:
            yield FieldViolation("rule.earn_class", f"must be {NATURAL_CLASS[rule.trigger]} for this trigger")
    if rule.rule_id == TIER_RATE:
        yield FieldViolation("rule.rule_id", "is the name of the rule that every program has")


def _ids_violations(name: str, values: tuple[str, ...]) -> Iterator[FieldViolation]:
    if len(values) > MAX_CONDITION_VALUES:
        yield FieldViolation(name, f"must have at most {MAX_CONDITION_VALUES} items")
        return
    for index, value in enumerate(values):
        try:
            check_id(f"{name}[{index}]", value)
        except InvalidArgument as refusal:
            yield from refusal.violations
