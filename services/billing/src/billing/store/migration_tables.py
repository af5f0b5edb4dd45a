"""Tables of balance migration: plans, the balances loaded, runs and what they did."""

from sqlalchemy import (
    BigInteger,
    Boolean,
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
from sqlalchemy.dialects.postgresql import JSONB

from billing.store.tables import METADATA

BALANCE_MIGRATION_PLANS = Table(
    "balance_migration_plans",
    METADATA,
    Column("plan_id", Text, primary_key=True),
    Column("revision", BigInteger, nullable=False),
    Column("currency", Text, nullable=False),
    Column("document", JSONB, nullable=False, doc="name and rules"),
    Column("frozen", Boolean, nullable=False, server_default="false", doc="a run was started that books"),
    Column("recorded_at", DateTime(timezone=True), nullable=False, doc="of this revision"),
    CheckConstraint("revision > 0", name="balance_migration_plans_revision"),
)

EARMARKED_BALANCES = Table(
    "earmarked_balances",
    METADATA,
    Column("plan_id", Text, ForeignKey("balance_migration_plans.plan_id"), primary_key=True),
    Column("balance_id", Text, primary_key=True),
    Column("account_id", Text, ForeignKey("accounts.account_id"), nullable=False),
    Column("earmark", Text, nullable=False),
    Column("amount_minor", BigInteger, nullable=False),
    Column("expires_at", DateTime(timezone=True)),
    Column("recorded_at", DateTime(timezone=True), nullable=False),
    CheckConstraint("amount_minor >= 0", name="earmarked_balances_amount"),
)

BALANCE_MIGRATION_RUNS = Table(
    "balance_migration_runs",
    METADATA,
    Column("run_id", Text, primary_key=True),
    Column("plan_id", Text, ForeignKey("balance_migration_plans.plan_id"), nullable=False),
    Column("plan_revision", BigInteger, nullable=False),
    Column("document", JSONB, nullable=False, doc="of the plan in this revision: a dry run does not freeze it"),
    Column("dry", Boolean, nullable=False),
    Column("state", Text, nullable=False),
    Column("total", BigInteger, nullable=False, doc="balances of the plan when it was started"),
    Column("done", BigInteger, nullable=False, doc="balances looked at; while it is undone, those taken back"),
    Column("reached", Text, nullable=False, doc="the last balance looked at; empty before the first"),
    Column("proven", Boolean, doc="set when it is through"),
    Column("occurred_at", DateTime(timezone=True), nullable=False, doc="business time"),
    Column("started_by", Text, nullable=False),
    Column("undone_at", DateTime(timezone=True), doc="business time"),
    Column("undone_by", Text, nullable=False, server_default=""),
    Column("undone_because", Text, nullable=False, server_default=""),
    Column("recorded_at", DateTime(timezone=True), nullable=False),
    CheckConstraint(
        "state IN ('running', 'counted', 'applied', 'undoing', 'undone') "
        "AND (undone_at IS NULL) = (state IN ('running', 'counted', 'applied')) "
        "AND (dry OR state <> 'counted') AND (NOT dry OR state IN ('running', 'counted'))",
        name="balance_migration_runs_state",
    ),
    Index(
        "balance_migration_runs_one_under_way",
        text("(true)"),
        unique=True,
        postgresql_where=text("state IN ('running', 'undoing')"),
    ),
)

BALANCE_MIGRATION_ITEMS = Table(
    "balance_migration_items",
    METADATA,
    Column("run_id", Text, ForeignKey("balance_migration_runs.run_id"), primary_key=True),
    Column("balance_id", Text, primary_key=True),
    Column("account_id", Text, ForeignKey("accounts.account_id"), nullable=False),
    Column("earmark", Text, nullable=False),
    Column("old_minor", BigInteger, nullable=False),
    Column("target", Text, doc="null where it was refused"),
    Column("new_minor", BigInteger, nullable=False),
    Column("rounding_parts", BigInteger, nullable=False, doc="cut off by the rate, in parts of its denominator"),
    Column("expires_at", DateTime(timezone=True), doc="of the gift credit; null never"),
    Column("transaction_id", Text, unique=True, doc="null where nothing was booked"),
    Column("refused", Text, doc="the reason"),
    Column("applied", Boolean, nullable=False, doc="neither refused nor of a dry run"),
    Column("undo_place", Text, nullable=False, doc="in the order of undoing: gift credit before cash"),
    Column("recorded_at", DateTime(timezone=True), nullable=False),
    CheckConstraint("old_minor >= 0 AND new_minor >= 0 AND rounding_parts >= 0", name="balance_migration_items_signs"),
    CheckConstraint(
        "(target IS NULL) = (refused IS NOT NULL) AND target IN ('cash', 'gift', 'dropped') "
        "AND (refused IS NULL OR (new_minor = 0 AND NOT applied)) "
        "AND (transaction_id IS NOT NULL) = (applied AND new_minor > 0)",
        name="balance_migration_items_outcome",
    ),
    Index("balance_migration_items_applied", "balance_id", postgresql_where=text("applied")),
    Index("balance_migration_items_undo", "run_id", "undo_place", unique=True, postgresql_where=text("applied")),
    Index("balance_migration_items_refused", "run_id", "balance_id", postgresql_where=text("refused IS NOT NULL")),
)

BALANCE_MIGRATION_UNDOS = Table(
    "balance_migration_undos",
    METADATA,
    Column("run_id", Text, primary_key=True),
    Column("balance_id", Text, primary_key=True),
    Column("taken_minor", BigInteger, nullable=False),
    Column("kept_minor", BigInteger, nullable=False),
    Column("transaction_id", Text, unique=True, doc="null where there was nothing to take back"),
    Column("recorded_at", DateTime(timezone=True), nullable=False),
    ForeignKeyConstraint(
        ["run_id", "balance_id"], ["balance_migration_items.run_id", "balance_migration_items.balance_id"]
    ),
    CheckConstraint("taken_minor >= 0 AND kept_minor >= 0", name="balance_migration_undos_signs"),
)
