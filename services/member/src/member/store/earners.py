"""Who earns: memberships with the tier held at an instant, and those whose anniversary a day is."""

import json
from collections.abc import Collection, Sequence
from datetime import date, datetime
from typing import NamedTuple, cast

from chassis.calendar import Span
from chassis.driver import fetch
from sqlalchemy import text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from member.domain.customer import CustomerId, PersonId
from member.domain.membership import Holder, Member, MemberId
from member.domain.program import Program, ProgramId, TierId
from member.store.earning_tables import tenure_marks
from member.store.members import members_asked, members_of
from member.store.programs import parsed_program

# What the programs say stands in the first row, so that one round trip brings everything.
_EARNERS = """
    SELECT members.member_id, members.customer_id, members.program_id, members.person_id, members.tier_id,
        members.tier_since, members.enrolled_at, members.revision, members.holds_until, members.in_grace,
        CASE WHEN row_number() OVER () = 1 THEN (
            SELECT jsonb_agg(jsonb_build_array(
                programs.program_id, kept.version, kept.document::text, programs.upgrades_at_once))::text
            FROM programs JOIN program_versions AS kept
                ON kept.program_id = programs.program_id AND kept.version = programs.active_version
            WHERE programs.program_id = ANY($2::text::text[]) OR programs.upgrades_at_once
        ) END AS programs
    FROM members
    JOIN unnest($1::text::text[], $2::text::text[], $3::text::text[]) AS asked(customer_id, program_id, person_id)
        USING (customer_id, program_id, person_id)
    WHERE members.left_at IS NULL
"""

# Two tiers may begin at one instant (enrolled and judged at it): the later revision is the one that holds.
_TIERS_AT = text("""
    SELECT asked.position, members.member_id, members.customer_id, members.program_id, members.person_id, held.tier_id
    FROM unnest(CAST(:members AS text[]), CAST(:instants AS timestamptz[]))
        WITH ORDINALITY AS asked(member_id, instant, position)
    JOIN members ON members.member_id = asked.member_id
        AND (members.left_at IS NULL OR members.left_at > asked.instant)
    CROSS JOIN LATERAL (
        SELECT tier_history.tier_id FROM tier_history
        WHERE tier_history.member_id = members.member_id AND tier_history.held_from <= asked.instant
        ORDER BY tier_history.held_from DESC, tier_history.revision DESC LIMIT 1
    ) AS held
    ORDER BY asked.position
""")

_NEAREST_MEMBERS = text("""
    SELECT DISTINCT ON (asked.position, members.program_id) asked.position, members.member_id
    FROM unnest(CAST(:customers AS text[]), CAST(:persons AS text[]))
        WITH ORDINALITY AS asked(customer_id, person_id, position)
    JOIN members ON members.customer_id = asked.customer_id AND members.person_id IN (asked.person_id, '')
        AND members.left_at IS NULL
    ORDER BY asked.position, members.program_id, members.person_id DESC
""")

# Day by day, and within a day by member: so a page ends at a member of a day, and the next one begins behind it.
_ENROLLED_WITHIN = text("""
    SELECT span.day, span.years, members.member_id
    FROM unnest(CAST(:days AS date[]), CAST(:years AS bigint[]), CAST(:starts AS timestamptz[]),
                CAST(:ends AS timestamptz[])) AS span(day, years, starts_at, ends_at)
    JOIN members ON members.program_id = :program
        AND members.enrolled_at >= span.starts_at AND members.enrolled_at < span.ends_at
    WHERE span.day > :first OR members.member_id > :after
    ORDER BY span.day, members.member_id LIMIT :most
""")

_FIRST_ENROLMENT = text("SELECT min(enrolled_at) AS enrolled_at FROM members WHERE program_id = :program")


# A membership that ended in another one by a merge goes on there: what it gets follows.
_LEFT_FOR_GOOD = text("""
    SELECT members.member_id FROM members
    LEFT JOIN carried_memberships AS carried ON carried.member_id = members.member_id
    WHERE members.member_id = ANY(CAST(:members AS text[])) AND members.left_at IS NOT NULL
        AND carried.member_id IS NULL
""")


class Earners(NamedTuple):
    """Memberships of the holders asked for, their programs as they are in force, and those programs of which some
    version moves members upwards on events."""

    members: dict[Holder, Member]
    programs: dict[ProgramId, Program]
    moving_at_once: list[ProgramId]


