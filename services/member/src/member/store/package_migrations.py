"""Plans that make members of package customers, their runs, and what was done with each customer."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import (
    Row,
    Text,
    any_,
    func,
    literal,
    select,
    text,
    update,
)
from sqlalchemy.dialects.postgresql import ARRAY, distinct_on, insert
from sqlalchemy.ext.asyncio import AsyncConnection

from member.domain.customer import CustomerId, CustomerKind
from member.domain.membership import MemberId
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
    Target,
    Undo,
)
from member.domain.package_rule import PackageCustomer
from member.domain.program import ProgramId, TierId
from member.store.customer_documents import lines_from_document
from member.store.package_tables import package_moves, package_plans, package_runs
from member.store.postings import ACCOUNT_PREFIX, points_account
from member.store.tables import LEDGER, customers

_LOCK_PLAN = text("SELECT pg_advisory_xact_lock(hashtext(:name))")

_CUSTOMERS = text("""
    SELECT page.customer_id, page.kind, page.subscribers, page.registered_at, spend.recharged, spend.ordered
    FROM (
        SELECT customer_id, kind, subscribers, registered_at FROM customers
        WHERE customer_id > :after AND registered_at <= :as_of AND merged_into IS NULL AND erased_at IS NULL
        ORDER BY customer_id LIMIT :most
    ) AS page
    CROSS JOIN LATERAL (
        SELECT coalesce(sum(amount_minor) FILTER (WHERE tier_spend.kind = 'recharge'), 0)::bigint AS recharged,
            coalesce(sum(amount_minor) FILTER (WHERE tier_spend.kind = 'order'), 0)::bigint AS ordered
        FROM tier_spend
        WHERE tier_spend.customer_id = page.customer_id
            AND tier_spend.spent_at > :spent_after AND tier_spend.spent_at <= :as_of
            AND coalesce(tier_spend.refunded_at <= :as_of, true)
    ) AS spend
    ORDER BY page.customer_id
""")

_INSERT_MOVES = text("""
    INSERT INTO package_moves (run_id, customer_id, rule_id, outcome, packages, program_id, tier_id, member_id,
        previous_tier_id, revision, reason, recorded_at)
    SELECT :run, new.customer_id, new.rule_id, new.outcome, string_to_array(new.packages, chr(31)),
        new.program_id, new.tier_id, new.member_id, new.previous_tier_id, new.revision, new.reason, :recorded_at
    FROM unnest(CAST(:customers AS text[]), CAST(:rules AS text[]), CAST(:outcomes AS text[]),
                CAST(:packages AS text[]), CAST(:programs AS text[]), CAST(:tiers AS text[]), CAST(:members AS text[]),
                CAST(:previous AS text[]), CAST(:revisions AS bigint[]), CAST(:reasons AS text[]))
        AS new(customer_id, rule_id, outcome, packages, program_id, tier_id, member_id, previous_tier_id, revision,
            reason)
""")

_SAVE_UNDONE = text("""
    UPDATE package_moves SET undo = undone.undo, undo_reason = undone.reason
    FROM unnest(CAST(:customers AS text[]), CAST(:undos AS text[]), CAST(:reasons AS text[]))
        AS undone(customer_id, undo, reason)
    WHERE package_moves.run_id = :run AND package_moves.customer_id = undone.customer_id
""")


class MoveFilter(NamedTuple):
    """Which lines of a report are asked for; None is every one."""

    outcome: Outcome | None = None
    undo: Undo | None = None


class Counted(NamedTuple):
    """How many of a run's customers came out the same way."""

    rule_id: RuleId
    outcome: Outcome
    undo: Undo
    customers: int


async def lock_plan(connection: AsyncConnection, plan_id: PlanId) -> None:
    """Nobody else puts the plan until the transaction ends."""
    await connection.execute(_LOCK_PLAN, {"name": f"package plan {plan_id}"})


async def find_plan(connection: AsyncConnection, plan_id: PlanId, version: int | None) -> MigrationPlan | None:
    """The plan in a version, or in its last; None where there is none."""
    asked = select(package_plans).where(package_plans.c.plan_id == plan_id)
    if version is not None:
        asked = asked.where(package_plans.c.version == version)
    found = await connection.execute(asked.order_by(package_plans.c.version.desc()).limit(1))
    row = found.one_or_none()
    return _plan(row) if row else None


async def list_plans(connection: AsyncConnection, *, after: str | None, limit: int) -> list[MigrationPlan]:
    """Plans by id, each in its last version."""
    asked = select(package_plans).ext(distinct_on(package_plans.c.plan_id))
    if after is not None:
        asked = asked.where(package_plans.c.plan_id > after)
    found = await connection.execute(
        asked.order_by(package_plans.c.plan_id, package_plans.c.version.desc()).limit(limit)
    )
    return [_plan(row) for row in found]


async def insert_plan(connection: AsyncConnection, plan: MigrationPlan, *, put_by: str, recorded_at: datetime) -> None:
    """Write a version of a plan."""
    await connection.execute(
        package_plans.insert().values(
            plan_id=plan.plan_id,
            version=plan.version,
            document=_document(plan),
            put_by=put_by,
            recorded_at=recorded_at,
        )
    )


