"""Who has the seats of an activity and who waits for them.

Two things hold whatever happens in whatever order: no more seats are taken than there are, and nobody waits who would
fit. So seats are given out anew whenever one may have become free, to who waits in the order of tier (the higher
first), then time of registering, then order of recording; a party that does not fit is passed over by those behind it
that do, so that no seat stays empty. Seats kept for a tier are kept until so many of its members have seats.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import NewType

from chassis.errors import NotFound, Refusal, ResourceExhausted

from member.domain.activity import Activity, ActivityId
from member.domain.customer import CustomerId
from member.domain.membership import Holder, MemberId
from member.domain.program import TierId

RegistrationId = NewType("RegistrationId", str)


class RegistrationState(StrEnum):
    """Where a registration stands."""

    SEATED = "seated"
    WAITING = "waiting"
    LEFT = "left"
    ATTENDED = "attended"
    MISSED = "missed"


class LeavingReason(StrEnum):
    """Why a registration ended before the activity."""

    MEMBER = "member"
    ACTIVITY_CANCELLED = "activity_cancelled"
    WAITED_IN_VAIN = "waited_in_vain"


class RegistrationNotFound(NotFound):
    """The customer has no registration with this id."""

    def __init__(self, customer_id: CustomerId, registration_id: RegistrationId) -> None:
        super().__init__(
            "the customer has no registration with this id", customer_id=customer_id, registration_id=registration_id
        )


class AlreadyRegistered(Refusal):
    """A member registers for an activity once."""

    def __init__(self, activity_id: ActivityId, holder: Holder) -> None:
        super().__init__("the member is registered already", activity_id=activity_id, **holder.named())


class RegistrationNotOpen(Refusal):
    """Registering has not begun for the member's tier, or is over."""

    def __init__(self, activity_id: ActivityId, opens_at: datetime, closes_at: datetime) -> None:
        super().__init__(
            "members of this tier cannot register at that time",
            activity_id=activity_id,
            opens_at=opens_at.isoformat(),
            closes_at=closes_at.isoformat(),
        )


class PartyTooLarge(Refusal):
    """One registration does not take so many seats."""

    def __init__(self, activity_id: ActivityId, party_size_max: int) -> None:
        super().__init__(
            "one registration does not take so many seats",
            activity_id=activity_id,
            party_size_max=str(party_size_max),
        )


class ActivityFull(ResourceExhausted):
    """Seats and waiting list are full."""

    def __init__(self, activity_id: ActivityId) -> None:
        super().__init__("there is neither a seat nor a place to wait", activity_id=activity_id)


class Barred(Refusal):
    """The member did not come to an activity and may not register for a while."""

    def __init__(self, holder: Holder, until: datetime) -> None:
        super().__init__("the member may not register", **holder.named(), barred_until=until.isoformat())


class RegistrationEnded(Refusal):
    """The registration has ended already."""

    def __init__(self, registration_id: RegistrationId, state: RegistrationState) -> None:
        super().__init__("the registration has ended", registration_id=registration_id, state=state.value)


class ActivityBegun(Refusal):
    """Nobody leaves an activity that has begun."""

    def __init__(self, activity_id: ActivityId) -> None:
        super().__init__("the activity has begun", activity_id=activity_id)


class CheckInNotOpen(Refusal):
    """It is too early or too late to check in."""

    def __init__(self, activity_id: ActivityId, opens_at: datetime, closes_at: datetime) -> None:
        super().__init__(
            "nobody checks in at that time",
            activity_id=activity_id,
            opens_at=opens_at.isoformat(),
            closes_at=closes_at.isoformat(),
        )


class NoSeat(Refusal):
    """Who waits for a seat cannot check in."""

    def __init__(self, registration_id: RegistrationId) -> None:
        super().__init__("the registration waits for a seat", registration_id=registration_id)


class WrongCheckInCode(Refusal):
    """The code is not that of the activity."""

    def __init__(self, activity_id: ActivityId) -> None:
        super().__init__("the code is not that of the activity", activity_id=activity_id)


@dataclass(frozen=True, slots=True)
class Registration:
    """A member's registration, with the tier held when registering; `hold_id` is empty where there is no fee."""

    registration_id: RegistrationId
    activity_id: ActivityId
    member_id: MemberId
    holder: Holder
    tier_id: TierId
    tier_rank: int
    party_size: int
    state: RegistrationState
    fee_points: int
    hold_id: str
    registered_at: datetime
    changed_at: datetime
    leaving_reason: LeavingReason | None = None
    waiting_place: int = 0

    @property
    def is_live(self) -> bool:
        """Whether it has its seats or waits for them."""
        return self.state in (RegistrationState.SEATED, RegistrationState.WAITING)


