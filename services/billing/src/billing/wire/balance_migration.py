"""Plans of balance migration, balances and runs on the wire."""

from chassis.auth import current_caller
from chassis.errors import InvalidArgument
from chassis.ids import check_id, check_text
from chassis.times import from_proto, to_proto
from touchstone.billing.v1 import balance_migration_pb2 as migration_pb
from touchstone.billing.v1 import balance_migration_service_pb2 as pb

from billing.domain.balance_migration import (
    BalanceId,
    EarmarkedBalance,
    EarmarkedRule,
    Line,
    LoadBalances,
    Loading,
    MigrationPlan,
    MigrationPlanId,
    MigrationRunId,
    RunState,
    Sum,
    Target,
)
from billing.domain.ids import AccountId
from billing.use_cases.balance_migration import LoadedBalances, Progress, StartRun, UndoRun
from billing.wire.value import minor_to_proto, text_from_proto

_NAME_LENGTH_MAX = 200

_TARGETS = {
    Target.CASH: migration_pb.EARMARKED_TARGET_CASH,
    Target.GIFT: migration_pb.EARMARKED_TARGET_GIFT,
    Target.DROPPED: migration_pb.EARMARKED_TARGET_DROPPED,
}
_TARGETS_KNOWN = {value: target for target, value in _TARGETS.items()}
_STATES = {
    RunState.RUNNING: migration_pb.BALANCE_MIGRATION_STATE_RUNNING,
    RunState.COUNTED: migration_pb.BALANCE_MIGRATION_STATE_COUNTED,
    RunState.APPLIED: migration_pb.BALANCE_MIGRATION_STATE_APPLIED,
    RunState.UNDOING: migration_pb.BALANCE_MIGRATION_STATE_UNDOING,
    RunState.UNDONE: migration_pb.BALANCE_MIGRATION_STATE_UNDONE,
}


def plan_id_from_proto(value: str, field: str = "plan_id") -> MigrationPlanId:
    """A plan's id, or InvalidArgument."""
    return MigrationPlanId(check_id(field, value))


def run_id_from_proto(value: str) -> MigrationRunId:
    """A run's id, or InvalidArgument."""
    return MigrationRunId(check_id("run_id", value))


def any_run_id_from_proto(value: str) -> MigrationRunId | None:
    """A run's id, None for the one that is under way, or InvalidArgument."""
    return run_id_from_proto(value) if value else None


def plan_from_proto(plan: migration_pb.BalanceMigrationPlan) -> MigrationPlan:
    """The plan to put, or InvalidArgument with the fields at fault."""
    return MigrationPlan(
        plan_id=plan_id_from_proto(plan.plan_id, "plan.plan_id"),
        display_name=check_text("plan.display_name", plan.display_name, length_max=_NAME_LENGTH_MAX, required=True),
        currency=plan.currency,
        rules=tuple(_rule_from_proto(f"plan.rules[{place}]", rule) for place, rule in enumerate(plan.rules)),
    )


def plan_to_proto(plan: MigrationPlan) -> migration_pb.BalanceMigrationPlan:
    """The plan as stored."""
    return migration_pb.BalanceMigrationPlan(
        plan_id=plan.plan_id,
        display_name=plan.display_name,
        currency=plan.currency,
        rules=[
            migration_pb.EarmarkedRule(
                earmark=rule.earmark,
                target=_TARGETS[rule.target],
                rate_numerator=rule.rate_numerator,
                rate_denominator=rule.rate_denominator,
                gift_days=rule.gift_days,
                priority=rule.priority,
            )
            for rule in plan.rules
        ],
        frozen=plan.frozen,
        revision=plan.revision,
    )


def load_from_proto(request: pb.LoadEarmarkedBalancesRequest) -> LoadBalances:
    """The balances to load, or InvalidArgument with the fields at fault."""
    return LoadBalances(
        plan_id_from_proto(request.plan_id),
        tuple(_loading_from_proto(f"balances[{place}]", each) for place, each in enumerate(request.balances)),
    )


def put_to_proto(plan: MigrationPlan) -> pb.PutBalanceMigrationPlanResponse:
    """The answer to PutBalanceMigrationPlan."""
    return pb.PutBalanceMigrationPlanResponse(plan=plan_to_proto(plan))


def loaded_to_proto(done: LoadedBalances) -> pb.LoadEarmarkedBalancesResponse:
    """How many were loaded, and which were not."""
    return pb.LoadEarmarkedBalancesResponse(
        loaded=done.loaded,
        refused=[
            pb.EarmarkedBalanceRefused(balance_id=balance_id, reason=why) for balance_id, why in done.refused.items()
        ],
    )


def start_from_proto(request: pb.StartBalanceMigrationRequest) -> StartRun:
    """The run to start, or InvalidArgument."""
    return StartRun(
        run_id_from_proto(request.run_id),
        plan_id_from_proto(request.plan_id),
        request.dry,
        from_proto(request.occurred_at, "occurred_at"),
        started_by=current_caller().subject,
    )


