"""VIP clubs: who may join, for how long, and what ends a membership."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import NamedTuple, NewType

from chassis.calendar import Calendar, add_months
from chassis.errors import AlreadyExists, FieldViolation, NotFound, Refusal, ResourceExhausted
from chassis.violations import range_violations, refuse_any

from member.domain.membership import Holder, MemberId
from member.domain.program import MAX_DAYS, ProgramId, TierId
from member.domain.text import MAX_NAME_CHARACTERS, line_violations

ClubId = NewType("ClubId", str)
ClubMembershipId = NewType("ClubMembershipId", str)

MAX_FEE_POINTS = 10**9
MAX_PLACES = 10**7
MAX_TERM_MONTHS = 120
MAX_GRACE_DAYS = 366


class ClubNotFound(NotFound):
    """No club has this id."""

    def __init__(self, club_id: str) -> None:
        super().__init__("no club has this id", club_id=club_id)


class ClubMembershipNotFound(NotFound):
    """The customer is not in the club, or nobody asked for the membership named."""

    def __init__(self, **ids: str) -> None:
        super().__init__("there is no such membership in a club", **ids)


class ClubClosed(Refusal):
    """Nobody can join the club any more."""

    def __init__(self, club_id: ClubId) -> None:
        super().__init__("the club takes no members any more", club_id=club_id)


class ClubFull(ResourceExhausted):
    """All places of the club are taken."""

    def __init__(self, club_id: ClubId) -> None:
        super().__init__("all places of the club are taken", club_id=club_id)


class ClubTierTooLow(Refusal):
    """The club asks for a better tier than the member holds."""

    def __init__(self, club_id: ClubId, least_tier_id: TierId) -> None:
        super().__init__("the club asks for a better tier", club_id=club_id, least_tier_id=least_tier_id)


class ClubTenureTooShort(Refusal):
    """The club asks for a customer of longer standing."""

    def __init__(self, club_id: ClubId, reached_at: datetime) -> None:
        super().__init__(
            "the club asks for a customer of longer standing", club_id=club_id, reached_at=reached_at.isoformat()
        )


class AlreadyInClub(AlreadyExists):
    """The member is in the club, or has applied, already."""

    def __init__(self, club_id: ClubId, holder: Holder) -> None:
        super().__init__("the member is in the club or has applied already", club_id=club_id, **holder.named())


class NotApplied(Refusal):
    """Only what waits for a decision can be decided on."""

    def __init__(self, club_membership_id: ClubMembershipId) -> None:
        super().__init__("the membership does not wait for a decision", club_membership_id=club_membership_id)


class ClubState(StrEnum):
    """Where a membership in a club stands; only an active one takes a place."""

    APPLIED = "applied"
    ACTIVE = "active"
    REFUSED = "refused"
    ENDED = "ended"


class EndReason(StrEnum):
    """Why a membership in a club is over."""

    LEFT = "left"
    TERM_ENDED = "term_ended"
    TIER_LOST = "tier_lost"
    FEE_NOT_PAID = "fee_not_paid"


@dataclass(frozen=True, slots=True)
class Club:
    """A club's rules. No tier asked for is None; no bound of places and no end of a term are 0; a fee is taken for
    each term at its beginning and never given back."""

    club_id: ClubId
    display_name: str
    program_id: ProgramId
    least_tier_id: TierId | None
    least_tenure_days: int
    fee_points: int
    capacity: int
    needs_approval: bool
    term_months: int
    grace_days: int
    closed: bool
    members: int = 0
    revision: int = 0

    @property
    def is_full(self) -> bool:
        """Whether no place is left; a bound lowered below those who are in puts nobody out."""
        return 0 < self.capacity <= self.members


class ClubMember(NamedTuple):
    """Who is in a club."""

    member_id: MemberId
    holder: Holder


@dataclass(frozen=True, slots=True)
class ClubMembership:
    """One membership in a club. `term_ends_at` and `lapses_at` are exclusive ends, None where none is set."""

    club_membership_id: ClubMembershipId
    club_id: ClubId
    member_id: MemberId
    holder: Holder
    state: ClubState
    applied_at: datetime
    active_since: datetime | None
    terms: int
    term_ends_at: datetime | None
    renews: bool
    lapses_at: datetime | None
    ended_at: datetime | None
    end_reason: EndReason | None
    revision: int

    @property
    def due_at(self) -> datetime | None:
        """When somebody must look at it next."""
        return min((each for each in (self.term_ends_at, self.lapses_at) if each is not None), default=None)

    def ended(self, at: datetime, reason: EndReason) -> "ClubMembership":
        """The membership when it is over."""
        return replace(
            self, state=ClubState.ENDED, ended_at=at, end_reason=reason, lapses_at=None, revision=self.revision + 1
        )

    def parted(self, left_at: datetime) -> "ClubMembership":
        """The membership or application when its holder has left the program."""
        return self.ended(max(left_at, self.active_since or self.applied_at), EndReason.LEFT)

    def carried_over(self, into: "ClubMember") -> "ClubMembership":
        """The membership in the hands of whom its member became one with."""
        return replace(self, member_id=into.member_id, holder=into.holder, revision=self.revision + 1)

    def refused(self, at: datetime) -> "ClubMembership":
        """The application turned down."""
        return replace(self, state=ClubState.REFUSED, ended_at=at, revision=self.revision + 1)

    def begun(self, club: Club, calendar: Calendar, at: datetime) -> "ClubMembership":
        """The membership with its first term."""
        begun = replace(self, state=ClubState.ACTIVE, active_since=at, revision=self.revision + 1)
        return begun.with_term(club, calendar, 1)

    def renewed(self, club: Club, calendar: Calendar) -> "ClubMembership":
        """The membership with one more term behind the last."""
        return replace(self, revision=self.revision + 1).with_term(club, calendar, self.terms + 1)

    def with_term(self, club: Club, calendar: Calendar, number: int) -> "ClubMembership":
        """The term with this number ends that many terms after the day on which the membership began, so that a term
        from 31 January ends on the last of February and the next on 31 March."""
        assert self.active_since is not None
        if not club.term_months:
            return replace(self, terms=number, term_ends_at=None)
        last = add_months(calendar.day_of(self.active_since), club.term_months * number)
        return replace(self, terms=number, term_ends_at=calendar.start_of(last))

    def not_renewing(self) -> "ClubMembership":
        """The membership that no other term follows."""
        return replace(self, renews=False, revision=self.revision + 1) if self.renews else self

    def lapsing(self, at: datetime | None) -> "ClubMembership":
        """The membership with the instant at which a lost tier ends it; None when the tier reaches again."""
        return self if self.lapses_at == at else replace(self, lapses_at=at, revision=self.revision + 1)


@dataclass(frozen=True, slots=True)
class ClubMembershipChanged:
    """State: where a membership in a club stands from `occurred_at` on."""

    membership: ClubMembership
    occurred_at: datetime

    @property
    def aggregate_id(self) -> str:
        """The membership in the club orders its facts."""
        return self.membership.club_membership_id

    @property
    def revision(self) -> int:
        """Rises with every change of the membership."""
        return self.membership.revision


@dataclass(frozen=True, slots=True)
class Candidate:
    """What a club asks about a member: whether the tier reaches, since when that tier is held, and since when the
    customer is one."""

    tier_reaches: bool
    tier_since: datetime
    customer_since: datetime


def check_club(club: Club) -> None:
    """Refuses, with InvalidArgument and every fault at once, rules that nobody could keep."""
    refuse_any(_violations(club))


def check_joining(club: Club, candidate: Candidate, at: datetime) -> None:
    """Refuses who may not join now: ClubClosed, ClubTierTooLow, ClubTenureTooShort."""
    if club.closed:
        raise ClubClosed(club.club_id)
    if not candidate.tier_reaches:
        assert club.least_tier_id is not None
        raise ClubTierTooLow(club.club_id, club.least_tier_id)
    reached_at = candidate.customer_since + timedelta(days=club.least_tenure_days)
    if at < reached_at:
        raise ClubTenureTooShort(club.club_id, reached_at)


def lapse(club: Club, membership: ClubMembership, candidate: Candidate) -> ClubMembership:
    """The membership as the member's present tier leaves it: one that no longer reaches ends it after the grace,
    counted from when that tier began, or from when the membership did where it began later."""
    if candidate.tier_reaches:
        return membership.lapsing(None)
    if membership.lapses_at is not None:
        return membership
    assert membership.active_since is not None
    since = max(candidate.tier_since, membership.active_since)
    return membership.lapsing(since + timedelta(days=club.grace_days))


def _violations(club: Club) -> Iterator[FieldViolation]:
    yield from line_violations("club.display_name", club.display_name, most=MAX_NAME_CHARACTERS)
    yield from range_violations("club.least_tenure_days", club.least_tenure_days, least=0, most=MAX_DAYS)
    yield from range_violations("club.fee_points", club.fee_points, least=0, most=MAX_FEE_POINTS)
    yield from range_violations("club.capacity", club.capacity, least=0, most=MAX_PLACES)
    yield from range_violations("club.term_months", club.term_months, least=0, most=MAX_TERM_MONTHS)
    yield from range_violations("club.grace_days", club.grace_days, least=0, most=MAX_GRACE_DAYS)
