"""Plans of balance migration, the balances loaded for them, and their runs, in the database."""

import json
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

from chassis.arrays import array_of_instants, array_of_numbers, array_of_texts
from chassis.driver import Row, fetch
from sqlalchemy.ext.asyncio import AsyncConnection

from billing.domain.balance_migration import (
    BalanceId,
    Booked,
    EarmarkedBalance,
    EarmarkedRule,
    Loaded,
    MigrationPlan,
    MigrationPlanId,
    MigrationRun,
    MigrationRunId,
    RunState,
    Sum,
    Target,
)
from billing.domain.ids import AccountId
from billing.domain.movement import MovementKind
from billing.store.posting import BALANCE_PREFIX

_PLAN = "SELECT plan_id, revision, currency, document::text, frozen FROM balance_migration_plans WHERE plan_id = $1"
_PLAN_SHARED = f"{_PLAN} FOR SHARE"
_PLAN_LOCKED = f"{_PLAN} FOR UPDATE"
_ADD_PLAN = """
INSERT INTO balance_migration_plans (plan_id, revision, currency, document, recorded_at)
VALUES ($1, 1, $2, $3::text::jsonb, $4) ON CONFLICT DO NOTHING RETURNING plan_id"""
_CHANGE_PLAN = """
UPDATE balance_migration_plans SET revision = $2, document = $3::text::jsonb, recorded_at = $4 WHERE plan_id = $1"""
_FREEZE = "UPDATE balance_migration_plans SET frozen = true WHERE plan_id = $1"

_CURRENCIES = "SELECT account_id, currency FROM accounts WHERE account_id = ANY($1::text::text[])"
# Taken over, and not taken back as a whole since.
_APPLIED = """
SELECT i.balance_id FROM balance_migration_items i LEFT JOIN balance_migration_undos u USING (run_id, balance_id)
WHERE i.applied AND i.balance_id = ANY($1::text::text[]) AND coalesce(u.kept_minor, 1) > 0"""
_LOAD = """
INSERT INTO earmarked_balances (plan_id, balance_id, account_id, earmark, amount_minor, expires_at, recorded_at)
SELECT $1, n.*, $7
FROM unnest($2::text::text[], $3::text::text[], $4::text::text[], $5::text::bigint[], $6::text::timestamptz[]) AS n
ORDER BY 2
ON CONFLICT (plan_id, balance_id) DO UPDATE SET account_id = excluded.account_id, earmark = excluded.earmark,
    amount_minor = excluded.amount_minor, expires_at = excluded.expires_at, recorded_at = excluded.recorded_at"""
_NEXT = """
SELECT balance_id, account_id, earmark, amount_minor, expires_at FROM earmarked_balances
WHERE plan_id = $1 AND balance_id > $2 ORDER BY balance_id LIMIT $3"""
_LOADED = """
SELECT earmark, count(*) AS balances, sum(amount_minor)::bigint AS amount_minor FROM earmarked_balances
WHERE plan_id = $1 GROUP BY earmark"""
_TOTAL = "SELECT count(*) AS total FROM earmarked_balances WHERE plan_id = $1"

_RUN = """
SELECT run_id, plan_id, plan_revision, document::text, dry, state, total, done, reached, proven, occurred_at,
       started_by, undone_at, undone_by, undone_because, document ->> 'currency' AS currency
FROM balance_migration_runs"""
_UNDER_WAY = "state IN ('running', 'undoing')"
_ADD_RUN = """
INSERT INTO balance_migration_runs (run_id, plan_id, plan_revision, document, dry, state, total, done, reached,
                                    occurred_at, started_by, recorded_at)
VALUES ($1, $2, $3, $4::text::jsonb, $5, $6, $7, 0, '', $8, $9, $10) ON CONFLICT DO NOTHING RETURNING run_id"""
_SAVE_RUN = """
UPDATE balance_migration_runs SET state = $2, done = $3, reached = $4, proven = $5, undone_at = $6, undone_by = $7,
    undone_because = $8
WHERE run_id = $1"""
_OTHER_UNDER_WAY = f"SELECT FROM balance_migration_runs WHERE {_UNDER_WAY} AND run_id <> $1"
_OF_PLAN_UNDER_WAY = f"SELECT FROM balance_migration_runs WHERE {_UNDER_WAY} AND plan_id = $1"

