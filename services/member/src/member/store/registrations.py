"""Registrations for activities, and members who are barred from registering."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Row, Select, exists, func, insert, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from member.domain.activity import Activity, ActivityId
from member.domain.customer import CustomerId, PersonId
from member.domain.membership import Holder, MemberId
from member.domain.program import ProgramId, TierId
from member.domain.roster import LeavingReason, Registration, RegistrationId, RegistrationState, Roster
from member.store.engagement_tables import activities, activity_bars, registrations
from member.store.tables import members

_WITH_SEATS = (RegistrationState.SEATED.value, RegistrationState.ATTENDED.value)

_BAR = text("""
    INSERT INTO activity_bars AS known (member_id, barred_until, activity_id)
    SELECT member_id, :until, :activity FROM unnest(CAST(:members AS text[])) AS missed(member_id) ORDER BY member_id
    ON CONFLICT (member_id) DO UPDATE SET barred_until = excluded.barred_until, activity_id = excluded.activity_id
        WHERE excluded.barred_until > known.barred_until
""")

_OVERBOOKED = text("""
    SELECT activities.activity_id FROM activities
    LEFT JOIN activity_registrations AS taken
        ON taken.activity_id = activities.activity_id AND taken.state IN ('seated', 'attended')
    GROUP BY activities.activity_id
    HAVING coalesce(sum(taken.party_size), 0) > activities.capacity
        OR coalesce(sum(taken.party_size), 0) <> activities.seats_taken
    ORDER BY activities.activity_id LIMIT 10
""")

_PLACES = text("""
    SELECT mine.registration_id, 1 + (
        SELECT count(*) FROM activity_registrations AS ahead
        WHERE ahead.activity_id = mine.activity_id AND ahead.state = 'waiting'
            AND (-ahead.tier_rank, ahead.registered_at, ahead.sequence)
                < (-mine.tier_rank, mine.registered_at, mine.sequence)
    ) AS place
    FROM activity_registrations AS mine
    WHERE mine.registration_id = ANY(CAST(:registrations AS text[]))
""")

_LEFT_BEHIND = text("""
    SELECT live.activity_id, max(members.left_at) AS left_at
    FROM members JOIN activity_registrations AS live ON live.member_id = members.member_id
    WHERE members.member_id = ANY(CAST(:members AS text[])) AND members.left_at IS NOT NULL
        AND live.state IN ('seated', 'waiting')
    GROUP BY live.activity_id ORDER BY live.activity_id
""")


class Change(NamedTuple):
    """Where registrations go at an instant, and why where they end."""

    state: RegistrationState
    changed_at: datetime
    reason: LeavingReason | None = None


class ListedRegistration(NamedTuple):
    """A registration and its place in the order of recording."""

    registration: Registration
    sequence: int


async def read_roster(connection: AsyncConnection, activity: Activity) -> Roster:
    """Who has the seats of an activity and who waits."""
    mine = registrations.c.activity_id == activity.activity_id
    taken = select(registrations.c.tier_id, func.sum(registrations.c.party_size).label("seats"))
    taken = taken.where(mine, registrations.c.state.in_(_WITH_SEATS)).group_by(registrations.c.tier_id)
    seats = {TierId(row.tier_id): row.seats for row in await connection.execute(taken)}
    waiting = _with_holder().where(mine, registrations.c.state == RegistrationState.WAITING.value)
    found = await connection.execute(waiting.order_by(registrations.c.sequence))
    return Roster(activity, seats, [_registration(row) for row in found])


async def find_registration(connection: AsyncConnection, registration_id: RegistrationId) -> Registration | None:
    """The registration, or None."""
    query = _with_holder().where(registrations.c.registration_id == registration_id)
    row = (await connection.execute(query)).one_or_none()
    return _registration(row) if row else None


async def has_registration(connection: AsyncConnection, activity_id: ActivityId, member_id: MemberId) -> bool:
    """Whether the member has a registration for the activity that has not been cancelled."""
    query = select(
        exists().where(
            registrations.c.activity_id == activity_id,
            registrations.c.member_id == member_id,
            registrations.c.state != RegistrationState.LEFT.value,
        )
    )
    return bool((await connection.execute(query)).scalar_one())


async def find_bar(connection: AsyncConnection, member_id: MemberId) -> datetime | None:
    """Until when the member may not register, or None."""
    query = select(activity_bars.c.barred_until).where(activity_bars.c.member_id == member_id)
    return (await connection.execute(query)).scalar_one_or_none()


async def bar_members(
    connection: AsyncConnection, ids: Collection[MemberId], *, until: datetime, activity_id: ActivityId
) -> None:
    """Bar members from registering; who is barred for longer stays so."""
    asked = {"members": list(ids), "until": until, "activity": activity_id}
    await connection.execute(_BAR, asked)


async def insert_registration(connection: AsyncConnection, new: Registration, *, recorded_at: datetime) -> None:
    """Write a new registration."""
    await connection.execute(
        insert(registrations).values(
            registration_id=new.registration_id,
            activity_id=new.activity_id,
            member_id=new.member_id,
            tier_id=new.tier_id,
            tier_rank=new.tier_rank,
            party_size=new.party_size,
            state=new.state.value,
            fee_points=new.fee_points,
            hold_id=new.hold_id,
            registered_at=new.registered_at,
            changed_at=new.changed_at,
            recorded_at=recorded_at,
        )
    )


async def change_registrations(connection: AsyncConnection, ids: Collection[RegistrationId], change: Change) -> None:
    """Move registrations to another state."""
    if ids:
        await connection.execute(
            update(registrations)
            .where(registrations.c.registration_id.in_(ids))
            .values(
                state=change.state.value,
                changed_at=change.changed_at,
                leaving_reason=change.reason.value if change.reason else "",
            )
        )


async def list_live(connection: AsyncConnection, activity_id: ActivityId, *, limit: int) -> list[Registration]:
    """Registrations for the activity that have seats or wait, by member, so that accounts are met in one order."""
    live = (RegistrationState.SEATED.value, RegistrationState.WAITING.value)
    query = _with_holder().where(registrations.c.activity_id == activity_id, registrations.c.state.in_(live))
    found = await connection.execute(query.order_by(registrations.c.member_id).limit(limit))
    return [_registration(row) for row in found]


async def list_attendance(
    connection: AsyncConnection,
    activity_id: ActivityId,
    *,
    state: RegistrationState | None,
    after: int | None,
    limit: int,
) -> list[ListedRegistration]:
    """Registrations for the activity in the order of recording."""
    query = _with_holder().where(registrations.c.activity_id == activity_id)
    if state is not None:
        query = query.where(registrations.c.state == state.value)
    if after is not None:
        query = query.where(registrations.c.sequence > after)
    return await _listed(connection, query.order_by(registrations.c.sequence).limit(limit))


async def list_registrations(
    connection: AsyncConnection, member_id: MemberId, *, before: int | None, limit: int
) -> list[ListedRegistration]:
    """The member's registrations, newest first."""
    query = _with_holder().where(registrations.c.member_id == member_id)
    if before is not None:
        query = query.where(registrations.c.sequence < before)
    return await _listed(connection, query.order_by(registrations.c.sequence.desc()).limit(limit))


