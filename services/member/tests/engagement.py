"""Tasks to test with."""

from typing import Any

from member.domain.audience import Audience
from member.domain.program import GENERAL
from member.domain.reward import PointsReward
from member.domain.task import Task, TaskId, TaskKind, TaskPeriod

from services.member.tests.factories import JANUARY


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
