"""Clubs and memberships in them. Whoever takes or leaves a place locks the club's row first, then the membership's."""

from collections.abc import Collection
from datetime import datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    ForeignKey,
    Index,
    Integer,
    Row,
    Select,
    Table,
    Text,
    select,
    text,
    update,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from member.domain.club import Club, ClubId, ClubMember, ClubMembership, ClubMembershipId, ClubState, EndReason
from member.domain.customer import CustomerId, PersonId
from member.domain.membership import Holder, MemberId
from member.domain.program import ProgramId
from member.store.catalogue import Document, PutBy, content_of, put_document
from member.store.tables import METADATA, customers, members

_OPEN = text("state IN ('applied', 'active')")
_ACTIVE = text("state = 'active'")

clubs = Table(
    "clubs",
    METADATA,
    Column("club_id", Text, primary_key=True),
    Column("document", JSONB, nullable=False),
    Column("members", Integer, nullable=False, server_default="0", comment="places taken"),
    Column("revision", BigInteger, nullable=False),
    CheckConstraint("members >= 0", name="clubs_members_not_negative"),
)

club_memberships = Table(
    "club_memberships",
    METADATA,
    Column("club_membership_id", Text, primary_key=True),
    Column("club_id", Text, ForeignKey("clubs.club_id"), nullable=False),
    Column("member_id", Text, ForeignKey("members.member_id"), nullable=False),
    Column("state", Text, nullable=False),
    Column("applied_at", DateTime(timezone=True), nullable=False),
    Column("active_since", DateTime(timezone=True)),
    Column("terms", Integer, nullable=False),
    Column("term_ends_at", DateTime(timezone=True)),
    Column("renews", Boolean, nullable=False),
    Column("lapses_at", DateTime(timezone=True), comment="when a lost tier ends it"),
    Column("due_at", DateTime(timezone=True), comment="the sooner of term_ends_at and lapses_at"),
    Column("ended_at", DateTime(timezone=True)),
    Column("end_reason", Text),
    Column("revision", BigInteger, nullable=False),
    CheckConstraint("state IN ('applied', 'active', 'refused', 'ended')", name="club_memberships_state_known"),
    CheckConstraint("state <> 'active' OR active_since IS NOT NULL", name="club_memberships_begun"),
    CheckConstraint("(state IN ('refused', 'ended')) = (ended_at IS NOT NULL)", name="club_memberships_over"),
    Index("club_memberships_once", "club_id", "member_id", unique=True, postgresql_where=_OPEN),
    Index("club_memberships_by_club", "club_id", "club_membership_id"),
    Index("club_memberships_by_member", "member_id", "club_membership_id"),
    Index("club_memberships_due", "due_at", "club_membership_id", postgresql_where=_ACTIVE),
)

# One that ended in another may have ended in a third since.
_CARRIED_INTO = text("""
    WITH RECURSIVE followed AS (
        SELECT member_id, into_member_id FROM carried_memberships WHERE member_id = ANY(CAST(:members AS text[]))
        UNION
        SELECT followed.member_id, carried.into_member_id FROM followed
        JOIN carried_memberships AS carried ON carried.member_id = followed.into_member_id
    )
    SELECT followed.member_id, followed.into_member_id, members.customer_id, members.program_id, members.person_id
    FROM followed JOIN members ON members.member_id = followed.into_member_id
    WHERE members.left_at IS NULL
""")

_PLACES_OFF = text("""
    SELECT clubs.club_id FROM clubs
    LEFT JOIN club_memberships AS taken ON taken.club_id = clubs.club_id AND taken.state = 'active'
    GROUP BY clubs.club_id HAVING clubs.members <> count(taken.member_id)
    ORDER BY clubs.club_id LIMIT 10
""")


async def put_club(connection: AsyncConnection, club: Club, by: PutBy) -> Club:
    """Put a club's rules; returns it as it stands."""
    content = content_of(club, "club_id", "members", "revision")
    await put_document(connection, Document(clubs, club.club_id, content, others={}), by)
    found = await find_club(connection, club.club_id)
    assert found is not None
    return found


async def find_club(connection: AsyncConnection, club_id: ClubId) -> Club | None:
    """The club, or None."""
    row = (await connection.execute(select(clubs).where(clubs.c.club_id == club_id))).one_or_none()
    return None if row is None else _club(row)


