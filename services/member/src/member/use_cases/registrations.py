"""Register members for activities, let them go, check them in, and list who registered.

One activity is one queue: whoever gives or frees its seats locks the activity's row first and then reads who has them.
"""

import hmac
from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import datetime

from chassis.calendar import Calendar
from chassis.errors import InvalidArgument
from chassis.ids import new_id
from chassis.paging import Page
from chassis.work import Transaction

from member.domain.activity import Activity, ActivityId, ActivityNotFound, ActivityNotPublished, ActivityOver
from member.domain.activity import ActivityState as State
from member.domain.audience import NotForThisTier
from member.domain.customer import CustomerId, PersonId
from member.domain.kinds import PointsKind
from member.domain.membership import Holder, Member, MemberId, MemberNotFound
from member.domain.reward import RewardGiven
from member.domain.roster import (
    ActivityAttended,
    ActivityBegun,
    ActivityLeft,
    ActivityRegistered,
    AlreadyRegistered,
    Barred,
    LeavingReason,
    NoSeat,
    Registration,
    RegistrationEnded,
    RegistrationId,
    RegistrationNotFound,
    RegistrationState,
    Roster,
    WrongCheckInCode,
    check_checking_in,
    check_registering,
    with_places,
)
from member.store import Connection, activities, members, programs
from member.store import registrations as store
from member.store.activities import StoredActivity
from member.store.registrations import Change, ListedRegistration
from member.use_cases.fees import free_fees, hold_fee, spend_fee
from member.use_cases.holding import check_known
from member.use_cases.rewards import GiveReward, give_rewards
from member.use_cases.settling import give_seats


@dataclass(frozen=True, slots=True)
class RegisterForActivity:
    """Register the customer, or a person of it."""

    activity_id: ActivityId
    customer_id: CustomerId
    person_id: PersonId
    party_size: int
    occurred_at: datetime

    def __post_init__(self) -> None:
        if self.party_size < 1:
            raise InvalidArgument("party_size", "must not be negative")


@dataclass(frozen=True, slots=True)
class EndRegistration:
    """Let a member go, or check it in with a code: empty where staff does it, not where it is the member's own word
    (`by_member`)."""

    registration_id: RegistrationId
    customer_id: CustomerId
    occurred_at: datetime
    by_member: bool
    check_in_code: str = ""


@dataclass(frozen=True, slots=True)
class Left:
    """A registration that ended, and whether its fee was spent all the same."""

    registration: Registration
    fee_spent: bool


@dataclass(frozen=True, slots=True)
class CheckedIn:
    """A member who came, and what coming gave; nothing where it had checked in before."""

    registration: Registration
    already_done: bool
    given: tuple[RewardGiven, ...] = ()


async def register_for_activity(transaction: Transaction, command: RegisterForActivity) -> Registration:
    """Register a member; seats where they are free, else a place to wait. The fee is held either way.

    ActivityNotFound, ActivityNotPublished, ActivityOver; MemberNotFound, CustomerNotFound, PersonNotFound,
    NotForThisTier; RegistrationNotOpen, PartyTooLarge, Barred, AlreadyRegistered, ActivityFull; InsufficientBalance
    for the fee.
    """
    stored = await activities.find_activity_for_update(transaction.connection, command.activity_id)
    if stored is None:
        raise ActivityNotFound(command.activity_id)
    _check_open(stored.activity)
    member = await _admitted(transaction.connection, stored.activity, command)
    at = max(command.occurred_at, stored.settled_to)
    roster = await store.read_roster(transaction.connection, stored.activity)
    await give_seats(transaction, roster, at=at)
    state = roster.place(member.tier_id, command.party_size, at=at)
    program = (await programs.find_programs(transaction.connection, [member.program_id]))[member.program_id]
    rank = program.tier(member.tier_id).rank
    registration = _new(stored.activity, member, command, rank=rank, state=state)
    await hold_fee(transaction, stored.activity, registration)
    await store.insert_registration(transaction.connection, registration, recorded_at=transaction.recorded_at)
    await _save_seats(transaction, roster, at)
    transaction.emit(ActivityRegistered(registration, command.occurred_at))
    if state is RegistrationState.WAITING:
        roster.waiting.append(registration)
    return _placed(registration, roster)


