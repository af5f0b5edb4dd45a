"""Do what the clock, or a change, asks of activities: seats to who waits, and an end to what is over.

Whoever is here holds the activity's row, and comes to the accounts of the ledger after it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from chassis.work import Transaction

from member.domain.activity import Activity, ActivityChanged, ActivityState
from member.domain.roster import (
    ActivityLeft,
    ActivityMissed,
    ActivitySeatGained,
    LeavingReason,
    Registration,
    RegistrationState,
    Roster,
)
from member.store import activities, registrations
from member.store.activities import PutBy, StoredActivity
from member.store.registrations import Change
from member.use_cases.fees import free_fees, spend_fees

REGISTRATIONS_PER_ROUND = 500
_CLOCK = "clock"


@dataclass(frozen=True, slots=True)
class Settled:
    """What a round did: for how many activities (at most one), and what became of registrations."""

    activities: int = 0
    seated: int = 0
    missed: int = 0
    ended: int = 0
    seats_left: int = 0


async def settle_activities(transaction: Transaction, as_of: datetime) -> Settled:
    """One round, for one activity, of what was due by `as_of`; no activity means that nothing is left to do.

    A round that runs twice finds nothing the second time. Reserved seats are released dated at their instant, and who
    did not come is marked dated at the end of the activity, whenever the round runs.
    """
    due = await activities.find_due_for_update(transaction.connection, as_of)
    if due is None:
        return Settled()
    activity = due.activity
    if activity.state is ActivityState.CANCELLED:
        return await end_cancelled(transaction, activity, at=due.settled_to)
    instant = activity.next_due_at(due.settled_to)
    if instant is None or instant >= activity.ends_at:
        return await _close(transaction, due)
    roster = await registrations.read_roster(transaction.connection, activity)
    before = len(roster.waiting)
    await give_seats(transaction, roster, at=instant)
    return Settled(activities=1, seated=before - len(roster.waiting))


async def give_seats(transaction: Transaction, roster: Roster, *, at: datetime) -> Activity:
    """Gives free seats to who waits, tells each, and remembers how many are taken; returns the activity with them."""
    gained = roster.move_up(at)
    ids = [registration.registration_id for registration in gained]
    await registrations.change_registrations(transaction.connection, ids, Change(RegistrationState.SEATED, at))
    for registration in gained:
        seated = replace(registration, state=RegistrationState.SEATED, changed_at=at)
        transaction.emit(ActivitySeatGained(seated, at))
    activity = replace(roster.activity, seats_taken=roster.seats_taken)
    await activities.save_seats(transaction.connection, activity, settled_to=at)
    return activity


async def end_cancelled(transaction: Transaction, activity: Activity, *, at: datetime) -> Settled:
    """Ends a round of registrations for an activity that was called off; their fees are free again."""
    connection = transaction.connection
    live = await registrations.list_live(connection, activity.activity_id, limit=REGISTRATIONS_PER_ROUND)
    await _leave(transaction, live, LeavingReason.ACTIVITY_CANCELLED, at)
    seats_left = activity.seats_taken - _seats(live)
    await activities.save_seats(connection, replace(activity, seats_taken=seats_left), settled_to=at)
    if len(live) < REGISTRATIONS_PER_ROUND:
        await activities.mark_done(connection, activity.activity_id)
    return Settled(activities=1, ended=len(live), seats_left=seats_left)


async def _close(transaction: Transaction, due: StoredActivity) -> Settled:
    """Marks a round of members who did not come; after them ends a round of those who waited in vain; then closes.

    The two are rounds of their own, so that each posts to the ledger once.
    """
    connection, activity = transaction.connection, due.activity
    live = await registrations.list_live(connection, activity.activity_id, limit=REGISTRATIONS_PER_ROUND)
    absent = [registration for registration in live if registration.state is RegistrationState.SEATED]
    at = max(activity.ends_at, due.settled_to)
    if absent:
        await _miss(transaction, activity, absent)
    elif live:
        await _leave(transaction, live, LeavingReason.WAITED_IN_VAIN, activity.ends_at)
    left = replace(activity, seats_taken=activity.seats_taken - _seats(live))
    if live:
        await activities.save_seats(connection, left, settled_to=at)
    else:
        closed = replace(left, state=ActivityState.CLOSED, revision=left.revision + 1)
        by = PutBy(_CLOCK, transaction.recorded_at)
        await activities.save_version(connection, due._replace(activity=closed, settled_to=at), by)
        transaction.emit(ActivityChanged(closed, activity.ends_at))
    return Settled(activities=1, missed=len(absent), ended=0 if absent else len(live))


async def _miss(transaction: Transaction, activity: Activity, absent: Sequence[Registration]) -> None:
    """Marks who did not come: the fee is spent, and the member barred where the activity says so."""
    connection, at = transaction.connection, activity.ends_at
    until = activity.barred_until()
    ids = [registration.registration_id for registration in absent]
    await registrations.change_registrations(connection, ids, Change(RegistrationState.MISSED, at))
    if until is not None:
        barred = [registration.member_id for registration in absent]
        await registrations.bar_members(connection, barred, until=until, activity_id=activity.activity_id)
    await spend_fees(transaction, absent, at)
    for registration in absent:
        missed = replace(registration, state=RegistrationState.MISSED, changed_at=at)
        transaction.emit(ActivityMissed(missed, at, until))


async def _leave(
    transaction: Transaction, leaving: Sequence[Registration], reason: LeavingReason, at: datetime
) -> None:
    ids = [registration.registration_id for registration in leaving]
    await registrations.change_registrations(transaction.connection, ids, Change(RegistrationState.LEFT, at, reason))
    await free_fees(transaction, leaving, at)
    for registration in leaving:
        left = replace(registration, state=RegistrationState.LEFT, changed_at=at, leaving_reason=reason)
        transaction.emit(ActivityLeft(left, at, reason, fee_spent=False))


def _seats(leaving: Sequence[Registration]) -> int:
    return sum(each.party_size for each in leaving if each.state is RegistrationState.SEATED)
