"""Memberships, and the tier that each held at every instant."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from chassis.arrays import array_of_texts
from chassis.driver import fetch
from sqlalchemy import Row, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from member.domain.customer import CustomerId, PersonId
from member.domain.membership import Holder, Member, MemberId
from member.domain.program import ProgramId, TierId
from member.store.tables import members

_INSERT = text("""
    WITH enrolled AS (
        INSERT INTO members
            (member_id, customer_id, program_id, person_id, tier_id, tier_since, enrolled_at, revision, holds_until)
        SELECT new.member_id, new.customer_id, new.program_id, new.person_id, new.tier_id, new.enrolled_at,
            new.enrolled_at, 1, new.holds_until
        FROM unnest(CAST(:members AS text[]), CAST(:customers AS text[]), CAST(:programs AS text[]),
                    CAST(:persons AS text[]), CAST(:tiers AS text[]), CAST(:instants AS timestamptz[]),
                    CAST(:holds AS timestamptz[]))
            AS new(member_id, customer_id, program_id, person_id, tier_id, enrolled_at, holds_until)
        ORDER BY new.customer_id, new.program_id, new.person_id
        ON CONFLICT (customer_id, program_id, person_id) WHERE left_at IS NULL DO NOTHING
        RETURNING member_id, tier_id, enrolled_at
    ), noted AS (
        INSERT INTO tier_history (member_id, revision, tier_id, held_from, recorded_at, version, reason)
        SELECT enrolled.member_id, 1, enrolled.tier_id, enrolled.enrolled_at, :recorded_at, judged.version, 'enrolment'
        FROM enrolled
        JOIN unnest(CAST(:members AS text[]), CAST(:versions AS bigint[])) AS judged(member_id, version)
            USING (member_id)
    )
    SELECT member_id FROM enrolled
""")

# Two tiers may begin at one instant (enrolled and judged at it): the later revision is the one that holds.
_MEMBERS_AT = text("""
    SELECT asked.position, members.customer_id, members.member_id, members.program_id, held.tier_id
    FROM unnest(CAST(:customers AS text[]), CAST(:instants AS timestamptz[]))
        WITH ORDINALITY AS asked(customer_id, instant, position)
    JOIN members ON members.customer_id = asked.customer_id AND members.person_id = ''
        AND (members.left_at IS NULL OR members.left_at > asked.instant)
    CROSS JOIN LATERAL (
        SELECT tier_history.tier_id FROM tier_history
        WHERE tier_history.member_id = members.member_id AND tier_history.held_from <= asked.instant
        ORDER BY tier_history.held_from DESC, tier_history.revision DESC LIMIT 1
    ) AS held
    ORDER BY asked.position, members.program_id
""")

_MEMBERS_OF = """
    SELECT members.member_id, members.customer_id, members.program_id, members.person_id, members.tier_id,
        members.tier_since, members.enrolled_at, members.revision, members.holds_until, members.in_grace
    FROM members
    JOIN unnest($1::text::text[], $2::text::text[], $3::text::text[]) AS asked(customer_id, program_id, person_id)
        USING (customer_id, program_id, person_id)
    WHERE members.left_at IS NULL
"""

_ALL_MEMBERS_OF = text("""
    SELECT members.* FROM members
    WHERE members.customer_id = ANY(CAST(:customers AS text[])) AND members.left_at IS NULL
""")

_END = text("""
    WITH asked AS MATERIALIZED (
        SELECT members.member_id FROM members
        JOIN unnest(CAST(:members AS text[]), CAST(:revisions AS bigint[])) AS wanted(member_id, revision)
            USING (member_id, revision)
        WHERE members.left_at IS NULL AND members.tier_since <= :left_at
        ORDER BY members.member_id FOR UPDATE OF members
    )
    UPDATE members SET left_at = :left_at FROM asked WHERE members.member_id = asked.member_id RETURNING members.*
""")


class MemberAt(NamedTuple):
    """A membership as it was at an instant: `position` counts the instants asked for from 0."""

    position: int
    customer_id: CustomerId
    member_id: MemberId
    program_id: ProgramId
    tier_id: TierId

    @property
    def holder(self) -> Holder:
        """The customer as a whole, which is what payments earn for."""
        return Holder(self.customer_id, self.program_id)


async def insert_members(
    connection: AsyncConnection, new: Sequence[Member], versions: Mapping[MemberId, int], *, recorded_at: datetime
) -> set[MemberId]:
    """Write memberships with their first tier, each as a version of its program says it; returns those written: a
    customer is a member of a program once at a time."""
    if not new:
        return set()
    written = await connection.execute(
        _INSERT,
        {
            "members": [member.member_id for member in new],
            "customers": [member.customer_id for member in new],
            "programs": [member.program_id for member in new],
            "persons": [member.holder.person_id for member in new],
            "tiers": [member.tier_id for member in new],
            "instants": [member.enrolled_at for member in new],
            "holds": [member.holds_until for member in new],
            "versions": [versions[member.member_id] for member in new],
            "recorded_at": recorded_at,
        },
    )
    return {MemberId(row.member_id) for row in written}


async def find_member(connection: AsyncConnection, holder: Holder) -> Member | None:
    """The holder's membership, or None."""
    return (await find_members(connection, [holder])).get(holder)


