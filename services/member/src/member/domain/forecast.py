"""What is missing to the next tier and by when, and what it takes to keep the one held, if nothing else happens."""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import accumulate

from chassis.calendar import LATEST, Calendar

from member.domain.membership import Member, Standing, falling_to, standing
from member.domain.program import Program, Tier
from member.domain.requirement import (
    Measure,
    Measured,
    Missing,
    PointsIn,
    Requirement,
    SpendIn,
    is_met,
    leaves,
    unmet,
)


@dataclass(frozen=True, slots=True)
class Goal:
    """A better tier, what is missing to it, and until when no more than that is missing; None: for ever."""

    tier: Tier
    missing: tuple[Missing, ...]
    by: datetime | None


@dataclass(frozen=True, slots=True)
class Keeping:
    """What keeps the tier held. Without more, less than it asks for counts from `lost_at` on (None: never); validity
    and grace hold it until `held_until` at least, and `needed` is what is missing to stay."""

    lost_at: datetime | None
    held_until: datetime | None
    needed: tuple[Missing, ...]
    falls_to: Tier | None


@dataclass(frozen=True, slots=True)
class Forecast:
    """How a member stands to its tiers; nothing is asked to keep the first tier."""

    standing: Standing
    goal: Goal | None
    keeping: Keeping | None


@dataclass(frozen=True, slots=True)
class Amounts:
    """Amounts with their instants, the earliest first."""

    instants: tuple[datetime, ...]
    sums: tuple[int, ...]

    @classmethod
    def of(cls, amounts: Iterable[tuple[datetime, int]]) -> "Amounts":
        """Amounts in any order."""
        ordered = sorted(amounts)
        return cls(tuple(at for at, _ in ordered), tuple(accumulate((amount for _, amount in ordered), initial=0)))

    def between(self, after: datetime, until: datetime) -> int:
        """The sum of what lies after one instant and not later than the other."""
        return self.sums[bisect_right(self.instants, until)] - self.sums[bisect_right(self.instants, after)]


@dataclass(frozen=True, slots=True)
class Counted:
    """All that counts of a member as known now: amounts by measure, and what no window changes."""

    calendar: Calendar
    amounts: dict[PointsIn | SpendIn, Amounts] = field(default_factory=dict)
    constant: Measured = field(default_factory=dict)

    def measured(self, measures: Iterable[Measure], as_of: datetime) -> Measured:
        """The measures at an instant, in the future as well."""
        return {measure: self._measure(measure, as_of) for measure in measures}

    def leaving(self, measures: Iterable[Measure], as_of: datetime) -> list[datetime]:
        """The instants after `as_of` at which something no longer counts, the earliest first."""
        found = {
            left
            for measure in measures
            if isinstance(measure, PointsIn | SpendIn)
            for at in self.amounts[measure].instants
            if as_of < (left := measure.window.leaves_at(at, self.calendar)) < LATEST
        }
        return sorted(found)

    def _measure(self, measure: Measure, as_of: datetime) -> int | datetime | None:
        if isinstance(measure, PointsIn | SpendIn):
            return self.amounts[measure].between(measure.window.start(as_of, self.calendar), as_of)
        return self.constant[measure]


def forecast(member: Member, program: Program, counted: Counted, as_of: datetime) -> Forecast:
    """How the member stands at an instant."""
    held = program.tier(member.tier_id)
    measures = [program.points_measure, *program.measures(program.tiers)]
    seen = standing(member, program, counted.measured(measures, as_of), as_of)
    better, asked = program.next_tier(held), program.requirement(held)
    return Forecast(
        seen,
        _goal(program, better, counted, as_of) if better else None,
        _keeping(member, program, asked, counted, as_of) if asked else None,
    )


def _goal(program: Program, tier: Tier, counted: Counted, as_of: datetime) -> Goal:
    asked = program.requirement(tier)
    if asked is None:
        return Goal(tier, (), None)
    measures = _measures(asked)
    missing = unmet(asked, counted.measured(measures, as_of), as_of)
    leaving = counted.leaving(measures, as_of)
    return Goal(tier, tuple(missing), leaving[0] if leaving and missing else None)


def _keeping(member: Member, program: Program, asked: Requirement, counted: Counted, as_of: datetime) -> Keeping:
    """The first instant at which the requirement is no longer met, and what is missing when the tier is judged lost."""
    measures = _measures(asked)
    instants = [as_of, *counted.leaving(measures, as_of)]
    lost_at = next((at for at in instants if not is_met(asked, counted.measured(measures, at), at)), None)
    if lost_at is None:
        return Keeping(None, member.holds_until, (), None)
    judged_at = max(lost_at, member.holds_until or lost_at)
    measured = counted.measured(program.measures(program.tiers), judged_at)
    needed = tuple(unmet(asked, measured, judged_at))
    grace = timedelta(days=0 if member.in_grace else program.moves.grace_days)
    if not needed:
        return Keeping(None, member.holds_until, (), None)
    falls_to = falling_to(program, program.tier(member.tier_id), program.tier_reached(measured, judged_at))
    return Keeping(lost_at, min(LATEST, judged_at + grace), needed, falls_to)


def _measures(requirement: Requirement) -> Sequence[Measure]:
    return list(dict.fromkeys(leaf.measure for leaf in leaves(requirement)))
