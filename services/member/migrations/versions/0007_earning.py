"""Earning rules, their caps, and points that ripen."""

from alembic import op
from chassis.migrations import append_only

revision = "0007"
down_revision = "0006"

_EDITIONS = """
CREATE TABLE earning_editions (
    program_id text PRIMARY KEY REFERENCES programs,
    edition text NOT NULL
)"""

_RULES = """
CREATE TABLE earning_rules (
    rule_id text NOT NULL,
    version bigint NOT NULL,
    program_id text NOT NULL REFERENCES programs,
    trigger text NOT NULL,
    acts_from timestamptz NOT NULL,
    ended boolean NOT NULL,
    document jsonb NOT NULL,
    put_by text NOT NULL,
    recorded_at timestamptz NOT NULL,
    PRIMARY KEY (rule_id, version),
    CONSTRAINT earning_rules_versions_from_one CHECK (version > 0)
)"""

_POLICIES = """
CREATE TABLE earning_policies (
    program_id text NOT NULL REFERENCES programs,
    version bigint NOT NULL,
    acts_from timestamptz NOT NULL,
    currency text NOT NULL,
    most_basis_points bigint NOT NULL,
    put_by text NOT NULL,
    recorded_at timestamptz NOT NULL,
    PRIMARY KEY (program_id, version)
)"""

_COUNTERS = """
CREATE TABLE earning_counters (
    rule_id text NOT NULL,
    member_id text NOT NULL,
    period text NOT NULL,
    period_start timestamptz NOT NULL,
    points bigint NOT NULL,
    PRIMARY KEY (rule_id, member_id, period, period_start),
    CONSTRAINT earning_counters_not_negative CHECK (points >= 0)
) WITH (fillfactor = 70)"""

_PENDING = """
CREATE TABLE pending_points (
    source text NOT NULL,
    transaction_id text PRIMARY KEY,
    member_id text NOT NULL REFERENCES members,
    kind text NOT NULL,
    reason text NOT NULL,
    rule_id text NOT NULL,
    parts text NOT NULL,
    points bigint NOT NULL,
    cancelled bigint NOT NULL,
    earned_at timestamptz NOT NULL,
    ripens_at timestamptz NOT NULL,
    expires_at timestamptz,
    ripened boolean NOT NULL,
    recorded_at timestamptz NOT NULL,
    CONSTRAINT pending_points_cancelled_within CHECK (cancelled BETWEEN 0 AND points AND points > 0)
)"""

_LEGS = """
CREATE TABLE earning_legs (
    source text NOT NULL,
    transaction_id text NOT NULL,
    recorded_at timestamptz NOT NULL,
    PRIMARY KEY (source, transaction_id)
)"""

_REFUNDS = """
CREATE TABLE payment_refunds (
    source text NOT NULL,
    refund_id text NOT NULL,
    paid_minor bigint NOT NULL,
    refunded_minor bigint NOT NULL,
    refunded_at timestamptz NOT NULL,
    recorded_at timestamptz NOT NULL,
    PRIMARY KEY (source, refund_id),
    CONSTRAINT payment_refunds_positive CHECK (refunded_minor > 0 AND paid_minor > 0)
)"""

_TENURE = """
CREATE TABLE tenure_marks (
    program_id text PRIMARY KEY REFERENCES programs,
    day date NOT NULL,
    to_member text NOT NULL
)"""

_INDEXES = (
    "CREATE INDEX earning_rules_by_program ON earning_rules (program_id, rule_id, version)",
    "CREATE INDEX pending_points_due ON pending_points (ripens_at) WHERE NOT ripened",
    "CREATE INDEX pending_points_by_member ON pending_points (member_id, ripens_at)",
    "CREATE INDEX pending_points_by_source ON pending_points (source)",
    "CREATE INDEX members_by_enrolment ON members (program_id, enrolled_at, member_id)",
)


def upgrade() -> None:
    """Makes everything; payments that gave nothing say why from now on."""
    for statement in (
        _EDITIONS,
        _RULES,
        _POLICIES,
        _COUNTERS,
        _PENDING,
        _LEGS,
        _REFUNDS,
        _TENURE,
        *_INDEXES,
    ):
        op.execute(statement)
    op.execute("ALTER TABLE unrewarded_payments ADD COLUMN cause text NOT NULL DEFAULT 'not_a_member'")
    append_only(op, "earning_rules", "earning_policies", "earning_legs", "payment_refunds")
