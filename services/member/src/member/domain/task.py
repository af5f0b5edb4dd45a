"""Tasks that members do for a reward: what is asked, how often, and what it gives."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import NewType, assert_never

from chassis.calendar import add_months
from chassis.errors import FieldViolation, InvalidArgument, NotFound, PermissionDenied, Refusal, ResourceExhausted
from chassis.violations import range_violations

from member.domain.audience import MAX_TIERS_NAMED, Audience
from member.domain.membership import Holder, MemberId
from member.domain.reward import Reward, reward_violations
from member.domain.streak import Milestone
from member.domain.text import MAX_NAME_CHARACTERS, line_violations

TaskId = NewType("TaskId", str)

MAX_OPEN_TASKS = 200
MAX_TIMES = 1_000
MAX_TIMES_AT_ONCE = 100
MAX_PER_PERIOD = 100
MAX_PER_MONTH = 3_100
MAX_MILESTONES = 20
MAX_MILESTONE_DAYS = 3_660
MAX_FREEZE_DAYS = 31
MAX_WATCH_SECONDS = 3_600
MAX_BUDGET = 10**15


class TaskKind(StrEnum):
    """What is to be done."""

    SIGN_IN = "sign_in"
    AD = "ad"
    SURVEY = "survey"
    ACT = "act"
    RECHARGE = "recharge"
    ORDER = "order"


COUNTED_BY_ITSELF = (TaskKind.RECHARGE, TaskKind.ORDER)


class TaskPeriod(StrEnum):
    """The stretch of the operator's calendar within which a task is done."""

    DAY = "day"
    MONTH = "month"
    EVER = "ever"


class TaskNotFound(NotFound):
    """No task has this id, or none this version."""

    def __init__(self, task_id: TaskId) -> None:
        super().__init__("no task has this id and version", task_id=task_id)


class NoSignInTask(NotFound):
    """Nothing is to be had for signing in at that time."""

    def __init__(self, holder: Holder) -> None:
        super().__init__("no sign-in is open to the member at that time", **holder.named())


class TaskNotActive(Refusal):
    """The task had not begun at that time, or had ended."""

    def __init__(self, task_id: TaskId) -> None:
        super().__init__("the task is not active at that time", task_id=task_id)


class TaskShapeFixed(Refusal):
    """Kind, program and period of a task stay: what members did is kept by them."""

    def __init__(self, task_id: TaskId) -> None:
        super().__init__("kind, program and period of a task never change", task_id=task_id)


class SignInTasksOverlap(Refusal):
    """A member could do two sign-in tasks on one day."""

    def __init__(self, task_id: TaskId, other_id: TaskId) -> None:
        super().__init__(
            "another sign-in task is open to the same members at the same time", task_id=task_id, other_task_id=other_id
        )


class TooManyTasks(ResourceExhausted):
    """A program has as many tasks as a member can be shown."""

    def __init__(self) -> None:
        super().__init__(f"a program has at most {MAX_OPEN_TASKS} tasks that have not ended")


class NotRecordedByMembers(PermissionDenied):
    """A member's own word is not enough for this task."""

    def __init__(self, task_id: TaskId) -> None:
        super().__init__("members do not record this task themselves", task_id=task_id)


class NotRecordedByCall(Refusal):
    """The task is counted by itself, or by signing in."""

    def __init__(self, task_id: TaskId) -> None:
        super().__init__("a task of this kind is not recorded by this call", task_id=task_id)


class ProofMissing(Refusal):
    """An advertisement counts with the number of its showing."""

    def __init__(self, task_id: TaskId) -> None:
        super().__init__("an advertisement needs a proof_id", task_id=task_id)


class WatchedTooShort(Refusal):
    """The advertisement was left too early."""

    def __init__(self, task_id: TaskId, min_watch_seconds: int) -> None:
        super().__init__(
            "the advertisement was not watched for long enough",
            task_id=task_id,
            min_watch_seconds=str(min_watch_seconds),
        )


@dataclass(frozen=True, slots=True)
class Task:
    """A task. `times` within the period complete it, at most `most_per_period` times and, where that is not 0, at most
    `most_per_month` times in a calendar month; the budgets are for everybody together, 0 without limit."""

    task_id: TaskId
    title: str
    kind: TaskKind
    audience: Audience
    period: TaskPeriod
    active_from: datetime
    active_until: datetime | None = None
    times: int = 1
    most_per_period: int = 1
    most_per_month: int = 0
    reward: Reward | None = None
    milestones: tuple[Milestone, ...] = ()
    freeze_days: int = 0
    min_watch_seconds: int = 0
    by_members: bool = False
    budget_points: int = 0
    budget_rewards: int = 0
    version: int = 0

    @property
    def has_budget(self) -> bool:
        """Whether what it gives is counted."""
        return bool(self.budget_points or self.budget_rewards)

    def active_at(self, instant: datetime) -> bool:
        """Whether it can be done at an instant."""
        return self.active_from <= instant and (self.active_until is None or instant < self.active_until)

    def overlaps(self, other: "Task") -> bool:
        """Whether a member could do both at one time."""
        apart = (self.active_until is not None and self.active_until <= other.active_from) or (
            other.active_until is not None and other.active_until <= self.active_from
        )
        return not apart and self.audience.meets(other.audience)

    def period_of(self, day: date) -> tuple[date, date]:
        """The first day of the period around a day, and the day it ends before."""
        match self.period:
            case TaskPeriod.DAY:
                return day, day + timedelta(days=1)
            case TaskPeriod.MONTH:
                return month_of(day)
            case TaskPeriod.EVER:
                return date.min, date.max
            case _:
                assert_never(self.period)

    def days_asked(self, day: date) -> tuple[date, date]:
        """The days whose counts say what is left to do on a day: first, and the one they end before."""
        first, end = self.period_of(day)
        if not self.most_per_month:
            return first, end
        month_first, month_end = month_of(day)
        return min(first, month_first), max(end, month_end)


