"""What one member did of one task, day by day, and what a further time comes to."""

from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum
from typing import NamedTuple

from member.domain.membership import Holder, MemberId
from member.domain.reward import PointsReward, Reward, RewardGiven
from member.domain.streak import Milestone, SignedDays, Stretch, milestones_reached, next_milestone
from member.domain.task import Task, TaskId, TaskKind, TaskPeriod, month_of


class Tally(NamedTuple):
    """What was done on one day: how many times it counted, and how often that completed the task."""

    times: int = 0
    completions: int = 0


class WithheldReason(StrEnum):
    """Why a reward that was earned was not given."""

    BUDGET_SPENT = "budget_spent"
    NOT_AVAILABLE = "not_available"


@dataclass(frozen=True, slots=True)
class Withheld:
    """A reward that was earned and not given."""

    reward: Reward
    reason: WithheldReason


@dataclass(slots=True)
class Book:
    """What is known of a member in a task: the days asked for, the days signed in on, and, by its days, when each
    milestone was last rewarded."""

    days: dict[date, Tally] = field(default_factory=dict)
    signed: SignedDays = field(default_factory=SignedDays)
    rewarded: dict[int, date] = field(default_factory=dict)

    def with_book(self, other: "Book") -> "Book":
        """What both books have of sign-ins: the days of either, and of each milestone the later reward. No streak is
        shorter than it was in one of them, and none is rewarded again."""
        rewarded = {
            days: max(last for last in (self.rewarded.get(days), other.rewarded.get(days)) if last is not None)
            for days in {*self.rewarded, *other.rewarded}
        }
        return Book(self.days, self.signed.with_days(other.signed), rewarded)

    def within(self, first: date, end: date) -> Tally:
        """All that was done from the day `first` on and before the day `end`."""
        tallies = [tally for day, tally in self.days.items() if first <= day < end]
        return Tally(sum(tally.times for tally in tallies), sum(tally.completions for tally in tallies))


@dataclass(frozen=True, slots=True)
class Done:
    """What a record came to; nothing of it counted where `already_done`."""

    times: int = 0
    completions: int = 0
    milestones: tuple[Milestone, ...] = ()

    @property
    def already_done(self) -> bool:
        """Whether nothing was left to do."""
        return not self.times


@dataclass(frozen=True, slots=True)
class TaskStanding:
    """Where a member stands with a task on a day; `again_on` is None where it can be done now or never again."""

    task: Task
    progress: int
    completions: int
    done: bool
    again_on: date | None
    streak: Stretch | None = None
    next_milestone: tuple[Milestone, int] | None = None


@dataclass(frozen=True, slots=True)
class TaskRecord:
    """One thing that a member did, judged by a version of the task."""

    source: str
    task_id: TaskId
    task_version: int
    member_id: MemberId
    holder: Holder
    occurred_at: datetime
    day: date
    done: Done
    proof_id: str
    given: tuple[RewardGiven, ...]
    withheld: tuple[Withheld, ...]


@dataclass(slots=True)
class Purse:
    """What a task with budgets still has to give; None is without limit."""

    points_left: int | None = None
    rewards_left: int | None = None
    points_given: int = 0
    rewards_given: int = 0

    def take(self, reward: Reward) -> bool:
        """Takes out a reward, or nothing of it where it does not go in whole."""
        points = reward.points if isinstance(reward, PointsReward) else 0
        if self.points_left is not None and self.points_left < points:
            return False
        if self.rewards_left is not None and self.rewards_left < 1:
            return False
        self._move(points, 1)
        return True

    def put_back(self, reward: Reward) -> None:
        """Puts back a reward that could not be given."""
        self._move(-(reward.points if isinstance(reward, PointsReward) else 0), -1)

    def _move(self, points: int, rewards: int) -> None:
        self.points_given += points
        self.rewards_given += rewards
        if self.points_left is not None:
            self.points_left -= points
        if self.rewards_left is not None:
            self.rewards_left -= rewards


def purse_of(task: Task, *, points_given: int, rewards_given: int) -> Purse:
    """What the task's budgets leave of what was given already; nothing where a budget was lowered below that."""
    return Purse(
        max(0, task.budget_points - points_given) if task.budget_points else None,
        max(0, task.budget_rewards - rewards_given) if task.budget_rewards else None,
        points_given,
        rewards_given,
    )


def record(task: Task, book: Book, day: date, *, times: int) -> Done:
    """Counts what was done on a day, up to the measure of its period and month, and writes it into the book."""
    tally = book.within(*task.period_of(day))
    left = _completions_left(task, book, day)
    if not left:
        return Done()
    counted = min(times, max(1, (tally.completions + left) * task.times - tally.times))
    completions = min(left, max(0, (tally.times + counted) // task.times - tally.completions))
    today = book.days.get(day, Tally())
    book.days[day] = Tally(today.times + counted, today.completions + completions)
    if task.kind is not TaskKind.SIGN_IN:
        return Done(counted, completions)
    book.signed = book.signed.with_day(day)
    reached = milestones_reached(task.milestones, book.signed, book.rewarded, freeze_days=task.freeze_days)
    for milestone in reached:
        book.rewarded[milestone.days] = book.signed.runs[-1].last
    return Done(counted, completions, tuple(reached))


def standing(task: Task, book: Book, day: date) -> TaskStanding:
    """Where the member stands with the task on a day."""
    first, end = task.period_of(day)
    tally = book.within(first, end)
    done = not _completions_left(task, book, day)
    again_on = _again_on(task, tally, day) if done else None
    if task.kind is not TaskKind.SIGN_IN:
        return TaskStanding(task, tally.times, tally.completions, done, again_on)
    stretch = book.signed.streak_on(day, task.freeze_days)
    following = next_milestone(task.milestones, book.signed, book.rewarded, stretch=stretch)
    return TaskStanding(task, tally.times, tally.completions, done, again_on, stretch, following)


def _completions_left(task: Task, book: Book, day: date) -> int:
    left = task.most_per_period - book.within(*task.period_of(day)).completions
    if task.most_per_month:
        left = min(left, task.most_per_month - book.within(*month_of(day)).completions)
    return max(0, left)


def _again_on(task: Task, tally: Tally, day: date) -> date | None:
    """The day on which the next period begins, or the next month where that is what is used up."""
    if tally.completions >= task.most_per_period:
        return None if task.period is TaskPeriod.EVER else task.period_of(day)[1]
    return month_of(day)[1]