async def count_customers(connection: AsyncConnection, as_of: datetime) -> int:
    """How many customers a run at this instant looks at."""
    asked = select(func.count()).where(
        customers.c.registered_at <= as_of, customers.c.merged_into.is_(None), customers.c.erased_at.is_(None)
    )
    return int((await connection.execute(asked)).scalar_one())


async def next_customers(
    connection: AsyncConnection, plan: MigrationPlan, as_of: datetime, *, after: CustomerId, most: int
) -> list[PackageCustomer]:
    """The next customers by id who were registered by an instant, with what conditions read of them."""
    asked = {"after": after, "as_of": as_of, "spent_after": as_of - timedelta(days=plan.spend_days), "most": most}
    return [
        PackageCustomer(
            CustomerId(row.customer_id),
            CustomerKind(row.kind),
            row.registered_at,
            lines_from_document(row.subscribers),
            row.recharged,
            row.ordered,
        )
        for row in await connection.execute(_CUSTOMERS, asked)
    ]


async def insert_run(connection: AsyncConnection, run: MigrationRun, *, recorded_at: datetime) -> bool:
    """Write a run that begins; False where another one is under way."""
    written = await connection.execute(
        insert(package_runs)
        .values(
            run_id=run.run_id,
            plan_id=run.plan_id,
            version=run.version,
            state=run.state.value,
            occurred_at=run.occurred_at,
            total=run.total,
            done=run.done,
            reached=run.reached,
            undecided={},
            started_by=run.started_by,
            recorded_at=recorded_at,
        )
        .on_conflict_do_nothing()
        .returning(package_runs.c.run_id)
    )
    return written.one_or_none() is not None


async def find_run(connection: AsyncConnection, run_id: RunId) -> MigrationRun | None:
    """The run, or None."""
    row = (await connection.execute(select(package_runs).where(package_runs.c.run_id == run_id))).one_or_none()
    return _run(row) if row else None


async def run_for_update(connection: AsyncConnection, run_id: RunId | None) -> MigrationRun | None:
    """The run, or the one that is under way, locked: nobody else does a round of it."""
    asked = select(package_runs).with_for_update()
    if run_id is not None:
        asked = asked.where(package_runs.c.run_id == run_id)
    else:
        asked = asked.where(package_runs.c.state.in_([RunState.RUNNING.value, RunState.UNDOING.value]))
    row = (await connection.execute(asked)).one_or_none()
    return _run(row) if row else None


async def another_under_way(connection: AsyncConnection, run_id: RunId) -> bool:
    """Whether a run other than this one is applied or undone."""
    asked = select(func.count()).where(
        package_runs.c.run_id != run_id,
        package_runs.c.state.in_([RunState.RUNNING.value, RunState.UNDOING.value]),
    )
    return bool((await connection.execute(asked)).scalar_one())


async def list_runs(connection: AsyncConnection, *, before: str | None, limit: int) -> list[MigrationRun]:
    """Runs, newest first."""
    asked = select(package_runs)
    if before is not None:
        asked = asked.where(package_runs.c.run_id < before)
    found = await connection.execute(asked.order_by(package_runs.c.run_id.desc()).limit(limit))
    return [_run(row) for row in found]


async def save_run(connection: AsyncConnection, run: MigrationRun) -> None:
    """Write how far a run is."""
    await connection.execute(
        update(package_runs)
        .where(package_runs.c.run_id == run.run_id)
        .values(
            state=run.state.value,
            done=run.done,
            reached=run.reached,
            undone_at=run.undone_at,
            undone_by=run.undone_by,
        )
    )


async def add_undecided(connection: AsyncConnection, run_id: RunId, more: Mapping[RuleId, int]) -> None:
    """Count customers for whom conditions could not be decided."""
    if not more:
        return
    known = await undecided_of(connection, run_id)
    counted = {rule_id: known.get(RuleId(rule_id), 0) + more.get(RuleId(rule_id), 0) for rule_id in {*known, *more}}
    await connection.execute(update(package_runs).where(package_runs.c.run_id == run_id).values(undecided=counted))


async def undecided_of(connection: AsyncConnection, run_id: RunId) -> dict[RuleId, int]:
    """By rule, for how many customers its condition could not be decided."""
    found = await connection.execute(select(package_runs.c.undecided).where(package_runs.c.run_id == run_id))
    return {RuleId(rule_id): count for rule_id, count in found.scalar_one().items()}


async def count_moves(connection: AsyncConnection, run_id: RunId) -> list[Counted]:
    """What a run did so far, by rule and outcome."""
    columns = (package_moves.c.rule_id, package_moves.c.outcome, package_moves.c.undo)
    asked = select(*columns, func.count().label("customers")).where(package_moves.c.run_id == run_id)
    found = await connection.execute(asked.group_by(*columns).order_by(*columns))
    return [Counted(RuleId(row.rule_id), Outcome(row.outcome), Undo(row.undo), row.customers) for row in found]


