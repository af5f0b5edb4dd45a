"""Tasks and their versions."""

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Row, Select, func, insert, or_, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from member.domain.audience import Audience
from member.domain.program import ProgramId, TierId
from member.domain.progress import Purse, purse_of
from member.domain.streak import Milestone
from member.domain.task import Task, TaskId, TaskKind, TaskPeriod
from member.store.engagement_tables import task_versions, tasks
from member.store.rewards import reward_from_json, reward_to_json

# Two operators who put tasks of one program at a time would each miss the other's.
_ALONE = text("SELECT pg_advisory_xact_lock(hashtext('tasks of ' || CAST(:program AS text)))")

_SAVE_PURSES = text("""
    UPDATE tasks SET points_given = given.points, rewards_given = given.rewards
    FROM unnest(CAST(:ids AS text[]), CAST(:points AS bigint[]), CAST(:rewards AS bigint[]))
        AS given(task_id, points, rewards)
    WHERE tasks.task_id = given.task_id
""")


class PutTask(NamedTuple):
    """A version of a task, who put it and when."""

    task: Task
    put_by: str
    put_at: datetime


async def put_alone(connection: AsyncConnection, program_id: ProgramId) -> None:
    """Waits until nobody else puts tasks of the program, and keeps others waiting until the transaction ends."""
    await connection.execute(_ALONE, {"program": program_id})


async def find_task_for_update(connection: AsyncConnection, task_id: TaskId) -> Task | None:
    """The task, locked against being put and against spending its budget, or None."""
    found = await connection.execute(select(tasks).where(tasks.c.task_id == task_id).with_for_update())
    row = found.one_or_none()
    return _task(row) if row else None


async def find_tasks(connection: AsyncConnection, ids: Collection[TaskId]) -> dict[TaskId, Task]:
    """The tasks with these ids, as far as they exist."""
    found = await connection.execute(select(tasks).where(tasks.c.task_id.in_(ids)))
    return {TaskId(row.task_id): _task(row) for row in found}


async def find_tasks_of_kind(
    connection: AsyncConnection, kinds: Collection[TaskKind], programs: Collection[ProgramId]
) -> list[Task]:
    """The tasks of these kinds in the programs, by their ids."""
    query = select(tasks).where(tasks.c.kind.in_([kind.value for kind in kinds]), tasks.c.program_id.in_(programs))
    return [_task(row) for row in await connection.execute(query.order_by(tasks.c.task_id))]


async def find_version(connection: AsyncConnection, task_id: TaskId, version: int) -> PutTask | None:
    """A version of the task, the present one where `version` is 0, or None."""
    query = select(task_versions).where(task_versions.c.task_id == task_id)
    if version:
        query = query.where(task_versions.c.version == version)
    row = (await connection.execute(query.order_by(task_versions.c.version.desc()).limit(1))).one_or_none()
    return PutTask(_task(row), row.put_by, row.put_at) if row else None


async def find_purse(connection: AsyncConnection, task: Task) -> Purse:
    """What the task has given, and still has to give."""
    row = (await connection.execute(_given([task.task_id]))).one()
    return purse_of(task, points_given=row.points_given, rewards_given=row.rewards_given)


async def find_purses_for_update(connection: AsyncConnection, wanted: Mapping[TaskId, Task]) -> dict[TaskId, Purse]:
    """What each of the tasks has given and still has to give, locked against others who give."""
    if not wanted:
        return {}
    found = await connection.execute(_given(wanted).with_for_update(key_share=True))
    return {
        TaskId(row.task_id): purse_of(
            wanted[TaskId(row.task_id)], points_given=row.points_given, rewards_given=row.rewards_given
        )
        for row in found
    }


async def save_purses(connection: AsyncConnection, purses: Mapping[TaskId, Purse]) -> None:
    """Remember what was given."""
    if purses:
        asked = {
            "ids": list(purses),
            "points": [purse.points_given for purse in purses.values()],
            "rewards": [purse.rewards_given for purse in purses.values()],
        }
        await connection.execute(_SAVE_PURSES, asked)


async def count_open(connection: AsyncConnection, program_id: ProgramId, *, at: datetime) -> int:
    """How many tasks of the program have not ended."""
    query = select(func.count()).select_from(tasks).where(tasks.c.program_id == program_id, _not_ended(at))
    return int((await connection.execute(query)).scalar_one())


