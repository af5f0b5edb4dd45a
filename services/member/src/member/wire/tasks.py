"""Tasks, their records and their facts between protobuf and the domain."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from chassis import times
from chassis.auth import current_caller
from chassis.calendar import Calendar
from chassis.consumers import Delivery
from chassis.errors import InvalidArgument
from chassis.ids import check_id
from google.protobuf.message import Message
from touchstone.member.v1 import member_events_pb2
from touchstone.member.v1 import task_events_pb2 as events_pb
from touchstone.member.v1 import task_pb2 as pb
from touchstone.member.v1 import task_service_pb2 as calls_pb

from member.domain.audience import Audience
from member.domain.customer import EVERYBODY, PersonId
from member.domain.kinds import PointsKind
from member.domain.membership import MemberId
from member.domain.program import TierId
from member.domain.progress import Purse, TaskStanding, Withheld, WithheldReason
from member.domain.streak import Milestone, Stretch
from member.domain.task import StreakReached, Task, TaskCompleted, TaskId, TaskKind, TaskPeriod
from member.store.progress import ListedRecord
from member.store.tasks import PutTask as StoredTask
from member.use_cases.counting import Recorded
from member.use_cases.progress import CountEarning, RecordProgress, SignIn
from member.use_cases.tasks import PutTask
from member.wire.customers import customer_id_from_proto
from member.wire.memberships import holder_from_proto, program_id_from_proto
from member.wire.points import transaction_id_of
from member.wire.rewards import given_to_proto, reward_from_proto, reward_to_proto

_KINDS = {
    TaskKind.SIGN_IN: pb.TASK_KIND_SIGN_IN,
    TaskKind.AD: pb.TASK_KIND_AD,
    TaskKind.SURVEY: pb.TASK_KIND_SURVEY,
    TaskKind.ACT: pb.TASK_KIND_ACT,
    TaskKind.RECHARGE: pb.TASK_KIND_RECHARGE,
    TaskKind.ORDER: pb.TASK_KIND_ORDER,
}
_KINDS_KNOWN = {value: kind for kind, value in _KINDS.items()}
_PERIODS = {
    TaskPeriod.DAY: pb.TASK_PERIOD_DAY,
    TaskPeriod.MONTH: pb.TASK_PERIOD_MONTH,
    TaskPeriod.EVER: pb.TASK_PERIOD_EVER,
}
_PERIODS_KNOWN = {value: period for period, value in _PERIODS.items()}
_REASONS = {
    WithheldReason.BUDGET_SPENT: pb.WITHHELD_REASON_BUDGET_SPENT,
    WithheldReason.NOT_AVAILABLE: pb.WITHHELD_REASON_NOT_AVAILABLE,
}
_COUNTED = {PointsKind.EARN_RECHARGE.value: TaskKind.RECHARGE, PointsKind.EARN_ORDER.value: TaskKind.ORDER}


def task_id_from_proto(task_id: str) -> TaskId:
    """A task's id, or InvalidArgument naming task_id."""
    return TaskId(check_id("task_id", task_id))


def put_task_from_proto(request: calls_pb.PutTaskRequest) -> PutTask:
    """The task to put, by the caller, or InvalidArgument naming every field that is wrong."""
    task = request.task
    kind = _KINDS_KNOWN.get(task.kind)
    if kind is None:
        raise InvalidArgument("task.kind", "must be sign_in, ad, survey, act, recharge or order")
    return PutTask(
        Task(
            task_id=TaskId(check_id("task.task_id", task.task_id)),
            title=task.title,
            kind=kind,
            audience=_audience_from_proto(task),
            period=_period_from_proto(task, kind),
            active_from=times.from_proto(task.active_from, "task.active_from"),
            active_until=times.from_proto(task.active_until, "task.active_until")
            if task.HasField("active_until")
            else None,
            times=task.times or 1,
            most_per_period=task.most_per_period or 1,
            most_per_month=task.most_per_month,
            reward=reward_from_proto("task.reward", task.reward) if task.HasField("reward") else None,
            milestones=tuple(_milestone_from_proto(index, each) for index, each in enumerate(task.milestones)),
            freeze_days=task.freeze_days,
            min_watch_seconds=task.min_watch_seconds,
            by_members=task.by_members,
            budget_points=task.budget_points,
            budget_rewards=task.budget_rewards,
        ),
        put_by=current_caller().subject,
    )


