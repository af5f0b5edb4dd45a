"""Programs: their versions, which are written once, and which of them is in force from when on."""

import json
from collections.abc import Collection
from datetime import datetime
from functools import lru_cache
from typing import Any, NamedTuple

from chassis.arrays import array_of_texts
from chassis.driver import fetch
from sqlalchemy import Row, Text, cast, func, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from member.domain.program import Program, ProgramId, TierId, Timeline
from member.store.program_documents import program_from_json, program_to_json
from member.store.tables import members, programs, tiers
from member.store.tier_tables import program_activations, program_versions

# Members are being enrolled or rewarded while a program changes: they hold it in its present shape until they commit.
_KEEP_SHAPE = text("""
    SELECT program_id FROM programs WHERE program_id = ANY(CAST(:ids AS text[])) ORDER BY program_id FOR KEY SHARE
""")

# Of what was activated, all that was in force at `since` or later.
_TIMELINES = text("""
    SELECT span.program_id, span.active_from, span.version, kept.document::text AS document
    FROM (
        SELECT program_id, sequence, version, active_from,
            lead(active_from) OVER (PARTITION BY program_id ORDER BY active_from, sequence) AS until
        FROM program_activations WHERE program_id = ANY(CAST(:ids AS text[]))
    ) AS span
    JOIN program_versions AS kept USING (program_id, version)
    WHERE span.until IS NULL OR span.until > :since
    ORDER BY span.program_id, span.active_from, span.sequence
""")

_HELD_ONCE = text("""
    SELECT gone.tier_id FROM unnest(CAST(:tiers AS text[])) AS gone(tier_id)
    WHERE EXISTS (
        SELECT FROM members JOIN tier_history USING (member_id)
        WHERE members.program_id = :program AND tier_history.tier_id = gone.tier_id
    )
    ORDER BY 1
""")

# The activation in force at an instant, where it follows the one that its program knows of.
_BEGUN = text("""
    SELECT programs.program_id, begun.sequence, begun.version, begun.active_from
    FROM programs
    CROSS JOIN LATERAL (
        SELECT sequence, version, active_from FROM program_activations AS each
        WHERE each.program_id = programs.program_id AND each.active_from <= :as_of
        ORDER BY active_from DESC, sequence DESC LIMIT 1
    ) AS begun
    LEFT JOIN program_activations AS known
        ON known.program_id = programs.program_id AND known.sequence = programs.active_sequence
    WHERE coalesce((begun.active_from, begun.sequence) > (known.active_from, known.sequence), true)
    ORDER BY programs.program_id
    FOR NO KEY UPDATE OF programs
""")


class Mark(NamedTuple):
    """The last instant that members were looked at for (None: never), and how far a pass that is under way has come."""

    as_of: datetime | None
    to_member: str | None


class Version(NamedTuple):
    """A version as it was drafted, by whom and when."""

    program: Program
    drafted_by: str
    recorded_at: datetime


_IN_FORCE = """
    SELECT kept.program_id, kept.version, kept.document::text FROM programs
    JOIN program_versions AS kept ON kept.program_id = programs.program_id AND kept.version = programs.active_version
    WHERE programs.program_id = ANY($1::text::text[])
"""
_MOVING_AT_ONCE = "SELECT program_id FROM programs WHERE upgrades_at_once"


class Activation(NamedTuple):
    """From when on a version is in force; of two that begin at one instant the one with the higher sequence is."""

    program_id: ProgramId
    sequence: int
    version: int
    active_from: datetime
    activated_by: str
    recorded_at: datetime


async def find_program(connection: AsyncConnection, program_id: ProgramId) -> Program | None:
    """The program as it is in force, or None."""
    return (await find_programs(connection, [program_id])).get(program_id)


async def find_programs(connection: AsyncConnection, ids: Collection[ProgramId]) -> dict[ProgramId, Program]:
    """The programs as they are in force, those of the ids that have a version in force."""
    found = await fetch(connection, _IN_FORCE, array_of_texts(ids))
    return {ProgramId(name): parsed_program(ProgramId(name), version, document) for name, version, document in found}


async def find_programs_for_use(connection: AsyncConnection, ids: Collection[ProgramId]) -> dict[ProgramId, Program]:
    """The programs, which nobody reshapes until the transaction ends."""
    await connection.execute(_KEEP_SHAPE, {"ids": list(ids)})
    return await find_programs(connection, ids)


