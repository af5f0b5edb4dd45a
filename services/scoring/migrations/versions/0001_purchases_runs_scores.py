"""Purchase days, runs with their scores, and which run counts."""

from alembic import op
from chassis.migrations import append_only, create_chassis_tables

revision = "0001"
down_revision = None

_PURCHASES = (
    """
    CREATE TABLE purchase_days (
        customer_id text NOT NULL,
        currency text NOT NULL,
        business_day date NOT NULL,
        purchases bigint NOT NULL,
        amount_minor bigint NOT NULL,
        recorded_at timestamptz NOT NULL,
        PRIMARY KEY (customer_id, currency, business_day),
        CONSTRAINT purchase_days_count CHECK (purchases > 0 AND amount_minor >= 0)
    )""",
)
_RUNS = (
    """
    CREATE TABLE runs (
        run_id text PRIMARY KEY,
        as_of timestamptz NOT NULL,
        until_day date NOT NULL,
        first_purchase_before timestamptz,
        first_purchase_until_day date,
        horizon_weeks integer NOT NULL,
        annual_discount_bps integer NOT NULL,
        currency text NOT NULL,
        customers bigint NOT NULL,
        purchases bigint NOT NULL,
        bg_r double precision,
        bg_alpha double precision,
        bg_a double precision,
        bg_b double precision,
        bg_log_likelihood double precision,
        bg_customers bigint,
        bg_repeat_customers bigint,
        bg_iterations integer,
        gg_p double precision,
        gg_q double precision,
        gg_gamma double precision,
        gg_log_likelihood double precision,
        gg_customers bigint,
        gg_iterations integer,
        cutoff_a_minor bigint,
        cutoff_b_minor bigint,
        cutoff_c_minor bigint,
        note text NOT NULL,
        model_version text NOT NULL,
        recorded_at timestamptz NOT NULL
    )""",
    """
    CREATE TABLE scores (
        run_id text NOT NULL REFERENCES runs (run_id),
        position integer NOT NULL,
        customer_id text NOT NULL,
        repeats integer NOT NULL,
        recency_days integer NOT NULL,
        age_days integer NOT NULL,
        repeat_minor bigint NOT NULL,
        total_minor bigint NOT NULL,
        p_alive double precision,
        expected_purchases double precision,
        lifetime_value_minor bigint,
        recency_quintile smallint NOT NULL,
        frequency_quintile smallint NOT NULL,
        monetary_quintile smallint NOT NULL,
        percentile double precision,
        decile smallint,
        band text,
        lapsed boolean NOT NULL,
        reasons text[] NOT NULL,
        PRIMARY KEY (run_id, position),
        CONSTRAINT scores_customer UNIQUE (run_id, customer_id),
        CONSTRAINT scores_p_alive CHECK (p_alive BETWEEN 0 AND 1)
    )""",
)
_PUBLICATIONS = (
    """
    CREATE TABLE publications (
        revision bigint PRIMARY KEY,
        run_id text NOT NULL REFERENCES runs (run_id),
        recorded_at timestamptz NOT NULL
    )""",
    "CREATE INDEX ix_publications_run_id ON publications (run_id)",
    """
    CREATE TABLE current_run (
        only_row boolean PRIMARY KEY DEFAULT true,
        run_id text REFERENCES runs (run_id),
        revision bigint NOT NULL,
        CONSTRAINT current_run_only_row CHECK (only_row)
    )""",
    "INSERT INTO current_run (run_id, revision) VALUES (NULL, 0)",
)


def upgrade() -> None:
    """Makes every table; what a run found and when it was published can afterwards only be added to."""
    create_chassis_tables(op)
    for statement in (*_PURCHASES, *_RUNS, *_PUBLICATIONS):
        op.execute(statement)
    append_only(op, "runs", "scores", "publications")
