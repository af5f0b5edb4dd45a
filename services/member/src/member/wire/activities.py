"""Activities, registrations and their facts between protobuf and the domain."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from chassis import times
from chassis.auth import current_caller
from chassis.errors import InvalidArgument
from chassis.ids import check_id
from google.protobuf.message import Message
from touchstone.member.v1 import activity_events_pb2 as events_pb
from touchstone.member.v1 import activity_pb2 as pb
from touchstone.member.v1 import activity_service_pb2 as calls_pb

from member.domain.activity import (
    DEFAULT_CHECK_IN_MINUTES,
    Activity,
    ActivityChanged,
    ActivityId,
    ActivityState,
    TierTerms,
)
from member.domain.audience import Audience
from member.domain.customer import EVERYBODY, PersonId
from member.domain.program import TierId
from member.domain.roster import (
    ActivityAttended,
    ActivityLeft,
    ActivityMissed,
    ActivityRegistered,
    ActivitySeatGained,
    LeavingReason,
    Registration,
    RegistrationFact,
    RegistrationId,
    RegistrationState,
)
from member.use_cases.activities import ChangeState, PutActivity
from member.use_cases.registrations import CheckedIn, EndRegistration, RegisterForActivity
from member.use_cases.settling import Settled
from member.wire.customers import customer_id_from_proto
from member.wire.memberships import program_id_from_proto
from member.wire.rewards import given_to_proto, reward_from_proto, reward_to_proto

_CODE_CHARACTERS_MAX = 64

_STATES = {
    ActivityState.DRAFT: pb.ACTIVITY_STATE_DRAFT,
    ActivityState.PUBLISHED: pb.ACTIVITY_STATE_PUBLISHED,
    ActivityState.CANCELLED: pb.ACTIVITY_STATE_CANCELLED,
    ActivityState.CLOSED: pb.ACTIVITY_STATE_CLOSED,
}
_STATES_KNOWN = {value: state for state, value in _STATES.items()}
_REGISTRATIONS = {
    RegistrationState.SEATED: pb.REGISTRATION_STATE_SEATED,
    RegistrationState.WAITING: pb.REGISTRATION_STATE_WAITING,
    RegistrationState.LEFT: pb.REGISTRATION_STATE_LEFT,
    RegistrationState.ATTENDED: pb.REGISTRATION_STATE_ATTENDED,
    RegistrationState.MISSED: pb.REGISTRATION_STATE_MISSED,
}
_REGISTRATIONS_KNOWN = {value: state for state, value in _REGISTRATIONS.items()}
_REASONS = {
    LeavingReason.MEMBER: pb.LEAVING_REASON_MEMBER,
    LeavingReason.ACTIVITY_CANCELLED: pb.LEAVING_REASON_ACTIVITY_CANCELLED,
    LeavingReason.WAITED_IN_VAIN: pb.LEAVING_REASON_WAITED_IN_VAIN,
}


def activity_id_from_proto(activity_id: str) -> ActivityId:
    """An activity's id, or InvalidArgument naming activity_id."""
    return ActivityId(check_id("activity_id", activity_id))


def put_activity_from_proto(request: calls_pb.PutActivityRequest) -> PutActivity:
    """The activity to put, by the caller, or InvalidArgument naming every field that is wrong."""
    return PutActivity(
        _activity_from_proto(request.activity),
        current_caller().subject,
        times.from_proto(request.occurred_at, "occurred_at") if request.HasField("occurred_at") else None,
    )


def change_from_proto(request: calls_pb.PublishActivityRequest | calls_pb.CancelActivityRequest) -> ChangeState:
    """The activity to publish or to call off, by the caller, or InvalidArgument."""
    return ChangeState(
        activity_id_from_proto(request.activity_id),
        current_caller().subject,
        times.from_proto(request.occurred_at, "occurred_at"),
    )


def register_from_proto(request: calls_pb.RegisterForActivityRequest) -> RegisterForActivity:
    """Whom to register, or InvalidArgument."""
    return RegisterForActivity(
        activity_id_from_proto(request.activity_id),
        customer_id_from_proto(request.customer_id),
        PersonId(check_id("person_id", request.person_id)) if request.person_id else EVERYBODY,
        request.party_size or 1,
        times.from_proto(request.occurred_at, "occurred_at"),
    )


def end_from_proto(request: calls_pb.CancelRegistrationRequest | calls_pb.CheckInRequest) -> EndRegistration:
    """The registration to cancel or to check in, or InvalidArgument."""
    code = request.check_in_code if isinstance(request, calls_pb.CheckInRequest) else ""
    if len(code) > _CODE_CHARACTERS_MAX:
        raise InvalidArgument("check_in_code", f"must have at most {_CODE_CHARACTERS_MAX} characters")
    return EndRegistration(
        RegistrationId(check_id("registration_id", request.registration_id)),
        customer_id_from_proto(request.customer_id),
        times.from_proto(request.occurred_at, "occurred_at"),
        by_member=current_caller().customer_id is not None,
        check_in_code=code,
    )