async def find_timelines(
    connection: AsyncConnection, ids: Collection[ProgramId], *, since: datetime
) -> dict[ProgramId, Timeline]:
    """Which version of each program is in force when, from `since` on; programs without any are left out."""
    spans: dict[ProgramId, list[tuple[datetime, Program]]] = {}
    for row in await connection.execute(_TIMELINES, {"ids": list(ids), "since": since}):
        spans.setdefault(ProgramId(row.program_id), []).append((row.active_from, _program(row)))
    return {program_id: Timeline(tuple(span)) for program_id, span in spans.items()}


async def find_timelines_for_use(
    connection: AsyncConnection, ids: Collection[ProgramId], *, since: datetime
) -> dict[ProgramId, Timeline]:
    """The same, and nobody activates another version until the transaction ends."""
    await connection.execute(_KEEP_SHAPE, {"ids": list(ids)})
    return await find_timelines(connection, ids, since=since)


async def all_program_ids(connection: AsyncConnection) -> list[ProgramId]:
    """Every program that has a version in force."""
    asked = select(programs.c.program_id).where(programs.c.active_version.is_not(None)).order_by(programs.c.program_id)
    return [ProgramId(row.program_id) for row in await connection.execute(asked)]


async def lock_program_for_update(connection: AsyncConnection, program_id: ProgramId) -> Program | None:
    """The program as it is in force, locked against every use; None where no version is."""
    await connection.execute(insert(programs).values(program_id=program_id).on_conflict_do_nothing())
    await connection.execute(select(programs.c.program_id).where(programs.c.program_id == program_id).with_for_update())
    return await find_program(connection, program_id)


async def find_version(connection: AsyncConnection, program_id: ProgramId, version: int) -> Version | None:
    """One version, or None."""
    kept = program_versions.c
    found = await connection.execute(_versions().where(kept.program_id == program_id, kept.version == version))
    row = found.one_or_none()
    return Version(_program(row), row.drafted_by, row.recorded_at) if row else None


async def list_versions(
    connection: AsyncConnection, program_id: ProgramId, *, before: int | None, limit: int
) -> list[Version]:
    """The program's versions, newest first, from below a number."""
    kept = program_versions.c
    asked = _versions().where(kept.program_id == program_id).order_by(kept.version.desc()).limit(limit)
    if before is not None:
        asked = asked.where(kept.version < before)
    return [Version(_program(row), row.drafted_by, row.recorded_at) for row in await connection.execute(asked)]


async def list_activations(
    connection: AsyncConnection, program_id: ProgramId, *, before: int | None, limit: int
) -> list[Activation]:
    """The program's activations, newest first, from below a sequence."""
    made = program_activations.c
    asked = select(program_activations).where(made.program_id == program_id).order_by(made.sequence.desc()).limit(limit)
    if before is not None:
        asked = asked.where(made.sequence < before)
    return [_activation(row) for row in await connection.execute(asked)]


async def all_activations(connection: AsyncConnection, program_id: ProgramId) -> list[Activation]:
    """The program's activations in the order in which they begin."""
    made = program_activations.c
    asked = select(program_activations).where(made.program_id == program_id).order_by(made.active_from, made.sequence)
    return [_activation(row) for row in await connection.execute(asked)]


async def insert_version(
    connection: AsyncConnection, program: Program, *, drafted_by: str, recorded_at: datetime
) -> Program:
    """Keep the program as its next version; it must be locked."""
    newest = select(func.coalesce(func.max(program_versions.c.version), 0) + 1).where(
        program_versions.c.program_id == program.program_id
    )
    kept = insert(program_versions).values(
        program_id=program.program_id,
        version=newest.scalar_subquery(),
        document=program_to_json(program),
        drafted_by=drafted_by,
        recorded_at=recorded_at,
    )
    written = (await connection.execute(kept.returning(program_versions.c.version))).scalar_one()
    found = await find_version(connection, program.program_id, written)
    assert found is not None
    return found.program


async def insert_activation(connection: AsyncConnection, activation: Activation) -> Activation:
    """Note from when on a version is in force, under the next sequence; the program must be locked."""
    sequence = select(func.coalesce(func.max(program_activations.c.sequence), 0) + 1).where(
        program_activations.c.program_id == activation.program_id
    )
    values = activation._asdict() | {"sequence": sequence.scalar_subquery()}
    row = (await connection.execute(insert(program_activations).values(values).returning(program_activations))).one()
    return _activation(row)


