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


@dataclass(frozen=True, slots=True)
class EvaluateTiers:
    """Judge every member's tier by the points earned in the program's window that ends at `as_of`."""

    program_id: ProgramId
    as_of: datetime


@dataclass(frozen=True, slots=True)
class Evaluation:
    """How many were judged, and how many of them rose or fell."""

    evaluated: int
    upgraded: int
    downgraded: int


async def evaluate_tiers(transaction: Transaction, command: EvaluateTiers) -> Evaluation:
    """Move every member to the tier that the points reach, up or down at once.

    A second run at the same instant moves nobody; EvaluationTooOld at an instant before the last.
    """
    program = await _begin(transaction, command)
    connection, as_of = transaction.connection, command.as_of
    moved = await tiers.move_tiers(connection, program, as_of=as_of, recorded_at=transaction.recorded_at)
    moves = [
        TierMove(each.member, program.tier(each.previous_tier_id), program.tier(each.member.tier_id)) for each in moved
    ]
    for move in moves:
        transaction.emit(tier_moved(move))
    upgraded = sum(move.tier.rank > move.previous.rank for move in moves)
    evaluated = await tiers.count_judged(connection, program, as_of)
    return Evaluation(evaluated, upgraded, downgraded=len(moves) - upgraded)


async def _begin(transaction: Transaction, command: EvaluateTiers) -> Program:
    """One judging of a program at a time, and never back in time."""
    known = await programs.find_programs_for_use(transaction.connection, [command.program_id])
    if command.program_id not in known:
        raise ProgramNotFound(command.program_id)
    before = await programs.evaluated_as_of_for_update(transaction.connection, command.program_id)
    if before is not None and command.as_of < before:
        raise EvaluationTooOld(command.program_id, before)
    await programs.save_evaluated_as_of(transaction.connection, command.program_id, command.as_of)
    return known[command.program_id]
