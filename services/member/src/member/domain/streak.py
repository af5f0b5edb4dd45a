"""Days in a row: which days a member signed in on, and the streak that they make.

The streak on a day is the longest stretch of days that ends with it, begins with a day signed in and misses no more
days than the task's freeze days bear. It is a function of the set of days alone, so that a sign-in that arrives late
takes its place as if it had come in time, and never shortens a streak. A second miss takes away only the days before
the first one: with one freeze day, thirty days, a miss, ten days and another miss leave ten.
"""

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import NamedTuple

from member.domain.reward import Reward

MAX_RUNS = 64

_DAY = timedelta(days=1)


class Run(NamedTuple):
    """Days signed in without a gap, both ends included."""

    first: date
    last: date

    @property
    def days(self) -> int:
        """How many they are."""
        return (self.last - self.first).days + 1


@dataclass(frozen=True, slots=True)
class Milestone:
    """A reward for so many days of one streak; where it `repeats`, also for as many further ones, and so on."""

    days: int
    reward: Reward
    repeats: bool = False


@dataclass(frozen=True, slots=True)
class Stretch:
    """A streak: `days` signed in from `since` to `last_day`, and `frozen_days` missed between them."""

    days: int
    since: date
    last_day: date
    frozen_days: int


@dataclass(frozen=True, slots=True)
class SignedDays:
    """A set of days as runs, oldest first. Only the newest runs are kept: a streak bears fewer gaps than that."""

    runs: tuple[Run, ...] = ()

    def holds(self, day: date) -> bool:
        """Whether the day is among those kept."""
        place = bisect_left(self.runs, day, key=lambda run: run.last)
        return place < len(self.runs) and self.runs[place].first <= day

    def with_day(self, day: date) -> "SignedDays":
        """The set with a day more; runs that now touch become one."""
        if self.holds(day):
            return self
        before = [run for run in self.runs if run.last < day]
        after = [run for run in self.runs if run.first > day]
        first = before.pop().first if before and before[-1].last == day - _DAY else day
        last = after.pop(0).last if after and after[0].first == day + _DAY else day
        return SignedDays((*before, Run(first, last), *after)[-MAX_RUNS:])

    def with_days(self, other: "SignedDays") -> "SignedDays":
        """The days of either set; runs that touch become one."""
        joined: list[Run] = []
        for run in sorted((*self.runs, *other.runs)):
            if joined and run.first <= joined[-1].last + _DAY:
                joined[-1] = Run(joined[-1].first, max(joined[-1].last, run.last))
            else:
                joined.append(run)
        return SignedDays(tuple(joined[-MAX_RUNS:]))

    def streak(self, freeze_days: int) -> Stretch | None:
        """The streak that ends with the last day; None where there is no day at all."""
        if not self.runs:
            return None
        days, since, frozen = self.runs[-1].days, self.runs[-1].first, 0
        for run in reversed(self.runs[:-1]):
            missed = (since - run.last).days - 1
            if frozen + missed > freeze_days:
                break
            days, since, frozen = days + run.days, run.first, frozen + missed
        return Stretch(days, since, self.runs[-1].last, frozen)

    def streak_on(self, today: date, freeze_days: int) -> Stretch | None:
        """The streak that a sign-in today continues; None where it would begin a new one.

        It is the streak of the last day where that is today or later.
        """
        if not self.runs or self.runs[-1].last >= today:
            return self.streak(freeze_days)
        continued = self.with_day(today).streak(freeze_days)
        if continued is None or continued.since == today:
            return None
        last = self.runs[-1].last
        missed = (today - last).days - 1
        return Stretch(continued.days - 1, continued.since, last, continued.frozen_days - missed)

    def count_after(self, day: date) -> int:
        """How many days of the set are later than a day."""
        return sum((run.last - max(run.first, day + _DAY)).days + 1 for run in self.runs if run.last > day)


def days_counted(milestone: Milestone, signed: SignedDays, stretch: Stretch, rewarded: date | None) -> int | None:
    """How many days of the streak count for a milestone whose reward was last given on the day `rewarded`.

    No day counts twice for one milestone: None where the streak was rewarded already and the milestone does not repeat.
    """
    if rewarded is None or rewarded < stretch.since:
        return stretch.days
    return signed.count_after(rewarded) if milestone.repeats else None


def milestones_reached(
    milestones: Sequence[Milestone], signed: SignedDays, rewarded: Mapping[int, date], *, freeze_days: int
) -> list[Milestone]:
    """The milestones that the streak of the last day reaches and was not rewarded for."""
    stretch = signed.streak(freeze_days)
    if stretch is None:
        return []
    return [
        milestone
        for milestone in milestones
        if (days_counted(milestone, signed, stretch, rewarded.get(milestone.days)) or 0) >= milestone.days
    ]


def next_milestone(
    milestones: Sequence[Milestone], signed: SignedDays, rewarded: Mapping[int, date], *, stretch: Stretch | None
) -> tuple[Milestone, int] | None:
    """The milestone that is reached soonest, the least of several, and the days missing to it."""
    missing = []
    for milestone in milestones:
        counted = days_counted(milestone, signed, stretch, rewarded.get(milestone.days)) if stretch else 0
        if counted is not None:
            missing.append((max(1, milestone.days - counted), milestone.days, milestone))
    if not missing:
        return None
    days, _, milestone = min(missing, key=lambda each: each[:2])
    return milestone, days
