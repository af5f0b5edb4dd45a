"""Make customers members, and say where a member stands."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from chassis.errors import Refusal
from chassis.ids import new_id
from chassis.work import Transaction

from member.domain.customer import CustomerId, CustomerNotFound
from member.domain.membership import (
    AlreadyEnrolled,
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


@dataclass(frozen=True, slots=True)
class EnrolCustomer:
    """Make the customer a member of the program from `occurred_at` on."""

    customer_id: CustomerId
    program_id: ProgramId
    occurred_at: datetime


async def enrol_customers(transaction: Transaction, commands: Sequence[EnrolCustomer]) -> list[Standing | Refusal]:
    """Enrol customers, each into its program's first tier.

    Refuses ProgramNotFound, CustomerNotFound, and AlreadyEnrolled: a customer is a member of a program once.
    """
    connection = transaction.connection
    known = await programs.find_programs_for_use(connection, {command.program_id for command in commands})
    existing = await customers.existing_customers(connection, {command.customer_id for command in commands})
    outcomes = [_new_member(command, known, existing) for command in commands]
    new = _once(outcomes)
    written = await members.insert_members(connection, new, recorded_at=transaction.recorded_at)
    await points.open_accounts(connection, sorted(written), opened_at=transaction.recorded_at)
    for member in new:
        if member.member_id in written:
            _tell(transaction, member, known[member.program_id])
    return [_outcome(outcome, known, written) for outcome in outcomes]


async def get_standing(
    connection: Connection, customer_id: CustomerId, program_id: ProgramId, *, as_of: datetime
) -> Standing:
    """The membership with the points that count at `as_of` and what is missing to the next tier, or MemberNotFound."""
    member = await members.find_member(connection, customer_id, program_id)
    if member is None:
        raise MemberNotFound(customer_id, program_id)
    program = (await programs.find_programs(connection, [program_id]))[program_id]
    qualifying = await tiers.qualifying_points(
        connection, [member.member_id], window_start=program.window_start(as_of), as_of=as_of
    )
    return standing(member, program, qualifying[member.member_id])


def _new_member(command: EnrolCustomer, known: dict[ProgramId, Program], existing: set[CustomerId]) -> Member | Refusal:
    program = known.get(command.program_id)
    if program is None:
        return ProgramNotFound(command.program_id)
    if command.customer_id not in existing:
        return CustomerNotFound(command.customer_id)
    return Member(
        MemberId(new_id()),
        command.customer_id,
        command.program_id,
        program.first_tier.tier_id,
        tier_since=command.occurred_at,
        enrolled_at=command.occurred_at,
        revision=1,
    )


def _once(outcomes: Sequence[Member | Refusal]) -> list[Member]:
    """The first of those who are enrolled into one program several times in the batch."""
    first: dict[tuple[CustomerId, ProgramId], Member] = {}
    for outcome in outcomes:
        if isinstance(outcome, Member):
            first.setdefault((outcome.customer_id, outcome.program_id), outcome)
    return list(first.values())


def _outcome(outcome: Member | Refusal, known: dict[ProgramId, Program], written: set[MemberId]) -> Standing | Refusal:
    if isinstance(outcome, Refusal):
        return outcome
    if outcome.member_id not in written:
        return AlreadyEnrolled(outcome.customer_id, outcome.program_id)
    return standing(outcome, known[outcome.program_id], qualifying_points=0)


def _tell(transaction: Transaction, member: Member, program: Program) -> None:
    transaction.emit(
        MemberEnrolled(
            member.member_id, member.customer_id, member.program_id, member.tier_id, occurred_at=member.enrolled_at
        )
    )
    transaction.emit(first_tier_taken(member, program))
