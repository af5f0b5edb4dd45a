"""Apply a plan to all package customers in rounds, tell how far that is and what was done, and undo it.

A round is one transaction: the customers behind the last one are judged, placed and noted, and the run remembers how
far it came. So a process that is killed loses the round it was at, and nobody is moved twice.
"""

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import NamedTuple

from chassis.calendar import Calendar
from chassis.errors import InvalidArgument, Refusal
from chassis.ids import new_id
from chassis.paging import Page
from chassis.work import Transaction

from member.domain.customer import CustomerId
from member.domain.membership import Holder, MemberId, MemberLeft, Standing, TierMove
from member.domain.package_migration import (
    BY_DEFAULT,
    Compiled,
    MigrationRun,
    MigrationUnderWay,
    Move,
    Outcome,
    PlanId,
    Planned,
    PlanOutdated,
    RuleId,
    RunId,
    RunNotFound,
    RunState,
    RunUndone,
    Tally,
    Undo,
    target_violations,
)
from member.domain.package_rule import packages_of
from member.store import Connection, members, programs
from member.store import package_migrations as store
from member.use_cases.entitlements import refresh
from member.use_cases.memberships import EnrolCustomer, enrol_customers
from member.use_cases.package_plans import get_plan, judge_next, plan_all, undecided_of
from member.use_cases.tiers import Placement, place_members

CUSTOMERS_PER_ROUND = 1_000


@dataclass(frozen=True, slots=True)
class StartRun:
    """Apply a plan in a version, or in its last, at an instant of business time."""

    plan_id: PlanId
    version: int | None
    occurred_at: datetime
    started_by: str


@dataclass(frozen=True, slots=True)
class AdvanceRun:
    """Do a round of a run, or of the one that is under way."""

    run_id: RunId | None
    most: int = CUSTOMERS_PER_ROUND


@dataclass(frozen=True, slots=True)
class UndoRun:
    """Undo a run at an instant of business time."""

    run_id: RunId
    occurred_at: datetime
    undone_by: str


class Advanced(NamedTuple):
    """What a round looked at, and how far the run is then."""

    done: int
    state: RunState

    @property
    def more(self) -> bool:
        """Whether there is more to do."""
        return self.state in (RunState.RUNNING, RunState.UNDOING)


class Progress(NamedTuple):
    """A run with what it did so far, by rule in the order of its plan, the default last."""

    run: MigrationRun
    rules: list[tuple[RuleId, Tally]]
    undone: int
    kept: int


async def start_run(transaction: Transaction, command: StartRun) -> Progress:
    """Start a run; PlanNotFound, PlanOutdated, MigrationUnderWay."""
    connection = transaction.connection
    plan = await get_plan(connection, command.plan_id, command.version)
    known = await programs.find_programs(connection, {target.program_id for _, target in plan.targets()})
    if problems := list(target_violations(plan, known)):
        raise PlanOutdated(plan.plan_id, problems)
    run = MigrationRun(
        RunId(new_id()),
        plan.plan_id,
        plan.version,
        RunState.RUNNING,
        command.occurred_at,
        total=await store.count_customers(connection, command.occurred_at),
        done=0,
        reached=CustomerId(""),
        started_by=command.started_by,
    )
    if not await store.insert_run(connection, run, recorded_at=transaction.recorded_at):
        raise MigrationUnderWay
    return await _progress(connection, run)


async def advance_run(transaction: Transaction, command: AdvanceRun, calendar: Calendar) -> Advanced | None:
    """Do one round of applying or undoing; None where no run is under way. RunNotFound."""
    run = await store.run_for_update(transaction.connection, command.run_id)
    if run is None:
        if command.run_id is not None:
            raise RunNotFound(command.run_id)
        return None
    match run.state:
        case RunState.RUNNING:
            return await _apply(transaction, run, calendar, command.most)
        case RunState.UNDOING:
            return await _undo(transaction, run, command.most)
        case RunState.DONE | RunState.UNDONE:
            return Advanced(0, run.state)