class MemberThen(NamedTuple):
    """A membership with the tier held at an instant; `position` counts the instants asked for from 0."""

    position: int
    member_id: MemberId
    holder: Holder
    tier_id: TierId


class Kept(NamedTuple):
    """On a day those keep an anniversary, of so many years, who enrolled within a span."""

    day: date
    years: int
    span: Span


class TenureMark(NamedTuple):
    """The day whose anniversaries are being rewarded, and behind which member to go on."""

    day: date
    to_member: str


async def find_earners(connection: AsyncConnection, wanted: Collection[Holder]) -> Earners:
    """Everything that giving points to holders asks for, as far as they are members."""
    found = await fetch(connection, _EARNERS, *members_asked(wanted))
    said = json.loads(found[0]["programs"]) if found else []
    return Earners(
        members_of(wanted, found),
        {ProgramId(name): parsed_program(ProgramId(name), version, document) for name, version, document, _ in said},
        [ProgramId(name) for name, *_, moves_at_once in said if moves_at_once],
    )


async def tiers_at(connection: AsyncConnection, asked: Sequence[tuple[MemberId, datetime]]) -> list[MemberThen]:
    """These memberships with the tier held at an instant each; who was no member then is left out."""
    if not asked:
        return []
    found = await connection.execute(
        _TIERS_AT, {"members": [member for member, _ in asked], "instants": [instant for _, instant in asked]}
    )
    return [
        MemberThen(
            row.position - 1,
            MemberId(row.member_id),
            Holder(CustomerId(row.customer_id), ProgramId(row.program_id), PersonId(row.person_id)),
            TierId(row.tier_id),
        )
        for row in found
    ]


async def left_for_good(connection: AsyncConnection, ids: Collection[MemberId]) -> set[MemberId]:
    """Which of these members left, and with them whatever they were still to get."""
    found = await connection.execute(_LEFT_FOR_GOOD, {"members": list(ids)})
    return {MemberId(row.member_id) for row in found}


async def nearest_members(
    connection: AsyncConnection, asked: Sequence[tuple[CustomerId, PersonId]]
) -> list[tuple[int, MemberId]]:
    """In every program the membership of a person, or that of its customer as a whole where the person has none, with
    the position of who was asked for, from 0."""
    if not asked:
        return []
    found = await connection.execute(
        _NEAREST_MEMBERS, {"customers": [customer for customer, _ in asked], "persons": [person for _, person in asked]}
    )
    return [(row.position - 1, MemberId(row.member_id)) for row in found]


async def tenure_mark_for_update(connection: AsyncConnection, program_id: ProgramId, *, first: date) -> TenureMark:
    """How far the program's anniversaries are rewarded, locked; from the day `first` on where none are."""
    put = insert(tenure_marks).values(program_id=program_id, day=first, to_member="")
    kept = put.on_conflict_do_update(index_elements=["program_id"], set_={"day": tenure_marks.c.day})
    row = (await connection.execute(kept.returning(tenure_marks.c.day, tenure_marks.c.to_member))).one()
    return TenureMark(row.day, row.to_member)


async def save_tenure_mark(connection: AsyncConnection, program_id: ProgramId, mark: TenureMark) -> None:
    """Remember how far the program's anniversaries are rewarded."""
    await connection.execute(
        update(tenure_marks)
        .where(tenure_marks.c.program_id == program_id)
        .values(day=mark.day, to_member=mark.to_member)
    )


async def first_enrolment(connection: AsyncConnection, program_id: ProgramId) -> datetime | None:
    """When the program's first member enrolled; None while it has none."""
    row = (await connection.execute(_FIRST_ENROLMENT, {"program": program_id})).one()
    return None if row.enrolled_at is None else cast(datetime, row.enrolled_at)


async def enrolled_within(
    connection: AsyncConnection, program_id: ProgramId, kept: Sequence[Kept], *, mark: TenureMark, most: int
) -> list[tuple[date, int, MemberId]]:
    """Who enrolled within the spans: the day on which it is kept, the years it is, and the member; in this order, from
    behind the mark on."""
    found = await connection.execute(
        _ENROLLED_WITHIN,
        {
            "program": program_id,
            "days": [each.day for each in kept],
            "years": [each.years for each in kept],
            "starts": [each.span.start for each in kept],
            "ends": [each.span.end for each in kept],
            "first": mark.day,
            "after": mark.to_member,
            "most": most,
        },
    )
    return [(row.day, row.years, MemberId(row.member_id)) for row in found]