@dataclass(frozen=True, slots=True)
class TaskCompleted:
    """Effect: a member completed a task, `completions` times at once."""

    task_id: TaskId
    kind: TaskKind
    member_id: MemberId
    holder: Holder
    completions: int
    points: int
    coupons: int
    occurred_at: datetime

    @property
    def aggregate_id(self) -> str:
        """The membership orders its facts."""
        return self.member_id


@dataclass(frozen=True, slots=True)
class StreakReached:
    """Effect: a member reached a milestone of days in a row."""

    task_id: TaskId
    member_id: MemberId
    holder: Holder
    days: int
    points: int
    coupons: int
    occurred_at: datetime

    @property
    def aggregate_id(self) -> str:
        """The membership orders its facts."""
        return self.member_id


def month_of(day: date) -> tuple[date, date]:
    """The first day of a day's month, and the first of the next one."""
    first = day.replace(day=1)
    return first, add_months(first, 1)


def check_task(task: Task) -> None:
    """Refuses, with InvalidArgument and every fault at once, a task that could not be shown or done."""
    violations = list(_violations(task))
    if violations:
        raise InvalidArgument.many(violations)


def check_recorded_by_call(task: Task) -> None:
    """Refuses NotRecordedByCall for a task that signing in or the service itself counts."""
    if task.kind is TaskKind.SIGN_IN or task.kind in COUNTED_BY_ITSELF:
        raise NotRecordedByCall(task.task_id)


def _violations(task: Task) -> Iterator[FieldViolation]:
    yield from line_violations("task.title", task.title, most=MAX_NAME_CHARACTERS)
    if len(task.audience.tier_ids) > MAX_TIERS_NAMED:
        yield FieldViolation("task.tier_ids", f"must have at most {MAX_TIERS_NAMED} items")
    if task.active_until is not None and task.active_until <= task.active_from:
        yield FieldViolation("task.active_until", "must be after active_from")
    for name, value, least, most in (
        ("times", task.times, 1, MAX_TIMES),
        ("most_per_period", task.most_per_period, 1, MAX_PER_PERIOD),
        ("most_per_month", task.most_per_month, 0, MAX_PER_MONTH),
        ("freeze_days", task.freeze_days, 0, MAX_FREEZE_DAYS),
        ("min_watch_seconds", task.min_watch_seconds, 0, MAX_WATCH_SECONDS),
        ("budget_points", task.budget_points, 0, MAX_BUDGET),
        ("budget_rewards", task.budget_rewards, 0, MAX_BUDGET),
    ):
        yield from range_violations(f"task.{name}", value, least=least, most=most)
    if task.reward is not None:
        yield from reward_violations("task.reward", task.reward)
    yield from _kind_violations(task)
    yield from _milestone_violations(task)


def _kind_violations(task: Task) -> Iterator[FieldViolation]:
    """What does not go with the kind of the task."""
    if task.kind is TaskKind.SIGN_IN:
        if task.period is not TaskPeriod.DAY:
            yield FieldViolation("task.period", "must be a day where the kind is sign-in")
        if (task.times, task.most_per_period) != (1, 1):
            yield FieldViolation("task.times", "is 1 where the kind is sign-in, and so is most_per_period")
    else:
        if task.milestones:
            yield FieldViolation("task.milestones", "are for the kind sign-in only")
        if task.freeze_days:
            yield FieldViolation("task.freeze_days", "are for the kind sign-in only")
    if task.min_watch_seconds and task.kind is not TaskKind.AD:
        yield FieldViolation("task.min_watch_seconds", "is for the kind ad only")
    if task.by_members and task.kind in COUNTED_BY_ITSELF:
        yield FieldViolation("task.by_members", "cannot be where the service itself counts")


def _milestone_violations(task: Task) -> Iterator[FieldViolation]:
    if len(task.milestones) > MAX_MILESTONES:
        yield FieldViolation("task.milestones", f"must have at most {MAX_MILESTONES} items")
    days_before = 0
    for index, milestone in enumerate(task.milestones):
        field = f"task.milestones[{index}]"
        if not days_before < milestone.days <= MAX_MILESTONE_DAYS:
            yield FieldViolation(f"{field}.days", f"must be more than in the milestone before, {days_before}")
        days_before = milestone.days
        yield from reward_violations(f"{field}.reward", milestone.reward)
