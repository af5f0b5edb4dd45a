"""What the rules give a member for one occasion: each rule looked at, the parts it comes to, and what caps leave."""

from collections.abc import Iterable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from fractions import Fraction
from typing import NamedTuple

from chassis.calendar import EARLIEST, Calendar, Period

from member.domain.earning_rule import (
    KIND_OF,
    PAID,
    STATED,
    TIER_RATE,
    WHOLE,
    AsStated,
    EarningPolicy,
    Fixed,
    Multiplier,
    Rate,
    Rounding,
    RuleId,
    RuleVersion,
    Stacking,
    Trigger,
)
from member.domain.kinds import PointsKind
from member.domain.membership import MemberId
from member.domain.program import Program, ProgramId, Tier

# A rate is points for 100 units of the currency, an amount is in hundredths of the unit.
_MINOR_UNITS_PER_RATE = 100 * 100


@dataclass(frozen=True, slots=True)
class Occasion:
    """Something that may earn points, at an instant of business time. `subject` is the task, the activity or the care
    occasion; `stated_points` are those that whoever reports it states."""

    trigger: Trigger
    occurred_at: datetime
    amount_minor: int = 0
    currency: str = ""
    stated_points: int = 0
    product: str = ""
    product_family: str = ""
    channel: str = ""
    subject: str = ""
    campaign_id: str = ""
    years: int = 0


class Verdict(StrEnum):
    """What became of a rule that was looked at, with the first condition that it fails."""

    APPLIED = "applied"
    NOT_VALID_THEN = "not_valid_then"
    OTHER_TIER = "other_tier"
    OTHER_PRODUCT = "other_product"
    OTHER_PRODUCT_FAMILY = "other_product_family"
    OTHER_CHANNEL = "other_channel"
    OTHER_SUBJECT = "other_subject"
    OTHER_CAMPAIGN = "other_campaign"
    OTHER_DAY = "other_day"
    OTHER_HOUR = "other_hour"
    OTHER_CURRENCY = "other_currency"
    OTHER_ANNIVERSARY = "other_anniversary"
    AMOUNT_TOO_SMALL = "amount_too_small"
    OUTDONE = "outdone"
    GIVES_NOTHING = "gives_nothing"
    CAP_REACHED = "cap_reached"


class LocalTime(NamedTuple):
    """An instant in the operator's calendar: day of the week from 1, hour, and where its day and its month begin."""

    day_of_week: int
    hour: int
    day: datetime
    month: datetime


class Counter(NamedTuple):
    """What a cap counts: points of a rule, of one member or (empty) of all, in the period that begins at `start`."""

    rule_id: RuleId
    member_id: str
    period: Period
    start: datetime


@dataclass(frozen=True, slots=True)
class Part:
    """What one rule gives; `rule` is None for the tier's rate and for points as they were stated. `asked` is what it
    would give without its caps."""

    name: str
    version: int
    asked: int
    points: int
    rule: RuleVersion | None = None

    @property
    def cut(self) -> int:
        """What the caps took."""
        return self.asked - self.points


class Considered(NamedTuple):
    """A rule that was in force, what became of it, and the points it would give before its caps."""

    rule: RuleVersion | None
    verdict: Verdict
    points: int = 0
    name: str = ""
    version: int = 0


@dataclass(frozen=True, slots=True)
class RuleSet:
    """All rules of a program in all versions, by trigger. `edition` is new with every change and never comes again."""

    edition: str = ""
    by_trigger: Mapping[Trigger, Sequence[RuleVersion]] = field(default_factory=dict)
    policies: Sequence[EarningPolicy] = ()

    def in_force(self, trigger: Trigger, at: datetime) -> list[RuleVersion]:
        """The rules that act on what happens at an instant."""
        return [
            rule
            for rule in self.by_trigger.get(trigger, ())
            if rule.acts_from <= at and (rule.acts_to is None or at < rule.acts_to) and not rule.ended
        ]

    def by_rule(self) -> dict[RuleId, list[RuleVersion]]:
        """Every rule with its versions, oldest first, in the order of the rules' ids."""
        found: dict[RuleId, list[RuleVersion]] = {}
        for versions in self.by_trigger.values():
            for version in versions:
                found.setdefault(version.rule.rule_id, []).append(version)
        return dict(sorted(found.items()))

    def policy_at(self, program_id: ProgramId, at: datetime) -> EarningPolicy:
        """The program's policy at an instant; where none is put, every currency earns and no maximum is lowered."""
        acting = [policy for policy in self.policies if policy.acts_from <= at]
        return acting[-1] if acting else EarningPolicy(program_id, EARLIEST)


NO_RULES = RuleSet()


@dataclass(frozen=True, slots=True)
class Earner:
    """The membership that earns, as it was when it did."""

    member_id: MemberId
    program: Program
    tier: Tier


