"""Tables of what became of plans, bills and accounts in time: all of them are only ever appended to."""

from sqlalchemy import BigInteger, CheckConstraint, Column, DateTime, ForeignKey, Integer, Table, Text
from sqlalchemy.dialects.postgresql import JSONB

from billing.store.tables import METADATA

BILL_PLAN_VERSIONS = Table(
    "bill_plan_versions",
    METADATA,
    Column("plan_id", Text, ForeignKey("bill_plans.plan_id"), primary_key=True),
    Column("revision", BigInteger, primary_key=True),
    Column("display_name", Text, nullable=False),
    Column("threshold_minor", BigInteger, nullable=False),
    Column("target_balance_minor", BigInteger, nullable=False),
    Column("due_days", Integer, nullable=False),
    Column("spend_days", Integer, doc="days of average spend; null for a threshold that stands"),
    Column("spend_window_days", Integer),
    Column("spend_minimum_minor", BigInteger),
    Column("spend_maximum_minor", BigInteger, doc="null is no bound"),
    Column("cycle", Text, nullable=False),
    Column("anchor_day", Integer, nullable=False),
    Column("amount_kind", Text, nullable=False),
    Column("fixed_amount_minor", BigInteger),
    Column("recurring_cycles", Integer, nullable=False),
    Column("overdue_steps", JSONB, nullable=False, doc="[[days after due, action], ...]"),
    Column("effective_from", DateTime(timezone=True), doc="business time; null acts on all that is booked afterwards"),
    Column("recorded_at", DateTime(timezone=True), nullable=False),
    CheckConstraint(
        "threshold_minor >= 0 AND target_balance_minor >= threshold_minor", name="bill_plan_versions_amounts"
    ),
    CheckConstraint("due_days >= 0 AND revision > 0", name="bill_plan_versions_signs"),
    CheckConstraint(
        "num_nulls(spend_days, spend_window_days, spend_minimum_minor) IN (0, 3)", name="bill_plan_versions_spend"
    ),
    CheckConstraint(
        "cycle IN ('immediate', 'daily', 'monthly') "
        "AND amount_kind IN ('target_balance', 'fixed', 'recurring_cycles', 'shortfall') "
        "AND (amount_kind = 'fixed') = (fixed_amount_minor IS NOT NULL)",
        name="bill_plan_versions_kinds",
    ),
)

BILL_CLOSURES = Table(
    "bill_closures",
    METADATA,
    Column("bill_id", Text, ForeignKey("bills.bill_id"), primary_key=True, doc="a bill is closed once"),
    Column("because", Text, nullable=False),
    Column("account_version", BigInteger, doc="of the movement that did it; null where an operator did"),
    Column("occurred_at", DateTime(timezone=True), nullable=False),
    Column("recorded_at", DateTime(timezone=True), nullable=False),
    CheckConstraint("because IN ('restored', 'credited')", name="bill_closures_because"),
)

ENDED_DUES = Table(
    "ended_dues",
    METADATA,
    Column("account_id", Text, ForeignKey("accounts.account_id"), primary_key=True),
    Column("crossing_version", BigInteger, primary_key=True, doc="of the stay, which has one due at most"),
    Column("subscription_id", Text, nullable=False),
    Column("due_minor", BigInteger, nullable=False),
    Column("account_version", BigInteger, nullable=False, doc="from this one on it counts no more"),
    Column("occurred_at", DateTime(timezone=True), nullable=False),
    Column("recorded_at", DateTime(timezone=True), nullable=False),
    CheckConstraint("due_minor > 0 AND account_version > crossing_version", name="ended_dues_signs"),
)

OVERDUE_STEPS_DONE = Table(
    "overdue_steps_done",
    METADATA,
    Column("bill_id", Text, ForeignKey("bills.bill_id"), primary_key=True),
    Column("step", Integer, primary_key=True, doc="of the plan's steps, from 1"),
    Column("action", Text, nullable=False),
    Column("occurred_at", DateTime(timezone=True), nullable=False),
    Column("recorded_at", DateTime(timezone=True), nullable=False),
)

ACCOUNT_STATES = Table(
    "account_states",
    METADATA,
    Column("account_id", Text, ForeignKey("accounts.account_id"), primary_key=True),
    Column("revision", BigInteger, primary_key=True),
    Column("state", Text, nullable=False),
    Column("because", Text, nullable=False),
    Column("bill_id", Text, doc="the bill that was not paid, where that is why"),
    Column("reason", Text, nullable=False, doc="an operator's words"),
    Column("occurred_at", DateTime(timezone=True), nullable=False),
    Column("recorded_at", DateTime(timezone=True), nullable=False),
)
