"""Tables of package migration: plans, their runs, and what was done with each customer."""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    DateTime,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Table,
    Text,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from member.store.tables import METADATA

package_plans = Table(
    "package_plans",
    METADATA,
    Column("plan_id", Text, primary_key=True),
    Column("version", BigInteger, primary_key=True),
    Column("document", JSONB, nullable=False),
    Column("put_by", Text, nullable=False),
    Column("recorded_at", DateTime(timezone=True), nullable=False),
)

package_runs = Table(
    "package_runs",
    METADATA,
    Column("run_id", Text, primary_key=True),
    Column("plan_id", Text, nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("state", Text, nullable=False),
    Column("occurred_at", DateTime(timezone=True), nullable=False),
    Column("total", BigInteger, nullable=False),
    Column("done", BigInteger, nullable=False),
    Column("reached", Text, nullable=False, comment="the last customer looked at; empty before the first"),
    Column("undecided", JSONB, nullable=False, comment="by rule, for how many it could not be decided"),
    Column("started_by", Text, nullable=False),
    Column("recorded_at", DateTime(timezone=True), nullable=False),
    Column("undone_at", DateTime(timezone=True)),
    Column("undone_by", Text, nullable=False, server_default=""),
    ForeignKeyConstraint(["plan_id", "version"], ["package_plans.plan_id", "package_plans.version"]),
    CheckConstraint("state IN ('running', 'done', 'undoing', 'undone')", name="package_runs_state_known"),
    Index(
        "package_runs_one_under_way",
        text("(true)"),
        unique=True,
        postgresql_where=text("state IN ('running', 'undoing')"),
    ),
)

package_moves = Table(
    "package_moves",
    METADATA,
    Column("run_id", Text, ForeignKey("package_runs.run_id"), primary_key=True),
    Column("customer_id", Text, ForeignKey("customers.customer_id"), primary_key=True),
    Column("rule_id", Text, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("packages", ARRAY(Text), nullable=False),
    Column("program_id", Text),
    Column("tier_id", Text),
    Column("member_id", Text, ForeignKey("members.member_id")),
    Column("previous_tier_id", Text),
    Column("revision", BigInteger, nullable=False),
    Column("reason", Text, nullable=False),
    Column("undo", Text, nullable=False, server_default="not_asked"),
    Column("undo_reason", Text, nullable=False, server_default=""),
    Column("recorded_at", DateTime(timezone=True), nullable=False),
    CheckConstraint(
        "outcome IN ('enrolled', 'moved', 'already_there', 'left_alone', 'unmatched', 'refused')",
        name="package_moves_outcome_known",
    ),
    CheckConstraint("undo IN ('not_asked', 'undone', 'kept')", name="package_moves_undo_known"),
)
