"""Judge the tiers of a whole program.

Tiers move here and nowhere else, at an instant of business time: what an order gives then depends on when it
happened, and never on the order in which events arrive.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from chassis.errors import Refusal
from chassis.money import Money
from chassis.work import Transaction

from member.domain.customer import CustomerId
from member.domain.membership import MemberId, TierMove, tier_moved
from member.domain.program import EvaluationTooOld, Program, ProgramId, ProgramNotFound, TierId
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


@dataclass(frozen=True, slots=True)
class Spending:
    """Money that a customer recharged or was charged; `source` names the event, so that it counts once."""

    source: str
    customer_id: CustomerId
    recharged: bool
    amount: Money
    occurred_at: datetime


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


async def note_spending(transaction: Transaction, spendings: Sequence[Spending]) -> None:
    """Keep what counts as spend for tiers; one that is known changes nothing. Judge the customers afterwards."""


async def judge_upgrades(transaction: Transaction, at: Mapping[MemberId, datetime]) -> None:
    """Judge members at an instant each, and raise at once those who reached a better tier.

    For after points were posted, in the same transaction; nobody of a program whose active version moves only at the
    evaluation is looked at."""


async def judge_customers(transaction: Transaction, at: Mapping[CustomerId, datetime]) -> None:
    """Judge every membership of these customers at an instant each, as `judge_upgrades` does: after spend was noted,
    or a service line changed."""


async def place_members(
    transaction: Transaction, placements: Sequence[Placement], *, reason: str
) -> list[TierMove | Refusal]:
    """Put members into tiers; `reason` stands in their history."""
    return []
