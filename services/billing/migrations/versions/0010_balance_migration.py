"""Plans and runs that make earmarked balances one, and copies of the tiers that members hold."""

from alembic import op
from chassis.migrations import append_only

revision = "0010"
down_revision = "0009"

_PLANS = """
CREATE TABLE balance_migration_plans (
    plan_id text PRIMARY KEY,
    revision bigint NOT NULL,
    currency text NOT NULL,
    document jsonb NOT NULL,
    frozen boolean NOT NULL DEFAULT false,
    recorded_at timestamptz NOT NULL,
    CONSTRAINT balance_migration_plans_revision CHECK (revision > 0)
);
CREATE TABLE earmarked_balances (
    plan_id text NOT NULL REFERENCES balance_migration_plans,
    balance_id text NOT NULL,
    account_id text NOT NULL REFERENCES accounts,
    earmark text NOT NULL,
    amount_minor bigint NOT NULL,
    expires_at timestamptz,
    recorded_at timestamptz NOT NULL,
    PRIMARY KEY (plan_id, balance_id),
    CONSTRAINT earmarked_balances_amount CHECK (amount_minor >= 0)
)
"""

_RUNS = """
CREATE TABLE balance_migration_runs (
    run_id text PRIMARY KEY,
    plan_id text NOT NULL REFERENCES balance_migration_plans,
    plan_revision bigint NOT NULL,
    document jsonb NOT NULL,
    dry boolean NOT NULL,
    state text NOT NULL,
    total bigint NOT NULL,
    done bigint NOT NULL,
    reached text NOT NULL,
    proven boolean,
    occurred_at timestamptz NOT NULL,
    started_by text NOT NULL,
    undone_at timestamptz,
    undone_by text NOT NULL DEFAULT '',
    undone_because text NOT NULL DEFAULT '',
    recorded_at timestamptz NOT NULL,
    CONSTRAINT balance_migration_runs_state CHECK (
        state IN ('running', 'counted', 'applied', 'undoing', 'undone')
        AND (undone_at IS NULL) = (state IN ('running', 'counted', 'applied'))
        AND (dry OR state <> 'counted') AND (NOT dry OR state IN ('running', 'counted')))
);
CREATE UNIQUE INDEX balance_migration_runs_one_under_way ON balance_migration_runs ((true))
    WHERE state IN ('running', 'undoing');
CREATE TABLE balance_migration_items (
    run_id text NOT NULL REFERENCES balance_migration_runs,
    balance_id text NOT NULL,
    account_id text NOT NULL REFERENCES accounts,
    earmark text NOT NULL,
    old_minor bigint NOT NULL,
    target text,
    new_minor bigint NOT NULL,
    rounding_parts bigint NOT NULL,
    expires_at timestamptz,
    transaction_id text UNIQUE,
    refused text,
    applied boolean NOT NULL,
    undo_place text NOT NULL,
    recorded_at timestamptz NOT NULL,
    PRIMARY KEY (run_id, balance_id),
    CONSTRAINT balance_migration_items_signs CHECK (old_minor >= 0 AND new_minor >= 0 AND rounding_parts >= 0),
    CONSTRAINT balance_migration_items_outcome CHECK (
        (target IS NULL) = (refused IS NOT NULL) AND target IN ('cash', 'gift', 'dropped')
        AND (refused IS NULL OR (new_minor = 0 AND NOT applied))
        AND (transaction_id IS NOT NULL) = (applied AND new_minor > 0))
);
CREATE INDEX balance_migration_items_applied ON balance_migration_items (balance_id) WHERE applied;
CREATE UNIQUE INDEX balance_migration_items_undo ON balance_migration_items (run_id, undo_place) WHERE applied;
CREATE INDEX balance_migration_items_refused ON balance_migration_items (run_id, balance_id) WHERE refused IS NOT NULL;
CREATE TABLE balance_migration_undos (
    run_id text NOT NULL,
    balance_id text NOT NULL,
    taken_minor bigint NOT NULL,
    kept_minor bigint NOT NULL,
    transaction_id text UNIQUE,
    recorded_at timestamptz NOT NULL,
    PRIMARY KEY (run_id, balance_id),
    FOREIGN KEY (run_id, balance_id) REFERENCES balance_migration_items,
    CONSTRAINT balance_migration_undos_signs CHECK (taken_minor >= 0 AND kept_minor >= 0)
)
"""

_HELD = """
CREATE TABLE held_tiers (
    customer_id text PRIMARY KEY,
    program_ids text[] NOT NULL,
    tier_ids text[] NOT NULL,
    revision bigint NOT NULL,
    CONSTRAINT held_tiers_pairs CHECK (cardinality(program_ids) = cardinality(tier_ids))
)
"""


def upgrade() -> None:
    """Makes the tables; what a run did to a balance, and what was taken back of it, is only ever appended."""
    for statements in (_PLANS, _RUNS, _HELD):
        for statement in statements.split(";\n"):
            op.execute(statement)
    append_only(op, "balance_migration_items", "balance_migration_undos")