async def find_members(connection: AsyncConnection, wanted: Collection[Holder]) -> dict[Holder, Member]:
    """The memberships of holders, as far as they exist."""
    return members_of(wanted, await fetch(connection, _MEMBERS_OF, *members_asked(wanted)))


def members_asked(wanted: Collection[Holder]) -> tuple[str, str, str]:
    """Holders as columns: customers, programs, persons."""
    return (
        array_of_texts([holder.customer_id for holder in wanted]),
        array_of_texts([holder.program_id for holder in wanted]),
        array_of_texts([holder.person_id for holder in wanted]),
    )


def members_of(wanted: Collection[Holder], rows: Sequence[Any]) -> dict[Holder, Member]:
    """The memberships of rows whose first columns are those of a member, from its id to whether it is in grace."""
    holders = {(holder.customer_id, holder.program_id, holder.person_id): holder for holder in wanted}
    found: dict[Holder, Member] = {}
    for row in rows:
        member_id, customer_id, program_id, person_id, tier_id, since, enrolled_at, revision, holds_until, in_grace = (
            row[:10]
        )
        holder = holders[customer_id, program_id, person_id]
        found[holder] = Member(member_id, holder, tier_id, since, enrolled_at, revision, holds_until, in_grace)
    return found


async def find_members_of(connection: AsyncConnection, ids: Collection[CustomerId]) -> list[Member]:
    """Every membership of these customers and their persons."""
    found = await connection.execute(_ALL_MEMBERS_OF, {"customers": list(ids)})
    return [member_from_row(row) for row in found]


async def find_members_by_id(connection: AsyncConnection, ids: Collection[MemberId]) -> dict[MemberId, Member]:
    """The memberships with these ids, as far as they exist."""
    found = await connection.execute(select(members).where(members.c.member_id.in_(ids)))
    return {MemberId(row.member_id): member_from_row(row) for row in found}


async def end_membership(connection: AsyncConnection, member: Member, *, left_at: datetime) -> Member | None:
    """End a membership that is as it was read, and not later than it moved last; None where it is not."""
    ended = (
        update(members)
        .where(members.c.member_id == member.member_id, members.c.revision == member.revision)
        .where(members.c.left_at.is_(None), members.c.tier_since <= left_at)
        .values(left_at=left_at)
    )
    row = (await connection.execute(ended.returning(members))).one_or_none()
    return member_from_row(row) if row else None


async def end_memberships(
    connection: AsyncConnection, revisions: Mapping[MemberId, int], *, left_at: datetime
) -> dict[MemberId, Member]:
    """End the memberships that stand at these revisions and did not move later than that; returns those ended."""
    asked = {"members": list(revisions), "revisions": list(revisions.values()), "left_at": left_at}
    ended = [member_from_row(row) for row in await connection.execute(_END, asked)]
    return {member.member_id: member for member in ended}


async def members_at(connection: AsyncConnection, asked: Sequence[tuple[CustomerId, datetime]]) -> list[MemberAt]:
    """Every membership that each customer as a whole had at its instant, with the tier held then."""
    found = await connection.execute(
        _MEMBERS_AT,
        {"customers": [customer for customer, _ in asked], "instants": [instant for _, instant in asked]},
    )
    return [
        MemberAt(
            row.position - 1,
            CustomerId(row.customer_id),
            MemberId(row.member_id),
            ProgramId(row.program_id),
            TierId(row.tier_id),
        )
        for row in found
    ]


def member_from_row(row: Row[Any]) -> Member:
    """A membership from a row that has all columns of the table."""
    return Member(
        MemberId(row.member_id),
        Holder(CustomerId(row.customer_id), ProgramId(row.program_id), PersonId(row.person_id)),
        TierId(row.tier_id),
        tier_since=row.tier_since,
        enrolled_at=row.enrolled_at,
        revision=row.revision,
        holds_until=row.holds_until,
        in_grace=row.in_grace,
        left_at=row.left_at,
    )
