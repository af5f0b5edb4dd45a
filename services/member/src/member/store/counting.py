"""All that counts for one member's tiers, entry by entry, to look into the future with."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from member.domain.customer import EVERYBODY
from member.domain.forecast import Amounts, Counted
from member.domain.membership import Member
from member.domain.program import Program
from member.domain.requirement import LinesOf, PointsIn, Since, SpendIn
from member.store.tier_tables import tier_points, tier_spend
from member.store.tiers import measure_member


async def count_for_member(connection: AsyncConnection, program: Program, member: Member, as_of: datetime) -> Counted:
    """What counts of a member as it is known at an instant."""
    measures = list(dict.fromkeys([program.points_measure, *program.measures(program.tiers)]))
    of_points = [measure for measure in measures if isinstance(measure, PointsIn)]
    of_spend = [measure for measure in measures if isinstance(measure, SpendIn)]
    constant = [measure for measure in measures if isinstance(measure, Since | LinesOf)]
    return Counted(
        program.calendar,
        {
            **_amounts(of_points, await _points(connection, member, as_of, _start(program, of_points, as_of))),
            **_amounts(of_spend, await _spend(connection, member, as_of, _start(program, of_spend, as_of))),
        },
        await measure_member(connection, program, constant, member, as_of),
    )


def _start(program: Program, measures: Sequence[PointsIn | SpendIn], as_of: datetime) -> datetime:
    return min((measure.window.start(as_of, program.calendar) for measure in measures), default=as_of)


def _amounts(measures: Sequence[PointsIn | SpendIn], rows: Sequence[Any]) -> dict[PointsIn | SpendIn, Amounts]:
    return {
        measure: Amounts.of((row.at, row.amount) for row in rows if row.kind in measure.kinds) for measure in measures
    }


async def _points(connection: AsyncConnection, member: Member, as_of: datetime, start: datetime) -> Sequence[Any]:
    earned = tier_points.c
    asked = select(earned.earned_at.label("at"), earned.kind, earned.points.label("amount")).where(
        earned.member_id == member.member_id,
        earned.earned_at > start,
        earned.earned_at <= as_of,
        earned.known_from <= as_of,
    )
    return (await connection.execute(asked)).all()


async def _spend(connection: AsyncConnection, member: Member, as_of: datetime, start: datetime) -> Sequence[Any]:
    if member.holder.person_id != EVERYBODY:
        return []
    spent = tier_spend.c
    asked = select(spent.spent_at.label("at"), spent.kind, spent.amount_minor.label("amount")).where(
        spent.customer_id == member.customer_id,
        spent.spent_at > start,
        spent.spent_at <= as_of,
        (spent.refunded_at <= as_of) | spent.refunded_at.is_(None),
    )
    return (await connection.execute(asked)).all()