def state_from_proto(state: pb.ActivityState.ValueType) -> ActivityState | None:
    """The state asked for; None where it is not said."""
    if state == pb.ACTIVITY_STATE_UNSPECIFIED:
        return None
    if state not in _STATES_KNOWN:
        raise InvalidArgument("state", "must be draft, published, cancelled or closed")
    return _STATES_KNOWN[state]


def registration_state_from_proto(state: pb.RegistrationState.ValueType) -> RegistrationState | None:
    """The state asked for; None where it is not said."""
    if state == pb.REGISTRATION_STATE_UNSPECIFIED:
        return None
    if state not in _REGISTRATIONS_KNOWN:
        raise InvalidArgument("state", "must be seated, waiting, left, attended or missed")
    return _REGISTRATIONS_KNOWN[state]


def starts_after_from_proto(request: calls_pb.ListActivitiesRequest) -> datetime | None:
    """The instant that activities are to begin after; None where it is not said."""
    return times.from_proto(request.starts_after, "starts_after") if request.HasField("starts_after") else None


def as_of_from_proto(request: calls_pb.SettleActivitiesRequest) -> datetime:
    """The instant to settle to, or InvalidArgument."""
    return times.from_proto(request.as_of, "as_of")


def activity_to_proto(activity: Activity) -> pb.Activity:
    """The activity."""
    return pb.Activity(
        activity_id=activity.activity_id,
        title=activity.title,
        place=activity.place,
        program_id=activity.program_id,
        tier_ids=sorted(activity.audience.tier_ids),
        starts_at=times.to_proto(activity.starts_at),
        ends_at=times.to_proto(activity.ends_at),
        registration_opens_at=times.to_proto(activity.registration_opens_at),
        registration_closes_at=times.to_proto(activity.registration_closes_at),
        capacity=activity.capacity,
        party_size_max=activity.party_size_max,
        waiting_list_max=activity.waiting_list_max,
        tier_terms=[_terms_to_proto(terms) for terms in activity.tier_terms],
        fee_points=activity.fee_points,
        free_leaving_until=times.to_proto(activity.free_leaving_until),
        reward=reward_to_proto(activity.reward) if activity.reward else None,
        check_in_minutes=activity.check_in_minutes,
        barred_days=activity.barred_days,
        state=_STATES[activity.state],
        seats_taken=activity.seats_taken,
        revision=activity.revision,
    )


def registration_to_proto(registration: Registration) -> pb.Registration:
    """The registration."""
    reason = registration.leaving_reason
    return pb.Registration(
        registration_id=registration.registration_id,
        activity_id=registration.activity_id,
        **_named(registration),
        tier_id=registration.tier_id,
        party_size=registration.party_size,
        state=_REGISTRATIONS[registration.state],
        waiting_place=registration.waiting_place,
        fee_points=registration.fee_points,
        registered_at=times.to_proto(registration.registered_at),
        changed_at=times.to_proto(registration.changed_at),
        leaving_reason=_REASONS[reason] if reason else pb.LEAVING_REASON_UNSPECIFIED,
    )


def checked_in_to_proto(checked_in: CheckedIn) -> calls_pb.CheckInResponse:
    """What checking in came to."""
    return calls_pb.CheckInResponse(
        already_done=checked_in.already_done,
        registration=registration_to_proto(checked_in.registration),
        given=[given_to_proto(each) for each in checked_in.given],
    )


def settled_to_proto(settled: Settled) -> calls_pb.SettleActivitiesResponse:
    """What a round did."""
    return calls_pb.SettleActivitiesResponse(
        activities=settled.activities, seated=settled.seated, missed=settled.missed, ended=settled.ended
    )


def activity_changed_to_proto(fact: ActivityChanged) -> events_pb.ActivityChanged:
    """The event of an activity's state."""
    activity = fact.activity
    return events_pb.ActivityChanged(
        activity_id=activity.activity_id,
        program_id=activity.program_id,
        state=_STATES[activity.state],
        starts_at=times.to_proto(activity.starts_at),
        ends_at=times.to_proto(activity.ends_at),
        capacity=activity.capacity,
        occurred_at=times.to_proto(fact.occurred_at),
        revision=activity.revision,
    )


def registered_to_proto(fact: ActivityRegistered) -> events_pb.ActivityRegistered:
    """The event of a registration."""
    return events_pb.ActivityRegistered(
        **_told(fact),
        occurred_at=times.to_proto(fact.occurred_at),
        party_size=fact.registration.party_size,
        waiting=fact.registration.state is RegistrationState.WAITING,
    )