async def find_clubs_for_update(connection: AsyncConnection, ids: Collection[ClubId]) -> dict[ClubId, Club]:
    """The clubs, whose places nobody else takes or leaves until the transaction ends."""
    asked = select(clubs).where(clubs.c.club_id.in_(ids)).order_by(clubs.c.club_id).with_for_update(key_share=True)
    found = [_club(row) for row in await connection.execute(asked)]
    return {club.club_id: club for club in found}


async def find_clubs(connection: AsyncConnection, ids: Collection[ClubId]) -> dict[ClubId, Club]:
    """The clubs, as far as they exist."""
    found = [_club(row) for row in await connection.execute(select(clubs).where(clubs.c.club_id.in_(ids)))]
    return {club.club_id: club for club in found}


async def list_clubs(connection: AsyncConnection, *, after: str | None, limit: int) -> list[Club]:
    """Clubs in the order of their ids, from the one behind `after` on."""
    asked = select(clubs).order_by(clubs.c.club_id).limit(limit)
    if after is not None:
        asked = asked.where(clubs.c.club_id > after)
    return [_club(row) for row in await connection.execute(asked)]


async def move_places(connection: AsyncConnection, club_id: ClubId, by: int) -> None:
    """Take places of a club whose row is locked, or give them back."""
    await connection.execute(update(clubs).where(clubs.c.club_id == club_id).values(members=clubs.c.members + by))


async def insert_membership(connection: AsyncConnection, membership: ClubMembership) -> bool:
    """Write a new membership; False where the member is in the club, or has applied, already."""
    put = upsert(club_memberships).values(_values(membership))
    written = await connection.execute(
        put.on_conflict_do_nothing(
            index_elements=[club_memberships.c.club_id, club_memberships.c.member_id], index_where=_OPEN
        ).returning(club_memberships.c.club_membership_id)
    )
    return written.one_or_none() is not None


async def save_membership(connection: AsyncConnection, membership: ClubMembership) -> None:
    """Write a membership as it stands now."""
    key = club_memberships.c.club_membership_id == membership.club_membership_id
    await connection.execute(update(club_memberships).where(key).values(_values(membership)))


async def find_memberships(connection: AsyncConnection, ids: Collection[str]) -> list[ClubMembership]:
    """The memberships with these ids, by id."""
    asked = _memberships().where(club_memberships.c.club_membership_id.in_(ids))
    return _read(await connection.execute(asked.order_by(club_memberships.c.club_membership_id)))


async def find_memberships_for_update(connection: AsyncConnection, ids: Collection[str]) -> list[ClubMembership]:
    """The memberships with these ids, by id, locked."""
    asked = _memberships().where(club_memberships.c.club_membership_id.in_(ids))
    ordered = asked.order_by(club_memberships.c.club_membership_id)
    return _read(await connection.execute(ordered.with_for_update(of=club_memberships)))


async def find_open_for_update(connection: AsyncConnection, club_id: ClubId, holder: Holder) -> ClubMembership | None:
    """The holder's membership or application in the club, locked, or None."""
    asked = _memberships().where(
        club_memberships.c.club_id == club_id,
        members.c.customer_id == holder.customer_id,
        members.c.program_id == holder.program_id,
        members.c.person_id == holder.person_id,
        _OPEN,
    )
    found = _read(await connection.execute(asked.with_for_update(of=club_memberships)))
    return found[0] if found else None


async def active_of_members_for_update(connection: AsyncConnection, ids: Collection[MemberId]) -> list[ClubMembership]:
    """The memberships in clubs that take places of these members, locked in the order of their ids."""
    asked = _memberships().where(club_memberships.c.member_id.in_(ids), _ACTIVE)
    ordered = asked.order_by(club_memberships.c.club_membership_id)
    return _read(await connection.execute(ordered.with_for_update(of=club_memberships)))


async def open_of_members(connection: AsyncConnection, ids: Collection[MemberId]) -> list[ClubMembership]:
    """The memberships and applications of these members, by id."""
    asked = _memberships().where(club_memberships.c.member_id.in_(ids), _OPEN)
    return _read(await connection.execute(asked.order_by(club_memberships.c.club_membership_id)))


