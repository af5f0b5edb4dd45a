"""Judge the tiers of a whole program.

Tiers move here and nowhere else, at an instant of business time: what an order gives then depends on when it
happened, and never on the order in which events arrive.
"""

from dataclasses import dataclass
from datetime import datetime

from chassis.work import Transaction

from member.domain.membership import TierMove, tier_moved
from member.domain.program import EvaluationTooOld, Program, ProgramId, ProgramNotFound
from member.store import programs, tiers

MEMBERS_PER_ROUND = 5_000


@dataclass(frozen=True, slots=True)
class EvaluateTiers:
    """Judge tiers by the points earned in the program's window that ends at `as_of`, so many members in a round."""

    program_id: ProgramId
    as_of: datetime
    most: int = MEMBERS_PER_ROUND


@dataclass(frozen=True, slots=True)
class Evaluation:
    """How many were judged in a round, and how many of them rose or fell. Fewer than asked: the pass is through."""

    evaluated: int
    upgraded: int
    downgraded: int


async def evaluate_tiers(transaction: Transaction, command: EvaluateTiers) -> Evaluation:
    """Judge the next members of the pass, and move each to the tier that the points reach, up or down at once.

    A second pass at the same instant moves nobody; a pass that was left goes on where it was. EvaluationTooOld at an
    instant before the last.
    """
    connection, as_of = transaction.connection, command.as_of
    program, after = await _begin(transaction, command)
    among = await tiers.next_members(connection, program, after=after, as_of=as_of, most=command.most)
    moved = await tiers.move_tiers(connection, program, among=among, as_of=as_of, recorded_at=transaction.recorded_at)
    reached = among.last if among.size == command.most else None
    await programs.save_evaluation(connection, program.program_id, programs.EvaluationMark(as_of, reached))
    moves = [_move(program, each) for each in moved]
    for move in moves:
        transaction.emit(tier_moved(move))
    upgraded = sum(move.tier.rank > move.previous.rank for move in moves)
    return Evaluation(among.size, upgraded, downgraded=len(moves) - upgraded)


async def _begin(transaction: Transaction, command: EvaluateTiers) -> tuple[Program, str]:
    """One judging of a program at a time, and never back in time; behind which member to go on."""
    known = await programs.find_programs_for_use(transaction.connection, [command.program_id])
    if command.program_id not in known:
        raise ProgramNotFound(command.program_id)
    mark = await programs.evaluation_for_update(transaction.connection, command.program_id)
    if mark.as_of is not None and command.as_of < mark.as_of:
        raise EvaluationTooOld(command.program_id, mark.as_of)
    after = mark.to_member if mark.as_of == command.as_of else None
    return known[command.program_id], after or ""


def _move(program: Program, moved: tiers.Moved) -> TierMove:
    return TierMove(moved.member, program.tier(moved.previous_tier_id), program.tier(moved.member.tier_id))