_SUMS = """
SELECT i.earmark, count(*) AS balances, count(i.refused) AS refused_balances,
       sum(i.old_minor)::bigint AS old_minor,
       coalesce(sum(i.old_minor) FILTER (WHERE i.target IN ('cash', 'gift')), 0)::bigint AS taken_over_minor,
       coalesce(sum(i.old_minor) FILTER (WHERE i.target = 'dropped'), 0)::bigint AS dropped_minor,
       coalesce(sum(i.old_minor) FILTER (WHERE i.refused IS NOT NULL), 0)::bigint AS refused_minor,
       coalesce(sum(i.new_minor) FILTER (WHERE i.target = 'cash'), 0)::bigint AS cash_minor,
       coalesce(sum(i.new_minor) FILTER (WHERE i.target = 'gift'), 0)::bigint AS gift_minor,
       sum(i.rounding_parts)::bigint AS parts,
       coalesce(sum(u.taken_minor), 0)::bigint AS taken_back_minor,
       coalesce(sum(u.kept_minor), 0)::bigint AS kept_minor
FROM balance_migration_items i LEFT JOIN balance_migration_undos u USING (run_id, balance_id)
WHERE i.run_id = $1 GROUP BY i.earmark ORDER BY i.earmark"""
# What the ledger itself has under the names of a run's transactions, whatever the run says it booked.
_BOOKED = """
SELECT i.earmark, k.kind, sum(e.amount)::bigint AS amount
FROM balance_migration_items i
CROSS JOIN unnest($2::text::text[]) AS k(kind)
JOIN ledger_entries e ON e.source = k.kind || ':' || i.run_id || '/' || i.balance_id
  AND e.account_id = $3 || i.account_id AND e.account_version IS NOT NULL
WHERE i.run_id = $1 GROUP BY i.earmark, k.kind"""


async def find_plan(connection: AsyncConnection, plan_id: MigrationPlanId) -> MigrationPlan | None:
    """The plan as it was committed last."""
    return _plan_or_none(await fetch(connection, _PLAN, plan_id))


async def plan_shared(connection: AsyncConnection, plan_id: MigrationPlanId) -> MigrationPlan | None:
    """The plan, of which no run is started until the transaction ends."""
    return _plan_or_none(await fetch(connection, _PLAN_SHARED, plan_id))


async def plan_for_update(connection: AsyncConnection, plan_id: MigrationPlanId) -> MigrationPlan | None:
    """The plan, which nobody else changes, loads balances for or starts until the transaction ends."""
    return _plan_or_none(await fetch(connection, _PLAN_LOCKED, plan_id))


async def add_plan(connection: AsyncConnection, plan: MigrationPlan, recorded_at: datetime) -> bool:
    """Adds a plan in its first revision; False where there is one."""
    return bool(await fetch(connection, _ADD_PLAN, plan.plan_id, plan.currency, _document(plan), recorded_at))


async def change_plan(connection: AsyncConnection, plan: MigrationPlan, recorded_at: datetime) -> None:
    """Stores another revision of a locked plan."""
    await fetch(connection, _CHANGE_PLAN, plan.plan_id, plan.revision, _document(plan), recorded_at)


async def freeze_plan(connection: AsyncConnection, plan_id: MigrationPlanId) -> None:
    """From now on a locked plan is not changed."""
    await fetch(connection, _FREEZE, plan_id)


async def currencies_of(connection: AsyncConnection, account_ids: Collection[AccountId]) -> dict[AccountId, str]:
    """The currencies of the accounts that there are."""
    rows = await fetch(connection, _CURRENCIES, array_of_texts(sorted(account_ids)))
    return {AccountId(row["account_id"]): row["currency"] for row in rows}


async def applied_balances(connection: AsyncConnection, balance_ids: Collection[BalanceId]) -> set[BalanceId]:
    """Which of the balances a run of any plan took over, and did not give up as a whole."""
    rows = await fetch(connection, _APPLIED, array_of_texts(sorted(balance_ids)))
    return {BalanceId(row["balance_id"]) for row in rows}


async def load_balances(
    connection: AsyncConnection, plan_id: MigrationPlanId, balances: Sequence[EarmarkedBalance], recorded_at: datetime
) -> None:
    """Stores balances for a plan, instead of those with the same ids."""
    if balances:
        await fetch(
            connection,
            _LOAD,
            plan_id,
            array_of_texts([each.balance_id for each in balances]),
            array_of_texts([each.account_id for each in balances]),
            array_of_texts([each.earmark for each in balances]),
            array_of_numbers([each.amount_minor for each in balances]),
            array_of_instants([each.expires_at for each in balances]),
            recorded_at,
        )


async def next_balances(connection: AsyncConnection, run: MigrationRun, most: int) -> list[EarmarkedBalance]:
    """The balances that a run has not looked at, by id, at most so many."""
    rows = await fetch(connection, _NEXT, run.plan.plan_id, run.reached, most)
    return [EarmarkedBalance(*row) for row in rows]


async def loaded_sums(connection: AsyncConnection, plan_id: MigrationPlanId) -> dict[str, Loaded]:
    """What is loaded for a plan, by earmark."""
    rows = await fetch(connection, _LOADED, plan_id)
    return {row["earmark"]: Loaded(row["balances"], row["amount_minor"]) for row in rows}


async def count_loaded(connection: AsyncConnection, plan_id: MigrationPlanId) -> int:
    """How many balances are loaded for a plan."""
    return int((await fetch(connection, _TOTAL, plan_id))[0]["total"])


