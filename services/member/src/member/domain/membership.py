"""A customer's membership in a program: the tier held, and what is missing to the next."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import NamedTuple, NewType

from chassis.calendar import LATEST
from chassis.errors import AlreadyExists, NotFound, Refusal

from member.domain.customer import EVERYBODY, CustomerId, PersonId
from member.domain.program import Program, ProgramId, Tier, TierId
from member.domain.requirement import Measured, Missing, Points, unmet

MemberId = NewType("MemberId", str)


class Holder(NamedTuple):
    """Who holds a membership: the customer as a whole, which is what payments earn for, or one person of it."""

    customer_id: CustomerId
    program_id: ProgramId
    person_id: PersonId = EVERYBODY

    def named(self) -> dict[str, str]:
        """The ids as a refusal names them."""
        person = {"person_id": self.person_id} if self.person_id else {}
        return {"customer_id": self.customer_id, "program_id": self.program_id, **person}


class AlreadyEnrolled(AlreadyExists):
    """A customer, or a person of it, is a member of a program once."""

    def __init__(self, holder: Holder) -> None:
        super().__init__("the customer is a member already", **holder.named())


class MemberNotFound(NotFound):
    """The customer is unknown or not a member of the program; the answer does not say which."""

    def __init__(self, holder: Holder) -> None:
        super().__init__("the customer is not a member", **holder.named())


class TierNotFound(NotFound):
    """The program has no such tier."""

    def __init__(self, program_id: ProgramId, tier_id: TierId) -> None:
        super().__init__("the program has no such tier", program_id=program_id, tier_id=tier_id)


class MemberMoved(Refusal):
    """The membership is not as it was when the move was planned: it moved since, or at a later instant."""

    def __init__(self, member_id: MemberId) -> None:
        super().__init__("the membership has moved since", member_id=member_id)


class MemberHasPoints(Refusal):
    """Who leaves loses the points left, and the request does not say that they are given up."""

    def __init__(self, holder: Holder, points: int) -> None:
        super().__init__("points would be lost", points=str(points), **holder.named())


class PointsHeld(Refusal):
    """Points of the membership are held for a use that is not certain yet; end it first."""

    def __init__(self, holder: Holder) -> None:
        super().__init__("points are held for a use not certain yet", **holder.named())


class MoveReason(StrEnum):
    """Why a tier is held."""

    ENROLMENT = "enrolment"
    EVENT = "event"
    EVALUATION = "evaluation"
    PLACEMENT = "placement"


@dataclass(frozen=True, slots=True)
class Member:
    """A membership; `tier_since` and `enrolled_at` are business times, `revision` rises with every tier from 1.

    Whatever is judged, the tier is held until `holds_until` (exclusive), which is the end of its validity, or of its
    grace once it was found lost (`in_grace`)."""

    member_id: MemberId
    holder: Holder
    tier_id: TierId
    tier_since: datetime
    enrolled_at: datetime
    revision: int
    holds_until: datetime | None = None
    in_grace: bool = False
    left_at: datetime | None = None

    @property
    def customer_id(self) -> CustomerId:
        """The customer whose membership it is, or that of one of its persons."""
        return self.holder.customer_id

    @property
    def program_id(self) -> ProgramId:
        """The program."""
        return self.holder.program_id


@dataclass(frozen=True, slots=True)
class Standing:
    """A membership seen against its program at an instant; points missing are 0 at the top."""

    member: Member
    tier: Tier
    qualifying_points: int
    next_tier: Tier | None
    points_to_next_tier: int


@dataclass(frozen=True, slots=True)
class TierMove:
    """One member's way from a tier to another; `member` is as it stands afterwards."""

    member: Member
    previous: Tier
    tier: Tier


@dataclass(frozen=True, slots=True)
class TierHeld:
    """A line of a membership's history: the tier held from an instant on, the version that judged so, and why."""

    revision: int
    tier_id: TierId
    held_from: datetime
    version: int
    reason: MoveReason
    note: str


@dataclass(frozen=True, slots=True)
class MemberEnrolled:
    """Effect: the customer became a member."""

    member_id: MemberId
    holder: Holder
    tier_id: TierId
    occurred_at: datetime

    @property
    def aggregate_id(self) -> str:
        """The membership orders its facts."""
        return self.member_id


@dataclass(frozen=True, slots=True)
class TierChanged:
    """State: the tier held from `occurred_at` on; `previous` is None at the first tier."""

    member_id: MemberId
    holder: Holder
    previous: Tier | None
    tier: Tier
    occurred_at: datetime
    revision: int

    @property
    def aggregate_id(self) -> str:
        """The membership orders its facts."""
        return self.member_id


