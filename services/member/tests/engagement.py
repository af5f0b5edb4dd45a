"""Tasks to test with, and their use cases as one step each, in a transaction of their own."""

from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from chassis.calendar import Calendar
from chassis.errors import Refusal
from chassis.ids import new_id
from chassis.work import Work
from member.domain.audience import Audience
from member.domain.customer import EVERYBODY, CustomerId, PersonId
from member.domain.membership import Holder
from member.domain.program import GENERAL
from member.domain.progress import TaskStanding
from member.domain.reward import PointsReward
from member.domain.task import Task, TaskId, TaskKind, TaskPeriod
from member.use_cases import progress, tasks
from member.use_cases.counting import Recorded
from member.use_cases.progress import CountEarning, RecordProgress, SignIn

from services.member.tests.factories import JANUARY

SHANGHAI = Calendar(ZoneInfo("Asia/Shanghai"))


def task(task_id: str = "survey", **changes: Any) -> Task:
    """A task of the ready-made program that gives ten points."""
    values: dict[str, Any] = {
        "title": "Answer the survey",
        "kind": TaskKind.SURVEY,
        "audience": Audience(GENERAL),
        "period": TaskPeriod.EVER,
        "active_from": JANUARY,
        "reward": PointsReward(10),
        "version": 1,
    }
    return Task(TaskId(task_id), **values | changes)


def sign_in_task(task_id: str = "daily", **changes: Any) -> Task:
    """A daily sign-in that gives five points."""
    values: dict[str, Any] = {
        "title": "Sign in",
        "kind": TaskKind.SIGN_IN,
        "period": TaskPeriod.DAY,
        "reward": PointsReward(5),
    }
    return task(task_id, **values | changes)


async def put_task(work: Work, wanted: Task, *, by: str = "operator") -> Task:
    """A task put."""
    return await work.run(lambda transaction: tasks.put_task(transaction, tasks.PutTask(wanted, by)))


def signing_in(at: datetime, customer_id: str = "c-1", **changes: Any) -> SignIn:
    """A sign-in that a trusted caller tells."""
    values: dict[str, Any] = {"source": new_id(), "person_id": EVERYBODY} | changes
    person_id = PersonId(values.pop("person_id"))
    return SignIn(holder=Holder(CustomerId(customer_id), GENERAL, person_id), occurred_at=at, **values)


def doing(task_id: str, at: datetime, customer_id: str = "c-1", **changes: Any) -> RecordProgress:
    """Something done of a task, told by a trusted caller."""
    values: dict[str, Any] = {"source": new_id(), "by_member": False, "person_id": EVERYBODY}
    return RecordProgress(
        task_id=TaskId(task_id), customer_id=CustomerId(customer_id), occurred_at=at, **values | changes
    )


async def sign_in(work: Work, *commands: SignIn, calendar: Calendar = SHANGHAI) -> list[Recorded | Refusal]:
    """Members signed in, in one transaction."""
    return await work.run(lambda transaction: progress.sign_in(transaction, commands, calendar=calendar))


async def signed_in(work: Work, at: datetime, customer_id: str = "c-1", **changes: Any) -> Recorded:
    """One member signed in."""
    (outcome,) = await sign_in(work, signing_in(at, customer_id, **changes))
    return succeeded(outcome)


async def do(work: Work, *commands: RecordProgress, calendar: Calendar = SHANGHAI) -> list[Recorded | Refusal]:
    """Things done, in one transaction."""
    return await work.run(lambda transaction: progress.record_progress(transaction, commands, calendar=calendar))


async def done(work: Work, task_id: str, at: datetime, **changes: Any) -> Recorded:
    """One thing done."""
    (outcome,) = await do(work, doing(task_id, at, **changes))
    return succeeded(outcome)


async def count(work: Work, *commands: CountEarning) -> None:
    """Recharges and orders counted."""
    await work.run(lambda transaction: progress.count_earnings(transaction, commands, calendar=SHANGHAI))


async def open_tasks(work: Work, at: datetime, customer_id: str = "c-1") -> dict[str, TaskStanding]:
    """What is open to a member, by the ids of the tasks."""
    holder = Holder(CustomerId(customer_id), GENERAL)
    async with work.reading() as connection:
        found = await tasks.get_tasks(connection, holder, as_of=at, calendar=SHANGHAI)
    return {standing.task.task_id: standing for standing in found}


def succeeded(outcome: Recorded | Refusal) -> Recorded:
    """The outcome, which is no refusal."""
    if isinstance(outcome, Refusal):
        raise outcome
    return outcome