@dataclass(slots=True)
class Roster:
    """The seats of an activity by tier, and who waits, in the order of recording."""

    activity: Activity
    seats: dict[TierId, int]
    waiting: list[Registration] = field(default_factory=list)

    @property
    def seats_taken(self) -> int:
        """All seats taken."""
        return sum(self.seats.values())

    def in_order(self) -> list[Registration]:
        """Who waits, first come first."""
        return sorted(self.waiting, key=lambda each: (-each.tier_rank, each.registered_at))

    def free_for(self, tier_id: TierId, at: datetime) -> int:
        """Seats that members of a tier can have: those free, less what is still kept for other tiers."""
        kept = sum(
            max(0, terms.reserved_seats - self.seats.get(terms.tier_id, 0))
            for terms in self.activity.tier_terms
            if terms.tier_id != tier_id and terms.keeps_at(at)
        )
        return self.activity.capacity - self.seats_taken - kept

    def move_up(self, at: datetime) -> list[Registration]:
        """Gives free seats to who waits; returns those who got them.

        A pass is enough: a party seated leaves no more for anybody else, since seats kept for its tier count down only
        as they are taken.
        """
        seated = []
        for registration in self.in_order():
            if registration.party_size <= self.free_for(registration.tier_id, at):
                self.take(registration.tier_id, registration.party_size)
                seated.append(registration)
        gone = {registration.registration_id for registration in seated}
        self.waiting = [each for each in self.waiting if each.registration_id not in gone]
        return seated

    def place(self, tier_id: TierId, party_size: int, *, at: datetime) -> RegistrationState:
        """Where a new registration goes, after who waits has moved up; ActivityFull."""
        if party_size <= self.free_for(tier_id, at):
            self.take(tier_id, party_size)
            return RegistrationState.SEATED
        if len(self.waiting) >= self.activity.waiting_list_max:
            raise ActivityFull(self.activity.activity_id)
        return RegistrationState.WAITING

    def take(self, tier_id: TierId, party_size: int) -> None:
        """Takes seats."""
        self.seats[tier_id] = self.seats.get(tier_id, 0) + party_size

    def leave(self, registration: Registration) -> None:
        """Frees the seats of a registration, or its place on the waiting list."""
        if registration.state is RegistrationState.SEATED:
            self.seats[registration.tier_id] -= registration.party_size
        self.waiting = [each for each in self.waiting if each.registration_id != registration.registration_id]


@dataclass(frozen=True, slots=True)
class RegistrationFact:
    """What every effect on a registration tells."""

    registration: Registration
    occurred_at: datetime

    @property
    def aggregate_id(self) -> str:
        """The registration orders its facts."""
        return self.registration.registration_id


class ActivityRegistered(RegistrationFact):
    """Effect: a member registered, with seats or waiting for them."""


class ActivitySeatGained(RegistrationFact):
    """Effect: a registration that waited got its seats."""


class ActivityAttended(RegistrationFact):
    """Effect: a member came."""


@dataclass(frozen=True, slots=True)
class ActivityLeft(RegistrationFact):
    """Effect: a registration ended before the activity."""

    reason: LeavingReason
    fee_spent: bool


@dataclass(frozen=True, slots=True)
class ActivityMissed(RegistrationFact):
    """Effect: a member had seats and did not come."""

    barred_until: datetime | None


def check_registering(activity: Activity, *, tier_id: TierId, party_size: int, at: datetime) -> None:
    """Refuses RegistrationNotOpen and PartyTooLarge."""
    opens_at = activity.opens_at(tier_id)
    if not opens_at <= at < activity.registration_closes_at:
        raise RegistrationNotOpen(activity.activity_id, opens_at, activity.registration_closes_at)
    if party_size > activity.party_size_max:
        raise PartyTooLarge(activity.activity_id, activity.party_size_max)


def check_checking_in(activity: Activity, at: datetime) -> None:
    """Refuses CheckInNotOpen."""
    if not activity.check_in_opens_at <= at < activity.ends_at:
        raise CheckInNotOpen(activity.activity_id, activity.check_in_opens_at, activity.ends_at)


def with_places(waiting: Sequence[Registration]) -> dict[RegistrationId, int]:
    """The place of each on the waiting list, from 1."""
    return {each.registration_id: place for place, each in enumerate(waiting, start=1)}