async def add_run(connection: AsyncConnection, run: MigrationRun, recorded_at: datetime) -> bool:
    """Adds a run that begins; False where another one is under way, or has its id."""
    plan = run.plan
    document = json.dumps(json.loads(_document(plan)) | {"currency": plan.currency})
    columns = run.run_id, plan.plan_id, plan.revision, document, run.dry, run.state, run.total, run.occurred_at
    return bool(await fetch(connection, _ADD_RUN, *columns, run.started_by, recorded_at))


async def find_run(connection: AsyncConnection, run_id: MigrationRunId) -> MigrationRun | None:
    """The run as it was committed last."""
    return _run_or_none(await fetch(connection, f"{_RUN} WHERE run_id = $1", run_id))


async def run_for_update(connection: AsyncConnection, run_id: MigrationRunId | None) -> MigrationRun | None:
    """The run, or the one that is under way, locked: nobody else does a round of it."""
    if run_id is not None:
        return _run_or_none(await fetch(connection, f"{_RUN} WHERE run_id = $1 FOR UPDATE", run_id))
    return _run_or_none(await fetch(connection, f"{_RUN} WHERE {_UNDER_WAY} FOR UPDATE"))


async def another_under_way(connection: AsyncConnection, run_id: MigrationRunId) -> bool:
    """Whether a run other than this one is under way."""
    return bool(await fetch(connection, _OTHER_UNDER_WAY, run_id))


async def plan_under_way(connection: AsyncConnection, plan_id: MigrationPlanId) -> bool:
    """Whether a run of the plan is under way."""
    return bool(await fetch(connection, _OF_PLAN_UNDER_WAY, plan_id))


async def save_run(connection: AsyncConnection, run: MigrationRun) -> None:
    """Stores how far a locked run is."""
    undone = run.undone_at, run.undone_by, run.undone_because
    await fetch(connection, _SAVE_RUN, run.run_id, run.state, run.done, run.reached, run.proven, *undone)


async def sums_of(connection: AsyncConnection, run_id: MigrationRunId) -> list[Sum]:
    """What a run's balances come to so far, by earmark."""
    return [Sum(*row) for row in await fetch(connection, _SUMS, run_id)]


async def booked_sums(connection: AsyncConnection, run_id: MigrationRunId) -> dict[str, Booked]:
    """What the ledger has of a run, by earmark."""
    kinds = array_of_texts([MovementKind.MIGRATION, MovementKind.MIGRATION_UNDO])
    found: dict[str, Booked] = {}
    for row in await fetch(connection, _BOOKED, run_id, kinds, BALANCE_PREFIX):
        known = found.get(row["earmark"], Booked())
        if row["kind"] == MovementKind.MIGRATION:
            found[row["earmark"]] = known._replace(credited_minor=row["amount"])
        else:
            found[row["earmark"]] = known._replace(taken_back_minor=-row["amount"])
    return found


def _document(plan: MigrationPlan) -> str:
    rules = [
        {
            "earmark": rule.earmark,
            "target": rule.target,
            "rate": [rule.rate_numerator, rule.rate_denominator],
            "gift_days": rule.gift_days,
            "priority": rule.priority,
        }
        for rule in plan.rules
    ]
    return json.dumps({"display_name": plan.display_name, "rules": rules})


def _plan_or_none(rows: Sequence[Row]) -> MigrationPlan | None:
    return _plan(rows[0], revision=rows[0]["revision"], frozen=rows[0]["frozen"]) if rows else None


def _plan(row: Row, *, revision: int, frozen: bool) -> MigrationPlan:
    known: dict[str, Any] = json.loads(row["document"])
    return MigrationPlan(
        plan_id=MigrationPlanId(row["plan_id"]),
        display_name=known["display_name"],
        currency=row["currency"],
        rules=tuple(
            EarmarkedRule(
                earmark=rule["earmark"],
                target=Target(rule["target"]),
                rate_numerator=rule["rate"][0],
                rate_denominator=rule["rate"][1],
                gift_days=rule["gift_days"],
                priority=rule["priority"],
            )
            for rule in known["rules"]
        ),
        frozen=frozen,
        revision=revision,
    )


def _run_or_none(rows: Sequence[Row]) -> MigrationRun | None:
    if not rows:
        return None
    row = rows[0]
    return MigrationRun(
        run_id=MigrationRunId(row["run_id"]),
        plan=_plan(row, revision=row["plan_revision"], frozen=not row["dry"]),
        dry=row["dry"],
        state=RunState(row["state"]),
        total=row["total"],
        occurred_at=row["occurred_at"],
        started_by=row["started_by"],
        done=row["done"],
        reached=row["reached"],
        proven=row["proven"],
        undone_at=row["undone_at"],
        undone_by=row["undone_by"],
        undone_because=row["undone_because"],
    )
