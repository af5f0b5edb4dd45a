"""Account links, managers, consents, merges and erasures of customers, and the care calendar."""

from alembic import op
from chassis.migrations import append_only

revision = "0003"
down_revision = "0002"

_CUSTOMERS = """
ALTER TABLE customers
    ADD COLUMN accounts jsonb NOT NULL DEFAULT '[]',
    ADD COLUMN manager_id text,
    ADD COLUMN merged_into text REFERENCES customers,
    ADD COLUMN erased_at timestamptz,
    ADD COLUMN erased_persons text[] NOT NULL DEFAULT '{}'
"""

# Replies to puts were stored with the customer in them. Without its claim a repeat is done again, and changes nothing.
_FORGET_REPLIES = "DELETE FROM handled_requests WHERE use_case = 'upsert_customers'"

_CONSENTS = """
CREATE TABLE consents (
    customer_id text NOT NULL REFERENCES customers,
    person_id text NOT NULL,
    purpose text NOT NULL,
    revision bigint NOT NULL,
    given boolean NOT NULL,
    text_version text NOT NULL,
    channel text NOT NULL,
    occurred_at timestamptz NOT NULL,
    said_by text NOT NULL,
    recorded_at timestamptz NOT NULL,
    position bigint GENERATED ALWAYS AS IDENTITY,
    PRIMARY KEY (customer_id, person_id, purpose, revision)
)"""

_MERGES = """
CREATE TABLE customer_merges (
    merged_customer_id text PRIMARY KEY REFERENCES customers,
    customer_id text NOT NULL REFERENCES customers,
    person_moves jsonb NOT NULL,
    moved_memberships integer NOT NULL,
    merged_at timestamptz NOT NULL,
    merged_by text NOT NULL,
    recorded_at timestamptz NOT NULL
)"""

_CARRIED = """
CREATE TABLE carried_memberships (
    member_id text PRIMARY KEY REFERENCES members,
    into_member_id text NOT NULL REFERENCES members,
    merged_customer_id text NOT NULL REFERENCES customers,
    points bigint NOT NULL,
    recorded_at timestamptz NOT NULL
)"""

_ERASURES = """
CREATE TABLE erasures (
    customer_id text NOT NULL REFERENCES customers,
    person_id text NOT NULL,
    erased_at timestamptz NOT NULL,
    erased_by text NOT NULL,
    recorded_at timestamptz NOT NULL,
    PRIMARY KEY (customer_id, person_id)
)"""

_MANAGERS = """
CREATE TABLE manager_history (
    customer_id text NOT NULL REFERENCES customers,
    revision bigint NOT NULL,
    manager_id text NOT NULL,
    occurred_at timestamptz NOT NULL,
    assigned_by text NOT NULL,
    recorded_at timestamptz NOT NULL,
    PRIMARY KEY (customer_id, revision)
)"""

_HOLIDAYS = """
CREATE TABLE holidays (
    holiday_id text PRIMARY KEY,
    display_name text NOT NULL,
    days date[] NOT NULL,
    revision bigint NOT NULL,
    put_by text NOT NULL,
    recorded_at timestamptz NOT NULL
)"""

_CARE_RULES = """
CREATE TABLE care_rules (
    rule_id text PRIMARY KEY,
    occasion text NOT NULL,
    holiday_id text REFERENCES holidays,
    days_ahead integer NOT NULL,
    years_at_least integer NOT NULL,
    customer_kind text,
    active boolean NOT NULL,
    revision bigint NOT NULL,
    put_by text NOT NULL,
    recorded_at timestamptz NOT NULL,
    CONSTRAINT care_rules_sensible CHECK (days_ahead >= 0 AND years_at_least >= 0)
)"""

_CARE_TOLD = """
CREATE TABLE care_told (
    care_id text PRIMARY KEY,
    customer_id text NOT NULL REFERENCES customers,
    person_id text NOT NULL,
    occasion text NOT NULL,
    subject_id text NOT NULL,
    year integer NOT NULL,
    years integer NOT NULL,
    occurred_at timestamptz NOT NULL,
    recorded_at timestamptz NOT NULL,
    CONSTRAINT care_told_once UNIQUE (customer_id, person_id, occasion, subject_id, year)
)"""

_CARE_RUNS = """
CREATE TABLE care_runs (
    run_id text PRIMARY KEY,
    day date NOT NULL,
    reached text NOT NULL,
    finished boolean NOT NULL,
    recorded_at timestamptz NOT NULL
)"""

_INDEXES = (
    "CREATE INDEX customers_by_manager ON customers (manager_id, customer_id) WHERE manager_id IS NOT NULL",
    "CREATE INDEX customers_by_merged ON customers (merged_into) WHERE merged_into IS NOT NULL",
    "CREATE INDEX consents_by_position ON consents (customer_id, position)",
    "CREATE INDEX customer_merges_by_customer ON customer_merges (customer_id, merged_customer_id)",
)


def upgrade() -> None:
    """Makes everything."""
    tables = (_CONSENTS, _MERGES, _CARRIED, _ERASURES, _MANAGERS, _HOLIDAYS, _CARE_RULES, _CARE_TOLD, _CARE_RUNS)
    for statement in (_CUSTOMERS, _FORGET_REPLIES, *tables, *_INDEXES):
        op.execute(statement)
    append_only(op, "consents", "customer_merges", "carried_memberships", "erasures", "manager_history")
