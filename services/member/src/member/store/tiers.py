"""The judging of members, by the thousand and by one statement, and the history of their tiers."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import func, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from member.domain.customer import CustomerId
from member.domain.membership import Member, MemberId, MoveReason, TierHeld
from member.domain.program import Program, ProgramId, TierId
from member.domain.requirement import Measure, Measured
from member.store.measuring import Measuring
from member.store.members import member_from_row
from member.store.tables import members, tier_history
from member.store.tier_tables import downgrade_warnings

# Members in the order of their ids, so that a pass may be left and gone on with. Who moved after the instant is not
# judged at it.
_NEXT = """
    SELECT members.*, CAST(:as_of AS timestamptz) AS as_of FROM members
    WHERE program_id = :program AND member_id > :after AND tier_since <= :as_of AND left_at IS NULL {only}
    ORDER BY member_id LIMIT :most
"""

# Held now, and each at an instant of its own, but never before the tier held now began.
_THESE = """
    SELECT members.*, greatest(wanted.as_of, members.tier_since) AS as_of FROM members
    JOIN unnest(CAST(:members AS text[]), CAST(:instants AS timestamptz[])) AS wanted(member_id, as_of)
        USING (member_id)
"""

_HELD = "JOIN unnest(CAST(:tiers AS text[]), CAST(:ranks AS integer[])) AS held(tier_id, rank) USING (tier_id)"

# Only who may change is looked at more closely: who rises, who is in grace and meets the tier again, and who meets less
# than the tier and is not held in it by validity or grace.
_CHANGES = """
    judged.reached > judged.rank OR (judged.reached = judged.rank AND judged.in_grace)
    OR (judged.reached < judged.rank AND coalesce(judged.holds_until <= judged.as_of, true))
"""

_SAVE = text("""
    WITH moved AS (
        UPDATE members SET tier_id = new.tier_id, tier_since = new.tier_since, revision = new.revision,
            holds_until = new.holds_until, in_grace = new.in_grace
        FROM unnest(CAST(:members AS text[]), CAST(:before AS bigint[]), CAST(:revisions AS bigint[]),
                    CAST(:tiers AS text[]), CAST(:since AS timestamptz[]), CAST(:holds AS timestamptz[]),
                    CAST(:grace AS boolean[]), CAST(:versions AS bigint[]))
            AS new(member_id, before, revision, tier_id, tier_since, holds_until, in_grace, version)
        WHERE members.member_id = new.member_id AND members.revision = new.before AND members.left_at IS NULL
        RETURNING members.member_id, members.revision, members.tier_id, members.tier_since, new.before, new.version
    ), noted AS (
        INSERT INTO tier_history (member_id, revision, tier_id, held_from, recorded_at, version, reason, note)
        SELECT member_id, revision, tier_id, tier_since, :recorded_at, version, :reason, :note
        FROM moved WHERE revision > before
    )
    SELECT member_id FROM moved
""")

_TO_JUDGE = text("""
    SELECT members.* FROM members
    WHERE (members.member_id = ANY(CAST(:members AS text[])) OR members.customer_id = ANY(CAST(:customers AS text[])))
        AND members.program_id = ANY(CAST(:programs AS text[])) AND members.left_at IS NULL
    ORDER BY members.member_id FOR NO KEY UPDATE
""")

_OFF_HISTORY = text("""
    SELECT members.member_id FROM members
    LEFT JOIN LATERAL (
        SELECT tier_history.* FROM tier_history WHERE tier_history.member_id = members.member_id
        ORDER BY tier_history.revision DESC LIMIT 1
    ) AS last ON true
    WHERE (last.revision, last.tier_id, last.held_from)
        IS DISTINCT FROM (members.revision, members.tier_id, members.tier_since)
    ORDER BY members.member_id LIMIT 10
