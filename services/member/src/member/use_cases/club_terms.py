"""What time, tiers and leaving do to memberships in clubs: terms end or are renewed, a lost tier ends them after a
grace, and who leaves the program leaves its clubs."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from chassis.calendar import Calendar
from chassis.errors import Refusal
from chassis.work import Transaction
from ledger import InsufficientBalance

from member.domain.club import (
    Candidate,
    Club,
    ClubId,
    ClubMembership,
    ClubMembershipChanged,
    ClubMembershipId,
    ClubState,
    EndReason,
    lapse,
)
from member.domain.membership import MemberId
from member.store import clubs as store
from member.store import members, programs
from member.use_cases.clubs import candidate_from, fee_of
from member.use_cases.holding import Held
from member.use_cases.spending import spend_many

REVIEWED_PER_ROUND = 200


@dataclass(frozen=True, slots=True)
class Reviewed:
    """What one round came to: memberships looked at, renewed and ended."""

    looked_at: int
    renewed: int
    ended: int


async def check_tiers(transaction: Transaction, ids: Collection[MemberId]) -> None:
    """Look at the clubs of members whose tier moved: a tier that no longer reaches starts the grace, one that reaches
    again ends it. What counts is the tier held now, so the order in which moves are heard of does not matter."""
    connection = transaction.connection
    found = await store.active_of_members_for_update(connection, ids)
    clubs = await store.find_clubs(connection, {membership.club_id for membership in found})
    candidates = await _candidates(transaction, found, clubs)
    for membership, candidate in zip(found, candidates, strict=True):
        changed = lapse(clubs[membership.club_id], membership, candidate)
        if changed != membership:
            await store.save_membership(connection, changed)
            transaction.emit(ClubMembershipChanged(changed, candidate.tier_since))


async def follow_members(transaction: Transaction, ids: Collection[MemberId]) -> None:
    """What these members had of clubs when they left the program: it ends with them, and so does an application. Where
    a merge ended the membership in another one, it goes over to that, unless the club has that member already."""
    connection = transaction.connection
    seen = await store.open_of_members(connection, ids)
    await store.find_clubs_for_update(connection, {membership.club_id for membership in seen})
    found = await store.find_memberships_for_update(connection, {each.club_membership_id for each in seen})
    await _follow(transaction, [each for each in found if each.state in (ClubState.APPLIED, ClubState.ACTIVE)])


async def review_members(transaction: Transaction, as_of: datetime, *, calendar: Calendar) -> Reviewed:
    """Renew or end one round of what is due by an instant; nothing looked at means that nothing is left.

    A new term begins, and a membership ends, at the instant that was due, whenever it is looked at.
    """
    connection = transaction.connection
    seen = await store.due(connection, as_of, limit=REVIEWED_PER_ROUND)
    clubs = await store.find_clubs_for_update(connection, {membership.club_id for membership in seen})
    found = await store.find_memberships_for_update(connection, {each.club_membership_id for each in seen})
    due = [each for each in found if _is_due(each, as_of)]
    moved = await _follow(transaction, due)
    due = [each for each in due if each.club_membership_id not in moved]
    candidates = await _candidates(transaction, due, clubs)
    wanted = [
        _reviewed(membership, candidate, clubs[membership.club_id], calendar)
        for membership, candidate in zip(due, candidates, strict=True)
    ]
    reviewed = await _paid(transaction, due, wanted, clubs)
    for before, after in zip(due, reviewed, strict=True):
        await _save(transaction, before, after, at=_instant(before))
    renewed = sum(after.terms > before.terms for before, after in zip(due, reviewed, strict=True))
    ended = sum(after.state is ClubState.ENDED for after in [*reviewed, *moved.values()])
    return Reviewed(len(due) + len(moved), renewed, ended)


async def _follow(transaction: Transaction, found: Sequence[ClubMembership]) -> dict[ClubMembershipId, ClubMembership]:
    """What became of those of these locked memberships, in locked clubs, whose members have left the program."""
    connection = transaction.connection
    held = await members.find_members_by_id(connection, {membership.member_id for membership in found})
    left = {member_id: member.left_at for member_id, member in held.items() if member.left_at is not None}
    into = await store.carried_into(connection, list(left)) if left else {}
    taken = {
        (membership.club_id, membership.member_id)
        for membership in await store.open_of_members(connection, {each.member_id for each in into.values()})
    }
    moved: dict[ClubMembershipId, ClubMembership] = {}
    for membership in found:
        if (left_at := left.get(membership.member_id)) is None:
            continue
        heir = into.get(membership.member_id)
        if heir is None or (membership.club_id, heir.member_id) in taken:
            after = membership.parted(left_at)
        else:
            after = membership.carried_over(heir)
            taken.add((membership.club_id, heir.member_id))
        moved[membership.club_membership_id] = after
        await _save(transaction, membership, after, at=left_at)
    return moved


def _reviewed(membership: ClubMembership, candidate: Candidate, club: Club, calendar: Calendar) -> ClubMembership:
    """What becomes of a membership that is due, where the fee of a next term is paid."""
    assert membership.due_at is not None
    if membership.due_at != membership.term_ends_at:
        if candidate.tier_reaches:
            return membership.lapsing(None)
        return membership.ended(membership.due_at, EndReason.TIER_LOST)
    if not membership.renews:
        return membership.ended(membership.due_at, EndReason.TERM_ENDED)
    if not candidate.tier_reaches:
        return membership.ended(membership.due_at, EndReason.TIER_LOST)
    return membership.renewed(club, calendar)


async def _paid(
    transaction: Transaction,
    due: Sequence[ClubMembership],
    wanted: Sequence[ClubMembership],
    clubs: dict[ClubId, Club],
) -> list[ClubMembership]:
    """The memberships with the fees of new terms taken, in one posting; one that cannot be paid ends."""
    fees = {
        place: fee_of(clubs[after.club_id], after, _instant(before))
        for place, (before, after) in enumerate(zip(due, wanted, strict=True))
        if after.terms > before.terms and clubs[after.club_id].fee_points
    }
    outcomes = dict(zip(fees, await spend_many(transaction, list(fees.values())), strict=True)) if fees else {}
    reviewed = list(wanted)
    for place, outcome in outcomes.items():
        if isinstance(outcome, InsufficientBalance):
            reviewed[place] = due[place].ended(_instant(due[place]), EndReason.FEE_NOT_PAID)
        elif isinstance(outcome, Refusal):
            raise outcome
    return reviewed


async def _save(transaction: Transaction, before: ClubMembership, after: ClubMembership, *, at: datetime) -> None:
    await store.save_membership(transaction.connection, after)
    if before.state is ClubState.ACTIVE and after.state is ClubState.ENDED:
        await store.move_places(transaction.connection, after.club_id, -1)
    transaction.emit(ClubMembershipChanged(after, at))


def _instant(membership: ClubMembership) -> datetime:
    """When the membership was due, which it is."""
    assert membership.due_at is not None
    return membership.due_at


def _is_due(membership: ClubMembership, as_of: datetime) -> bool:
    return membership.state is ClubState.ACTIVE and membership.due_at is not None and membership.due_at <= as_of


async def _candidates(
    transaction: Transaction, memberships: Sequence[ClubMembership], clubs: dict[ClubId, Club]
) -> list[Candidate]:
    """What each membership's club asks about its member now."""
    connection = transaction.connection
    held = await members.find_members_by_id(connection, {membership.member_id for membership in memberships})
    known = await programs.find_programs(connection, {member.program_id for member in held.values()})
    since = await store.customers_since(connection, list(held))
    candidates = []
    for membership in memberships:
        member = held[membership.member_id]
        program = known[member.program_id]
        standing = Held(member, program, program.tier(member.tier_id))
        candidates.append(candidate_from(clubs[membership.club_id], standing, since[member.member_id]))
    return candidates
