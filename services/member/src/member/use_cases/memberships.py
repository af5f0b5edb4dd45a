"""Make customers members, and say where a member stands."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from chassis.errors import Refusal
from chassis.ids import new_id
from chassis.work import Transaction

from member.domain.customer import EVERYBODY, CustomerId, CustomerNotFound, PersonId, PersonNotFound
from member.domain.membership import (
    AlreadyEnrolled,
    Holder,
    Member,
    MemberEnrolled,
    MemberId,
    MemberNotFound,
    Standing,
    first_tier_taken,
    standing,
)
from member.domain.program import Program, ProgramId, ProgramNotFound
from member.store import Connection, customers, members, points, programs, tiers
from member.use_cases.entitlements import refresh


@dataclass(frozen=True, slots=True)
class EnrolCustomer:
    """Make the customer, or one person of it, a member of the program from `occurred_at` on."""

    holder: Holder
    occurred_at: datetime


async def enrol_customers(transaction: Transaction, commands: Sequence[EnrolCustomer]) -> list[Standing | Refusal]:
    """Enrol customers, each into its program's first tier.

    Refuses ProgramNotFound, CustomerNotFound, PersonNotFound, and AlreadyEnrolled: a customer is a member of a program
    once, and so is each of its persons.
    """
    connection = transaction.connection
    known = await programs.find_programs_for_use(connection, {command.holder.program_id for command in commands})
    existing = await customers.existing_persons(connection, {command.holder.customer_id for command in commands})
    outcomes = [_new_member(command, known, existing) for command in commands]
    new = _once(outcomes)
    written = await members.insert_members(connection, new, recorded_at=transaction.recorded_at)
    await points.open_accounts(connection, sorted(written), opened_at=transaction.recorded_at)
    for member in new:
        if member.member_id in written:
            _tell(transaction, member, known[member.program_id])
    await refresh(transaction, {member.customer_id for member in new if member.member_id in written})
    return [_outcome(outcome, known, written) for outcome in outcomes]


async def get_standing(connection: Connection, holder: Holder, *, as_of: datetime) -> Standing:
    """The membership with the points that count at `as_of` and what is missing to the next tier, or MemberNotFound."""
    member = await members.find_member(connection, holder)
    if member is None:
        raise MemberNotFound(holder)
    program = (await programs.find_programs(connection, [holder.program_id]))[holder.program_id]
    qualifying = await tiers.qualifying_points(
        connection, [member.member_id], window_start=program.window_start(as_of), as_of=as_of
    )
    return standing(member, program, qualifying[member.member_id])


def _new_member(
    command: EnrolCustomer, known: dict[ProgramId, Program], existing: dict[CustomerId, set[PersonId]]
) -> Member | Refusal:
    customer_id, program_id, person_id = command.holder
    program = known.get(program_id)
    if program is None:
        return ProgramNotFound(program_id)
    if customer_id not in existing:
        return CustomerNotFound(customer_id)
    if person_id != EVERYBODY and person_id not in existing[customer_id]:
        return PersonNotFound(customer_id, person_id)
    return Member(
        MemberId(new_id()),
        command.holder,
        program.first_tier.tier_id,
        tier_since=command.occurred_at,
        enrolled_at=command.occurred_at,
        revision=1,
    )


def _once(outcomes: Sequence[Member | Refusal]) -> list[Member]:
    """The first of those who are enrolled into one program several times in the batch."""
    first: dict[Holder, Member] = {}
    for outcome in outcomes:
        if isinstance(outcome, Member):
            first.setdefault(outcome.holder, outcome)
    return list(first.values())


def _outcome(outcome: Member | Refusal, known: dict[ProgramId, Program], written: set[MemberId]) -> Standing | Refusal:
    if isinstance(outcome, Refusal):
        return outcome
    if outcome.member_id not in written:
        return AlreadyEnrolled(outcome.holder)
    return standing(outcome, known[outcome.program_id], qualifying_points=0)


def _tell(transaction: Transaction, member: Member, program: Program) -> None:
    transaction.emit(MemberEnrolled(member.member_id, member.holder, member.tier_id, occurred_at=member.enrolled_at))
    transaction.emit(first_tier_taken(member, program))
