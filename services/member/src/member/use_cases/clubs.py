"""Clubs: their rules, and who joins, is let in, is refused or leaves."""

from dataclasses import dataclass
from datetime import datetime

from chassis.calendar import Calendar
from chassis.errors import InvalidArgument
from chassis.ids import new_id
from chassis.paging import Page
from chassis.work import Transaction

from member.domain.club import (
    AlreadyInClub,
    Candidate,
    Club,
    ClubFull,
    ClubId,
    ClubMembership,
    ClubMembershipChanged,
    ClubMembershipId,
    ClubMembershipNotFound,
    ClubNotFound,
    ClubState,
    EndReason,
    NotApplied,
    check_club,
    check_joining,
)
from member.domain.customer import CustomerId, PersonId
from member.domain.membership import Holder
from member.domain.program import Program, ProgramNotFound
from member.store import Connection, programs
from member.store import clubs as store
from member.store.catalogue import PutBy
from member.use_cases.holding import Held, find_held_for_use
from member.use_cases.spending import SpendPoints, spend_points


@dataclass(frozen=True, slots=True)
class PutClub:
    """Create the club or replace its rules; `put_by` is who does."""

    club: Club
    put_by: str

    def __post_init__(self) -> None:
        check_club(self.club)


@dataclass(frozen=True, slots=True)
class JoinClub:
    """Join the club, or apply where an operator decides."""

    club_id: ClubId
    customer_id: CustomerId
    person_id: PersonId
    renews: bool
    occurred_at: datetime


@dataclass(frozen=True, slots=True)
class LeaveClub:
    """Leave the club or take an application back; `at_term_end` stays for as long as is paid."""

    club_id: ClubId
    customer_id: CustomerId
    person_id: PersonId
    at_term_end: bool
    occurred_at: datetime


@dataclass(frozen=True, slots=True)
class Decide:
    """Decide on an application."""

    club_membership_id: ClubMembershipId
    occurred_at: datetime


async def put_club(transaction: Transaction, command: PutClub) -> Club:
    """Put the rules; ProgramNotFound, or InvalidArgument where the program has no such tier. Who is in stays in."""
    club = command.club
    known = await programs.find_programs_for_use(transaction.connection, [club.program_id])
    if club.program_id not in known:
        raise ProgramNotFound(club.program_id)
    _check_tier(club, known[club.program_id])
    return await store.put_club(transaction.connection, club, PutBy(command.put_by, transaction.recorded_at))


async def get_club(connection: Connection, club_id: ClubId) -> Club:
    """The club, or ClubNotFound."""
    club = await store.find_club(connection, club_id)
    if club is None:
        raise ClubNotFound(club_id)
    return club


async def list_clubs(connection: Connection, page: Page) -> list[Club]:
    """Clubs by id, one more than the page holds where there are more."""
    return await store.list_clubs(connection, after=page.after, limit=page.wanted)


async def join_club(transaction: Transaction, command: JoinClub, *, calendar: Calendar) -> ClubMembership:
    """Join the club whose rules the member meets, and pay for the first term.

    Refuses ClubNotFound, MemberNotFound, ClubClosed, ClubTierTooLow, ClubTenureTooShort, ClubFull, AlreadyInClub and
    InsufficientBalance. An application takes no place and pays nothing until it is approved.
    """
    connection, at = transaction.connection, command.occurred_at
    club = await _locked(transaction, command.club_id)
    held = await find_held_for_use(connection, Holder(command.customer_id, club.program_id, command.person_id))
    _check_place(club, await candidate_of(connection, club, held), at)
    wanted = _application(club, held, command)
    membership = wanted if club.needs_approval else wanted.begun(club, calendar, at)
    if not await store.insert_membership(connection, membership):
        raise AlreadyInClub(club.club_id, held.member.holder)
    if membership.state is ClubState.ACTIVE:
        await store.move_places(connection, club.club_id, 1)
        await take_fee(transaction, club, membership, at)
    transaction.emit(ClubMembershipChanged(membership, at))
    return membership


async def approve_member(transaction: Transaction, command: Decide, *, calendar: Calendar) -> ClubMembership:
    """Let an applicant in who still meets the rules; refuses what joining refuses, and NotApplied."""
    connection, at = transaction.connection, command.occurred_at
    club, applied = await _applied(transaction, command)
    held = await find_held_for_use(connection, applied.holder)
    _check_place(club, await candidate_of(connection, club, held), at)
    membership = applied.begun(club, calendar, max(at, applied.applied_at))
    await store.save_membership(connection, membership)
    await store.move_places(connection, club.club_id, 1)
    await take_fee(transaction, club, membership, at)
    transaction.emit(ClubMembershipChanged(membership, at))
    return membership


async def refuse_member(transaction: Transaction, command: Decide) -> ClubMembership:
    """Turn an application down; NotApplied where it does not wait for a decision."""
    _, applied = await _applied(transaction, command)
    refused = applied.refused(max(command.occurred_at, applied.applied_at))
    await store.save_membership(transaction.connection, refused)
    transaction.emit(ClubMembershipChanged(refused, command.occurred_at))
    return refused