async def carried_into(connection: AsyncConnection, ids: Collection[MemberId]) -> dict[MemberId, ClubMember]:
    """Into which memberships those of these members ended by merges, as far as these go on."""
    return {
        MemberId(row.member_id): ClubMember(
            MemberId(row.into_member_id),
            Holder(CustomerId(row.customer_id), ProgramId(row.program_id), PersonId(row.person_id)),
        )
        for row in await connection.execute(_CARRIED_INTO, {"members": list(ids)})
    }


async def due(connection: AsyncConnection, as_of: datetime, *, limit: int) -> list[ClubMembership]:
    """The memberships that somebody must look at by an instant, the longest due first."""
    asked = _memberships().where(_ACTIVE, club_memberships.c.due_at <= as_of)
    ordered = asked.order_by(club_memberships.c.due_at, club_memberships.c.club_membership_id)
    return _read(await connection.execute(ordered.limit(limit)))


async def list_of_customer(
    connection: AsyncConnection, customer_id: CustomerId, *, before: str | None, limit: int
) -> list[ClubMembership]:
    """The memberships of a customer and its persons, newest first."""
    asked = _memberships().where(members.c.customer_id == customer_id)
    return _read(await connection.execute(_newest(asked, before, limit)))


async def list_of_club(
    connection: AsyncConnection, club_id: ClubId, state: ClubState | None, *, before: str | None, limit: int
) -> list[ClubMembership]:
    """The memberships of a club, newest first, only those in one state where it is given."""
    asked = _memberships().where(club_memberships.c.club_id == club_id)
    if state is not None:
        asked = asked.where(club_memberships.c.state == state.value)
    return _read(await connection.execute(_newest(asked, before, limit)))


async def customers_since(connection: AsyncConnection, ids: Collection[MemberId]) -> dict[MemberId, datetime]:
    """Since when the customers of memberships are customers."""
    asked = select(members.c.member_id, customers.c.registered_at).join(
        customers, customers.c.customer_id == members.c.customer_id
    )
    found = await connection.execute(asked.where(members.c.member_id.in_(ids)))
    return {MemberId(row.member_id): row.registered_at for row in found}


async def clubs_off_their_places(connection: AsyncConnection) -> tuple[int, tuple[str, ...]]:
    """How many clubs there are, and the first whose places taken are not its active memberships."""
    examined = (await connection.execute(text("SELECT count(*) FROM clubs"))).scalar_one()
    return examined, tuple(row.club_id for row in await connection.execute(_PLACES_OFF))


def _newest(asked: Select[Any], before: str | None, limit: int) -> Select[Any]:
    if before is not None:
        asked = asked.where(club_memberships.c.club_membership_id < before)
    return asked.order_by(club_memberships.c.club_membership_id.desc()).limit(limit)


def _memberships() -> Select[Any]:
    held = (members.c.customer_id, members.c.program_id, members.c.person_id)
    return select(club_memberships, *held).join(members, members.c.member_id == club_memberships.c.member_id)


def _read(rows: Any) -> list[ClubMembership]:
    return [_membership(row) for row in rows]


def _values(membership: ClubMembership) -> dict[str, Any]:
    return {
        "club_membership_id": membership.club_membership_id,
        "club_id": membership.club_id,
        "member_id": membership.member_id,
        "state": membership.state.value,
        "applied_at": membership.applied_at,
        "active_since": membership.active_since,
        "terms": membership.terms,
        "term_ends_at": membership.term_ends_at,
        "renews": membership.renews,
        "lapses_at": membership.lapses_at,
        "due_at": membership.due_at,
        "ended_at": membership.ended_at,
        "end_reason": membership.end_reason.value if membership.end_reason else None,
        "revision": membership.revision,
    }


def _membership(row: Row[Any]) -> ClubMembership:
    return ClubMembership(
        ClubMembershipId(row.club_membership_id),
        ClubId(row.club_id),
        MemberId(row.member_id),
        Holder(CustomerId(row.customer_id), ProgramId(row.program_id), PersonId(row.person_id)),
        ClubState(row.state),
        applied_at=row.applied_at,
        active_since=row.active_since,
        terms=row.terms,
        term_ends_at=row.term_ends_at,
        renews=row.renews,
        lapses_at=row.lapses_at,
        ended_at=row.ended_at,
        end_reason=EndReason(row.end_reason) if row.end_reason else None,
        revision=row.revision,
    )


def _club(row: Row[Any]) -> Club:
    return Club(ClubId(row.club_id), **row.document, members=row.members, revision=row.revision)
