"""Tables of reservations, usage and refunds of charges.

A reservation's row says where it stands, and a counter what a month has had so far; refunds and usage records are only
ever appended. That a usage record was replaced follows from the correction that names it.
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Date,
    DateTime,
    ForeignKey,
    Identity,
    Index,
    Table,
    Text,
    text,
)

from billing.store.tables import METADATA

CHARGE_REFUNDS = Table(
    "charge_refunds",
    METADATA,
    Column("refund_id", Text, primary_key=True),
    Column("charge_id", Text, ForeignKey("charges.charge_id"), nullable=False),
    Column("account_id", Text, ForeignKey("accounts.account_id"), nullable=False),
    Column("amount_minor", BigInteger, nullable=False),
    Column("transaction_id", Text, nullable=False, unique=True),
    Column("reason", Text, nullable=False),
    Column("occurred_at", DateTime(timezone=True), nullable=False),
    Column("recorded_at", DateTime(timezone=True), nullable=False),
    CheckConstraint("amount_minor > 0", name="charge_refunds_amount"),
    Index("charge_refunds_charge", "charge_id"),
)

RESERVATIONS = Table(
    "reservations",
    METADATA,
    Column("reservation_id", Text, primary_key=True),
    Column("number", BigInteger, Identity(always=True), nullable=False, doc="order of recording"),
    Column("account_id", Text, ForeignKey("accounts.account_id"), nullable=False),
    Column("asked_minor", BigInteger, nullable=False),
    Column("granted_minor", BigInteger, nullable=False),
    Column("final", Boolean, nullable=False),
    Column("description", Text, nullable=False),
    Column("state", Text, nullable=False, doc="that it expired is the ledger's word"),
    Column("committed_minor", BigInteger, nullable=False, server_default="0"),
    Column("overrun_minor", BigInteger, nullable=False, server_default="0"),
    Column("charge_id", Text),
    Column("occurred_at", DateTime(timezone=True), nullable=False),
    Column("expires_at", DateTime(timezone=True), nullable=False),
    Column("ended_at", DateTime(timezone=True)),
    Column("recorded_at", DateTime(timezone=True), nullable=False),
    CheckConstraint("granted_minor BETWEEN 1 AND asked_minor", name="reservations_granted"),
    CheckConstraint("state IN ('open', 'committed', 'released')", name="reservations_state"),
    CheckConstraint("(state = 'open') = (ended_at IS NULL)", name="reservations_ended"),
    CheckConstraint("expires_at > occurred_at", name="reservations_expiry"),
    Index("reservations_account", "account_id", "number", unique=True),
    Index("reservations_open", "expires_at", postgresql_where=text("state = 'open'")),
)

USAGE_RECORDS = Table(
    "usage_records",
    METADATA,
    Column("usage_id", Text, primary_key=True),
    Column("number", BigInteger, Identity(always=True), nullable=False, doc="order of recording"),
    Column("account_id", Text, nullable=False, doc="as it came: a rejected record may name none that there is"),
    Column("product_id", Text, nullable=False),
    Column("subscriber_id", Text, nullable=False),
    Column("quantity", BigInteger, nullable=False),
    Column("corrects_usage_id", Text),
    Column("state", Text, nullable=False),
    Column("reason", Text),
    Column("month", Date, nullable=False, doc="first day of the month, of the operator's calendar"),
    Column("price_version", BigInteger),
    Column("amount_minor", BigInteger, doc="negative where a correction gave back"),
    Column("currency", Text),
    Column("charge_id", Text, ForeignKey("charges.charge_id")),
    Column("refund_id", Text, ForeignKey("charge_refunds.refund_id")),
    Column("late", Boolean, nullable=False),
    Column("occurred_at", DateTime(timezone=True), nullable=False),
    Column("recorded_at", DateTime(timezone=True), nullable=False),
    CheckConstraint("quantity >= 0", name="usage_records_quantity"),
    CheckConstraint("state IN ('charged', 'rejected')", name="usage_records_state"),
    Index("usage_records_corrected", "corrects_usage_id", unique=True, postgresql_where=text("state = 'charged'")),
    Index("usage_records_account", "account_id", "number", unique=True),
)

USAGE_COUNTERS = Table(
    "usage_counters",
    METADATA,
    Column("account_id", Text, ForeignKey("accounts.account_id"), primary_key=True),
    Column("subscriber_id", Text, primary_key=True),
    Column("product_id", Text, primary_key=True),
    Column("month", Date, primary_key=True),
    Column("price_version", BigInteger, primary_key=True),
    Column("quantity", BigInteger, nullable=False),
    Column("charged_minor", BigInteger, nullable=False),
    CheckConstraint("quantity >= 0 AND charged_minor >= 0", name="usage_counters_signs"),
)

CLOSED_MONTHS = Table(
    "closed_months",
    METADATA,
    Column("month", Date, primary_key=True),
    Column("closed_at", DateTime(timezone=True), nullable=False),
)

RECURRING_REFUSALS = Table(
    "recurring_refusals",
    METADATA,
    Column("subscription_id", Text, ForeignKey("subscriptions.subscription_id"), primary_key=True),
    Column("day", Date, nullable=False, doc="of the run that refused last"),
    Column("account_version", BigInteger, nullable=False, doc="as the account stood: tried again once it has moved"),
)