def task_to_proto(task: Task) -> pb.Task:
    """The task."""
    return pb.Task(
        task_id=task.task_id,
        title=task.title,
        kind=_KINDS[task.kind],
        program_id=task.audience.program_id,
        tier_ids=sorted(task.audience.tier_ids),
        active_from=times.to_proto(task.active_from),
        active_until=times.to_proto(task.active_until) if task.active_until else None,
        period=_PERIODS[task.period],
        times=task.times,
        most_per_period=task.most_per_period,
        most_per_month=task.most_per_month,
        reward=reward_to_proto(task.reward) if task.reward else None,
        milestones=[_milestone_to_proto(each) for each in task.milestones],
        freeze_days=task.freeze_days,
        min_watch_seconds=task.min_watch_seconds,
        by_members=task.by_members,
        budget_points=task.budget_points,
        budget_rewards=task.budget_rewards,
        version=task.version,
    )


def version_to_proto(put: StoredTask, purse: Purse) -> calls_pb.GetTaskResponse:
    """A version of a task, and what the task has given."""
    return calls_pb.GetTaskResponse(
        task=task_to_proto(put.task),
        put_by=put.put_by,
        put_at=times.to_proto(put.put_at),
        points_given=purse.points_given,
        rewards_given=purse.rewards_given,
    )


def sign_in_from_proto(request: calls_pb.SignInRequest) -> SignIn:
    """Whom to sign in, or InvalidArgument."""
    return SignIn(
        transaction_id_of("sign_in", request.request_id),
        holder_from_proto(request),
        times.from_proto(request.occurred_at, "occurred_at"),
    )


def progress_from_proto(request: calls_pb.RecordProgressRequest) -> RecordProgress:
    """What was done, or InvalidArgument."""
    return RecordProgress(
        transaction_id_of("record_progress", request.request_id),
        task_id_from_proto(request.task_id),
        customer_id_from_proto(request.customer_id),
        PersonId(check_id("person_id", request.person_id)) if request.person_id else EVERYBODY,
        times.from_proto(request.occurred_at, "occurred_at"),
        by_member=current_caller().customer_id is not None,
        times=request.times or 1,
        watched_seconds=request.watched_seconds,
        proof_id=check_id("proof_id", request.proof_id) if request.proof_id else "",
    )


def signed_in_to_proto(recorded: Recorded, calendar: Calendar) -> calls_pb.SignInResponse:
    """What a sign-in came to."""
    return calls_pb.SignInResponse(
        already_done=recorded.done.already_done,
        given=[given_to_proto(each) for each in recorded.given],
        withheld=[_withheld_to_proto(each) for each in recorded.withheld],
        standing=standing_to_proto(recorded.standing, calendar),
    )


def recorded_to_proto(recorded: Recorded, calendar: Calendar) -> calls_pb.RecordProgressResponse:
    """What a record came to."""
    return calls_pb.RecordProgressResponse(
        already_done=recorded.done.already_done,
        completions=recorded.done.completions,
        given=[given_to_proto(each) for each in recorded.given],
        withheld=[_withheld_to_proto(each) for each in recorded.withheld],
        standing=standing_to_proto(recorded.standing, calendar),
    )


def standing_to_proto(standing: TaskStanding, calendar: Calendar) -> pb.TaskStanding:
    """Where a member stands with a task."""
    again_at = calendar.start_of(standing.again_on) if standing.again_on else None
    return pb.TaskStanding(
        task=task_to_proto(standing.task),
        progress=standing.progress,
        completions=standing.completions,
        done=standing.done,
        again_at=times.to_proto(again_at) if again_at else None,
        streak=_streak_to_proto(standing.streak, standing.next_milestone)
        if standing.task.kind is TaskKind.SIGN_IN
        else None,
    )


def record_to_proto(listed: ListedRecord) -> pb.TaskRecord:
    """One thing that a member did."""
    record = listed.record
    return pb.TaskRecord(
        record_id=record.source,
        task_id=record.task_id,
        task_version=record.task_version,
        customer_id=record.holder.customer_id,
        program_id=record.holder.program_id,
        person_id=record.holder.person_id,
        occurred_at=times.to_proto(record.occurred_at),
        day=record.day.isoformat(),
        times=record.done.times,
        completions=record.done.completions,
        proof_id=record.proof_id,
        given=[given_to_proto(each) for each in record.given],
        withheld=[_withheld_to_proto(each) for each in record.withheld],
        recorded_at=times.to_proto(listed.recorded_at),
    )


