"""Clubs and memberships in them between protobuf and the domain."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from chassis import times
from chassis.auth import current_caller
from chassis.errors import InvalidArgument
from chassis.ids import check_id
from chassis.outbox import Routed
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from touchstone.member.v1 import club_events_pb2, club_pb2
from touchstone.member.v1 import club_service_pb2 as pb

from member.domain.club import (
    Club,
    ClubId,
    ClubMembership,
    ClubMembershipChanged,
    ClubMembershipId,
    ClubState,
    EndReason,
)
from member.domain.customer import EVERYBODY, PersonId
from member.domain.program import GENERAL, ProgramId, TierId
from member.use_cases.club_terms import Reviewed
from member.use_cases.clubs import Decide, JoinClub, LeaveClub, PutClub
from member.wire.customers import customer_id_from_proto

_STATES = {
    ClubState.APPLIED: club_pb2.CLUB_MEMBERSHIP_STATE_APPLIED,
    ClubState.ACTIVE: club_pb2.CLUB_MEMBERSHIP_STATE_ACTIVE,
    ClubState.REFUSED: club_pb2.CLUB_MEMBERSHIP_STATE_REFUSED,
    ClubState.ENDED: club_pb2.CLUB_MEMBERSHIP_STATE_ENDED,
}
_STATES_KNOWN = {number: state for state, number in _STATES.items()}
_REASONS = {
    None: club_pb2.CLUB_END_REASON_UNSPECIFIED,
    EndReason.LEFT: club_pb2.CLUB_END_REASON_LEFT,
    EndReason.TERM_ENDED: club_pb2.CLUB_END_REASON_TERM_ENDED,
    EndReason.TIER_LOST: club_pb2.CLUB_END_REASON_TIER_LOST,
    EndReason.FEE_NOT_PAID: club_pb2.CLUB_END_REASON_FEE_NOT_PAID,
}


def club_id_from_proto(club_id: str) -> ClubId:
    """A club's id, or InvalidArgument naming club_id."""
    return ClubId(check_id("club_id", club_id))


def person_id_from_proto(person_id: str) -> PersonId:
    """A person's id, the customer as a whole where it is empty, or InvalidArgument naming person_id."""
    return PersonId(check_id("person_id", person_id)) if person_id else EVERYBODY


def club_state_from_proto(state: int) -> ClubState | None:
    """The state to list; None for all, or InvalidArgument naming state."""
    if state == club_pb2.CLUB_MEMBERSHIP_STATE_UNSPECIFIED:
        return None
    found = _STATES_KNOWN.get(state)  # type: ignore[call-overload]
    if found is None:
        raise InvalidArgument("state", "is not a state that is known")
    return ClubState(found)


def put_club_from_proto(request: pb.PutClubRequest) -> PutClub:
    """The rules to put, or InvalidArgument naming every field that is wrong."""
    club, tier_id = request.club, request.club.least_tier_id
    program_id = ProgramId(check_id("club.program_id", club.program_id)) if club.program_id else GENERAL
    return PutClub(
        Club(
            ClubId(check_id("club.club_id", club.club_id)),
            club.display_name,
            program_id,
            TierId(check_id("club.least_tier_id", tier_id)) if tier_id else None,
            least_tenure_days=club.least_tenure_days,
            fee_points=club.fee_points,
            capacity=club.capacity,
            needs_approval=club.needs_approval,
            term_months=club.term_months,
            grace_days=club.grace_days,
            closed=club.closed,
        ),
        put_by=current_caller().subject,
    )


def club_to_proto(club: Club) -> club_pb2.Club:
    """The club."""
    return club_pb2.Club(
        club_id=club.club_id,
        display_name=club.display_name,
        program_id=club.program_id,
        least_tier_id=club.least_tier_id or "",
        least_tenure_days=club.least_tenure_days,
        fee_points=club.fee_points,
        capacity=club.capacity,
        needs_approval=club.needs_approval,
        term_months=club.term_months,
        grace_days=club.grace_days,
        closed=club.closed,
        members=club.members,
        revision=club.revision,
    )


def join_from_proto(request: pb.JoinClubRequest) -> JoinClub:
    """Who joins what, or InvalidArgument."""
    return JoinClub(
        club_id_from_proto(request.club_id),
        customer_id_from_proto(request.customer_id),
        person_id_from_proto(request.person_id),
        renews=not request.one_term,
        occurred_at=times.from_proto(request.occurred_at, "occurred_at"),
    )


def leave_from_proto(request: pb.LeaveClubRequest) -> LeaveClub:
    """Who leaves what, or InvalidArgument."""
    return LeaveClub(
        club_id_from_proto(request.club_id),
        customer_id_from_proto(request.customer_id),
        person_id_from_proto(request.person_id),
        at_term_end=request.at_term_end,
        occurred_at=times.from_proto(request.occurred_at, "occurred_at"),
    )


def decision_from_proto(request: pb.ApproveClubMemberRequest | pb.RefuseClubMemberRequest) -> Decide:
    """The application decided on, or InvalidArgument."""
    return Decide(
        ClubMembershipId(check_id("club_membership_id", request.club_membership_id)),
        times.from_proto(request.occurred_at, "occurred_at"),
    )


def review_from_proto(request: pb.ReviewClubMembersRequest) -> datetime:
    """Until when things are due, or InvalidArgument."""
    return times.from_proto(request.as_of, "as_of")


def reviewed_to_proto(reviewed: Reviewed) -> pb.ReviewClubMembersResponse:
    """What one round came to."""
    return pb.ReviewClubMembersResponse(renewed=reviewed.renewed, ended=reviewed.ended, looked_at=reviewed.looked_at)


def membership_to_proto(membership: ClubMembership) -> club_pb2.ClubMembership:
    """The membership in a club."""
    return club_pb2.ClubMembership(
        club_membership_id=membership.club_membership_id,
        club_id=membership.club_id,
        member_id=membership.member_id,
        customer_id=membership.holder.customer_id,
        person_id=membership.holder.person_id,
        state=_STATES[membership.state],
        applied_at=times.to_proto(membership.applied_at),
        active_since=optional_to_proto(membership.active_since),
        term_ends_at=optional_to_proto(membership.term_ends_at),
        renews=membership.renews,
        lapses_at=optional_to_proto(membership.lapses_at),
        ended_at=optional_to_proto(membership.ended_at),
        end_reason=_REASONS[membership.end_reason],
        revision=membership.revision,
    )


def club_membership_changed_to_proto(fact: ClubMembershipChanged) -> club_events_pb2.ClubMembershipChanged:
    """The event of a membership in a club."""
    return club_events_pb2.ClubMembershipChanged(
        membership=membership_to_proto(fact.membership), occurred_at=times.to_proto(fact.occurred_at)
    )


def optional_to_proto(instant: datetime | None) -> Timestamp | None:
    """The instant, or nothing."""
    return None if instant is None else times.to_proto(instant)


FACTS: Mapping[type[Any], Callable[[Any], Message | Routed]] = {
    ClubMembershipChanged: club_membership_changed_to_proto,
}