async def list_active(connection: AsyncConnection, program_id: ProgramId, *, at: datetime) -> list[Task]:
    """Tasks of the program that can be done at an instant, by their ids."""
    query = select(tasks).where(tasks.c.program_id == program_id, tasks.c.active_from <= at, _not_ended(at))
    return [_task(row) for row in await connection.execute(query.order_by(tasks.c.task_id))]


async def list_tasks(
    connection: AsyncConnection,
    program_id: ProgramId | None,
    *,
    active_at: datetime | None,
    after: str | None,
    limit: int,
) -> list[Task]:
    """Tasks by their ids, from the one behind `after` on."""
    query = select(tasks).order_by(tasks.c.task_id).limit(limit)
    if program_id is not None:
        query = query.where(tasks.c.program_id == program_id)
    if active_at is not None:
        query = query.where(tasks.c.active_from <= active_at, _not_ended(active_at))
    if after is not None:
        query = query.where(tasks.c.task_id > after)
    return [_task(row) for row in await connection.execute(query)]


async def save_task(connection: AsyncConnection, put: PutTask) -> None:
    """Write a version of a task, the first one or the next."""
    task = put.task
    values = {
        "program_id": task.audience.program_id,
        "kind": task.kind.value,
        "active_from": task.active_from,
        "active_until": task.active_until,
        "document": _document(task),
        "version": task.version,
        "put_by": put.put_by,
        "put_at": put.put_at,
    }
    if task.version == 1:
        await connection.execute(insert(tasks).values(task_id=task.task_id, **values))
    else:
        await connection.execute(update(tasks).where(tasks.c.task_id == task.task_id).values(**values))
    version = {name: values[name] for name in ("version", "document", "put_by", "put_at")}
    await connection.execute(insert(task_versions).values(task_id=task.task_id, **version))


def _given(ids: Collection[TaskId]) -> Select[Any]:
    columns = (tasks.c.task_id, tasks.c.points_given, tasks.c.rewards_given)
    return select(*columns).where(tasks.c.task_id.in_(ids)).order_by(tasks.c.task_id)


def _not_ended(at: datetime) -> Any:
    return or_(tasks.c.active_until.is_(None), tasks.c.active_until > at)


def _document(task: Task) -> dict[str, Any]:
    return {
        "title": task.title,
        "kind": task.kind.value,
        "program_id": task.audience.program_id,
        "tier_ids": sorted(task.audience.tier_ids),
        "period": task.period.value,
        "active_from": task.active_from.isoformat(),
        "active_until": task.active_until.isoformat() if task.active_until else None,
        "times": task.times,
        "most_per_period": task.most_per_period,
        "most_per_month": task.most_per_month,
        "reward": reward_to_json(task.reward) if task.reward else None,
        "milestones": [
            {"days": each.days, "reward": reward_to_json(each.reward), "repeats": each.repeats}
            for each in task.milestones
        ],
        "freeze_days": task.freeze_days,
        "min_watch_seconds": task.min_watch_seconds,
        "by_members": task.by_members,
        "budget_points": task.budget_points,
        "budget_rewards": task.budget_rewards,
    }


def _task(row: Row[Any]) -> Task:
    """A task from a row that has its id, version and document."""
    document = row.document
    until = document["active_until"]
    return Task(
        task_id=TaskId(row.task_id),
        title=document["title"],
        kind=TaskKind(document["kind"]),
        audience=Audience(
            ProgramId(document["program_id"]), frozenset(TierId(tier_id) for tier_id in document["tier_ids"])
        ),
        period=TaskPeriod(document["period"]),
        active_from=datetime.fromisoformat(document["active_from"]),
        active_until=datetime.fromisoformat(until) if until else None,
        times=document["times"],
        most_per_period=document["most_per_period"],
        most_per_month=document["most_per_month"],
        reward=reward_from_json(document["reward"]) if document["reward"] else None,
        milestones=tuple(
            Milestone(each["days"], reward_from_json(each["reward"]), each["repeats"])
            for each in document["milestones"]
        ),
        freeze_days=document["freeze_days"],
        min_watch_seconds=document["min_watch_seconds"],
        by_members=document["by_members"],
        budget_points=document["budget_points"],
        budget_rewards=document["budget_rewards"],
        version=row.version,
    )