def version_from_proto(request: calls_pb.GetTaskRequest) -> int:
    """The version asked for, 0 for the present one, or InvalidArgument."""
    if request.version < 0:
        raise InvalidArgument("version", "must not be negative")
    return request.version


def active_at_from_proto(request: calls_pb.ListTasksRequest) -> datetime | None:
    """The instant that tasks are to be active at; None where it is not said."""
    return times.from_proto(request.active_at, "active_at") if request.HasField("active_at") else None


def as_of_from_proto(request: calls_pb.GetTasksRequest, now: datetime) -> datetime:
    """The instant asked about; now where it is not said."""
    return times.from_proto(request.as_of, "as_of") if request.HasField("as_of") else now


def earning_from_delivery(delivery: Delivery[member_events_pb2.PaymentRewarded]) -> CountEarning:
    """The recharge or order that gave points."""
    told = delivery.message
    return CountEarning(told.transaction_id, MemberId(told.member_id), _COUNTED[told.kind], delivery.occurred_at)


def task_completed_to_proto(fact: TaskCompleted) -> events_pb.TaskCompleted:
    """The event of a task's being completed."""
    return events_pb.TaskCompleted(
        task_id=fact.task_id,
        kind=_KINDS[fact.kind],
        member_id=fact.member_id,
        customer_id=fact.holder.customer_id,
        program_id=fact.holder.program_id,
        person_id=fact.holder.person_id,
        completions=fact.completions,
        points=fact.points,
        coupons=fact.coupons,
        occurred_at=times.to_proto(fact.occurred_at),
    )


def streak_reached_to_proto(fact: StreakReached) -> events_pb.StreakReached:
    """The event of a milestone."""
    return events_pb.StreakReached(
        task_id=fact.task_id,
        member_id=fact.member_id,
        customer_id=fact.holder.customer_id,
        program_id=fact.holder.program_id,
        person_id=fact.holder.person_id,
        days=fact.days,
        points=fact.points,
        coupons=fact.coupons,
        occurred_at=times.to_proto(fact.occurred_at),
    )


FACTS: Mapping[type[Any], Callable[[Any], Message]] = {
    TaskCompleted: task_completed_to_proto,
    StreakReached: streak_reached_to_proto,
}


def _audience_from_proto(task: pb.Task) -> Audience:
    tiers = [TierId(check_id(f"task.tier_ids[{index}]", tier_id)) for index, tier_id in enumerate(task.tier_ids)]
    try:
        return Audience(program_id_from_proto(task.program_id), frozenset(tiers))
    except InvalidArgument as refusal:
        raise refusal.under("task") from None


def _period_from_proto(task: pb.Task, kind: TaskKind) -> TaskPeriod:
    if task.period == pb.TASK_PERIOD_UNSPECIFIED and kind is TaskKind.SIGN_IN:
        return TaskPeriod.DAY
    period = _PERIODS_KNOWN.get(task.period)
    if period is None:
        raise InvalidArgument("task.period", "must be day, month or ever")
    return period


def _milestone_from_proto(index: int, milestone: pb.Milestone) -> Milestone:
    reward = reward_from_proto(f"task.milestones[{index}].reward", milestone.reward)
    return Milestone(milestone.days, reward, milestone.repeats)


def _milestone_to_proto(milestone: Milestone) -> pb.Milestone:
    return pb.Milestone(days=milestone.days, reward=reward_to_proto(milestone.reward), repeats=milestone.repeats)


def _withheld_to_proto(withheld: Withheld) -> pb.RewardWithheld:
    return pb.RewardWithheld(reward=reward_to_proto(withheld.reward), reason=_REASONS[withheld.reason])


def _streak_to_proto(stretch: Stretch | None, following: tuple[Milestone, int] | None) -> pb.Streak:
    milestone, missing = following or (None, 0)
    return pb.Streak(
        days=stretch.days if stretch else 0,
        since=stretch.since.isoformat() if stretch else "",
        last_day=stretch.last_day.isoformat() if stretch else "",
        frozen_days=stretch.frozen_days if stretch else 0,
        next_milestone=_milestone_to_proto(milestone) if milestone else None,
        days_to_next_milestone=missing,
    )