def local_time(calendar: Calendar, instant: datetime) -> LocalTime:
    """The instant in the operator's calendar."""
    local = instant.astimezone(calendar.zone)
    return LocalTime(
        local.isoweekday(),
        local.hour,
        calendar.span(Period.DAY, instant).start,
        calendar.span(Period.MONTH, instant).start,
    )


def round_points(exact: Fraction, rounding: Rounding) -> int:
    """Whole points of an exact amount that is not negative."""
    match rounding:
        case Rounding.DOWN:
            return exact.numerator // exact.denominator
        case Rounding.UP:
            return -(-exact.numerator // exact.denominator)
        case Rounding.HALF_EVEN:
            return round(exact)


def consider(rules: RuleSet, occasion: Occasion, earner: Earner, local: LocalTime) -> list[Considered]:
    """Every rule in force, with what it gives before its caps: the basis, the multipliers upon it, and what comes on
    top. The points of those that apply sum to what the occasion is worth.

    The basis is the best rate that fits, or the tier's; of points that are stated, what was stated. Multipliers are
    worked out exactly, one after the other in their order, and each is given what the rounded sum grew by: so one
    occasion is rounded once, however many rules have a part in it.
    """
    policy = rules.policy_at(earner.program.program_id, occasion.occurred_at)
    in_force = rules.in_force(occasion.trigger, occasion.occurred_at)
    if occasion.trigger in PAID and policy.currency not in ("", occasion.currency):
        return [Considered(None, Verdict.OTHER_CURRENCY, name=TIER_RATE)] + [
            Considered(rule, Verdict.OTHER_CURRENCY) for rule in in_force
        ]
    verdicts = [(rule, _verdict(rule, occasion, earner, local)) for rule in in_force]
    fitting = [rule for rule, verdict in verdicts if verdict is Verdict.APPLIED]
    considered = [Considered(rule, verdict) for rule, verdict in verdicts if verdict is not Verdict.APPLIED]
    considered += _worth(occasion, earner, fitting, policy)
    return considered


def parts_of(considered: Iterable[Considered]) -> list[Part]:
    """What applies, as parts that no cap has looked at yet."""
    return [
        Part(each.name, each.version, each.points, each.points, each.rule)
        for each in considered
        if each.verdict is Verdict.APPLIED
    ]


def counters_of(rule: RuleVersion, member_id: MemberId, local: LocalTime) -> list[tuple[Counter, int]]:
    """What the rule's caps count for this member and time, each with its cap."""
    rule_id, caps = rule.rule.rule_id, rule.rule.caps
    found = [
        (Counter(rule_id, member_id, Period.DAY, local.day), caps.member_day),
        (Counter(rule_id, member_id, Period.MONTH, local.month), caps.member_month),
        (Counter(rule_id, "", Period.EVER, EARLIEST), caps.total),
    ]
    return [(counter, cap) for counter, cap in found if cap is not None]


def cut_to_caps(
    parts: Iterable[Part], member_id: MemberId, local: LocalTime, given: MutableMapping[Counter, int]
) -> list[Part]:
    """The parts with what their rules' caps leave of them; `given` counts on."""
    left: list[Part] = []
    for part in parts:
        counters = counters_of(part.rule, member_id, local) if part.rule and part.rule.rule.caps else []
        room = min((cap - given.get(counter, 0) for counter, cap in counters), default=part.points)
        points = min(part.points, max(room, 0))
        for counter, _ in counters:
            given[counter] = given.get(counter, 0) + points
        left.append(replace(part, points=points))
    return left


def kind_of(part: Part, trigger: Trigger) -> PointsKind:
    """The kind of entry that a part is booked as."""
    return part.rule.rule.kind if part.rule else KIND_OF[trigger]


def in_writing(name: str, version: int) -> str:
    """A rule as an entry names it: with its version, where it has one."""
    return f"{name}@{version}" if version else name


def _worth(
    occasion: Occasion, earner: Earner, fitting: Sequence[RuleVersion], policy: EarningPolicy
) -> list[Considered]:
    considered: list[Considered] = []
    exact, rounding = Fraction(0), Rounding.DOWN
    if occasion.trigger in PAID:
        exact, rounding, basis = _money_basis(occasion, earner, fitting)
        considered += basis
    elif occasion.trigger in STATED:
        exact = Fraction(occasion.stated_points)
        considered += _stated_basis(occasion, fitting)
    considered += _multiplied(exact, rounding, fitting, policy.most_basis_points)
    for rule in fitting:
        if isinstance(rule.rule.amount, Fixed):
            considered.append(_applied(rule, rule.rule.amount.points))
    return considered


def _money_basis(
    occasion: Occasion, earner: Earner, fitting: Sequence[RuleVersion]
) -> tuple[Fraction, Rounding, list[Considered]]:
    rates = [(rule.rule.amount, rule) for rule in fitting if isinstance(rule.rule.amount, Rate)]
    rates.sort(key=lambda each: (-each[0].points, each[1].rule.rule_id))
    if not rates:
        exact = Fraction(occasion.amount_minor * earner.tier.earn_rate_percent, _MINOR_UNITS_PER_RATE)
        points = round_points(exact, Rounding.DOWN)
        verdict = Verdict.APPLIED if points else Verdict.GIVES_NOTHING
        basis = Considered(None, verdict, points, TIER_RATE, earner.program.revision)
        return exact, Rounding.DOWN, [basis]
    (rate, best), *others = rates
    exact = Fraction(occasion.amount_minor * rate.points, _MINOR_UNITS_PER_RATE)
    outdone = [Considered(rule, Verdict.OUTDONE) for _, rule in others]
    return exact, rate.rounding, [_applied(best, round_points(exact, rate.rounding)), *outdone]


def _stated_basis(occasion: Occasion, fitting: Sequence[RuleVersion]) -> list[Considered]:
    stated = sorted(
        (rule for rule in fitting if isinstance(rule.rule.amount, AsStated)), key=lambda rule: rule.rule.rule_id
    )
    if not stated:
        return [Considered(None, Verdict.APPLIED, occasion.stated_points, occasion.subject)]
    return [_applied(stated[0], occasion.stated_points), *(Considered(rule, Verdict.OUTDONE) for rule in stated[1:])]


def _multiplied(
    exact: Fraction, rounding: Rounding, fitting: Sequence[RuleVersion], most_basis_points: int
) -> list[Considered]:
    """What each multiplier adds: the best of the first kind, then the sum, then the product, never beyond the most."""
    found: dict[Stacking, list[tuple[Multiplier, RuleVersion]]] = {stacking: [] for stacking in Stacking}
    for rule in fitting:
        if isinstance(rule.rule.amount, Multiplier):
            found[rule.rule.amount.stacking].append((rule.rule.amount, rule))
    for each in found.values():
        each.sort(key=lambda pair: (-pair[0].basis_points, pair[1].rule.rule_id))
    factor = reached = Fraction(1)
    considered = [Considered(rule, Verdict.OUTDONE) for _, rule in found[Stacking.BEST_OF][1:]]
    before = round_points(exact, rounding)
    steps = [*found[Stacking.BEST_OF][:1], *found[Stacking.ADDITIVE], *found[Stacking.MULTIPLICATIVE]]
    for multiplier, rule in steps:
        times = Fraction(multiplier.basis_points, WHOLE)
        if multiplier.stacking is Stacking.ADDITIVE:
            factor += reached * (times - 1)
        else:
            factor *= times
            reached = factor
        after = round_points(exact * min(factor, Fraction(most_basis_points, WHOLE)), rounding)
        considered.append(_applied(rule, after - before))
        before = after
    return considered


def _applied(rule: RuleVersion, points: int) -> Considered:
    verdict = Verdict.APPLIED if points else Verdict.GIVES_NOTHING
    return Considered(rule, verdict, points, rule.rule.rule_id, rule.version)


def _verdict(version: RuleVersion, occasion: Occasion, earner: Earner, local: LocalTime) -> Verdict:
    rule, where = version.rule, version.rule.conditions
    campaign = rule.campaign_id if rule.trigger is Trigger.CAMPAIGN else ""
    failed = (
        (Verdict.NOT_VALID_THEN, not _valid(where.valid_from, where.valid_to, occasion.occurred_at)),
        (Verdict.OTHER_TIER, where.tiers and earner.tier.tier_id not in where.tiers),
        (Verdict.OTHER_PRODUCT, where.products and occasion.product not in where.products),
        (
            Verdict.OTHER_PRODUCT_FAMILY,
            where.product_families and occasion.product_family not in where.product_families,
        ),
        (Verdict.OTHER_CHANNEL, where.channels and occasion.channel not in where.channels),
        (Verdict.OTHER_SUBJECT, where.subjects and occasion.subject not in where.subjects),
        (Verdict.OTHER_CAMPAIGN, campaign and occasion.campaign_id != campaign),
        (Verdict.OTHER_DAY, where.days_of_week and local.day_of_week not in where.days_of_week),
        (Verdict.OTHER_HOUR, not _within_hours(where.from_hour, where.to_hour, local.hour)),
        (Verdict.OTHER_ANNIVERSARY, where.every_years and (not occasion.years or occasion.years % where.every_years)),
        (Verdict.AMOUNT_TOO_SMALL, occasion.amount_minor < where.minimum_minor),
    )
    return next((verdict for verdict, fails in failed if fails), Verdict.APPLIED)


def _valid(valid_from: datetime | None, valid_to: datetime | None, at: datetime) -> bool:
    return (valid_from is None or valid_from <= at) and (valid_to is None or at < valid_to)


def _within_hours(first: int, end: int, hour: int) -> bool:
    if first < end:
        return first <= hour < end
    return first == end or hour >= first or hour < end