async def cancel_registration(transaction: Transaction, command: EndRegistration) -> Left:
    """End a registration; its seats go to who waits. Who waits, or leaves in time, has the fee back.

    RegistrationNotFound, RegistrationEnded, ActivityOver, ActivityBegun.
    """
    stored, registration = await _find_for_update(transaction, command)
    activity, at = stored.activity, command.occurred_at
    if not registration.is_live:
        raise RegistrationEnded(registration.registration_id, registration.state)
    if activity.is_over:
        raise ActivityOver(activity.activity_id, activity.state)
    if at >= activity.starts_at:
        raise ActivityBegun(activity.activity_id)
    late = registration.state is RegistrationState.SEATED and at >= activity.free_leaving_until
    if late:
        await spend_fee(transaction, registration, at)
    else:
        await free_fees(transaction, [registration], at)
    roster = await store.read_roster(transaction.connection, activity)
    fee_spent = late and bool(registration.hold_id)
    left = await _leave(transaction, roster, registration, at=at, fee_spent=fee_spent)
    await give_seats(transaction, roster, at=max(at, stored.settled_to))
    return Left(left, fee_spent)


async def leave_activities(transaction: Transaction, ids: Collection[MemberId]) -> int:
    """End what these memberships are still registered for, where they have ended themselves: their seats go to who
    waits, and their fees are free. What has begun, or is over, stays as it is. Returns how many ended.

    The activities are locked in the order of their ids.
    """
    connection, ended = transaction.connection, 0
    for activity_id, left_at in await store.left_behind(connection, ids):
        stored = await activities.find_activity_for_update(connection, activity_id)
        if stored is None or stored.activity.is_over or left_at >= stored.activity.starts_at:
            continue
        leaving = await store.live_of(connection, activity_id, ids)
        at = max(left_at, stored.settled_to)
        roster = await store.read_roster(connection, stored.activity)
        for registration in leaving:
            await _leave(transaction, roster, registration, at=at, fee_spent=False)
        await free_fees(transaction, leaving, at)
        await give_seats(transaction, roster, at=at)
        ended += len(leaving)
    return ended


async def _leave(
    transaction: Transaction, roster: Roster, registration: Registration, *, at: datetime, fee_spent: bool
) -> Registration:
    roster.leave(registration)
    change = Change(RegistrationState.LEFT, at, LeavingReason.MEMBER)
    await store.change_registrations(transaction.connection, [registration.registration_id], change)
    left = replace(registration, state=change.state, changed_at=at, leaving_reason=change.reason)
    transaction.emit(ActivityLeft(left, at, LeavingReason.MEMBER, fee_spent))
    return left


async def check_in(transaction: Transaction, command: EndRegistration, *, calendar: Calendar) -> CheckedIn:
    """Check a member in: the fee is spent and coming is rewarded, once.

    RegistrationNotFound, RegistrationEnded, NoSeat, ActivityOver, CheckInNotOpen; WrongCheckInCode, also where a
    member gives none.
    """
    stored, registration = await _find_for_update(transaction, command)
    activity, at = stored.activity, command.occurred_at
    if (command.by_member or command.check_in_code) and not hmac.compare_digest(
        command.check_in_code.encode(), stored.check_in_code.encode()
    ):
        raise WrongCheckInCode(activity.activity_id)
    if registration.state is RegistrationState.ATTENDED:
        return CheckedIn(registration, already_done=True)
    if registration.state is RegistrationState.WAITING:
        raise NoSeat(registration.registration_id)
    if registration.state is not RegistrationState.SEATED:
        raise RegistrationEnded(registration.registration_id, registration.state)
    if activity.is_over:
        raise ActivityOver(activity.activity_id, activity.state)
    check_checking_in(activity, at)
    await spend_fee(transaction, registration, at)
    change = Change(RegistrationState.ATTENDED, at)
    await store.change_registrations(transaction.connection, [registration.registration_id], change)
    attended = replace(registration, state=change.state, changed_at=at)
    transaction.emit(ActivityAttended(attended, at))
    return CheckedIn(attended, already_done=False, given=await _reward(transaction, activity, attended, calendar))


async def list_attendance(
    connection: Connection, activity_id: ActivityId, *, state: RegistrationState | None, page: Page
) -> list[ListedRegistration]:
    """Registrations for the activity in the order of registering, one more than the page holds where there are more.
    ActivityNotFound."""
    after = _sequence(page)
    if await activities.find_activity(connection, activity_id) is None:
        raise ActivityNotFound(activity_id)
    return await store.list_attendance(connection, activity_id, state=state, after=after, limit=page.wanted)


