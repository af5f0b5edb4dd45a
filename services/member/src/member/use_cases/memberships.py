"""Make customers members, end memberships, and say where a member stands."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from chassis.errors import Refusal
from chassis.ids import new_id
from chassis.paging import Page
from chassis.work import Transaction

from member.domain.customer import EVERYBODY, CustomerId, CustomerNotFound, PersonId, PersonNotFound
from member.domain.membership import (
    AlreadyEnrolled,
    GiveUp,
    Holder,
    Member,
    MemberEnrolled,
    MemberHasPoints,
    MemberId,
    MemberLeft,
    MemberMoved,
    MemberNotFound,
    PointsHeld,
    Standing,
    TierHeld,
    TierNotFound,
    first_tier_taken,
    standing,
)
from member.domain.program import Program, ProgramId, ProgramNotFound, TierId, Timeline
from member.store import Connection, customers, earners, members, points, programs, spending, tiers
from member.store.giving_up import post_give_up
from member.use_cases.entitlements import refresh
from member.use_cases.programs import number_of
from member.use_cases.tiers import judge_upgrades


@dataclass(frozen=True, slots=True)
class EnrolCustomer:
    """Make the customer, or one person of it, a member of the program from `occurred_at` on: with its first tier, or
    with `tier_id` where one is given."""

    holder: Holder
    occurred_at: datetime
    tier_id: TierId | None = None


@dataclass(frozen=True, slots=True)
class LeaveProgram:
    """End a membership. Points that are left are given up, which the member must have agreed to where there are any."""

    transaction_id: str
    holder: Holder
    occurred_at: datetime
    give_up_points: bool


@dataclass(frozen=True, slots=True)
class Left:
    """A membership that ended, and the points given up with it."""

    member: Member
    points_given_up: int


async def enrol_customers(transaction: Transaction, commands: Sequence[EnrolCustomer]) -> list[Standing | Refusal]:
    """Enrol customers, each into its program's first tier where no other is given, or into the best that it reaches
    already where the program moves its members at once.

    Refuses ProgramNotFound, TierNotFound, CustomerNotFound, PersonNotFound, and AlreadyEnrolled: a customer is a member
    of a program once at a time, and so is each of its persons.
    """
    connection = transaction.connection
    known = await _versions(transaction, commands)
    existing = await customers.existing_persons(connection, {command.holder.customer_id for command in commands})
    outcomes = [_new_member(command, program, existing) for command, program in zip(commands, known, strict=True)]
    by_member = {
        outcome.member_id: program
        for outcome, program in zip(outcomes, known, strict=True)
        if isinstance(outcome, Member) and program
    }
    new = _once(outcomes)
    versions = {member_id: program.revision for member_id, program in by_member.items()}
    written = await members.insert_members(connection, new, versions, recorded_at=transaction.recorded_at)
    await points.open_accounts(connection, sorted(written), opened_at=transaction.recorded_at)
    begun = {member.member_id: member for member in new if member.member_id in written}
    for member in begun.values():
        _tell(transaction, member, by_member[member.member_id])
    await refresh(transaction, {member.customer_id for member in begun.values()})
    risen = await judge_upgrades(transaction, {member.member_id: member.enrolled_at for member in begun.values()})
    begun |= {move.member.member_id: move.member for move in risen}
    return [_outcome(outcome, by_member, begun) for outcome in outcomes]


async def leave_program(transaction: Transaction, command: LeaveProgram) -> Left:
    """End the membership at an instant, with the points that are left given up: they go from the account, and nothing
    earns or counts for it any more. The customer may be enrolled again, as a new member with nothing.

    Refuses MemberNotFound, PointsHeld while points are held for a use, MemberHasPoints where points are left and the
    command does not give them up, and MemberMoved where the membership moved, or had more points, at a later instant.
    """
    connection, holder, at = transaction.connection, command.holder, command.occurred_at
    member = await _member(connection, holder)
    await spending.lock_accounts(connection, [member.member_id])
    balance = await points.balance_at(connection, member.member_id, at)
    latest = await points.balance_at(connection, member.member_id, max(at, transaction.recorded_at))
    if balance.held or latest.held:
        raise PointsHeld(holder)
    if latest.balance > balance.balance:
        # What came later would stay in a membership that nobody can spend from.
        raise MemberMoved(member.member_id)
    if balance.balance > 0 and not command.give_up_points:
        raise MemberHasPoints(holder, balance.balance)
    if balance.balance > 0:
        give_up = GiveUp(command.transaction_id, member.member_id, balance.balance, at)
        await post_give_up(connection, give_up, recorded_at=transaction.recorded_at)
    left = await members.end_membership(connection, member, left_at=at)
    if left is None:
        raise MemberMoved(member.member_id)
    transaction.emit(MemberLeft(member.member_id, holder, points_given_up=max(0, balance.balance), occurred_at=at))
    await refresh(transaction, [holder.customer_id])
    return Left(left, max(0, balance.balance))


async def give_up_late_points(transaction: Transaction, ids: Collection[MemberId]) -> int:
    """Points that reached a membership just as it was left are given up like those before; says how many. Of one that
    went into another by a merge they follow the others instead."""
    connection, at, given_up = transaction.connection, transaction.recorded_at, 0
    gone = await earners.left_for_good(connection, ids)
    if not gone:
        return 0
    await spending.lock_accounts(connection, gone)
    for member_id in sorted(gone):
        balance = await points.balance_at(connection, member_id, at)
        if balance.available > 0:
            name = f"left:{member_id}:{balance.account_version}"
            give_up = GiveUp(name, member_id, balance.available, at)
            await post_give_up(connection, give_up, recorded_at=at)
            given_up += balance.available
    return given_up


async def get_standing(connection: Connection, holder: Holder, *, as_of: datetime) -> Standing:
    """The membership with the points that count at `as_of` and what is missing to the next tier, or MemberNotFound."""
    member = await _member(connection, holder)
    program = await program_of(connection, member, as_of)
    next_tier = program.next_tier(program.tier(member.tier_id))
    measures = dict.fromkeys([program.points_measure, *program.measures([next_tier] if next_tier else [])])
    measured = await tiers.measure_member(connection, program, list(measures), member, as_of)
    return standing(member, program, measured, as_of)


async def list_history(connection: Connection, holder: Holder, page: Page) -> list[TierHeld]:
    """The tiers held, newest first, one more than the page holds where there are more; or MemberNotFound."""
    member = await _member(connection, holder)
    return await tiers.list_history(connection, member.member_id, before=number_of(page), limit=page.wanted)


async def list_members(
    connection: Connection, program_id: ProgramId, tier_id: TierId | None, page: Page
) -> list[Member]:
    """Members of the program, of one tier or all, by id; ProgramNotFound, TierNotFound."""
    program = await programs.find_program(connection, program_id)
    if program is None:
        raise ProgramNotFound(program_id)
    if tier_id is not None and tier_id not in {tier.tier_id for tier in program.tiers}:
        raise TierNotFound(program_id, tier_id)
    return await tiers.list_members(connection, program_id, tier_id, after=page.after, limit=page.wanted)


async def list_memberships(connection: Connection, customer_id: CustomerId, *, as_of: datetime) -> list[Standing]:
    """Every membership of a customer and its persons, by program and person; none for a customer who has none."""
    found = await members.find_members_of(connection, [customer_id])
    return [
        await get_standing(connection, member.holder, as_of=as_of)
        for member in sorted(found, key=lambda member: member.holder)
    ]


async def program_of(connection: Connection, member: Member, as_of: datetime) -> Program:
    """The version in force at an instant, or when the member's tier was taken where that is later: it has the tier."""
    at = max(as_of, member.tier_since)
    return (await programs.find_timelines(connection, [member.program_id], since=at))[member.program_id].at(at)


