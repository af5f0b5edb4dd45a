"""Put tasks, and say which are open to a member and where it stands with each."""

from dataclasses import dataclass, replace
from datetime import datetime

from chassis.calendar import Calendar
from chassis.errors import InvalidArgument
from chassis.paging import Page
from chassis.work import Transaction

from member.domain.audience import check_tiers_known
from member.domain.membership import Holder, Member, MemberNotFound
from member.domain.program import ProgramId, ProgramNotFound
from member.domain.progress import Purse, TaskStanding, standing
from member.domain.task import (
    MAX_OPEN_TASKS,
    SignInTasksOverlap,
    Task,
    TaskId,
    TaskKind,
    TaskNotFound,
    TaskShapeFixed,
    TooManyTasks,
    check_task,
)
from member.store import Connection, members, programs
from member.store import progress as books
from member.store import tasks as store


@dataclass(frozen=True, slots=True)
class PutTask:
    """Put a task as its first or next version; `put_by` is who did."""

    task: Task
    put_by: str

    def __post_init__(self) -> None:
        check_task(self.task)


async def put_task(transaction: Transaction, command: PutTask) -> Task:
    """Put the task; one that stands so already keeps its version.

    ProgramNotFound, TierNotInProgram; TaskShapeFixed where kind, program or period would change; SignInTasksOverlap, so
    that a member has one sign-in a day; TooManyTasks, so that a member can be shown them all.
    """
    connection, wanted = transaction.connection, command.task
    program_id = wanted.audience.program_id
    program = (await programs.find_programs_for_use(connection, [program_id])).get(program_id)
    if program is None:
        raise ProgramNotFound(program_id)
    check_tiers_known(program, wanted.audience.tier_ids)
    await store.put_alone(connection, program_id)
    known = await store.find_task_for_update(connection, wanted.task_id)
    if known == replace(wanted, version=known.version if known else 0):
        return known
    if known and _shape(known) != _shape(wanted):
        raise TaskShapeFixed(wanted.task_id)
    await _check_neighbours(transaction, wanted, new=known is None)
    saved = replace(wanted, version=known.version + 1 if known else 1)
    await store.save_task(connection, store.PutTask(saved, command.put_by, transaction.recorded_at))
    return saved


async def get_task(connection: Connection, task_id: TaskId, version: int) -> tuple[store.PutTask, Purse]:
    """A version of the task, the present one where `version` is 0, with what the task has given. TaskNotFound."""
    put = await store.find_version(connection, task_id, version)
    if put is None:
        raise TaskNotFound(task_id)
    return put, await store.find_purse(connection, put.task)


async def list_tasks(
    connection: Connection, program_id: ProgramId | None, *, active_at: datetime | None, page: Page
) -> list[Task]:
    """Tasks by their ids, one more than the page holds where there are more."""
    return await store.list_tasks(connection, program_id, active_at=active_at, after=page.after, limit=page.wanted)


async def get_tasks(
    connection: Connection, holder: Holder, *, as_of: datetime, calendar: Calendar
) -> list[TaskStanding]:
    """What is open to the member at an instant, by the tier held now, and where it stands with each."""
    member = await find_member(connection, holder)
    active = await store.list_active(connection, holder.program_id, at=as_of)
    admitted = [task for task in active if task.audience.admits(member.tier_id)]
    day = calendar.day_of(as_of)
    asked = [books.DaysAsked((task.task_id, member.member_id), *task.days_asked(day)) for task in admitted]
    found = await books.find_books(connection, asked)
    return [standing(task, found[task.task_id, member.member_id], day) for task in admitted]


async def list_records(
    connection: Connection, holder: Holder, task_id: TaskId | None, page: Page
) -> list[books.ListedRecord]:
    """What the member did, newest first, one more than the page holds where there are more."""
    if page.after is not None and not (page.after.isascii() and page.after.isdigit() and len(page.after) < 19):
        raise InvalidArgument("page_token", "is not a token that a list call returned")
    member = await find_member(connection, holder)
    before = None if page.after is None else int(page.after)
    return await books.list_records(connection, member.member_id, task_id=task_id, before=before, limit=page.wanted)


async def find_member(connection: Connection, holder: Holder) -> Member:
    """The membership, or MemberNotFound."""
    member = await members.find_member(connection, holder)
    if member is None:
        raise MemberNotFound(holder)
    return member


async def _check_neighbours(transaction: Transaction, wanted: Task, *, new: bool) -> None:
    connection, program_id = transaction.connection, wanted.audience.program_id
    if new and await store.count_open(connection, program_id, at=transaction.recorded_at) >= MAX_OPEN_TASKS:
        raise TooManyTasks
    if wanted.kind is TaskKind.SIGN_IN:
        for other in await store.find_tasks_of_kind(connection, [TaskKind.SIGN_IN], [program_id]):
            if other.task_id != wanted.task_id and other.overlaps(wanted):
                raise SignInTasksOverlap(wanted.task_id, other.task_id)


def _shape(task: Task) -> tuple[object, ...]:
    return task.kind, task.audience.program_id, task.period
