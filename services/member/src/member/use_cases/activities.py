"""Put activities, publish them, call them off, and show them."""

import secrets
from dataclasses import dataclass, replace
from datetime import datetime

from chassis.calendar import EARLIEST
from chassis.paging import Page
from chassis.work import Transaction

from member.domain.activity import (
    Activity,
    ActivityChanged,
    ActivityId,
    ActivityNotFound,
    ActivityOver,
    ActivityShapeFixed,
    ActivityState,
    SeatsTaken,
    check_activity,
)
from member.domain.audience import check_tiers_known
from member.domain.program import ProgramId, ProgramNotFound
from member.store import Connection, programs, registrations
from member.store import activities as store
from member.store.activities import PutBy, StoredActivity
from member.use_cases.settling import end_cancelled, give_seats

_CODE_BYTES = 8


@dataclass(frozen=True, slots=True)
class PutActivity:
    """Put an activity as a draft, or change one that is not over; `put_by` is who did, `occurred_at` None means now."""

    activity: Activity
    put_by: str
    occurred_at: datetime | None

    def __post_init__(self) -> None:
        check_activity(self.activity)


@dataclass(frozen=True, slots=True)
class ChangeState:
    """Publish an activity or call it off; `put_by` is who did."""

    activity_id: ActivityId
    put_by: str
    occurred_at: datetime


@dataclass(frozen=True, slots=True)
class Ended:
    """An activity called off, and how many registrations ended with it at once."""

    activity: Activity
    ended: int


async def put_activity(transaction: Transaction, command: PutActivity) -> Activity:
    """Put the activity; one that stands so already keeps its revision, and who waits for seats that a change makes
    gets them.

    ProgramNotFound, TierNotInProgram; ActivityOver; ActivityShapeFixed where the program would change, or the fee once
    it is published; SeatsTaken where there would be fewer seats than are taken.
    """
    connection, wanted = transaction.connection, command.activity
    await _check_program(transaction, wanted)
    at = command.occurred_at or transaction.recorded_at
    by = PutBy(command.put_by, transaction.recorded_at)
    known = await store.find_activity_for_update(connection, wanted.activity_id)
    if known is None:
        new = replace(wanted, state=ActivityState.DRAFT, seats_taken=0, revision=1)
        await store.insert_activity(connection, StoredActivity(new, EARLIEST, secrets.token_hex(_CODE_BYTES)), by)
        return new
    before = known.activity
    wanted = replace(wanted, state=before.state, seats_taken=before.seats_taken, revision=before.revision)
    if wanted == before:
        return before
    _check_change(before, wanted)
    changed = replace(wanted, revision=before.revision + 1)
    if changed.state is ActivityState.DRAFT:
        await store.save_version(connection, known._replace(activity=changed), by)
        return changed
    settled_to = max(at, known.settled_to)
    await store.save_version(connection, known._replace(activity=changed, settled_to=settled_to), by)
    transaction.emit(ActivityChanged(changed, at))
    roster = await registrations.read_roster(connection, changed)
    return await give_seats(transaction, roster, at=settled_to)


async def publish_activity(transaction: Transaction, command: ChangeState) -> Activity:
    """Open the activity to registrations; one that is published stays as it is. ActivityNotFound, ActivityOver."""
    known = await _find_for_update(transaction, command.activity_id)
    if known.activity.is_over:
        raise ActivityOver(command.activity_id, known.activity.state)
    if known.activity.state is ActivityState.PUBLISHED:
        return known.activity
    return await _move(transaction, known, ActivityState.PUBLISHED, command)


async def cancel_activity(transaction: Transaction, command: ChangeState) -> Ended:
    """Call the activity off: registrations end, a round of them at once and what is more by the clock, and fees are
    free again. One that was called off stays so. ActivityNotFound, ActivityOver."""
    known = await _find_for_update(transaction, command.activity_id)
    if known.activity.state is ActivityState.CLOSED:
        raise ActivityOver(command.activity_id, known.activity.state)
    if known.activity.state is ActivityState.CANCELLED:
        return Ended(known.activity, 0)
    moved = await _move(transaction, known, ActivityState.CANCELLED, command)
    ended = await end_cancelled(transaction, moved, at=max(command.occurred_at, known.settled_to))
    return Ended(replace(moved, seats_taken=ended.seats_left), ended.ended)


async def get_activity(connection: Connection, activity_id: ActivityId) -> tuple[Activity, int]:
    """The activity and how many wait for its seats, or ActivityNotFound."""
    known = await _find(connection, activity_id)
    waiting = await registrations.list_waiting(connection, [activity_id])
    return known.activity, len(waiting.get(activity_id, ()))


async def list_activities(
    connection: Connection,
    page: Page,
    *,
    program_id: ProgramId | None,
    state: ActivityState | None,
    starts_after: datetime | None,
) -> list[Activity]:
    """Activities by their ids, one more than the page holds where there are more."""
    wanted = store.conditions(program_id, state, starts_after)
    return await store.list_activities(connection, wanted, after=page.after, limit=page.wanted)


async def get_check_in_code(connection: Connection, activity_id: ActivityId) -> str:
    """The code that members check in with, or ActivityNotFound."""
    return (await _find(connection, activity_id)).check_in_code


async def _find(connection: Connection, activity_id: ActivityId) -> StoredActivity:
    known = await store.find_activity(connection, activity_id)
    if known is None:
        raise ActivityNotFound(activity_id)
    return known


async def _find_for_update(transaction: Transaction, activity_id: ActivityId) -> StoredActivity:
    known = await store.find_activity_for_update(transaction.connection, activity_id)
    if known is None:
        raise ActivityNotFound(activity_id)
    return known


async def _move(
    transaction: Transaction, known: StoredActivity, state: ActivityState, command: ChangeState
) -> Activity:
    moved = replace(known.activity, state=state, revision=known.activity.revision + 1)
    settled_to = max(command.occurred_at, known.settled_to)
    by = PutBy(command.put_by, transaction.recorded_at)
    await store.save_version(transaction.connection, known._replace(activity=moved, settled_to=settled_to), by)
    transaction.emit(ActivityChanged(moved, command.occurred_at))
    return moved


async def _check_program(transaction: Transaction, wanted: Activity) -> None:
    program_id = wanted.program_id
    program = (await programs.find_programs_for_use(transaction.connection, [program_id])).get(program_id)
    if program is None:
        raise ProgramNotFound(program_id)
    named = {*wanted.audience.tier_ids, *(terms.tier_id for terms in wanted.tier_terms)}
    check_tiers_known(program, named)


def _check_change(before: Activity, wanted: Activity) -> None:
    if before.is_over:
        raise ActivityOver(before.activity_id, before.state)
    fee_fixed = before.state is ActivityState.PUBLISHED and before.fee_points != wanted.fee_points
    if before.program_id != wanted.program_id or fee_fixed:
        raise ActivityShapeFixed(before.activity_id)
    if before.seats_taken > wanted.capacity:
        raise SeatsTaken(before.activity_id, before.seats_taken)
