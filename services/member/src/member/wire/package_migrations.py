"""Plans that make members of package customers, and their runs, between protobuf and the domain."""

from typing import NamedTuple

from chassis import times
from chassis.auth import current_caller
from chassis.errors import FieldViolation, InvalidArgument
from chassis.ids import check_id
from touchstone.member.v1 import package_migration_pb2
from touchstone.member.v1 import package_migration_service_pb2 as pb

from member.domain.package_migration import (
    MappingRule,
    MigrationPlan,
    MigrationRun,
    Move,
    Outcome,
    PlanId,
    RuleId,
    RunId,
    RunState,
    Tally,
    Target,
    Undo,
)
from member.domain.program import GENERAL, ProgramId, TierId
from member.store.package_migrations import MoveFilter
from member.use_cases.package_migrations import Advanced, Progress, StartRun, UndoRun
from member.use_cases.package_plans import PutPlan, Tried

MAX_ROUNDS = 1_000

_OUTCOMES = {
    Outcome.ENROLLED: package_migration_pb2.MIGRATION_OUTCOME_ENROLLED,
    Outcome.MOVED: package_migration_pb2.MIGRATION_OUTCOME_MOVED,
    Outcome.ALREADY_THERE: package_migration_pb2.MIGRATION_OUTCOME_ALREADY_THERE,
    Outcome.LEFT_ALONE: package_migration_pb2.MIGRATION_OUTCOME_LEFT_ALONE,
    Outcome.UNMATCHED: package_migration_pb2.MIGRATION_OUTCOME_UNMATCHED,
    Outcome.REFUSED: package_migration_pb2.MIGRATION_OUTCOME_REFUSED,
}
_STATES = {
    RunState.RUNNING: package_migration_pb2.MIGRATION_RUN_STATE_RUNNING,
    RunState.DONE: package_migration_pb2.MIGRATION_RUN_STATE_DONE,
    RunState.UNDOING: package_migration_pb2.MIGRATION_RUN_STATE_UNDOING,
    RunState.UNDONE: package_migration_pb2.MIGRATION_RUN_STATE_UNDONE,
}
_UNDOS = {
    Undo.NOT_ASKED: package_migration_pb2.MIGRATION_UNDO_NOT_ASKED,
    Undo.UNDONE: package_migration_pb2.MIGRATION_UNDO_UNDONE,
    Undo.KEPT: package_migration_pb2.MIGRATION_UNDO_KEPT,
}
_OUTCOMES_KNOWN = {value: outcome for outcome, value in _OUTCOMES.items()}
_UNDOS_KNOWN = {value: undo for undo, value in _UNDOS.items()}


class Advance(NamedTuple):
    """The rounds asked for: of which run, and how many at most."""

    run_id: RunId
    rounds: int


def plan_id_from_proto(plan_id: str) -> PlanId:
    """A plan's id, or InvalidArgument naming plan_id."""
    return PlanId(check_id("plan_id", plan_id))


def run_id_from_proto(run_id: str) -> RunId:
    """A run's id, or InvalidArgument naming run_id."""
    return RunId(check_id("run_id", run_id))


def version_from_proto(version: int) -> int | None:
    """A version, None for the last, or InvalidArgument naming version."""
    if version < 0:
        raise InvalidArgument("version", "must not be negative; 0 means the last")
    return version or None


def plan_from_proto(plan: package_migration_pb2.MigrationPlan) -> MigrationPlan:
    """The plan, or InvalidArgument naming the id that is wrong."""
    return MigrationPlan(
        plan_id=PlanId(check_id("plan.plan_id", plan.plan_id)),
        display_name=plan.display_name,
        rules=tuple(
            MappingRule(
                RuleId(check_id(f"plan.rules[{index}].rule_id", rule.rule_id)),
                rule.condition,
                _target_from_proto(f"plan.rules[{index}].target", rule.target),
            )
            for index, rule in enumerate(plan.rules)
        ),
        default=_target_from_proto("plan.default_target", plan.default_target)
        if plan.HasField("default_target")
        else None,
        spend_days=plan.spend_days,
        moves_members=plan.moves_members,
    )


def put_plan_from_proto(request: pb.PutMigrationPlanRequest) -> PutPlan:
    """The plan to put, or InvalidArgument naming every field that is wrong."""
    return PutPlan(plan_from_proto(request.plan), put_by=current_caller().subject)


def plan_to_proto(plan: MigrationPlan) -> package_migration_pb2.MigrationPlan:
    """The plan."""
    return package_migration_pb2.MigrationPlan(
        plan_id=plan.plan_id,
        display_name=plan.display_name,
        rules=[
            package_migration_pb2.MigrationRule(
                rule_id=rule.rule_id, condition=rule.condition, target=_target_to_proto(rule.target)
            )
            for rule in plan.rules
        ],
        default_target=_target_to_proto(plan.default) if plan.default else None,
        spend_days=plan.spend_days,
        moves_members=plan.moves_members,
        version=plan.version,
    )


def put_plan_to_proto(plan: MigrationPlan) -> pb.PutMigrationPlanResponse:
    """The plan as stored."""
    return pb.PutMigrationPlanResponse(plan=plan_to_proto(plan))


