"""Two customers who turn out to be one: what becomes of the persons, lines and accounts of the one merged away."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import NamedTuple

from chassis.errors import FieldViolation, InvalidArgument, Refusal

from member.domain.customer import (
    EVERYBODY,
    MAX_ACCOUNTS,
    MAX_PERSONS,
    MAX_SUBSCRIBERS,
    Customer,
    CustomerId,
    PersonErased,
    PersonId,
    PersonNotFound,
)
from member.domain.membership import Holder, Member, MemberId
from member.domain.program import ProgramId

Moves = Mapping[PersonId, PersonId]


class PersonIdsClash(Refusal):
    """Both customers have persons with these ids; whether they are the same persons, only the caller knows."""

    def __init__(self, customer_id: CustomerId, person_ids: Sequence[PersonId]) -> None:
        super().__init__(
            "both customers have persons with these ids: say what they become",
            customer_id=customer_id,
            person_ids=",".join(person_ids[:10]),
        )


class CustomerTooLarge(Refusal):
    """The two together would have more persons, lines or accounts than a customer may have."""

    def __init__(self, customer_id: CustomerId) -> None:
        super().__init__("the two together would be larger than a customer may be", customer_id=customer_id)


class PointsOwed(Refusal):
    """The membership merged away owes points; they are to be given or forgiven first."""

    def __init__(self, holder: Holder) -> None:
        super().__init__("the membership owes points", **holder.named())


@dataclass(frozen=True, slots=True)
class Merge:
    """A merge as stored: `person_moves` names every person of the one merged away, also those who are gone while
    something is kept of them; `merged_at` is business time."""

    customer_id: CustomerId
    merged_id: CustomerId
    person_moves: Moves
    moved_memberships: int
    merged_at: datetime
    merged_by: str
    recorded_at: datetime


class Carried(NamedTuple):
    """A membership that ended in another one, and the points that went over."""

    program_id: ProgramId
    member_id: MemberId
    into_member_id: MemberId
    points: int


class PointsMove(NamedTuple):
    """All free points of one membership that go to another."""

    giver: Member
    receiver: Member
    occurred_at: datetime


class Merged(NamedTuple):
    """A merge with what it came to for the memberships."""

    merge: Merge
    carried: Sequence[Carried]


@dataclass(frozen=True, slots=True)
class CustomersMerged:
    """Effect: what is kept under the id of the one merged away belongs to the other now."""

    merge: Merge

    @property
    def aggregate_id(self) -> str:
        """The customer merged away orders the fact."""
        return self.merge.merged_id

    @property
    def occurred_at(self) -> datetime:
        """When it was decided."""
        return self.merge.merged_at


class Memberships(NamedTuple):
    """What becomes of the memberships of the one merged away: some go over as they are, some end in one that is."""

    moving: Sequence[tuple[Member, Holder]]
    ending: Sequence[tuple[Member, Member]]


def check_moves(moves: Sequence[tuple[PersonId, PersonId]]) -> None:
    """Refuses, with InvalidArgument, moves that name a person twice, or make one person of two."""
    violations: list[FieldViolation] = []
    if len(moves) > MAX_PERSONS:
        violations.append(FieldViolation("person_moves", f"must have at most {MAX_PERSONS} items"))
    for place, name in enumerate(("person_id", "becomes_person_id")):
        named = [move[place] for move in moves]
        violations += [
            FieldViolation(f"person_moves[{index}].{name}", "must not repeat")
            for index, each in enumerate(named)
            if each in named[:index]
        ]
    if violations:
        raise InvalidArgument.many(violations)


def person_moves(
    customer: Customer, other: Customer, said: Moves, erased: Collection[PersonId], *, gone: Collection[PersonId] = ()
) -> Moves:
    """What each person of `other` becomes: what was said, or itself.

    So does who is `gone`, put away or forgotten, while something is kept under the id: it must not become a namesake's.

    Refuses PersonNotFound, PersonIdsClash where an id is taken and nothing was said or two would become one, and
    PersonErased where the id is that of somebody who asked the customer to be forgotten.
    """
    theirs = [*(person.person_id for person in other.persons), *gone]
    if unknown := [each for each in said if each not in theirs]:
        raise PersonNotFound(other.customer_id, unknown[0])
    moves = {person_id: said.get(person_id, person_id) for person_id in theirs}
    become = list(moves.values())
    ours = {person.person_id for person in customer.persons}
    clashing = [
        person_id
        for person_id, becomes in moves.items()
        if become.count(becomes) > 1 or (becomes in ours and person_id not in said)
    ]
    if clashing:
        raise PersonIdsClash(other.customer_id, clashing)
    if forgotten := [each for each in become if each in erased]:
        raise PersonErased(customer.customer_id, forgotten)
    return moves


def merged(customer: Customer, other: Customer, moves: Moves) -> Customer:
    """The customer with what the other one had; of what both have, its own stays. Refuses CustomerTooLarge."""
    ours = {person.person_id for person in customer.persons}
    lines = {line.subscriber_id for line in customer.subscribers}
    accounts = {account.account_id for account in customer.accounts}
    whole = replace(
        customer,
        persons=customer.persons
        + tuple(
            replace(person, person_id=moves[person.person_id])
            for person in other.persons
            if moves[person.person_id] not in ours
        ),
        subscribers=customer.subscribers + tuple(line for line in other.subscribers if line.subscriber_id not in lines),
        accounts=customer.accounts + tuple(each for each in other.accounts if each.account_id not in accounts),
        registered_at=min(customer.registered_at, other.registered_at),
    )
    sizes = (len(whole.persons), len(whole.subscribers), len(whole.accounts))
    if any(size > most for size, most in zip(sizes, (MAX_PERSONS, MAX_SUBSCRIBERS, MAX_ACCOUNTS), strict=True)):
        raise CustomerTooLarge(customer.customer_id)
    return whole


def memberships_merged(
    customer_id: CustomerId, ours: Sequence[Member], theirs: Sequence[Member], moves: Moves
) -> Memberships:
    """Each membership of the one merged away goes to the same holder here: it ends where there is one already."""
    known = {member.holder: member for member in ours}
    moving: list[tuple[Member, Holder]] = []
    ending: list[tuple[Member, Member]] = []
    for member in theirs:
        person_id = member.holder.person_id
        becomes = person_id if person_id == EVERYBODY else moves.get(person_id, person_id)
        holder = Holder(customer_id, member.program_id, becomes)
        if holder in known:
            ending.append((member, known[holder]))
        else:
            moving.append((member, holder))
    return Memberships(moving, ending)
