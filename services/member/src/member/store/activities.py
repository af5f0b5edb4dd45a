"""Activities and their versions."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Row, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from member.domain.activity import Activity, ActivityId, ActivityState, TierTerms
from member.domain.audience import Audience
from member.domain.program import ProgramId, TierId
from member.store.engagement_tables import activities, activity_versions
from member.store.rewards import reward_from_json, reward_to_json


class StoredActivity(NamedTuple):
    """An activity, the latest business time that was acted at, and the code that members check in with."""

    activity: Activity
    settled_to: datetime
    check_in_code: str


class PutBy(NamedTuple):
    """Who changed an activity, and when."""

    who: str
    at: datetime


async def find_activity(connection: AsyncConnection, activity_id: ActivityId) -> StoredActivity | None:
    """The activity, or None."""
    row = (await connection.execute(select(activities).where(activities.c.activity_id == activity_id))).one_or_none()
    return _stored(row) if row else None


async def find_activity_for_update(connection: AsyncConnection, activity_id: ActivityId) -> StoredActivity | None:
    """The activity, locked against everybody else who gives or frees its seats, or None."""
    query = select(activities).where(activities.c.activity_id == activity_id).with_for_update()
    row = (await connection.execute(query)).one_or_none()
    return _stored(row) if row else None


async def find_due_for_update(connection: AsyncConnection, as_of: datetime) -> StoredActivity | None:
    """The activity that waited longest for what was due by an instant, locked, or None. One that somebody else is at
    is left for the next time."""
    query = select(activities).where(activities.c.next_due_at <= as_of)
    query = query.order_by(activities.c.next_due_at, activities.c.activity_id).limit(1)
    row = (await connection.execute(query.with_for_update(skip_locked=True))).one_or_none()
    return _stored(row) if row else None


async def list_activities(
    connection: AsyncConnection, wanted: Sequence[ColumnElement[bool]], *, after: str | None, limit: int
) -> list[Activity]:
    """Activities that meet the conditions, by their ids, from the one behind `after` on."""
    query = select(activities).where(*wanted).order_by(activities.c.activity_id).limit(limit)
    if after is not None:
        query = query.where(activities.c.activity_id > after)
    return [_stored(row).activity for row in await connection.execute(query)]


def conditions(
    program_id: ProgramId | None, state: ActivityState | None, starts_after: datetime | None
) -> list[ColumnElement[bool]]:
    """What a list asks for, as far as it is said."""
    wanted: list[ColumnElement[bool]] = []
    if program_id is not None:
        wanted.append(activities.c.program_id == program_id)
    if state is not None:
        wanted.append(activities.c.state == state.value)
    if starts_after is not None:
        wanted.append(activities.c.starts_at > starts_after)
    return wanted


async def insert_activity(connection: AsyncConnection, new: StoredActivity, by: PutBy) -> None:
    """Write a new activity with its first version."""
    values = {**_values(new.activity, new.settled_to), "put_by": by.who, "put_at": by.at}
    await connection.execute(
        insert(activities).values(
            activity_id=new.activity.activity_id,
            program_id=new.activity.program_id,
            check_in_code=new.check_in_code,
            **values,
        )
    )
    await _insert_version(connection, new.activity, by)


async def save_version(connection: AsyncConnection, changed: StoredActivity, by: PutBy) -> None:
    """Write the next version of an activity."""
    values = {**_values(changed.activity, changed.settled_to), "put_by": by.who, "put_at": by.at}
    where = activities.c.activity_id == changed.activity.activity_id
    await connection.execute(update(activities).where(where).values(**values))
    await _insert_version(connection, changed.activity, by)


async def save_seats(connection: AsyncConnection, activity: Activity, *, settled_to: datetime) -> None:
    """Remember how many seats are taken and up to when the activity was acted at."""
    await connection.execute(
        update(activities)
        .where(activities.c.activity_id == activity.activity_id)
        .values(
            seats_taken=activity.seats_taken,
            settled_to=settled_to,
            next_due_at=activity.next_due_at(settled_to),
        )
    )


async def mark_done(connection: AsyncConnection, activity_id: ActivityId) -> None:
    """Remember that the clock has nothing more to do for an activity."""
    await connection.execute(update(activities).where(activities.c.activity_id == activity_id).values(next_due_at=None))


async def _insert_version(connection: AsyncConnection, activity: Activity, by: PutBy) -> None:
    await connection.execute(
        insert(activity_versions).values(
            activity_id=activity.activity_id,
            revision=activity.revision,
            state=activity.state.value,
            document=_document(activity),
            put_by=by.who,
            put_at=by.at,
        )
    )


def _values(activity: Activity, settled_to: datetime) -> dict[str, Any]:
    return {
        "state": activity.state.value,
        "starts_at": activity.starts_at,
        "document": _document(activity),
        "revision": activity.revision,
        "capacity": activity.capacity,
        "seats_taken": activity.seats_taken,
        "settled_to": settled_to,
        "next_due_at": activity.next_due_at(settled_to),
    }


def _document(activity: Activity) -> dict[str, Any]:
    return {
        "title": activity.title,
        "place": activity.place,
        "program_id": activity.program_id,
        "tier_ids": sorted(activity.audience.tier_ids),
        "starts_at": activity.starts_at.isoformat(),
        "ends_at": activity.ends_at.isoformat(),
        "registration_opens_at": activity.registration_opens_at.isoformat(),
        "registration_closes_at": activity.registration_closes_at.isoformat(),
        "free_leaving_until": activity.free_leaving_until.isoformat(),
        "capacity": activity.capacity,
        "party_size_max": activity.party_size_max,
        "waiting_list_max": activity.waiting_list_max,
        "tier_terms": [_terms_to_json(terms) for terms in activity.tier_terms],
        "fee_points": activity.fee_points,
        "reward": reward_to_json(activity.reward) if activity.reward else None,
        "check_in_minutes": activity.check_in_minutes,
        "barred_days": activity.barred_days,
    }


def _terms_to_json(terms: TierTerms) -> dict[str, Any]:
    return {
        "tier_id": terms.tier_id,
        "registration_opens_at": terms.registration_opens_at.isoformat() if terms.registration_opens_at else None,
        "reserved_seats": terms.reserved_seats,
        "reserved_until": terms.reserved_until.isoformat() if terms.reserved_until else None,
    }


def _terms(document: dict[str, Any]) -> TierTerms:
    opens_at, until = document["registration_opens_at"], document["reserved_until"]
    return TierTerms(
        TierId(document["tier_id"]),
        datetime.fromisoformat(opens_at) if opens_at else None,
        document["reserved_seats"],
        datetime.fromisoformat(until) if until else None,
    )


def _stored(row: Row[Any]) -> StoredActivity:
    document = row.document
    activity = Activity(
        activity_id=ActivityId(row.activity_id),
        title=document["title"],
        place=document["place"],
        audience=Audience(
            ProgramId(document["program_id"]), frozenset(TierId(tier_id) for tier_id in document["tier_ids"])
        ),
        tier_terms=tuple(_terms(each) for each in document["tier_terms"]),
        reward=reward_from_json(document["reward"]) if document["reward"] else None,
        state=ActivityState(row.state),
        seats_taken=row.seats_taken,
        revision=row.revision,
        starts_at=datetime.fromisoformat(document["starts_at"]),
        ends_at=datetime.fromisoformat(document["ends_at"]),
        registration_opens_at=datetime.fromisoformat(document["registration_opens_at"]),
        registration_closes_at=datetime.fromisoformat(document["registration_closes_at"]),
        free_leaving_until=datetime.fromisoformat(document["free_leaving_until"]),
        capacity=document["capacity"],
        party_size_max=document["party_size_max"],
        waiting_list_max=document["waiting_list_max"],
        fee_points=document["fee_points"],
        check_in_minutes=document["check_in_minutes"],
        barred_days=document["barred_days"],
    )
    return StoredActivity(activity, row.settled_to, row.check_in_code)