async def leave_club(transaction: Transaction, command: LeaveClub) -> ClubMembership:
    """Leave at once, or when the term ends where there is one; ClubMembershipNotFound for who is not in the club."""
    connection = transaction.connection
    club = await _locked(transaction, command.club_id)
    holder = Holder(command.customer_id, club.program_id, command.person_id)
    found = await store.find_open_for_update(connection, club.club_id, holder)
    if found is None:
        raise ClubMembershipNotFound(club_id=club.club_id, **holder.named())
    left = _left(found, command)
    if left == found:
        return found
    await store.save_membership(connection, left)
    if found.state is ClubState.ACTIVE and left.state is ClubState.ENDED:
        await store.move_places(connection, club.club_id, -1)
    transaction.emit(ClubMembershipChanged(left, command.occurred_at))
    return left


async def list_of_customer(connection: Connection, customer_id: CustomerId, page: Page) -> list[ClubMembership]:
    """The club memberships of a customer and its persons, newest first, one more than the page holds."""
    return await store.list_of_customer(connection, customer_id, before=page.after, limit=page.wanted)


async def list_of_club(
    connection: Connection, club_id: ClubId, state: ClubState | None, page: Page
) -> list[ClubMembership]:
    """The memberships of a club, newest first, one more than the page holds; ClubNotFound."""
    await get_club(connection, club_id)
    return await store.list_of_club(connection, club_id, state, before=page.after, limit=page.wanted)


async def take_fee(transaction: Transaction, club: Club, membership: ClubMembership, at: datetime) -> None:
    """Take the points of a membership's present term, or InsufficientBalance."""
    if club.fee_points:
        await spend_points(transaction, fee_of(club, membership, at))


def fee_of(club: Club, membership: ClubMembership, at: datetime) -> SpendPoints:
    """The fee of a membership's present term. A term is paid once: its transaction is named after it."""
    return SpendPoints(
        f"club:{membership.club_membership_id}:{membership.terms}",
        membership.holder,
        club.fee_points,
        f"club {club.club_id}, term {membership.terms}",
        at,
        reference=membership.club_membership_id,
    )


async def candidate_of(connection: Connection, club: Club, held: Held) -> Candidate:
    """What the club asks about a member."""
    member = held.member
    since = await store.customers_since(connection, [member.member_id])
    return candidate_from(club, held, since[member.member_id])


def candidate_from(club: Club, held: Held, customer_since: datetime) -> Candidate:
    """The same of what is loaded. A tier that the program does not have any more asks for nothing."""
    least = next((tier for tier in held.program.tiers if tier.tier_id == club.least_tier_id), None)
    reaches = least is None or held.tier.rank >= least.rank
    return Candidate(reaches, held.member.tier_since, customer_since)


def _check_tier(club: Club, program: Program) -> None:
    if club.least_tier_id is not None and all(tier.tier_id != club.least_tier_id for tier in program.tiers):
        raise InvalidArgument("club.least_tier_id", "must be a tier of the program")


def _check_place(club: Club, candidate: Candidate, at: datetime) -> None:
    check_joining(club, candidate, at)
    if club.is_full:
        raise ClubFull(club.club_id)


def _application(club: Club, held: Held, command: JoinClub) -> ClubMembership:
    return ClubMembership(
        ClubMembershipId(new_id()),
        club.club_id,
        held.member.member_id,
        held.member.holder,
        ClubState.APPLIED,
        applied_at=command.occurred_at,
        active_since=None,
        terms=0,
        term_ends_at=None,
        renews=command.renews,
        lapses_at=None,
        ended_at=None,
        end_reason=None,
        revision=0 if not club.needs_approval else 1,
    )


def _left(found: ClubMembership, command: LeaveClub) -> ClubMembership:
    """An application is taken back at once, and so is a membership without end."""
    if command.at_term_end and found.state is ClubState.ACTIVE and found.term_ends_at is not None:
        return found.not_renewing()
    return found.ended(max(command.occurred_at, found.active_since or found.applied_at), EndReason.LEFT)


async def _locked(transaction: Transaction, club_id: ClubId) -> Club:
    found = await store.find_clubs_for_update(transaction.connection, [club_id])
    if club_id not in found:
        raise ClubNotFound(club_id)
    return found[club_id]


async def _applied(transaction: Transaction, command: Decide) -> tuple[Club, ClubMembership]:
    """The application and its club, both locked, the club first."""
    connection, key = transaction.connection, command.club_membership_id
    seen = await store.find_memberships(connection, [key])
    if not seen:
        raise ClubMembershipNotFound(club_membership_id=key)
    club = await _locked(transaction, seen[0].club_id)
    (applied,) = await store.find_memberships_for_update(connection, [key])
    if applied.state is not ClubState.APPLIED:
        raise NotApplied(key)
    return club, applied
