"""Record what members did of tasks: sign-ins, what callers tell, and what the service itself comes to know."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from chassis.calendar import Calendar
from chassis.errors import InvalidArgument, Refusal
from chassis.work import Transaction

from member.domain.audience import NotForThisTier
from member.domain.customer import CustomerId, PersonId
from member.domain.membership import Holder, Member, MemberId, MemberNotFound
from member.domain.task import (
    MAX_TIMES_AT_ONCE,
    NoSignInTask,
    NotRecordedByMembers,
    ProofMissing,
    Task,
    TaskId,
    TaskKind,
    TaskNotActive,
    TaskNotFound,
    WatchedTooShort,
    check_recorded_by_call,
)
from member.store import members, tasks
from member.use_cases.counting import Doing, Recorded, count_doings

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class SignIn:
    """Sign a member in for the day of `occurred_at`; `source` names the request."""

    source: str
    holder: Holder
    occurred_at: datetime


@dataclass(frozen=True, slots=True)
class RecordProgress:
    """Count that the customer, or a person of it, did something of a task."""

    source: str
    task_id: TaskId
    customer_id: CustomerId
    person_id: PersonId
    occurred_at: datetime
    by_member: bool
    times: int = 1
    watched_seconds: int = 0
    proof_id: str = ""

    def __post_init__(self) -> None:
        if not 1 <= self.times <= MAX_TIMES_AT_ONCE:
            raise InvalidArgument("times", f"must be from 0, which means 1, to {MAX_TIMES_AT_ONCE}")
        if self.watched_seconds < 0:
            raise InvalidArgument("watched_seconds", "must not be negative")


@dataclass(frozen=True, slots=True)
class CountEarning:
    """Count a recharge or an order that gave points, for every task that asks for it."""

    transaction_id: str
    member_id: MemberId
    kind: TaskKind
    occurred_at: datetime


async def sign_in(
    transaction: Transaction, commands: Sequence[SignIn], *, calendar: Calendar
) -> list[Recorded | Refusal]:
    """Sign members in. NoSignInTask where nothing is open to the member's tier at that time, MemberNotFound."""
    connection = transaction.connection
    found = await members.find_members(connection, {command.holder for command in commands})
    daily = await tasks.find_tasks_of_kind(connection, [TaskKind.SIGN_IN], {holder.program_id for holder in found})

    def begin(command: SignIn) -> Doing:
        member = _member(found, command.holder, command.occurred_at)
        for task in daily:
            if _is_open(task, member, command.occurred_at):
                return Doing(command.source, task, member, command.occurred_at, calendar.day_of(command.occurred_at))
        raise NoSignInTask(command.holder)

    wanted = [_or_refusal(begin, command) for command in commands]
    return await count_doings(transaction, wanted, calendar=calendar)


async def record_progress(
    transaction: Transaction, commands: Sequence[RecordProgress], *, calendar: Calendar
) -> list[Recorded | Refusal]:
    """Count what members did.

    TaskNotFound, MemberNotFound, TaskNotActive, NotForThisTier; NotRecordedByCall for sign-ins and what is counted by
    itself; NotRecordedByMembers for a member's own token where the task does not take its word; ProofMissing,
    WatchedTooShort for an advertisement.
    """
    connection = transaction.connection
    known = await tasks.find_tasks(connection, {command.task_id for command in commands})
    holders = {_holder(command, task) for command in commands if (task := known.get(command.task_id))}
    found = await members.find_members(connection, holders)

    def begin(command: RecordProgress) -> Doing:
        task = known.get(command.task_id)
        if task is None:
            raise TaskNotFound(command.task_id)
        check_recorded_by_call(task)
        if command.by_member and not task.by_members:
            raise NotRecordedByMembers(task.task_id)
        member = _member(found, _holder(command, task), command.occurred_at)
        _check_open(task, member, command)
        day = calendar.day_of(command.occurred_at)
        return Doing(command.source, task, member, command.occurred_at, day, command.times, command.proof_id)

    wanted = [_or_refusal(begin, command) for command in commands]
    return await count_doings(transaction, wanted, calendar=calendar)


async def count_earnings(transaction: Transaction, commands: Sequence[CountEarning], *, calendar: Calendar) -> None:
    """Count recharges and orders for the tasks that ask for them and are open to the member at that time."""
    found = await members.find_members_by_id(transaction.connection, {command.member_id for command in commands})
    wanted = await tasks.find_tasks_of_kind(
        transaction.connection,
        {command.kind for command in commands},
        {member.program_id for member in found.values()},
    )
    doings: list[Doing | Refusal] = [
        Doing(
            f"task:{task.task_id}:{command.transaction_id}",
            task,
            member,
            command.occurred_at,
            calendar.day_of(command.occurred_at),
        )
        for command in commands
        if (member := found.get(command.member_id))
        for task in wanted
        if task.kind is command.kind and _is_open(task, member, command.occurred_at)
    ]
    await count_doings(transaction, doings, calendar=calendar)


def _or_refusal(begin: Callable[[T], Doing], command: T) -> Doing | Refusal:
    try:
        return begin(command)
    except Refusal as refusal:
        return refusal


def _holder(command: RecordProgress, task: Task) -> Holder:
    return Holder(command.customer_id, task.audience.program_id, command.person_id)


def _member(found: dict[Holder, Member], holder: Holder, occurred_at: datetime) -> Member:
    """The member, who was one at that time."""
    member = found.get(holder)
    if member is None or occurred_at < member.enrolled_at:
        raise MemberNotFound(holder)
    return member


def _is_open(task: Task, member: Member, occurred_at: datetime) -> bool:
    if task.audience.program_id != member.program_id or occurred_at < member.enrolled_at:
        return False
    return task.active_at(occurred_at) and task.audience.admits(member.tier_id)


def _check_open(task: Task, member: Member, command: RecordProgress) -> None:
    if not task.active_at(command.occurred_at):
        raise TaskNotActive(task.task_id)
    if not task.audience.admits(member.tier_id):
        raise NotForThisTier(member.tier_id)
    if task.kind is TaskKind.AD:
        if not command.proof_id:
            raise ProofMissing(task.task_id)
        if command.watched_seconds < task.min_watch_seconds:
            raise WatchedTooShort(task.task_id, task.min_watch_seconds)