async def _member(connection: Connection, holder: Holder) -> Member:
    member = await members.find_member(connection, holder)
    if member is None:
        raise MemberNotFound(holder)
    return member


async def _versions(transaction: Transaction, commands: Sequence[EnrolCustomer]) -> list[Program | None]:
    """The version in force when each is enrolled; None where there is no such program."""
    if not commands:
        return []
    timelines: dict[ProgramId, Timeline] = await programs.find_timelines_for_use(
        transaction.connection,
        {command.holder.program_id for command in commands},
        since=min(command.occurred_at for command in commands),
    )
    return [
        timelines[command.holder.program_id].at(command.occurred_at) if command.holder.program_id in timelines else None
        for command in commands
    ]


def _new_member(
    command: EnrolCustomer, program: Program | None, existing: Mapping[CustomerId, set[PersonId]]
) -> Member | Refusal:
    customer_id, program_id, person_id = command.holder
    if program is None:
        return ProgramNotFound(program_id)
    if customer_id not in existing:
        return CustomerNotFound(customer_id)
    if person_id != EVERYBODY and person_id not in existing[customer_id]:
        return PersonNotFound(customer_id, person_id)
    if command.tier_id is not None and command.tier_id not in {tier.tier_id for tier in program.tiers}:
        return TierNotFound(program_id, command.tier_id)
    return Member(
        MemberId(new_id()),
        command.holder,
        command.tier_id or program.first_tier.tier_id,
        tier_since=command.occurred_at,
        enrolled_at=command.occurred_at,
        revision=1,
        holds_until=program.valid_until(command.occurred_at) if command.tier_id else None,
    )


def _once(outcomes: Sequence[Member | Refusal]) -> list[Member]:
    """The first of those who are enrolled into one program several times in the batch."""
    first: dict[Holder, Member] = {}
    for outcome in outcomes:
        if isinstance(outcome, Member):
            first.setdefault(outcome.holder, outcome)
    return list(first.values())


def _outcome(
    outcome: Member | Refusal, known: Mapping[MemberId, Program], begun: Mapping[MemberId, Member]
) -> Standing | Refusal:
    if isinstance(outcome, Refusal):
        return outcome
    member = begun.get(outcome.member_id)
    if member is None:
        return AlreadyEnrolled(outcome.holder)
    return standing(member, known[outcome.member_id], {}, member.enrolled_at)


def _tell(transaction: Transaction, member: Member, program: Program) -> None:
    transaction.emit(MemberEnrolled(member.member_id, member.holder, member.tier_id, occurred_at=member.enrolled_at))
    transaction.emit(first_tier_taken(member, program))