async def undo_run(transaction: Transaction, command: UndoRun) -> Progress:
    """Begin to undo a run, also one that is still being applied; RunNotFound, RunUndone, MigrationUnderWay."""
    connection = transaction.connection
    run = await store.run_for_update(connection, command.run_id)
    if run is None:
        raise RunNotFound(command.run_id)
    if run.state in (RunState.UNDOING, RunState.UNDONE):
        raise RunUndone(command.run_id)
    if command.occurred_at < run.occurred_at:
        raise InvalidArgument("occurred_at", "must not be before the instant of the run")
    if await store.another_under_way(connection, command.run_id):
        raise MigrationUnderWay
    undoing = replace(
        run,
        state=RunState.UNDOING,
        done=0,
        reached=CustomerId(""),
        undone_at=command.occurred_at,
        undone_by=command.undone_by,
    )
    await store.save_run(connection, undoing)
    return await _progress(connection, undoing)


async def get_run(connection: Connection, run_id: RunId) -> Progress:
    """A run with what it did so far; RunNotFound."""
    run = await store.find_run(connection, run_id)
    if run is None:
        raise RunNotFound(run_id)
    return await _progress(connection, run)


async def list_runs(connection: Connection, page: Page) -> list[MigrationRun]:
    """Runs, newest first, one more than the page holds where there are more."""
    return await store.list_runs(connection, before=page.after, limit=page.wanted)


async def list_moves(connection: Connection, run_id: RunId, only: store.MoveFilter, page: Page) -> list[Move]:
    """A run's report by customer, one more than the page holds where there are more; RunNotFound."""
    if await store.find_run(connection, run_id) is None:
        raise RunNotFound(run_id)
    return await store.list_moves(connection, run_id, only, after=page.after, limit=page.wanted)


async def _apply(transaction: Transaction, run: MigrationRun, calendar: Calendar, most: int) -> Advanced:
    connection = transaction.connection
    plan = await get_plan(connection, run.plan_id, run.version)
    compiled = Compiled(plan, run.occurred_at, calendar)
    judged = await judge_next(connection, compiled, run.occurred_at, after=run.reached, most=most)
    if judged:
        moves = await _place(transaction, run, await plan_all(connection, compiled, judged))
        await store.insert_moves(connection, run.run_id, moves, recorded_at=transaction.recorded_at)
        await store.add_undecided(connection, run.run_id, undecided_of(judged))
    reached = judged[-1].customer.customer_id if judged else run.reached
    state = RunState.RUNNING if len(judged) == most else RunState.DONE
    await store.save_run(connection, replace(run, state=state, done=run.done + len(judged), reached=reached))
    return Advanced(len(judged), state)


async def _place(transaction: Transaction, run: MigrationRun, planned: Sequence[Planned]) -> list[Move]:
    """Enrol and move whom the plan says, and note everybody, in the order given."""
    note = f"package migration {run.run_id}"
    enrolling = [each for each in planned if each.outcome is Outcome.ENROLLED]
    moving = [each for each in planned if each.outcome is Outcome.MOVED]
    enrolled = await enrol_customers(transaction, [_enrolment(each, run) for each in enrolling]) if enrolling else []
    moved = await place_members(transaction, [_placement(each, run) for each in moving], reason=note) if moving else []
    outcomes: dict[CustomerId, Standing | TierMove | Refusal] = {
        each.judged.customer.customer_id: outcome
        for each, outcome in zip((*enrolling, *moving), (*enrolled, *moved), strict=True)
    }
    return [_noted(each, run, outcomes.get(each.judged.customer.customer_id)) for each in planned]


def _enrolment(planned: Planned, run: MigrationRun) -> EnrolCustomer:
    target = planned.judged.target
    assert target is not None
    return EnrolCustomer(
        Holder(planned.judged.customer.customer_id, target.program_id), run.occurred_at, tier_id=target.tier_id
    )


def _placement(planned: Planned, run: MigrationRun) -> Placement:
    assert planned.judged.target is not None
    assert planned.member is not None
    return Placement(
        planned.member.member_id,
        planned.judged.target.tier_id,
        run.occurred_at,
        at_revision=planned.member.revision,
    )


