"""Rules by which points are spent, pools of points within a household, and what reversals leave owing."""

from alembic import op
from chassis.migrations import append_only
from ledger import let_accounts_owe

revision = "0008"
down_revision = "0007"

_RULES = """
CREATE TABLE points_rules (
    program_id text NOT NULL REFERENCES programs,
    revision bigint NOT NULL,
    applies_from timestamptz NOT NULL,
    shortfall text NOT NULL,
    most_owed bigint NOT NULL,
    regrant_days integer NOT NULL,
    most_transferred_a_day bigint NOT NULL,
    cash_off_points bigint,
    cash_off_minor bigint,
    cash_off_currency text,
    put_by text NOT NULL,
    recorded_at timestamptz NOT NULL,
    PRIMARY KEY (program_id, revision),
    CONSTRAINT points_rules_not_negative
        CHECK (most_owed >= 0 AND regrant_days >= 0 AND most_transferred_a_day >= 0),
    CONSTRAINT points_rules_rate_whole
        CHECK (num_nulls(cash_off_points, cash_off_minor, cash_off_currency) IN (0, 3))
)"""

_POOLS = """
CREATE TABLE points_pools (
    customer_id text NOT NULL REFERENCES customers,
    program_id text NOT NULL REFERENCES programs,
    revision bigint NOT NULL,
    member_ids text[] NOT NULL,
    put_by text NOT NULL,
    recorded_at timestamptz NOT NULL,
    PRIMARY KEY (customer_id, program_id, revision)
)"""

# From the start: what is spent already is not asked for, what comes back to an expired grant lives 30 days, a member
# passes on 10,000 points a day at most, and 100 points are worth 1 yuan.
_GENERAL = """
INSERT INTO points_rules (program_id, revision, applies_from, shortfall, most_owed, regrant_days,
    most_transferred_a_day, cash_off_points, cash_off_minor, cash_off_currency, put_by, recorded_at)
VALUES ('general', 1, '1970-01-01Z', 'only_what_is_left', 0, 30, 10000, 100, 100, 'CNY', 'migration', '1970-01-01Z')"""


def upgrade() -> None:
    """Makes everything."""
    let_accounts_owe(op)
    op.execute(_RULES)
    op.execute("CREATE INDEX points_rules_in_force ON points_rules (program_id, applies_from, revision)")
    op.execute(_POOLS)
    append_only(op, "points_rules", "points_pools")
    op.execute(_GENERAL)
