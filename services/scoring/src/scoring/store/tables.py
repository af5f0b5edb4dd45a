"""The tables. Runs, scores and publications are only ever added to; one row says which run counts."""

from chassis.tables import chassis_tables
from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Date,
    DateTime,
    Double,
    ForeignKey,
    Integer,
    MetaData,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    text,
)

METADATA = MetaData()
chassis_tables(METADATA)

PURCHASE_DAYS = Table(
    "purchase_days",
    METADATA,
    Column("customer_id", Text, primary_key=True),
    Column("currency", Text, primary_key=True),
    Column("business_day", Date, primary_key=True),
    Column("purchases", BigInteger, nullable=False),
    Column("amount_minor", BigInteger, nullable=False),
    Column("recorded_at", DateTime(timezone=True), nullable=False),
    CheckConstraint("purchases > 0 AND amount_minor >= 0", name="purchase_days_count"),
)

RUNS = Table(
    "runs",
    METADATA,
    Column("run_id", Text, primary_key=True),
    Column("as_of", DateTime(timezone=True), nullable=False),
    Column("until_day", Date, nullable=False),
    Column("first_purchase_before", DateTime(timezone=True)),
    Column("first_purchase_until_day", Date),
    Column("horizon_weeks", Integer, nullable=False),
    Column("annual_discount_bps", Integer, nullable=False),
    Column("currency", Text, nullable=False),
    Column("customers", BigInteger, nullable=False),
    Column("purchases", BigInteger, nullable=False),
    Column("bg_r", Double),
    Column("bg_alpha", Double),
    Column("bg_a", Double),
    Column("bg_b", Double),
    Column("bg_log_likelihood", Double),
    Column("bg_customers", BigInteger),
    Column("bg_repeat_customers", BigInteger),
    Column("bg_iterations", Integer),
    Column("gg_p", Double),
    Column("gg_q", Double),
    Column("gg_gamma", Double),
    Column("gg_log_likelihood", Double),
    Column("gg_customers", BigInteger),
    Column("gg_iterations", Integer),
    Column("cutoff_a_minor", BigInteger),
    Column("cutoff_b_minor", BigInteger),
    Column("cutoff_c_minor", BigInteger),
    Column("note", Text, nullable=False),
    Column("model_version", Text, nullable=False),
    Column("recorded_at", DateTime(timezone=True), nullable=False),
)

SCORES = Table(
    "scores",
    METADATA,
    Column("run_id", Text, ForeignKey("runs.run_id"), primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("customer_id", Text, nullable=False),
    Column("repeats", Integer, nullable=False),
    Column("recency_days", Integer, nullable=False),
    Column("age_days", Integer, nullable=False),
    Column("repeat_minor", BigInteger, nullable=False),
    Column("total_minor", BigInteger, nullable=False),
    Column("p_alive", Double),
    Column("expected_purchases", Double),
    Column("lifetime_value_minor", BigInteger),
    Column("recency_quintile", SmallInteger, nullable=False),
    Column("frequency_quintile", SmallInteger, nullable=False),
    Column("monetary_quintile", SmallInteger, nullable=False),
    Column("percentile", Double),
    Column("decile", SmallInteger),
    Column("band", Text),
    Column("lapsed", Boolean, nullable=False),
    Column("reasons", ARRAY(Text), nullable=False),
    UniqueConstraint("run_id", "customer_id", name="scores_customer"),
    CheckConstraint("p_alive BETWEEN 0 AND 1", name="scores_p_alive"),
)

PUBLICATIONS = Table(
    "publications",
    METADATA,
    Column("revision", BigInteger, primary_key=True),
    Column("run_id", Text, ForeignKey("runs.run_id"), nullable=False, index=True),
    Column("recorded_at", DateTime(timezone=True), nullable=False),
)

# One row, made by the migration: the lock that publications queue for, and the switch that readers follow.
CURRENT_RUN = Table(
    "current_run",
    METADATA,
    Column("only_row", Boolean, primary_key=True, server_default=text("true")),
    Column("run_id", Text, ForeignKey("runs.run_id")),
    Column("revision", BigInteger, nullable=False),
    CheckConstraint("only_row", name="current_run_only_row"),
)
