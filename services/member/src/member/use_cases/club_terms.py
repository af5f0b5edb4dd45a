"""What time and tiers do to memberships in clubs: terms end or are renewed, a lost tier ends them after a grace."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from chassis.calendar import Calendar
from chassis.work import Transaction
from ledger import InsufficientBalance

from member.domain.club import (
    Candidate,
    Club,
    ClubId,
    ClubMembership,
    ClubMembershipChanged,
    ClubState,
    EndReason,
    lapse,
)
from member.domain.membership import MemberId
from member.store import clubs as store
from member.store import members, programs
from member.use_cases.clubs import candidate_from, take_fee
from member.use_cases.holding import Held

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


async def review_members(transaction: Transaction, as_of: datetime, *, calendar: Calendar) -> Reviewed:
    """Renew or end one round of what is due by an instant; nothing looked at means that nothing is left.

    A round takes the fee of one renewal, as points are posted once in a transaction; whoever pays nothing goes along.
    """
    connection = transaction.connection
    seen = await store.due(connection, as_of, limit=REVIEWED_PER_ROUND)
    clubs = await store.find_clubs_for_update(connection, {membership.club_id for membership in seen})
    found = await store.find_memberships_for_update(connection, {each.club_membership_id for each in seen})
    due = [
        each for each in found if each.state is ClubState.ACTIVE and each.due_at is not None and each.due_at <= as_of
    ]
    candidates = await _candidates(transaction, due, clubs)
    looked_at = renewed = ended = 0
    for membership, candidate in zip(due, candidates, strict=True):
        club = clubs[membership.club_id]
        reviewed = await _review(transaction, club, _Due(membership, candidate), calendar)
        looked_at += 1
        renewed += reviewed.terms > membership.terms
        ended += reviewed.state is ClubState.ENDED
        if club.fee_points and (reviewed.terms > membership.terms or reviewed.end_reason is EndReason.FEE_NOT_PAID):
            break
    return Reviewed(looked_at, renewed, ended)


@dataclass(frozen=True, slots=True)
class _Due:
    membership: ClubMembership
    candidate: Candidate

    def without_fee(self, club: Club, calendar: Calendar) -> ClubMembership:
        """What becomes of the membership where the fee of a next term is paid."""
        membership, reaches = self.membership, self.candidate.tier_reaches
        assert membership.due_at is not None
        if membership.due_at != membership.term_ends_at:
            return membership.lapsing(None) if reaches else membership.ended(membership.due_at, EndReason.TIER_LOST)
        if not membership.renews:
            return membership.ended(membership.due_at, EndReason.TERM_ENDED)
        if not reaches:
            return membership.ended(membership.due_at, EndReason.TIER_LOST)
        return membership.renewed(club, calendar)


async def _review(transaction: Transaction, club: Club, due: _Due, calendar: Calendar) -> ClubMembership:
    """A new term begins, and a membership ends, at the instant that was due, whenever it is looked at."""
    membership = due.membership
    assert membership.due_at is not None
    reviewed = due.without_fee(club, calendar)
    if reviewed.terms > membership.terms:
        try:
            await take_fee(transaction, club, reviewed, membership.due_at)
        except InsufficientBalance:
            reviewed = membership.ended(membership.due_at, EndReason.FEE_NOT_PAID)
    await store.save_membership(transaction.connection, reviewed)
    if reviewed.state is ClubState.ENDED:
        await store.move_places(transaction.connection, club.club_id, -1)
    transaction.emit(ClubMembershipChanged(reviewed, membership.due_at))
    return reviewed


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
