"""Activities that members come to: what is offered to whom, and from when."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import NewType

from chassis.errors import FieldViolation, InvalidArgument, NotFound, Refusal
from chassis.violations import range_violations

from member.domain.audience import MAX_TIERS_NAMED, Audience
from member.domain.points import MAX_POINTS
from member.domain.program import ProgramId, TierId
from member.domain.reward import Reward, reward_violations
from member.domain.text import MAX_NAME_CHARACTERS, line_violations

ActivityId = NewType("ActivityId", str)

MAX_CAPACITY = 100_000
MAX_PARTY_SIZE = 20
MAX_WAITING = 1_000
MAX_CHECK_IN_MINUTES = 1_440
MAX_BARRED_DAYS = 3_660
DEFAULT_CHECK_IN_MINUTES = 120

# A fee is held until long after the end, so that the hold outlives every postponement but not the member's patience.
FEE_HELD_AFTER_END = timedelta(days=365)


class ActivityState(StrEnum):
    """Where an activity stands."""

    DRAFT = "draft"
    PUBLISHED = "published"
    CANCELLED = "cancelled"
    CLOSED = "closed"


class ActivityNotFound(NotFound):
    """No activity has this id, or none that members can see."""

    def __init__(self, activity_id: ActivityId) -> None:
        super().__init__("no activity has this id", activity_id=activity_id)


class ActivityOver(Refusal):
    """The activity was called off or is closed; nothing of it changes any more."""

    def __init__(self, activity_id: ActivityId, state: ActivityState) -> None:
        super().__init__("the activity was called off or is over", activity_id=activity_id, state=state.value)


class ActivityNotPublished(Refusal):
    """Nobody can register yet."""

    def __init__(self, activity_id: ActivityId) -> None:
        super().__init__("the activity is not published", activity_id=activity_id)


class ActivityShapeFixed(Refusal):
    """What members relied on when registering stays: the program always, the fee once it is published."""

    def __init__(self, activity_id: ActivityId) -> None:
        super().__init__("the program never changes, and the fee not once it is published", activity_id=activity_id)


class SeatsTaken(Refusal):
    """More seats are taken than the activity is to have."""

    def __init__(self, activity_id: ActivityId, seats_taken: int) -> None:
        super().__init__("more seats are taken than that", activity_id=activity_id, seats_taken=str(seats_taken))


@dataclass(frozen=True, slots=True)
class TierTerms:
    """What is kept for a tier: an earlier registration, and seats until an instant (exclusive)."""

    tier_id: TierId
    registration_opens_at: datetime | None = None
    reserved_seats: int = 0
    reserved_until: datetime | None = None

    def keeps_at(self, instant: datetime) -> bool:
        """Whether its seats are still kept."""
        return self.reserved_until is not None and instant < self.reserved_until


@dataclass(frozen=True, slots=True)
class Activity:
    """An activity; instants are business time. `registration_closes_at` and `free_leaving_until` are exclusive."""

    activity_id: ActivityId
    title: str
    place: str
    audience: Audience
    starts_at: datetime
    ends_at: datetime
    registration_opens_at: datetime
    registration_closes_at: datetime
    free_leaving_until: datetime
    capacity: int
    party_size_max: int = 1
    waiting_list_max: int = 0
    tier_terms: tuple[TierTerms, ...] = ()
    fee_points: int = 0
    reward: Reward | None = None
    check_in_minutes: int = DEFAULT_CHECK_IN_MINUTES
    barred_days: int = 0
    state: ActivityState = ActivityState.DRAFT
    seats_taken: int = 0
    revision: int = 0

    @property
    def program_id(self) -> ProgramId:
        """The program whose members may come."""
        return self.audience.program_id

    @property
    def is_over(self) -> bool:
        """Whether it was called off or closed."""
        return self.state in (ActivityState.CANCELLED, ActivityState.CLOSED)

    @property
    def check_in_opens_at(self) -> datetime:
        """From when members may check in."""
        return self.starts_at - timedelta(minutes=self.check_in_minutes)

    @property
    def fee_held_until(self) -> datetime:
        """When the hold of a fee ends by itself."""
        return self.ends_at + FEE_HELD_AFTER_END

    def opens_at(self, tier_id: TierId) -> datetime:
        """From when members of a tier may register."""
        earlier = [terms.registration_opens_at for terms in self.tier_terms if terms.tier_id == tier_id]
        return min(self.registration_opens_at, *(instant for instant in earlier if instant), self.registration_opens_at)

    def barred_until(self) -> datetime | None:
        """Until when who does not come may not register; None where that has no such consequence."""
        return self.ends_at + timedelta(days=self.barred_days) if self.barred_days else None

    def next_due_at(self, settled_to: datetime) -> datetime | None:
        """When the clock has something to do after an instant: seats are released, it is over, or it was called off
        and registrations are left."""
        if self.state is ActivityState.CANCELLED:
            return settled_to
        if self.state is not ActivityState.PUBLISHED:
            return None
        kept = [terms.reserved_until for terms in self.tier_terms if terms.keeps_at(settled_to)]
        return min([instant for instant in kept if instant], default=self.ends_at)


@dataclass(frozen=True, slots=True)
class ActivityChanged:
    """State: the activity was published, changed, called off or closed."""

    activity: Activity
    occurred_at: datetime

    @property
    def aggregate_id(self) -> str:
        """The activity orders its facts."""
        return self.activity.activity_id

    @property
    def revision(self) -> int:
        """Rises with every change of the activity."""
        return self.activity.revision


def check_activity(activity: Activity) -> None:
    """Refuses, with InvalidArgument and every fault at once, an activity that could not be shown or come to."""
    violations = list(_violations(activity))
    if violations:
        raise InvalidArgument.many(violations)


def _violations(activity: Activity) -> Iterator[FieldViolation]:
    for name, text in (("title", activity.title), ("place", activity.place)):
        yield from line_violations(f"activity.{name}", text, most=MAX_NAME_CHARACTERS)
    if len(activity.audience.tier_ids) > MAX_TIERS_NAMED:
        yield FieldViolation("activity.tier_ids", f"must have at most {MAX_TIERS_NAMED} items")
    for name, value, least, most in (
        ("capacity", activity.capacity, 1, MAX_CAPACITY),
        ("party_size_max", activity.party_size_max, 1, MAX_PARTY_SIZE),
        ("waiting_list_max", activity.waiting_list_max, 0, MAX_WAITING),
        ("fee_points", activity.fee_points, 0, MAX_POINTS),
        ("check_in_minutes", activity.check_in_minutes, 1, MAX_CHECK_IN_MINUTES),
        ("barred_days", activity.barred_days, 0, MAX_BARRED_DAYS),
    ):
        yield from range_violations(f"activity.{name}", value, least=least, most=most)
    if activity.reward is not None:
        yield from reward_violations("activity.reward", activity.reward)
    yield from _time_violations(activity)
    yield from _terms_violations(activity)


def _time_violations(activity: Activity) -> Iterator[FieldViolation]:
    if activity.ends_at <= activity.starts_at:
        yield FieldViolation("activity.ends_at", "must be after starts_at")
    if activity.registration_closes_at > activity.starts_at:
        yield FieldViolation("activity.registration_closes_at", "must not be after starts_at")
    if activity.registration_opens_at >= activity.registration_closes_at:
        yield FieldViolation("activity.registration_opens_at", "must be before registration closes")
    if activity.free_leaving_until > activity.starts_at:
        yield FieldViolation("activity.free_leaving_until", "must not be after starts_at")


def _terms_violations(activity: Activity) -> Iterator[FieldViolation]:
    if len(activity.tier_terms) > MAX_TIERS_NAMED:
        yield FieldViolation("activity.tier_terms", f"must have at most {MAX_TIERS_NAMED} items")
    seen: set[TierId] = set()
    for index, terms in enumerate(activity.tier_terms):
        field = f"activity.tier_terms[{index}]"
        if terms.tier_id in seen:
            yield FieldViolation(f"{field}.tier_id", "must not repeat within the activity")
        seen.add(terms.tier_id)
        if terms.reserved_seats < 0:
            yield FieldViolation(f"{field}.reserved_seats", "must not be negative")
        if bool(terms.reserved_seats) != (terms.reserved_until is not None):
            yield FieldViolation(f"{field}.reserved_until", "must be given with reserved seats, and only with them")
        if terms.reserved_until is not None and terms.reserved_until > activity.starts_at:
            yield FieldViolation(f"{field}.reserved_until", "must not be after starts_at")
        if terms.registration_opens_at is not None and terms.registration_opens_at > activity.registration_opens_at:
            yield FieldViolation(f"{field}.registration_opens_at", "must not be after everybody's")
    if sum(max(0, terms.reserved_seats) for terms in activity.tier_terms) > activity.capacity:
        yield FieldViolation("activity.tier_terms", "reserve more seats than there are")