def seat_gained_to_proto(fact: ActivitySeatGained) -> events_pb.ActivitySeatGained:
    """The event of a registration that waited and has its seats."""
    return events_pb.ActivitySeatGained(
        **_told(fact), occurred_at=times.to_proto(fact.occurred_at), party_size=fact.registration.party_size
    )


def attended_to_proto(fact: ActivityAttended) -> events_pb.ActivityAttended:
    """The event of a member who came."""
    return events_pb.ActivityAttended(
        **_told(fact), occurred_at=times.to_proto(fact.occurred_at), party_size=fact.registration.party_size
    )


def left_to_proto(fact: ActivityLeft) -> events_pb.ActivityLeft:
    """The event of a registration that ended."""
    return events_pb.ActivityLeft(
        **_told(fact),
        occurred_at=times.to_proto(fact.occurred_at),
        reason=_REASONS[fact.reason],
        fee_spent=fact.fee_spent,
    )


def missed_to_proto(fact: ActivityMissed) -> events_pb.ActivityMissed:
    """The event of a member who did not come."""
    return events_pb.ActivityMissed(
        **_told(fact),
        occurred_at=times.to_proto(fact.occurred_at),
        barred_until=times.to_proto(fact.barred_until) if fact.barred_until else None,
    )


FACTS: Mapping[type[Any], Callable[[Any], Message]] = {
    ActivityChanged: activity_changed_to_proto,
    ActivityRegistered: registered_to_proto,
    ActivitySeatGained: seat_gained_to_proto,
    ActivityAttended: attended_to_proto,
    ActivityLeft: left_to_proto,
    ActivityMissed: missed_to_proto,
}


def _activity_from_proto(activity: pb.Activity) -> Activity:
    starts_at = times.from_proto(activity.starts_at, "activity.starts_at")
    return Activity(
        activity_id=ActivityId(check_id("activity.activity_id", activity.activity_id)),
        title=activity.title,
        place=activity.place,
        audience=_audience_from_proto(activity),
        starts_at=starts_at,
        ends_at=times.from_proto(activity.ends_at, "activity.ends_at"),
        registration_opens_at=times.from_proto(activity.registration_opens_at, "activity.registration_opens_at"),
        registration_closes_at=times.from_proto_or(
            activity.registration_closes_at, "activity.registration_closes_at", starts_at
        ),
        free_leaving_until=times.from_proto_or(activity.free_leaving_until, "activity.free_leaving_until", starts_at),
        capacity=activity.capacity,
        party_size_max=activity.party_size_max or 1,
        waiting_list_max=activity.waiting_list_max,
        tier_terms=tuple(_terms_from_proto(index, terms) for index, terms in enumerate(activity.tier_terms)),
        fee_points=activity.fee_points,
        reward=reward_from_proto("activity.reward", activity.reward) if activity.HasField("reward") else None,
        check_in_minutes=activity.check_in_minutes or DEFAULT_CHECK_IN_MINUTES,
        barred_days=activity.barred_days,
    )


def _audience_from_proto(activity: pb.Activity) -> Audience:
    tiers = [
        TierId(check_id(f"activity.tier_ids[{index}]", tier_id)) for index, tier_id in enumerate(activity.tier_ids)
    ]
    try:
        return Audience(program_id_from_proto(activity.program_id), frozenset(tiers))
    except InvalidArgument as refusal:
        raise refusal.under("activity") from None


def _terms_from_proto(index: int, terms: pb.TierTerms) -> TierTerms:
    field = f"activity.tier_terms[{index}]"
    opens_at = f"{field}.registration_opens_at"
    until = f"{field}.reserved_until"
    return TierTerms(
        TierId(check_id(f"{field}.tier_id", terms.tier_id)),
        times.from_proto(terms.registration_opens_at, opens_at) if terms.HasField("registration_opens_at") else None,
        terms.reserved_seats,
        times.from_proto(terms.reserved_until, until) if terms.HasField("reserved_until") else None,
    )


def _terms_to_proto(terms: TierTerms) -> pb.TierTerms:
    opens_at, until = terms.registration_opens_at, terms.reserved_until
    return pb.TierTerms(
        tier_id=terms.tier_id,
        registration_opens_at=times.to_proto(opens_at) if opens_at else None,
        reserved_seats=terms.reserved_seats,
        reserved_until=times.to_proto(until) if until else None,
    )


def _named(registration: Registration) -> dict[str, str]:
    """Whose registration it is."""
    holder = registration.holder
    return {"customer_id": holder.customer_id, "program_id": holder.program_id, "person_id": holder.person_id}


def _told(fact: RegistrationFact) -> dict[str, str]:
    """What every event about a registration names."""
    registration = fact.registration
    return {
        "registration_id": registration.registration_id,
        "activity_id": registration.activity_id,
        "member_id": registration.member_id,
        **_named(registration),
    }