def undo_from_proto(request: pb.UndoBalanceMigrationRequest) -> UndoRun:
    """The run to undo, or InvalidArgument."""
    return UndoRun(
        run_id_from_proto(request.run_id),
        from_proto(request.occurred_at, "occurred_at"),
        text_from_proto("reason", request.reason, required=True),
        undone_by=current_caller().subject,
    )


def run_to_proto(progress: Progress) -> migration_pb.BalanceMigrationRun:
    """A run with its sums."""
    run, sums = progress
    return migration_pb.BalanceMigrationRun(
        run_id=run.run_id,
        plan_id=run.plan.plan_id,
        plan_revision=run.plan.revision,
        dry=run.dry,
        state=_STATES[run.state],
        total=run.total,
        done=run.done,
        refused=sum(each.refused_balances for each in sums),
        sums=[_sum_to_proto(each, run.plan) for each in sums],
        proven=bool(run.proven),
        occurred_at=to_proto(run.occurred_at),
        started_by=run.started_by,
        undone_at=to_proto(run.undone_at) if run.undone_at else None,
        undone_by=run.undone_by,
        undone_because=run.undone_because,
    )


def started_to_proto(progress: Progress) -> pb.StartBalanceMigrationResponse:
    """The answer to StartBalanceMigration."""
    return pb.StartBalanceMigrationResponse(run=run_to_proto(progress))


def undoing_to_proto(progress: Progress) -> pb.UndoBalanceMigrationResponse:
    """The answer to UndoBalanceMigration."""
    return pb.UndoBalanceMigrationResponse(run=run_to_proto(progress))


def item_to_proto(line: Line, currency: str) -> migration_pb.BalanceMigrationItem:
    """A line of a run's report."""
    (balance, decision, transaction_id, _), undo = line
    target = migration_pb.EARMARKED_TARGET_UNSPECIFIED if decision.target is None else _TARGETS[decision.target]
    expires_at = decision.terms.expires_at if decision.terms else None
    return migration_pb.BalanceMigrationItem(
        balance_id=balance.balance_id,
        account_id=balance.account_id,
        earmark=balance.earmark,
        old_amount=minor_to_proto(balance.amount_minor, currency),
        target=target,
        new_amount=minor_to_proto(decision.new_minor, currency),
        expires_at=to_proto(expires_at) if expires_at else None,
        transaction_id=transaction_id or "",
        refused_because=decision.refused or "",
        taken_back=minor_to_proto(undo.taken_minor, currency) if undo else None,
        kept=minor_to_proto(undo.kept_minor, currency) if undo else None,
    )


def _rule_from_proto(field: str, rule: migration_pb.EarmarkedRule) -> EarmarkedRule:
    if rule.target not in _TARGETS_KNOWN:
        raise InvalidArgument(f"{field}.target", "must say what the balances become")
    return EarmarkedRule(
        earmark=check_id(f"{field}.earmark", rule.earmark),
        target=_TARGETS_KNOWN[rule.target],
        rate_numerator=rule.rate_numerator or 1,
        rate_denominator=rule.rate_denominator or 1,
        gift_days=rule.gift_days,
        priority=rule.priority,
    )


def _loading_from_proto(field: str, balance: migration_pb.EarmarkedBalance) -> Loading:
    expires_at = from_proto(balance.expires_at, f"{field}.expires_at") if balance.HasField("expires_at") else None
    return Loading(
        EarmarkedBalance(
            BalanceId(check_id(f"{field}.balance_id", balance.balance_id)),
            AccountId(check_id(f"{field}.account_id", balance.account_id)),
            check_id(f"{field}.earmark", balance.earmark),
            balance.amount.minor_units,
            expires_at,
        ),
        balance.amount.currency,
    )


def _sum_to_proto(total: Sum, plan: MigrationPlan) -> migration_pb.EarmarkedSum:
    rule, currency = plan.rule(total.earmark), plan.currency
    return migration_pb.EarmarkedSum(
        earmark=total.earmark,
        balances=total.balances,
        old_amount=minor_to_proto(total.old_minor, currency),
        taken_over=minor_to_proto(total.taken_over_minor, currency),
        dropped=minor_to_proto(total.dropped_minor, currency),
        refused=minor_to_proto(total.refused_minor, currency),
        cash=minor_to_proto(total.cash_minor, currency),
        gift=minor_to_proto(total.gift_minor, currency),
        rounding_parts=total.parts,
        rate_numerator=rule.rate_numerator if rule else 1,
        rate_denominator=rule.rate_denominator if rule else 1,
        taken_back=minor_to_proto(total.taken_back_minor, currency),
        kept=minor_to_proto(total.kept_minor, currency),
    )
