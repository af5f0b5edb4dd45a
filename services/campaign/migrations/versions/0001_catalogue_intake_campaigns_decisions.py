"""Catalogue, intake, campaigns and decisions."""

from alembic import op
from chassis.migrations import append_only, create_chassis_tables

revision = "0001"
down_revision = None

_CAMPAIGNS = (
    """
    CREATE TABLE rule_changes (
        id smallint PRIMARY KEY CONSTRAINT rule_changes_one_row CHECK (id = 1),
        revision bigint NOT NULL
    )""",
    "INSERT INTO rule_changes (id, revision) VALUES (1, 0)",
    """
    CREATE TABLE campaigns (
        campaign_id text PRIMARY KEY,
        state text NOT NULL,
        version integer NOT NULL,
        revision bigint NOT NULL,
        plan jsonb NOT NULL,
        reads_tags text[] NOT NULL,
        reads_attributes text[] NOT NULL,
        recorded_at timestamptz NOT NULL
    )""",
    "CREATE INDEX campaigns_revision ON campaigns (revision)",
    """
    CREATE TABLE campaign_versions (
        campaign_id text NOT NULL,
        version integer NOT NULL,
        plan jsonb NOT NULL,
        recorded_at timestamptz NOT NULL,
        PRIMARY KEY (campaign_id, version)
    )""",
    "CREATE TABLE own_event_types (event_type_id text PRIMARY KEY, body jsonb NOT NULL, revision bigint NOT NULL)",
    "CREATE TABLE own_tags (tag_id text PRIMARY KEY, body jsonb NOT NULL, revision bigint NOT NULL)",
)
_CUSTOMERS = (
    """
    CREATE TABLE customer_events (
        source text NOT NULL,
        event_id text NOT NULL,
        event_type text NOT NULL,
        customer_id text NOT NULL,
        occurred_at timestamptz NOT NULL,
        recorded_at timestamptz NOT NULL,
        attributes jsonb NOT NULL,
        fingerprint bytea NOT NULL,
        PRIMARY KEY (source, event_id)
    )""",
    "CREATE INDEX customer_events_type ON customer_events (event_type, occurred_at)",
    "CREATE TABLE customers (customer_id text PRIMARY KEY, registered_at timestamptz NOT NULL)",
    """
    CREATE TABLE customer_tags (
        customer_id text NOT NULL,
        tag_id text NOT NULL,
        value jsonb,
        valid_from timestamptz NOT NULL,
        sequence bigint NOT NULL,
        PRIMARY KEY (customer_id, tag_id)
    )""",
    """
    CREATE TABLE tag_values (
        customer_id text NOT NULL,
        tag_id text NOT NULL,
        valid_from timestamptz NOT NULL,
        sequence bigint NOT NULL,
        value jsonb,
        recorded_at timestamptz NOT NULL,
        PRIMARY KEY (customer_id, tag_id, valid_from, sequence)
    )""",
    # A period ends where the next begins, so it is told from the values and never stored: a late value needs no repair.
    """
    CREATE VIEW tag_periods AS
    SELECT customer_id, tag_id, value, valid_from, valid_to FROM (
        SELECT customer_id, tag_id, value, valid_from,
               lead(valid_from) OVER (PARTITION BY customer_id, tag_id ORDER BY valid_from, sequence) AS valid_to
        FROM tag_values
    ) AS periods
    WHERE value IS NOT NULL AND (valid_to IS NULL OR valid_to > valid_from)""",
    """
    CREATE TABLE purchases (
        charge_id text PRIMARY KEY,
        customer_id text NOT NULL,
        occurred_at timestamptz NOT NULL,
        amount_minor bigint NOT NULL
    )""",
    "CREATE INDEX purchases_of_customer ON purchases (customer_id, occurred_at, charge_id)",
    """
    CREATE TABLE known_revisions (
        kind text NOT NULL,
        aggregate_id text NOT NULL,
        revision bigint NOT NULL,
        PRIMARY KEY (kind, aggregate_id)
    )""",
)
_DECISIONS = (
    """
    CREATE TABLE decision_limits (
        campaign_id text NOT NULL,
        customer_id text NOT NULL,
        PRIMARY KEY (campaign_id, customer_id)
    )""",
    """
    CREATE TABLE decisions (
        decision_id text PRIMARY KEY,
        campaign_id text NOT NULL,
        campaign_version integer NOT NULL,
        customer_id text NOT NULL,
        source text NOT NULL,
        event_id text NOT NULL,
        event_type text NOT NULL,
        offer jsonb NOT NULL,
        touchpoints text[] NOT NULL,
        priority integer NOT NULL,
        occurred_at timestamptz NOT NULL,
        expires_at timestamptz NOT NULL,
        recorded_at timestamptz NOT NULL,
        CONSTRAINT decisions_once_per_event UNIQUE (campaign_id, source, event_id)
    )""",
    "CREATE INDEX decisions_of_customer ON decisions (customer_id, decision_id)",
    "CREATE INDEX decisions_of_campaign ON decisions (campaign_id, customer_id, occurred_at)",
)


def upgrade() -> None:
    create_chassis_tables(op)
    for statement in (*_CAMPAIGNS, *_CUSTOMERS, *_DECISIONS):
        op.execute(statement)
    append_only(op, "campaign_versions", "customer_events", "decisions")