def _noted(planned: Planned, run: MigrationRun, outcome: Standing | TierMove | Refusal | None) -> Move:
    judged, member = planned.judged, planned.member
    move = Move(
        judged.customer.customer_id,
        judged.rule_id,
        planned.outcome,
        tuple(packages_of(judged.customer.lines, run.occurred_at)),
        judged.target,
        member.member_id if member else None,
        member.tier_id if member else None,
        member.revision if member else 0,
    )
    if isinstance(outcome, Refusal):
        return replace(move, outcome=Outcome.REFUSED, reason=outcome.reason)
    if outcome is None:
        return move
    return replace(move, member_id=outcome.member.member_id, revision=outcome.member.revision)


async def _undo(transaction: Transaction, run: MigrationRun, most: int) -> Advanced:
    connection = transaction.connection
    moves = await store.moves_to_undo(connection, run, most=most)
    await store.save_undone(connection, run.run_id, await _take_back(transaction, run, moves))
    reached = moves[-1].customer_id if moves else run.reached
    state = RunState.UNDOING if len(moves) == most else RunState.UNDONE
    await store.save_run(connection, replace(run, state=state, done=run.done + len(moves), reached=reached))
    return Advanced(len(moves), state)


async def _take_back(transaction: Transaction, run: MigrationRun, moves: Sequence[Move]) -> list[Move]:
    """End the memberships that the run began, and put the members that it moved back, unless something else moved
    them since, or they have points: what they were given stays theirs, and the ledger whole."""
    enrolled = [move for move in moves if move.outcome is Outcome.ENROLLED]
    moved = [move for move in moves if move.outcome is Outcome.MOVED]
    assert run.undone_at is not None
    ended = await _end(transaction, enrolled, run.undone_at)
    placements = [
        Placement(move.member_id, move.previous_tier_id, run.undone_at, at_revision=move.revision)
        for move in moved
        if move.member_id and move.previous_tier_id
    ]
    placed = await place_members(transaction, placements, reason=f"package migration {run.run_id} undone")
    reasons = ended | {
        move.customer_id: outcome.reason if isinstance(outcome, Refusal) else ""
        for move, outcome in zip(moved, placed, strict=True)
    }
    return [
        replace(
            move, undo=Undo.KEPT if reasons[move.customer_id] else Undo.UNDONE, undo_reason=reasons[move.customer_id]
        )
        for move in moves
    ]


async def _end(transaction: Transaction, enrolled: Sequence[Move], at: datetime) -> dict[CustomerId, str]:
    """Why each membership could not be ended; empty where it was."""
    revisions = {move.member_id: move.revision for move in enrolled if move.member_id}
    if not revisions:
        return {}
    rich = await store.members_with_points(transaction.connection, revisions)
    ending = {member_id: revision for member_id, revision in revisions.items() if member_id not in rich}
    ended = await members.end_memberships(transaction.connection, ending, left_at=at)
    for member in ended.values():
        transaction.emit(MemberLeft(member.member_id, member.holder, points_given_up=0, occurred_at=at))
    await refresh(transaction, {member.customer_id for member in ended.values()})
    return {move.customer_id: _why_kept(move, rich, ended) for move in enrolled}


def _why_kept(move: Move, rich: Collection[MemberId], ended: Collection[MemberId]) -> str:
    if move.member_id in rich:
        return "MEMBER_HAS_POINTS"
    return "" if move.member_id in ended else "MEMBER_MOVED"


async def _progress(connection: Connection, run: MigrationRun) -> Progress:
    plan = await get_plan(connection, run.plan_id, run.version)
    tallies = {rule_id: Tally() for rule_id in (*(rule.rule_id for rule in plan.rules), BY_DEFAULT)}
    ended: Counter[Undo] = Counter()
    for counted in await store.count_moves(connection, run.run_id):
        tallies[counted.rule_id].outcomes[counted.outcome] += counted.customers
        ended[counted.undo] += counted.customers
    for rule_id, count in (await store.undecided_of(connection, run.run_id)).items():
        tallies[rule_id].undecided = count
    return Progress(run, list(tallies.items()), undone=ended[Undo.UNDONE], kept=ended[Undo.KEPT])