async def list_registrations(connection: Connection, holder: Holder, page: Page) -> list[ListedRegistration]:
    """The member's registrations, newest first and with places on waiting lists, one more than the page holds where
    there are more. MemberNotFound."""
    before = _sequence(page)
    member = await members.find_member(connection, holder)
    if member is None:
        raise MemberNotFound(holder)
    found = await store.list_registrations(connection, member.member_id, before=before, limit=page.wanted)
    places = await store.waiting_places(
        connection,
        [each.registration.registration_id for each in found if each.registration.state is RegistrationState.WAITING],
    )
    return [
        each._replace(
            registration=replace(each.registration, waiting_place=places.get(each.registration.registration_id, 0))
        )
        for each in found
    ]


async def _admitted(connection: Connection, activity: Activity, command: RegisterForActivity) -> Member:
    """The member, who may come."""
    holder = Holder(command.customer_id, activity.program_id, command.person_id)
    member, at = await members.find_member(connection, holder), command.occurred_at
    if member is None or at < member.enrolled_at:
        raise MemberNotFound(holder)
    await check_known(connection, holder)
    if not activity.audience.admits(member.tier_id):
        raise NotForThisTier(member.tier_id)
    check_registering(activity, tier_id=member.tier_id, party_size=command.party_size, at=at)
    barred_until = await store.find_bar(connection, member.member_id)
    if barred_until is not None and at < barred_until:
        raise Barred(holder, barred_until)
    if await store.has_registration(connection, activity.activity_id, member.member_id):
        raise AlreadyRegistered(activity.activity_id, holder)
    return member


async def _find_for_update(transaction: Transaction, command: EndRegistration) -> tuple[StoredActivity, Registration]:
    """The registration, read again behind the lock of its activity."""
    connection, missing = transaction.connection, RegistrationNotFound(command.customer_id, command.registration_id)
    known = await store.find_registration(connection, command.registration_id)
    if known is None or known.holder.customer_id != command.customer_id:
        raise missing
    stored = await activities.find_activity_for_update(connection, known.activity_id)
    registration = await store.find_registration(connection, command.registration_id)
    if stored is None or registration is None:
        raise missing
    return stored, registration


async def _save_seats(transaction: Transaction, roster: Roster, at: datetime) -> None:
    activity = replace(roster.activity, seats_taken=roster.seats_taken)
    await activities.save_seats(transaction.connection, activity, settled_to=at)


async def _reward(
    transaction: Transaction, activity: Activity, registration: Registration, calendar: Calendar
) -> tuple[RewardGiven, ...]:
    if activity.reward is None:
        return ()
    command = GiveReward(
        source=f"activity:{registration.registration_id}/reward",
        holder=registration.holder,
        reward=activity.reward,
        kind=PointsKind.EARN_ACTIVITY,
        reason=activity.title,
        rule_id=f"activity:{activity.activity_id}@{activity.revision}",
        occurred_at=registration.changed_at,
    )
    outcomes = await give_rewards(transaction, [command], calendar=calendar)
    return tuple(each for each in outcomes if isinstance(each, RewardGiven))


def _new(
    activity: Activity, member: Member, command: RegisterForActivity, *, rank: int, state: RegistrationState
) -> Registration:
    registration_id = RegistrationId(new_id())
    return Registration(
        registration_id,
        activity.activity_id,
        member.member_id,
        member.holder,
        member.tier_id,
        rank,
        command.party_size,
        state,
        fee_points=activity.fee_points,
        hold_id=f"activity:{registration_id}" if activity.fee_points else "",
        registered_at=command.occurred_at,
        changed_at=command.occurred_at,
    )


def _placed(registration: Registration, roster: Roster) -> Registration:
    places = with_places(roster.in_order())
    return replace(registration, waiting_place=places.get(registration.registration_id, 0))


def _check_open(activity: Activity) -> None:
    if activity.is_over:
        raise ActivityOver(activity.activity_id, activity.state)
    if activity.state is not State.PUBLISHED:
        raise ActivityNotPublished(activity.activity_id)


def _sequence(page: Page) -> int | None:
    if page.after is not None and not (page.after.isascii() and page.after.isdigit() and len(page.after) < 19):
        raise InvalidArgument("page_token", "is not a token that a list call returned")
    return None if page.after is None else int(page.after)
