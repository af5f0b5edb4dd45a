"""A customer's membership in a program: the tier held, and what is missing to the next."""

from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple, NewType

from chassis.errors import AlreadyExists, NotFound

from member.domain.customer import EVERYBODY, CustomerId, PersonId
from member.domain.program import Program, ProgramId, Tier, TierId

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


@dataclass(frozen=True, slots=True)
class Member:
    """A membership; `tier_since` and `enrolled_at` are business times, `revision` rises with every tier from 1."""

    member_id: MemberId
    holder: Holder
    tier_id: TierId
    tier_since: datetime
    enrolled_at: datetime
    revision: int

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
    """One member's way from a tier to another, found by judging."""

    member: Member
    previous: Tier
    tier: Tier


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


def standing(member: Member, program: Program, qualifying_points: int) -> Standing:
    """What the member holds and what is missing to the next tier; points beyond it leave nothing missing."""
    tier = program.tier(member.tier_id)
    next_tier = program.next_tier(tier)
    missing = max(0, next_tier.points_required - qualifying_points) if next_tier else 0
    return Standing(member, tier, qualifying_points, next_tier, missing)


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
