"""Customers, programs with tiers, memberships with their history, points in the ledger, and the ready-made program."""

from alembic import op
from chassis.migrations import append_only, create_chassis_tables
from ledger import create_ledger_tables

revision = "0001"
down_revision = None

_CUSTOMERS = """
CREATE TABLE customers (
    customer_id text PRIMARY KEY,
    kind text NOT NULL,
    profile jsonb NOT NULL,
    subscribers jsonb NOT NULL,
    registered_at timestamptz NOT NULL,
    revision bigint NOT NULL,
    recorded_at timestamptz NOT NULL,
    CONSTRAINT customers_kind_known CHECK (kind IN ('household', 'enterprise'))
)"""

_PROGRAMS = """
CREATE TABLE programs (
    program_id text PRIMARY KEY,
    display_name text NOT NULL,
    window_days integer NOT NULL,
    points_lifetime_days integer NOT NULL,
    revision bigint NOT NULL,
    evaluated_as_of timestamptz,
    evaluated_to_member text,
    CONSTRAINT programs_days_sensible CHECK (window_days > 0 AND points_lifetime_days >= 0)
)"""

_TIERS = """
CREATE TABLE tiers (
    program_id text NOT NULL REFERENCES programs,
    tier_id text NOT NULL,
    display_name text NOT NULL,
    rank integer NOT NULL,
    points_required bigint NOT NULL,
    earn_rate_percent integer NOT NULL,
    PRIMARY KEY (program_id, tier_id),
    CONSTRAINT tiers_rank_once UNIQUE (program_id, rank) DEFERRABLE INITIALLY DEFERRED,
    CONSTRAINT tiers_not_negative CHECK (rank >= 0 AND points_required >= 0 AND earn_rate_percent >= 0)
)"""

_MEMBERS = """
CREATE TABLE members (
    member_id text PRIMARY KEY,
    customer_id text NOT NULL REFERENCES customers,
    program_id text NOT NULL,
    tier_id text NOT NULL,
    tier_since timestamptz NOT NULL,
    enrolled_at timestamptz NOT NULL,
    revision bigint NOT NULL,
    CONSTRAINT members_once_per_program UNIQUE (customer_id, program_id),
    CONSTRAINT members_tier_known FOREIGN KEY (program_id, tier_id) REFERENCES tiers
)"""

_TIER_HISTORY = """
CREATE TABLE tier_history (
    member_id text NOT NULL REFERENCES members,
    revision bigint NOT NULL,
    tier_id text NOT NULL,
    held_from timestamptz NOT NULL,
    recorded_at timestamptz NOT NULL,
    PRIMARY KEY (member_id, revision)
)"""

_UNREWARDED_PAYMENTS = """
CREATE TABLE unrewarded_payments (
    source text PRIMARY KEY,
    customer_id text NOT NULL,
    kind text NOT NULL,
    occurred_at timestamptz NOT NULL,
    recorded_at timestamptz NOT NULL
)"""

_INDEXES = (
    "CREATE INDEX members_by_tier ON members (program_id, tier_id)",
    "CREATE INDEX members_by_program ON members (program_id, member_id)",
    "CREATE INDEX tier_history_by_instant ON tier_history (member_id, held_from, revision)",
)

# 100 yuan recharged give 100, 120 or 150 points by tier; points live two years and count for the tier for one.
_GENERAL = """
INSERT INTO programs (program_id, display_name, window_days, points_lifetime_days, revision)
VALUES ('general', 'General membership', 365, 730, 1)"""

_GENERAL_TIERS = """
INSERT INTO tiers (program_id, tier_id, display_name, rank, points_required, earn_rate_percent)
VALUES ('general', 'standard', 'Standard', 0, 0, 100),
       ('general', 'silver', 'Silver', 1, 300, 120),
       ('general', 'gold', 'Gold', 2, 1000, 150)"""


def upgrade() -> None:
    """Makes everything."""
    create_chassis_tables(op)
    create_ledger_tables(op)
    for statement in (_CUSTOMERS, _PROGRAMS, _TIERS, _MEMBERS, _TIER_HISTORY, _UNREWARDED_PAYMENTS, *_INDEXES):
        op.execute(statement)
    append_only(op, "tier_history", "unrewarded_payments")
    op.execute(_GENERAL)
    op.execute(_GENERAL_TIERS)