""")


class Judged(NamedTuple):
    """A member, and the rank that it reaches."""

    member: Member
    reached: int


class Round(NamedTuple):
    """The next members of a pass: how many, the last of them, and those who may change."""

    size: int
    last: str
    due: list[Judged]


class Warned(NamedTuple):
    """A member whose tier ends soon, and what was measured of it."""

    member: Member
    measured: Measured


class WarningRound(NamedTuple):
    """The next members whose tiers end soon: how many, the last of them, and those who meet less than their tier."""

    size: int
    last: str
    due: list[Warned]


class Cell(NamedTuple):
    """Members who hold one tier and reach another: how many, how many of them a validity or grace holds in their tier,
    and a few of them."""

    tier_id: TierId
    reached: int
    members: int
    protected: int
    samples: tuple[MemberId, ...]


class PreviewRound(NamedTuple):
    """The next members of a preview: how many, the last of them, and where they would stand."""

    size: int
    last: str
    cells: list[Cell]


class Change(NamedTuple):
    """A member before and after it was judged or placed, and the version that said so."""

    before: Member
    after: Member
    version: int


async def measure_member(
    connection: AsyncConnection, program: Program, measures: Sequence[Measure], member: Member, as_of: datetime
) -> Measured:
    """These measures of one member at an instant."""
    measuring = Measuring(program, measures)
    one = "SELECT members.*, CAST(:as_of AS timestamptz) AS as_of FROM members WHERE member_id = :member"
    statement = text(f"SELECT {measuring.selected} FROM ({one}) AS asked {measuring.joins}")  # noqa: S608 - constants
    asked = {**measuring.arguments, "member": member.member_id, "as_of": as_of}
    return measuring.read((await connection.execute(statement, asked)).one())


async def judge_members(
    connection: AsyncConnection, program: Program, at: Mapping[MemberId, datetime]
) -> dict[MemberId, int]:
    """The ranks that members reach at an instant each, or at that of their last move where it is later."""
    measuring = Measuring(program, program.measures(program.tiers))
    reached = measuring.reached()
    statement = text(f"SELECT asked.member_id, {reached} AS reached FROM ({_THESE}) AS asked {measuring.joins}")  # noqa: S608 - made of constants
    found = await connection.execute(statement, {**measuring.arguments, **_instants(at)})
    return {MemberId(row.member_id): row.reached for row in found}


async def judge_round(
    connection: AsyncConnection, program: Program, *, after: str, as_of: datetime, most: int
) -> Round:
    """The next members of the program behind one, judged at an instant."""
    measuring = Measuring(program, program.measures(program.tiers))
    statement = text(f"""
        WITH asked AS MATERIALIZED ({_NEXT.format(only="")}),
        judged AS (
            SELECT asked.*, held.rank, {measuring.reached()} AS reached FROM asked {_HELD} {measuring.joins}
        )
        SELECT total.size, total.last, judged.*
        FROM (SELECT count(*) AS size, max(member_id) AS last FROM asked) AS total
        LEFT JOIN judged ON {_CHANGES}
        ORDER BY judged.member_id
    """)  # noqa: S608 - made of constants
    asked = _pass(program, after, as_of, most) | _held(program)
    rows = (await connection.execute(statement, {**measuring.arguments, **asked})).all()
    due = [Judged(member_from_row(row), row.reached) for row in rows if row.member_id]
    return Round(rows[0].size, rows[0].last or after, due)


async def preview_round(
    connection: AsyncConnection, program: Program, *, after: str, as_of: datetime, most: int
) -> PreviewRound:
    """Where the next members would stand under a version, by the tier that they hold now."""
    measuring = Measuring(program, program.measures(program.tiers))
    statement = text(f"""
        WITH asked AS MATERIALIZED ({_NEXT.format(only="")}),
        judged AS MATERIALIZED (
            SELECT asked.member_id, asked.tier_id, asked.holds_until > asked.as_of AS protected,
                {measuring.reached()} AS reached
            FROM asked {measuring.joins}
        ),
        cells AS (
            SELECT tier_id, reached, count(*) AS members, count(*) FILTER (WHERE protected) AS protected,
                (array_agg(member_id ORDER BY member_id))[1:5] AS samples
            FROM judged GROUP BY tier_id, reached
        )
        SELECT total.size, total.last, cells.*
        FROM (SELECT count(*) AS size, max(member_id) AS last FROM asked) AS total LEFT JOIN cells ON true
        ORDER BY cells.tier_id, cells.reached
    """)  # noqa: S608 - made of constants
    asked = _pass(program, after, as_of, most)
    rows = (await connection.execute(statement, {**measuring.arguments, **asked})).all()
    cells = [
        Cell(TierId(row.tier_id), row.reached, row.members, row.protected, tuple(map(MemberId, row.samples)))
        for row in rows
        if row.tier_id
    ]
    return PreviewRound(rows[0].size, rows[0].last or after, cells)


async def warning_round(
    connection: AsyncConnection, program: Program, *, after: str, as_of: datetime, most: int
) -> WarningRound:
    """The next members whose validity or grace ends within the days of warning after an instant, and who meet less than
    their tier at the instant."""
    measures = program.measures(program.tiers)
    measuring = Measuring(program, measures)
    ending = "AND holds_until IS NOT NULL AND holds_until > :as_of AND holds_until <= :until"
    statement = text(f"""
        WITH asked AS MATERIALIZED ({_NEXT.format(only=ending)}),
        judged AS (
            SELECT asked.*, held.rank, {measuring.reached()} AS reached, {measuring.selected}
            FROM asked {_HELD} {measuring.joins}
        )
        SELECT total.size, total.last, judged.*
        FROM (SELECT count(*) AS size, max(member_id) AS last FROM asked) AS total
        LEFT JOIN judged ON judged.reached < judged.rank
        ORDER BY judged.member_id
    """)  # noqa: S608 - made of constants
    asked = _pass(program, after, as_of, most) | _held(program) | {"until": program.warned_until(as_of)}
    rows = (await connection.execute(statement, {**measuring.arguments, **asked})).all()
    due = [Warned(member_from_row(row), measuring.read(row)) for row in rows if row.member_id]
    return WarningRound(rows[0].size, rows[0].last or after, due)


async def insert_warnings(
    connection: AsyncConnection, ends: Mapping[MemberId, datetime], *, recorded_at: datetime
) -> set[MemberId]:
    """Note whom to warn of which date; returns those who were not warned of it before."""
    if not ends:
        return set()
    rows = [
        {"member_id": member_id, "ends_at": ends_at, "recorded_at": recorded_at}
        for member_id, ends_at in sorted(ends.items())
    ]
    noted = insert(downgrade_warnings).values(rows).on_conflict_do_nothing()
    found = await connection.execute(noted.returning(downgrade_warnings.c.member_id))
    return {MemberId(row.member_id) for row in found}


async def members_for_update(
    connection: AsyncConnection,
    programs: Collection[ProgramId],
    *,
    ids: Collection[MemberId] = (),
    customers: Collection[CustomerId] = (),
) -> list[Member]:
    """The memberships in these programs with these ids or of these customers, locked in the order of their ids."""
    asked = {"members": list(ids), "customers": list(customers), "programs": list(programs)}
    return [member_from_row(row) for row in await connection.execute(_TO_JUDGE, asked)]


async def save_changes(
    connection: AsyncConnection, changes: Sequence[Change], *, reason: MoveReason, note: str, recorded_at: datetime
) -> set[MemberId]:
    """Write members as they are now, and the history of those whose tier changed; returns those written: who was
    changed by somebody else since, or left, is not."""
    if not changes:
        return set()
    after = [change.after for change in changes]
    asked: dict[str, Any] = {
        "members": [member.member_id for member in after],
        "before": [change.before.revision for change in changes],
        "revisions": [member.revision for member in after],
        "tiers": [member.tier_id for member in after],
        "since": [member.tier_since for member in after],
        "holds": [member.holds_until for member in after],
        "grace": [member.in_grace for member in after],
        "versions": [change.version for change in changes],
    }
    values = {**asked, "reason": reason.value, "note": note, "recorded_at": recorded_at}
    return {MemberId(row.member_id) for row in await connection.execute(_SAVE, values)}


async def list_history(
    connection: AsyncConnection, member_id: MemberId, *, before: int | None, limit: int
) -> list[TierHeld]:
    """The tiers that a membership held, newest first, from below a revision."""
    held = tier_history.c
    asked = select(tier_history).where(held.member_id == member_id).order_by(held.revision.desc()).limit(limit)
    if before is not None:
        asked = asked.where(held.revision < before)
    return [
        TierHeld(row.revision, TierId(row.tier_id), row.held_from, row.version, MoveReason(row.reason), row.note)
        for row in await connection.execute(asked)
    ]


async def list_members(
    connection: AsyncConnection, program_id: ProgramId, tier_id: TierId | None, *, after: str | None, limit: int
) -> list[Member]:
    """Members of a program, of one tier or of all, in the order of their ids, from the one behind `after` on."""
    asked = select(members).where(members.c.program_id == program_id, members.c.left_at.is_(None))
    if tier_id is not None:
        asked = asked.where(members.c.tier_id == tier_id)
    if after is not None:
        asked = asked.where(members.c.member_id > after)
    found = await connection.execute(asked.order_by(members.c.member_id).limit(limit))
    return [member_from_row(row) for row in found]


async def members_off_their_history(connection: AsyncConnection) -> tuple[int, tuple[str, ...]]:
    """How many members there are, and the first whose tier is not the last of its history."""
    examined = (await connection.execute(select(func.count()).select_from(members))).scalar_one()
    return examined, tuple(row.member_id for row in await connection.execute(_OFF_HISTORY))


def _pass(program: Program, after: str, as_of: datetime, most: int) -> dict[str, Any]:
    return {"program": program.program_id, "after": after, "as_of": as_of, "most": most}


def _held(program: Program) -> dict[str, Any]:
    return {"tiers": [tier.tier_id for tier in program.tiers], "ranks": [tier.rank for tier in program.tiers]}


def _instants(at: Mapping[MemberId, datetime]) -> dict[str, Any]:
    return {"members": list(at), "instants": list(at.values())}
