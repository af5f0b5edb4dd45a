"""Look ahead: what is missing to a better tier, who is about to lose one, what a changed program would make of all."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from chassis.calendar import Period
from chassis.work import Transaction

from member.domain.forecast import Forecast, forecast
from member.domain.membership import DowngradeWarned, Holder, MemberNotFound, falling_to
from member.domain.program import Program, ProgramId, ProgramNotFound, TierId
from member.domain.requirement import unmet
from member.store import Connection, members, programs, tiers
from member.store.counting import count_for_member
from member.use_cases.memberships import program_of
from member.use_cases.programs import get_program
from member.use_cases.tiers import EvaluateTiers, evaluate_tiers

MEMBERS_PER_ROUND = 5_000


@dataclass(frozen=True, slots=True)
class WarnDowngrades:
    """Warn members whose validity or grace ends soon after `as_of`, so many members in a round."""

    program_id: ProgramId
    as_of: datetime
    most: int = MEMBERS_PER_ROUND


@dataclass(frozen=True, slots=True)
class Warnings:
    """How many were looked at in a round and how many of them were warned. Fewer than asked: the pass is through."""

    examined: int
    warned: int


@dataclass(frozen=True, slots=True)
class PreviewProgram:
    """Where the next members behind one would stand at an instant under a version of their program."""

    program_id: ProgramId
    version: int
    as_of: datetime
    after: str
    most: int


@dataclass(frozen=True, slots=True)
class Preview:
    """What a version would make of some members: how many were judged, rise and fall, and by which tiers."""

    program: Program
    judged: int
    would_rise: int
    would_fall: int
    cells: Sequence[tiers.Cell]
    members: int
    last: str


async def forecast_tier(connection: Connection, holder: Holder, *, as_of: datetime) -> Forecast:
    """How a member stands to its tiers at an instant, by the version in force then; or MemberNotFound."""
    member = await members.find_member(connection, holder)
    if member is None:
        raise MemberNotFound(holder)
    program = await program_of(connection, member, as_of)
    return forecast(member, program, await count_for_member(connection, program, member, as_of), as_of)


async def preview_program(connection: Connection, command: PreviewProgram) -> Preview:
    """Judge the next members by a version that need not be in force, and leave them where they are.

    Refuses VersionNotFound. A tier that the version leaves out counts as its first.
    """
    program = await get_program(connection, command.program_id, command.version)
    found = await tiers.preview_round(connection, program, after=command.after, as_of=command.as_of, most=command.most)
    ranks = {tier.tier_id: tier.rank for tier in program.tiers}
    counts = await programs.count_members_by_tier(connection, command.program_id)
    return Preview(
        program,
        found.size,
        would_rise=_of(found.cells, ranks, lambda held, reached: reached > held),
        would_fall=_of(found.cells, ranks, lambda held, reached: reached < held),
        cells=found.cells,
        members=sum(counts.values()),
        last=found.last,
    )


async def warn_downgrades(transaction: Transaction, command: WarnDowngrades) -> Warnings:
    """Warn the next members who meet less than their tier and whose validity or grace ends within the days that the
    program says. A member is warned of a date once, however often and by whomever this is run."""
    connection, as_of = transaction.connection, command.as_of
    known = await programs.find_timelines_for_use(connection, [command.program_id], since=as_of)
    if command.program_id not in known:
        raise ProgramNotFound(command.program_id)
    program = known[command.program_id].at(as_of)
    mark = await programs.warnings_for_update(connection, command.program_id)
    after = (mark.to_member if mark.as_of == as_of else None) or ""
    found = await tiers.warning_round(connection, program, after=after, as_of=as_of, most=command.most)
    facts = {each.member.member_id: _warning(program, each, as_of) for each in found.due}
    ends = {member_id: fact.ends_at for member_id, fact in facts.items()}
    new = await tiers.insert_warnings(connection, ends, recorded_at=transaction.recorded_at)
    for member_id in sorted(new):
        transaction.emit(facts[member_id])
    reached = found.last if found.size == command.most else None
    await programs.save_warnings(connection, command.program_id, programs.Mark(as_of, reached))
    return Warnings(found.size, len(new))


async def look_after_programs(transaction: Transaction) -> bool:
    """A round of what programs ask to be done by themselves: judging when a period of theirs begins, and warnings once
    a day. Returns whether there is more to do."""
    now = transaction.recorded_at
    for program_id in await programs.all_program_ids(transaction.connection):
        program = await programs.find_program(transaction.connection, program_id)
        if program and await _look_after(transaction, program, now):
            return True
    return False


async def _look_after(transaction: Transaction, program: Program, now: datetime) -> bool:
    connection, every = transaction.connection, program.moves.evaluated_every
    if every is not Period.EVER:
        begun = program.calendar.span(every, now).start
        mark = await programs.evaluation_for_update(connection, program.program_id)
        if _is_due(mark, begun):
            await evaluate_tiers(transaction, EvaluateTiers(program.program_id, begun))
            return True
    if program.moves.warning_days:
        today = program.calendar.span(Period.DAY, now).start
        mark = await programs.warnings_for_update(connection, program.program_id)
        if _is_due(mark, today):
            await warn_downgrades(transaction, WarnDowngrades(program.program_id, today))
            return True
    return False


def _is_due(mark: programs.Mark, instant: datetime) -> bool:
    """Whether a pass at the instant was not begun yet, or is under way."""
    return mark.as_of is None or mark.as_of < instant or (mark.as_of == instant and mark.to_member is not None)


def _warning(program: Program, due: tiers.Warned, as_of: datetime) -> DowngradeWarned:
    member = due.member
    held = program.tier(member.tier_id)
    asked = program.requirement(held)
    assert asked is not None, "nobody falls out of a tier that asks for nothing"
    assert member.holds_until is not None, "only members with an end are looked for"
    return DowngradeWarned(
        member.member_id,
        member.holder,
        held,
        falling_to(program, held, program.tier_reached(due.measured, as_of)),
        missing=tuple(unmet(asked, due.measured, as_of)),
        ends_at=member.holds_until,
        occurred_at=as_of,
    )


def _of(cells: Sequence[tiers.Cell], ranks: dict[TierId, int], counts: Callable[[int, int], bool]) -> int:
    return sum(cell.members for cell in cells if counts(ranks.get(cell.tier_id, 0), cell.reached))
