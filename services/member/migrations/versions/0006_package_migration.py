"""Plans that make members of package customers, runs that apply them, and what was done with each customer."""

from alembic import op
from chassis.migrations import append_only

revision = "0006"
down_revision = "0005"

_PLANS = """
CREATE TABLE package_plans (
    plan_id text NOT NULL,
    version bigint NOT NULL,
    document jsonb NOT NULL,
    put_by text NOT NULL,
    recorded_at timestamptz NOT NULL,
    PRIMARY KEY (plan_id, version)
)"""

_RUNS = """
CREATE TABLE package_runs (
    run_id text PRIMARY KEY,
    plan_id text NOT NULL,
    version bigint NOT NULL,
    state text NOT NULL,
    occurred_at timestamptz NOT NULL,
    total bigint NOT NULL,
    done bigint NOT NULL,
    reached text NOT NULL,
    undecided jsonb NOT NULL,
    started_by text NOT NULL,
    recorded_at timestamptz NOT NULL,
    undone_at timestamptz,
    undone_by text NOT NULL DEFAULT '',
    FOREIGN KEY (plan_id, version) REFERENCES package_plans,
    CONSTRAINT package_runs_state_known CHECK (state IN ('running', 'done', 'undoing', 'undone'))
)"""

# One run at a time is applied or undone.
_ONE_UNDER_WAY = """
CREATE UNIQUE INDEX package_runs_one_under_way ON package_runs ((true)) WHERE state IN ('running', 'undoing')"""

_MOVES = """
CREATE TABLE package_moves (
    run_id text NOT NULL REFERENCES package_runs,
    customer_id text NOT NULL REFERENCES customers,
    rule_id text NOT NULL,
    outcome text NOT NULL,
    packages text[] NOT NULL,
    program_id text,
    tier_id text,
    member_id text REFERENCES members,
    previous_tier_id text,
    revision bigint NOT NULL,
    reason text NOT NULL,
    undo text NOT NULL DEFAULT 'not_asked',
    undo_reason text NOT NULL DEFAULT '',
    recorded_at timestamptz NOT NULL,
    PRIMARY KEY (run_id, customer_id),
    CONSTRAINT package_moves_outcome_known
        CHECK (outcome IN ('enrolled', 'moved', 'already_there', 'left_alone', 'unmatched', 'refused')),
    CONSTRAINT package_moves_undo_known CHECK (undo IN ('not_asked', 'undone', 'kept'))
)"""


def upgrade() -> None:
    """Makes everything."""
    for statement in (_PLANS, _RUNS, _ONE_UNDER_WAY, _MOVES):
        op.execute(statement)
    append_only(op, "package_plans")