async def register_tiers(connection: AsyncConnection, program: Program) -> None:
    """Members may hold the tiers of this version from now on, and may move as it says."""
    rows = [{"program_id": program.program_id, "tier_id": tier.tier_id} for tier in program.tiers]
    await connection.execute(insert(tiers).values(rows).on_conflict_do_nothing())
    if program.moves.upgrades_at_once:
        moving = update(programs).where(programs.c.program_id == program.program_id)
        await connection.execute(moving.values(upgrades_at_once=True))


async def programs_moving_at_once(connection: AsyncConnection) -> list[ProgramId]:
    """Programs of which some version, at some time, moves members upwards on events."""
    return [ProgramId(name) for (name,) in await fetch(connection, _MOVING_AT_ONCE)]


async def save_active(connection: AsyncConnection, activation: Activation) -> None:
    """The activation is in force and its program known by it."""
    values = {"active_version": activation.version, "active_sequence": activation.sequence}
    await connection.execute(update(programs).where(programs.c.program_id == activation.program_id).values(values))


async def begun_activations_for_update(connection: AsyncConnection, as_of: datetime) -> list[Activation]:
    """Activations in force at an instant that their programs do not know of yet; the programs are locked."""
    found = await connection.execute(_BEGUN, {"as_of": as_of})
    return [
        Activation(ProgramId(row.program_id), row.sequence, row.version, row.active_from, "", as_of) for row in found
    ]


async def tiers_held_once(
    connection: AsyncConnection, program_id: ProgramId, among: Collection[TierId]
) -> list[TierId]:
    """Which of these tiers a member of the program holds or once held."""
    if not among:
        return []
    found = await connection.execute(_HELD_ONCE, {"program": program_id, "tiers": sorted(among)})
    return [TierId(row.tier_id) for row in found]


async def evaluation_for_update(connection: AsyncConnection, program_id: ProgramId) -> Mark:
    """How far the program's tiers were judged, locked against another judging."""
    asked = select(programs.c.evaluated_as_of, programs.c.evaluated_to_member)
    row = (
        await connection.execute(asked.where(programs.c.program_id == program_id).with_for_update(key_share=True))
    ).one()
    return Mark(row.evaluated_as_of, row.evaluated_to_member)


async def save_evaluation(connection: AsyncConnection, program_id: ProgramId, mark: Mark) -> None:
    """Remember how far the program's tiers were judged."""
    values = {"evaluated_as_of": mark.as_of, "evaluated_to_member": mark.to_member}
    await connection.execute(update(programs).where(programs.c.program_id == program_id).values(values))


async def warnings_for_update(connection: AsyncConnection, program_id: ProgramId) -> Mark:
    """How far the program's members were warned, locked against another round."""
    asked = select(programs.c.warned_as_of, programs.c.warned_to_member)
    row = (
        await connection.execute(asked.where(programs.c.program_id == program_id).with_for_update(key_share=True))
    ).one()
    return Mark(row.warned_as_of, row.warned_to_member)


async def save_warnings(connection: AsyncConnection, program_id: ProgramId, mark: Mark) -> None:
    """Remember how far the program's members were warned."""
    values = {"warned_as_of": mark.as_of, "warned_to_member": mark.to_member}
    await connection.execute(update(programs).where(programs.c.program_id == program_id).values(values))


async def count_members_by_tier(connection: AsyncConnection, program_id: ProgramId) -> dict[TierId, int]:
    """How many members hold each tier; tiers that nobody holds are left out."""
    found = await connection.execute(
        select(members.c.tier_id, func.count().label("held_by"))
        .where(members.c.program_id == program_id, members.c.left_at.is_(None))
        .group_by(members.c.tier_id)
    )
    return {TierId(row.tier_id): row.held_by for row in found}


def _versions() -> Any:
    kept = program_versions.c
    document = cast(kept.document, Text).label("document")
    return select(kept.program_id, kept.version, document, kept.drafted_by, kept.recorded_at)


def _activation(row: Row[Any]) -> Activation:
    return Activation(
        ProgramId(row.program_id),
        row.sequence,
        row.version,
        row.active_from,
        activated_by=row.activated_by,
        recorded_at=row.recorded_at,
    )


def _program(row: Row[Any]) -> Program:
    return parsed_program(ProgramId(row.program_id), row.version, row.document)


@lru_cache(maxsize=256)
def parsed_program(program_id: ProgramId, version: int, document: str) -> Program:
    """A version never changes, and whoever rewards a payment asks for it: read the same text once."""
    return program_from_json(program_id, version, json.loads(document))