async def insert_moves(
    connection: AsyncConnection, run_id: RunId, moves: Sequence[Move], *, recorded_at: datetime
) -> None:
    """Write what was done with customers."""
    await connection.execute(
        _INSERT_MOVES,
        {
            "run": run_id,
            "customers": [move.customer_id for move in moves],
            "rules": [move.rule_id for move in moves],
            "outcomes": [move.outcome.value for move in moves],
            "packages": ["\x1f".join(move.packages) for move in moves],
            "programs": [move.target.program_id if move.target else None for move in moves],
            "tiers": [move.target.tier_id if move.target else None for move in moves],
            "members": [move.member_id for move in moves],
            "previous": [move.previous_tier_id for move in moves],
            "revisions": [move.revision for move in moves],
            "reasons": [move.reason for move in moves],
            "recorded_at": recorded_at,
        },
    )


async def moves_to_undo(connection: AsyncConnection, run: MigrationRun, *, most: int) -> list[Move]:
    """The next moves of a run that changed a membership, by customer."""
    changed = [Outcome.ENROLLED.value, Outcome.MOVED.value]
    asked = select(package_moves).where(
        package_moves.c.run_id == run.run_id,
        package_moves.c.customer_id > run.reached,
        package_moves.c.outcome.in_(changed),
    )
    found = await connection.execute(asked.order_by(package_moves.c.customer_id).limit(most))
    return [_move(row) for row in found]


async def members_with_points(connection: AsyncConnection, ids: Collection[MemberId]) -> set[MemberId]:
    """Which of the members have points, or points held; their accounts are locked until the transaction ends."""
    accounts = LEDGER.accounts
    asked = select(accounts.c.id, accounts.c.balance, accounts.c.held).where(
        accounts.c.id == any_(literal([points_account(member_id) for member_id in sorted(ids)], ARRAY(Text)))
    )
    found = await connection.execute(asked.order_by(accounts.c.id).with_for_update(key_share=True))
    return {MemberId(row.id.removeprefix(ACCOUNT_PREFIX)) for row in found if row.balance != 0 or row.held != 0}


async def save_undone(connection: AsyncConnection, run_id: RunId, moves: Collection[Move]) -> None:
    """Write what became of moves."""
    if moves:
        asked = {
            "run": run_id,
            "customers": [move.customer_id for move in moves],
            "undos": [move.undo.value for move in moves],
            "reasons": [move.undo_reason for move in moves],
        }
        await connection.execute(_SAVE_UNDONE, asked)


async def list_moves(
    connection: AsyncConnection, run_id: RunId, only: MoveFilter, *, after: str | None, limit: int
) -> list[Move]:
    """A run's report, by customer."""
    asked = select(package_moves).where(package_moves.c.run_id == run_id)
    if only.outcome is not None:
        asked = asked.where(package_moves.c.outcome == only.outcome.value)
    if only.undo is not None:
        asked = asked.where(package_moves.c.undo == only.undo.value)
    if after is not None:
        asked = asked.where(package_moves.c.customer_id > literal(after, Text))
    found = await connection.execute(asked.order_by(package_moves.c.customer_id).limit(limit))
    return [_move(row) for row in found]


def _document(plan: MigrationPlan) -> dict[str, Any]:
    return {
        "display_name": plan.display_name,
        "rules": [
            {"rule_id": rule.rule_id, "condition": rule.condition, "target": _target_to_json(rule.target)}
            for rule in plan.rules
        ],
        "default": _target_to_json(plan.default) if plan.default else None,
        "spend_days": plan.spend_days,
        "moves_members": plan.moves_members,
    }


def _plan(row: Row[Any]) -> MigrationPlan:
    known = row.document
    return MigrationPlan(
        PlanId(row.plan_id),
        known["display_name"],
        tuple(
            MappingRule(RuleId(rule["rule_id"]), rule["condition"], _target_from_json(rule["target"]))
            for rule in known["rules"]
        ),
        _target_from_json(known["default"]) if known["default"] else None,
        known["spend_days"],
        known["moves_members"],
        row.version,
    )


def _target_to_json(target: Target) -> dict[str, str]:
    return {"program_id": target.program_id, "tier_id": target.tier_id}


def _target_from_json(target: dict[str, str]) -> Target:
    return Target(ProgramId(target["program_id"]), TierId(target["tier_id"]))


def _run(row: Row[Any]) -> MigrationRun:
    return MigrationRun(
        RunId(row.run_id),
        PlanId(row.plan_id),
        row.version,
        RunState(row.state),
        row.occurred_at,
        row.total,
        row.done,
        CustomerId(row.reached),
        row.started_by,
        undone_at=row.undone_at,
        undone_by=row.undone_by,
    )


def _move(row: Row[Any]) -> Move:
    return Move(
        CustomerId(row.customer_id),
        RuleId(row.rule_id),
        Outcome(row.outcome),
        tuple(row.packages),
        Target(ProgramId(row.program_id), TierId(row.tier_id)) if row.program_id else None,
        MemberId(row.member_id) if row.member_id else None,
        TierId(row.previous_tier_id) if row.previous_tier_id else None,
        row.revision,
        row.reason,
        Undo(row.undo),
        row.undo_reason,
    )