@dataclass(frozen=True, slots=True)
class GiveUp:
    """Points that a member gives up by leaving, under the name of the transaction that takes them."""

    transaction_id: str
    member_id: MemberId
    points: int
    occurred_at: datetime


@dataclass(frozen=True, slots=True)
class MemberLeft:
    """Effect: a membership ended."""

    member_id: MemberId
    holder: Holder
    points_given_up: int
    occurred_at: datetime

    @property
    def aggregate_id(self) -> str:
        """The membership orders its facts."""
        return self.member_id


@dataclass(frozen=True, slots=True)
class DowngradeWarned:
    """Effect: a member holds less than the tier asks for, and will lose it at `ends_at` unless that changes."""

    member_id: MemberId
    holder: Holder
    tier: Tier
    falls_to: Tier
    missing: tuple[Missing, ...]
    ends_at: datetime
    occurred_at: datetime

    @property
    def aggregate_id(self) -> str:
        """The membership orders its facts."""
        return self.member_id


def standing(member: Member, program: Program, measured: Measured, as_of: datetime) -> Standing:
    """What the member holds and what is missing to the next tier; points beyond it leave nothing missing."""
    tier = program.tier(member.tier_id)
    next_tier = program.next_tier(tier)
    asked = program.requirement(next_tier) if next_tier else None
    points = [each.amount for each in unmet(asked, measured, as_of) if isinstance(each.leaf, Points)] if asked else []
    qualifying = measured.get(program.points_measure)
    return Standing(member, tier, qualifying if isinstance(qualifying, int) else 0, next_tier, max(points, default=0))


def judge(member: Member, program: Program, reached: Tier, as_of: datetime) -> Member | None:
    """The member after being judged at an instant to reach a tier; None where nothing changes.

    A better tier is taken at once. A worse one is taken when nothing holds the present tier any more: neither its
    validity, nor the grace that begins when it is first found lost; with soft landing it is the next one down.
    """
    held = program.tier(member.tier_id)
    if reached.rank > held.rank:
        return _moved(member, reached, as_of, holds_until=program.valid_until(as_of))
    if reached.rank == held.rank:
        return replace(member, in_grace=False, holds_until=None) if member.in_grace else None
    if member.holds_until is not None and as_of < member.holds_until:
        return None
    if program.moves.grace_days and not member.in_grace:
        return replace(member, in_grace=True, holds_until=_later(as_of, program.moves.grace_days))
    return _fallen(member, program, reached, as_of)


def rise(member: Member, program: Program, reached: Tier, as_of: datetime) -> Member | None:
    """The member after being judged for an upgrade alone; it takes effect at `as_of`, but never before the tier held
    now was taken: the history goes forward only."""
    if reached.rank <= program.tier(member.tier_id).rank:
        return None
    at = max(as_of, member.tier_since)
    return _moved(member, reached, at, holds_until=program.valid_until(at))


def falling_to(program: Program, held: Tier, reached: Tier) -> Tier:
    """Where a member falls who holds one tier and reaches a worse: there, or with soft landing one tier down."""
    return program.tiers[held.rank - 1] if program.moves.soft_landing else reached


def place(member: Member, tier: Tier, at: datetime, *, holds_until: datetime | None) -> Member:
    """The member in a tier that somebody chose."""
    return _moved(member, tier, at, holds_until=holds_until)


def _fallen(member: Member, program: Program, reached: Tier, as_of: datetime) -> Member | None:
    if not program.moves.soft_landing:
        return _moved(member, reached, as_of, holds_until=None)
    if as_of <= member.tier_since:
        return None
    below = falling_to(program, program.tier(member.tier_id), reached)
    return _moved(member, below, as_of, holds_until=None if below == reached else program.valid_until(as_of))


def _moved(member: Member, tier: Tier, at: datetime, *, holds_until: datetime | None) -> Member:
    return replace(
        member,
        tier_id=tier.tier_id,
        tier_since=at,
        revision=member.revision + 1,
        holds_until=holds_until,
        in_grace=False,
    )


def _later(instant: datetime, days: int) -> datetime:
    return min(LATEST, instant + timedelta(days=days))


def first_tier_taken(member: Member, program: Program) -> TierChanged:
    """The state that a new member starts with."""
    return TierChanged(
        member.member_id,
        member.holder,
        previous=None,
        tier=program.tier(member.tier_id),
        occurred_at=member.tier_since,
        revision=member.revision,
    )


def tier_moved(move: TierMove) -> TierChanged:
    """The state after a move."""
    return TierChanged(
        move.member.member_id,
        move.member.holder,
        previous=move.previous,
        tier=move.tier,
        occurred_at=move.member.tier_since,
        revision=move.member.revision,
    )