def problems_to_proto(problems: list[FieldViolation]) -> pb.ValidateMigrationPlanResponse:
    """What is wrong with a plan."""
    return pb.ValidateMigrationPlanResponse(
        problems=[pb.MigrationPlanProblem(field=each.field, description=each.description) for each in problems]
    )


def tried_to_proto(tried: Tried) -> pb.DryRunMigrationResponse:
    """What a plan would do."""
    return pb.DryRunMigrationResponse(total=tried.total, rules=_rules_to_proto(tried.rules))


def start_from_proto(request: pb.StartMigrationRequest) -> StartRun:
    """The run to start, or InvalidArgument."""
    return StartRun(
        plan_id_from_proto(request.plan_id),
        version_from_proto(request.version),
        times.from_proto(request.occurred_at, "occurred_at"),
        started_by=current_caller().subject,
    )


def undo_from_proto(request: pb.UndoMigrationRequest) -> UndoRun:
    """The run to undo, or InvalidArgument."""
    return UndoRun(
        run_id_from_proto(request.run_id),
        times.from_proto(request.occurred_at, "occurred_at"),
        undone_by=current_caller().subject,
    )


def advance_from_proto(request: pb.AdvanceMigrationRequest) -> Advance:
    """The rounds to do, or InvalidArgument."""
    if not 0 <= request.rounds <= MAX_ROUNDS:
        raise InvalidArgument("rounds", f"must be from 0 to {MAX_ROUNDS}")
    return Advance(run_id_from_proto(request.run_id), request.rounds or MAX_ROUNDS)


def advanced_to_proto(advanced: Advanced | None) -> pb.AdvanceMigrationResponse:
    """What a round did."""
    if advanced is None:
        return pb.AdvanceMigrationResponse()
    return pb.AdvanceMigrationResponse(done=advanced.done, state=_STATES[advanced.state])


def started_to_proto(progress: Progress) -> pb.StartMigrationResponse:
    """The run that began."""
    return pb.StartMigrationResponse(run=progress_to_proto(progress))


def undoing_to_proto(progress: Progress) -> pb.UndoMigrationResponse:
    """The run that is being undone."""
    return pb.UndoMigrationResponse(run=progress_to_proto(progress))


def progress_to_proto(progress: Progress) -> package_migration_pb2.MigrationRun:
    """A run with what it did so far."""
    run = run_to_proto(progress.run)
    run.rules.extend(_rules_to_proto(progress.rules))
    run.moves_undone = progress.undone
    run.moves_kept = progress.kept
    return run


def run_to_proto(run: MigrationRun) -> package_migration_pb2.MigrationRun:
    """A run without its counts."""
    return package_migration_pb2.MigrationRun(
        run_id=run.run_id,
        plan_id=run.plan_id,
        version=run.version,
        state=_STATES[run.state],
        occurred_at=times.to_proto(run.occurred_at),
        total=run.total,
        done=run.done,
        started_by=run.started_by,
        undone_at=times.to_proto(run.undone_at) if run.undone_at else None,
        undone_by=run.undone_by,
    )


def move_filter_from_proto(request: pb.ListMigrationMovesRequest) -> MoveFilter:
    """Which lines of the report are asked for, or InvalidArgument naming outcome or undo."""
    if request.outcome and request.outcome not in _OUTCOMES_KNOWN:
        raise InvalidArgument("outcome", "is not an outcome")
    if request.undo and request.undo not in _UNDOS_KNOWN:
        raise InvalidArgument("undo", "is not known")
    return MoveFilter(_OUTCOMES_KNOWN.get(request.outcome), _UNDOS_KNOWN.get(request.undo))


def move_to_proto(move: Move) -> package_migration_pb2.MigrationMove:
    """A line of the report."""
    return package_migration_pb2.MigrationMove(
        customer_id=move.customer_id,
        rule_id=move.rule_id,
        outcome=_OUTCOMES[move.outcome],
        packages=move.packages,
        target=_target_to_proto(move.target) if move.target else None,
        member_id=move.member_id or "",
        previous_tier_id=move.previous_tier_id or "",
        reason=move.reason,
        undo=_UNDOS[move.undo],
        undo_reason=move.undo_reason,
    )


def _target_from_proto(field: str, target: package_migration_pb2.MigrationTarget) -> Target:
    program_id = ProgramId(check_id(f"{field}.program_id", target.program_id)) if target.program_id else GENERAL
    return Target(program_id, TierId(check_id(f"{field}.tier_id", target.tier_id)))


def _target_to_proto(target: Target) -> package_migration_pb2.MigrationTarget:
    return package_migration_pb2.MigrationTarget(program_id=target.program_id, tier_id=target.tier_id)


def _rules_to_proto(rules: list[tuple[RuleId, Tally]]) -> list[package_migration_pb2.MigrationRuleCounts]:
    return [
        package_migration_pb2.MigrationRuleCounts(
            rule_id=rule_id,
            counts=[
                package_migration_pb2.MigrationCount(outcome=_OUTCOMES[outcome], customers=tally.outcomes[outcome])
                for outcome in Outcome
                if tally.outcomes[outcome]
            ],
            undecided=tally.undecided,
            sample_customer_ids=tally.samples,
        )
        for rule_id, tally in rules
    ]
