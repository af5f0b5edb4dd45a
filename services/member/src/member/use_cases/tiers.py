"""Judge members and move their tiers: on events at once, by the evaluation of a whole program, or by somebody's word.

What an order gives depends on the tier held when it happened, so every move has a business instant, and changes the
rate from then on only. A program moves members on events where its version says so; the points of a payment then depend
on what was known when its event arrived. Otherwise it moves them in the evaluation alone, and they do not.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from chassis.errors import Refusal
from chassis.work import Transaction

from member.domain.customer import CustomerId
from member.domain.membership import (
    Member,
    MemberId,
    MemberMoved,
    MoveReason,
    TierMove,
    TierNotFound,
    place,
    rise,
    tier_moved,
)
from member.domain.membership import judge as judged
from member.domain.program import EvaluationTooOld, Program, ProgramId, ProgramNotFound, TierId, Timeline
from member.domain.requirement import Spending
from member.store import programs, spend, tiers
from member.store.tiers import Change
from member.use_cases.entitlements import refresh
from member.use_cases.programs import begin_activations

MEMBERS_PER_ROUND = 5_000


@dataclass(frozen=True, slots=True)
class EvaluateTiers:
    """Judge tiers by what counts at `as_of`, so many members in a round."""

    program_id: ProgramId
    as_of: datetime
    most: int = MEMBERS_PER_ROUND


@dataclass(frozen=True, slots=True)
class Evaluation:
    """How many were judged in a round, and how many of them rose or fell. Fewer than asked: the pass is through."""

    evaluated: int
    upgraded: int
    downgraded: int


@dataclass(frozen=True, slots=True)
class Placement:
    """Put a member into a tier whatever it asks for, from `occurred_at` on; it holds at least until `holds_until`, or
    as long as the program's validity says where that is None. Where `at_revision` is given, only a member that stands
    at this revision is moved: nothing happened to it since."""

    member_id: MemberId
    tier_id: TierId
    occurred_at: datetime
    holds_until: datetime | None = None
    at_revision: int | None = None


async def evaluate_tiers(transaction: Transaction, command: EvaluateTiers) -> Evaluation:
    """Judge the next members of the pass by the version in force at the instant, and move those whom it moves.

    A second pass at the same instant moves nobody; a pass that was left goes on where it was. EvaluationTooOld at an
    instant before the last.
    """
    connection, as_of = transaction.connection, command.as_of
    program, after = await _begin(transaction, command)
    found = await tiers.judge_round(connection, program, after=after, as_of=as_of, most=command.most)
    changes = [
        Change(member, moved, program.revision)
        for member, reached in found.due
        if (moved := judged(member, program, program.tiers[reached], as_of))
    ]
    moves = await _save(transaction, changes, {program.program_id: program}, MoveReason.EVALUATION)
    mark = programs.Mark(as_of, found.last if found.size == command.most else None)
    await programs.save_evaluation(connection, program.program_id, mark)
    upgraded = sum(move.tier.rank > move.previous.rank for move in moves)
    return Evaluation(found.size, upgraded, downgraded=len(moves) - upgraded)


async def note_spending(transaction: Transaction, spendings: Sequence[Spending]) -> None:
    """Keep what counts as spend for tiers; one that is known changes nothing. Judge the customers afterwards."""
    await spend.insert_spending(transaction.connection, spendings)


async def judge_upgrades(
    transaction: Transaction, at: Mapping[MemberId, datetime], *, moving: Collection[ProgramId] | None = None
) -> list[TierMove]:
    """Judge members at an instant each, and raise at once those who reached a better tier; returns their moves.

    For after points were posted, in the same transaction. Members of a program whose version moves them only in the
    evaluation are left alone; which programs move at once is looked up where the caller does not know (`moving`).
    """
    return await _judge_at_once(transaction, members_at=at, customers_at={}, moving=moving)


async def judge_customers(transaction: Transaction, at: Mapping[CustomerId, datetime]) -> list[TierMove]:
    """Judge every membership of these customers at an instant each, as `judge_upgrades` does: after spend was noted,
    or a service line changed."""
    return await _judge_at_once(transaction, members_at={}, customers_at=at)


async def place_members(
    transaction: Transaction, placements: Sequence[Placement], *, reason: str
) -> list[TierMove | Refusal]:
    """Put members into tiers; `reason` stands in their history, and none is told where the tier stays the same.

    Each member once. Refuses MemberMoved for one that is not at the revision asked for, moved later than the placement
    or left, and TierNotFound.
    """
    connection = transaction.connection
    if not placements:
        return []
    timelines = await programs.find_timelines_for_use(
        connection,
        await programs.all_program_ids(connection),
        since=min(placement.occurred_at for placement in placements),
    )
    ids = [placement.member_id for placement in placements]
    found = {each.member_id: each for each in await tiers.members_for_update(connection, list(timelines), ids=ids)}
    outcomes = [_placed(placement, found.get(placement.member_id), timelines) for placement in placements]
    changes = [outcome for outcome in outcomes if isinstance(outcome, Change)]
    used = {
        change.after.program_id: timelines[change.after.program_id].at(change.after.tier_since) for change in changes
    }
    moves = await _save(transaction, changes, used, MoveReason.PLACEMENT, note=reason)
    by_member = {move.member.member_id: move for move in moves}
    return [outcome if isinstance(outcome, Refusal) else by_member[outcome.after.member_id] for outcome in outcomes]


async def _begin(transaction: Transaction, command: EvaluateTiers) -> tuple[Program, str]:
    """One judging of a program at a time, and never back in time; behind which member to go on."""
    program_id, as_of = command.program_id, command.as_of
    known = await programs.find_timelines_for_use(transaction.connection, [program_id], since=as_of)
    if program_id not in known:
        raise ProgramNotFound(program_id)
    mark = await programs.evaluation_for_update(transaction.connection, program_id)
    if mark.as_of is not None and as_of < mark.as_of:
        raise EvaluationTooOld(program_id, mark.as_of)
    after = mark.to_member if mark.as_of == as_of else None
    return known[program_id].at(as_of), after or ""


async def _judge_at_once(
    transaction: Transaction,
    *,
    members_at: Mapping[MemberId, datetime],
    customers_at: Mapping[CustomerId, datetime],
    moving: Collection[ProgramId] | None = None,
) -> list[TierMove]:
    connection = transaction.connection
    instants = [*members_at.values(), *customers_at.values()]
    if moving is None and instants:
        moving = await programs.programs_moving_at_once(connection)
    if not moving or not instants:
        return []
    timelines = await programs.find_timelines_for_use(connection, moving, since=min(instants))
    found = await tiers.members_for_update(connection, list(timelines), ids=members_at, customers=customers_at)
    moves: list[TierMove] = []
    for program, at in _by_version(found, timelines, members_at, customers_at):
        reached = await tiers.judge_members(connection, program, {member.member_id: as_of for member, as_of in at})
        changes = [
            Change(member, risen, program.revision)
            for member, as_of in at
            if (risen := rise(member, program, program.tiers[reached[member.member_id]], as_of))
        ]
        moves += await _save(transaction, changes, {program.program_id: program}, MoveReason.EVENT)
    return moves


def _by_version(
    found: Sequence[Member],
    timelines: Mapping[ProgramId, Timeline],
    members_at: Mapping[MemberId, datetime],
    customers_at: Mapping[CustomerId, datetime],
) -> list[tuple[Program, list[tuple[Member, datetime]]]]:
    """The members by the version in force at their instants, as far as it moves them at once."""
    groups: dict[tuple[ProgramId, int], tuple[Program, list[tuple[Member, datetime]]]] = {}
    for member in found:
        asked = members_at.get(member.member_id) or customers_at[member.customer_id]
        as_of = max(asked, member.tier_since)
        program = timelines[member.program_id].at(as_of)
        if program.moves.upgrades_at_once:
            groups.setdefault((member.program_id, program.revision), (program, []))[1].append((member, as_of))
    return list(groups.values())


def _placed(placement: Placement, member: Member | None, timelines: Mapping[ProgramId, Timeline]) -> Change | Refusal:
    if member is None or placement.occurred_at < member.tier_since:
        return MemberMoved(placement.member_id)
    if placement.at_revision is not None and placement.at_revision != member.revision:
        return MemberMoved(placement.member_id)
    program = timelines[member.program_id].at(placement.occurred_at)
    tier = next((tier for tier in program.tiers if tier.tier_id == placement.tier_id), None)
    if tier is None:
        return TierNotFound(member.program_id, placement.tier_id)
    holds_until = placement.holds_until or program.valid_until(placement.occurred_at)
    return Change(member, place(member, tier, placement.occurred_at, holds_until=holds_until), program.revision)


async def _save(
    transaction: Transaction,
    changes: Sequence[Change],
    known: Mapping[ProgramId, Program],
    reason: MoveReason,
    *,
    note: str = "",
) -> list[TierMove]:
    """Write the changes and tell the moves; where a grace begins or ends nothing moved."""
    connection = transaction.connection
    written = await tiers.save_changes(
        connection, changes, reason=reason, note=note, recorded_at=transaction.recorded_at
    )
    moves = [
        _move(known[change.after.program_id], change)
        for change in changes
        if change.after.member_id in written and change.after.revision > change.before.revision
    ]
    for move in moves:
        transaction.emit(tier_moved(move))
    if moves:
        await begin_activations(transaction, max(move.member.tier_since for move in moves))
        await refresh(transaction, {move.member.customer_id for move in moves})
    return moves


def _move(program: Program, change: Change) -> TierMove:
    return TierMove(change.after, program.tier(change.before.tier_id), program.tier(change.after.tier_id))
