"""Programs and their tiers."""

from collections.abc import Collection, Iterable
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Row, Select, delete, func, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from member.domain.program import Program, ProgramId, Tier, TierId
from member.store.tables import members, programs, tier_history, tiers

# Members are being enrolled or rewarded while a program changes: they hold it in its present shape until they commit.
_KEEP_SHAPE = text("""
    SELECT program_id FROM programs WHERE program_id = ANY(CAST(:ids AS text[])) ORDER BY program_id FOR KEY SHARE
""")


class EvaluationMark(NamedTuple):
    """The last instant that tiers were judged at (None: never), and up to which member where a pass is under way."""

    as_of: datetime | None
    to_member: str | None


async def find_program(connection: AsyncConnection, program_id: ProgramId) -> Program | None:
    """The program with its tiers, or None."""
    return (await find_programs(connection, [program_id])).get(program_id)


async def find_programs(connection: AsyncConnection, ids: Collection[ProgramId]) -> dict[ProgramId, Program]:
    """The programs with their tiers, as far as they exist."""
    found = await connection.execute(_with_tiers(ids))
    return _programs(found)


async def find_programs_for_use(connection: AsyncConnection, ids: Collection[ProgramId]) -> dict[ProgramId, Program]:
    """The programs, which nobody reshapes until the transaction ends."""
    await connection.execute(_KEEP_SHAPE, {"ids": list(ids)})
    return await find_programs(connection, ids)


async def lock_program_for_update(connection: AsyncConnection, program_id: ProgramId) -> Program | None:
    """The program, locked against every use, or None."""
    await connection.execute(select(programs.c.program_id).where(programs.c.program_id == program_id).with_for_update())
    return await find_program(connection, program_id)


async def evaluation_for_update(connection: AsyncConnection, program_id: ProgramId) -> EvaluationMark:
    """How far the program's tiers were judged, locked against another judging."""
    asked = select(programs.c.evaluated_as_of, programs.c.evaluated_to_member)
    row = (
        await connection.execute(asked.where(programs.c.program_id == program_id).with_for_update(key_share=True))
    ).one()
    return EvaluationMark(row.evaluated_as_of, row.evaluated_to_member)


async def save_evaluation(connection: AsyncConnection, program_id: ProgramId, mark: EvaluationMark) -> None:
    """Remember how far the program's tiers were judged."""
    await connection.execute(
        update(programs)
        .where(programs.c.program_id == program_id)
        .values(evaluated_as_of=mark.as_of, evaluated_to_member=mark.to_member)
    )


async def save_program(connection: AsyncConnection, program: Program) -> Program:
    """Put the program and its tiers; tiers that it no longer has are taken out. Returns it with its new revision."""
    put = insert(programs).values(
        program_id=program.program_id,
        display_name=program.display_name,
        window_days=program.window_days,
        points_lifetime_days=program.points_lifetime_days,
        revision=1,
    )
    await connection.execute(
        put.on_conflict_do_update(
            index_elements=[programs.c.program_id],
            set_={
                "display_name": put.excluded.display_name,
                "window_days": put.excluded.window_days,
                "points_lifetime_days": put.excluded.points_lifetime_days,
                "revision": programs.c.revision + 1,
            },
        )
    )
    await _save_tiers(connection, program)
    saved = await find_program(connection, program.program_id)
    assert saved is not None
    return saved


async def tiers_ever_held(connection: AsyncConnection, program_id: ProgramId) -> set[TierId]:
    """Tiers of the program that a member holds or once held."""
    found = await connection.execute(
        select(tier_history.c.tier_id)
        .join(members, members.c.member_id == tier_history.c.member_id)
        .where(members.c.program_id == program_id)
        .distinct()
    )
    return {TierId(row.tier_id) for row in found}


async def count_members_by_tier(connection: AsyncConnection, program_id: ProgramId) -> dict[TierId, int]:
    """How many members hold each tier; tiers that nobody holds are left out."""
    found = await connection.execute(
        select(members.c.tier_id, func.count().label("held_by"))
        .where(members.c.program_id == program_id)
        .group_by(members.c.tier_id)
    )
    return {TierId(row.tier_id): row.held_by for row in found}


async def _save_tiers(connection: AsyncConnection, program: Program) -> None:
    kept = [tier.tier_id for tier in program.tiers]
    await connection.execute(
        delete(tiers).where(tiers.c.program_id == program.program_id, tiers.c.tier_id.not_in(kept))
    )
    put = insert(tiers).values(
        [
            {
                "program_id": program.program_id,
                "tier_id": tier.tier_id,
                "display_name": tier.display_name,
                "rank": tier.rank,
                "points_required": tier.points_required,
                "earn_rate_percent": tier.earn_rate_percent,
            }
            for tier in program.tiers
        ]
    )
    changing = ("display_name", "rank", "points_required", "earn_rate_percent")
    await connection.execute(
        put.on_conflict_do_update(
            index_elements=[tiers.c.program_id, tiers.c.tier_id],
            set_={name: put.excluded[name] for name in changing},
        )
    )


def _with_tiers(ids: Collection[ProgramId]) -> Select[Any]:
    return (
        select(
            programs,
            tiers.c.tier_id,
            tiers.c.display_name.label("tier_name"),
            tiers.c.rank,
            tiers.c.points_required,
            tiers.c.earn_rate_percent,
        )
        .join(tiers, tiers.c.program_id == programs.c.program_id)
        .where(programs.c.program_id.in_(ids))
        .order_by(programs.c.program_id, tiers.c.rank)
    )


def _programs(rows: Iterable[Row[Any]]) -> dict[ProgramId, Program]:
    found: dict[ProgramId, Program] = {}
    for row in rows:
        program_id = ProgramId(row.program_id)
        tier = Tier(TierId(row.tier_id), row.tier_name, row.rank, row.points_required, row.earn_rate_percent)
        before = found[program_id].tiers if program_id in found else ()
        found[program_id] = Program(
            program_id,
            row.display_name,
            tiers=(*before, tier),
            window_days=row.window_days,
            points_lifetime_days=row.points_lifetime_days,
            revision=row.revision,
        )
    return found