async def waiting_places(connection: AsyncConnection, ids: Collection[RegistrationId]) -> dict[RegistrationId, int]:
    """The place of each on its waiting list, from 1: the higher tier first, then the earlier."""
    if not ids:
        return {}
    found = await connection.execute(_PLACES, {"registrations": list(ids)})
    return {RegistrationId(row.registration_id): row.place for row in found}


async def left_behind(connection: AsyncConnection, ids: Collection[MemberId]) -> list[tuple[ActivityId, datetime]]:
    """The activities for which memberships that have ended are still registered, by id, and when the last ended."""
    found = await connection.execute(_LEFT_BEHIND, {"members": list(ids)})
    return [(ActivityId(row.activity_id), row.left_at) for row in found]


async def live_of(
    connection: AsyncConnection, activity_id: ActivityId, ids: Collection[MemberId]
) -> list[Registration]:
    """The registrations of members for the activity that have seats or wait, where the membership has ended."""
    live = (RegistrationState.SEATED.value, RegistrationState.WAITING.value)
    query = _with_holder().where(
        registrations.c.activity_id == activity_id,
        registrations.c.member_id.in_(ids),
        registrations.c.state.in_(live),
        members.c.left_at.is_not(None),
    )
    found = await connection.execute(query.order_by(registrations.c.member_id))
    return [_registration(row) for row in found]


async def list_waiting(
    connection: AsyncConnection, ids: Collection[ActivityId]
) -> Mapping[ActivityId, Sequence[Registration]]:
    """Who waits for each of the activities, in the order of recording."""
    waiting = registrations.c.state == RegistrationState.WAITING.value
    query = _with_holder().where(registrations.c.activity_id.in_(ids), waiting).order_by(registrations.c.sequence)
    found: dict[ActivityId, list[Registration]] = {}
    for row in await connection.execute(query):
        found.setdefault(ActivityId(row.activity_id), []).append(_registration(row))
    return found


async def overbooked(connection: AsyncConnection) -> tuple[int, tuple[str, ...]]:
    """How many activities there are, and the first whose registrations take more seats than it has or knows of."""
    examined = (await connection.execute(select(func.count()).select_from(activities))).scalar_one()
    return examined, tuple(row.activity_id for row in await connection.execute(_OVERBOOKED))


async def _listed(connection: AsyncConnection, query: Select[Any]) -> list[ListedRegistration]:
    return [ListedRegistration(_registration(row), row.sequence) for row in await connection.execute(query)]


def _with_holder() -> Select[Any]:
    holder = (members.c.customer_id, members.c.program_id, members.c.person_id)
    return select(registrations, *holder).join(members, members.c.member_id == registrations.c.member_id)


def _registration(row: Row[Any]) -> Registration:
    return Registration(
        registration_id=RegistrationId(row.registration_id),
        activity_id=ActivityId(row.activity_id),
        member_id=MemberId(row.member_id),
        holder=Holder(CustomerId(row.customer_id), ProgramId(row.program_id), PersonId(row.person_id)),
        tier_id=TierId(row.tier_id),
        tier_rank=row.tier_rank,
        party_size=row.party_size,
        state=RegistrationState(row.state),
        fee_points=row.fee_points,
        hold_id=row.hold_id,
        registered_at=row.registered_at,
        changed_at=row.changed_at,
        leaving_reason=LeavingReason(row.leaving_reason) if row.leaving_reason else None,
    )
