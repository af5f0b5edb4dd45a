"""Tables of what accounts have beside their balance: who pays for them, what those paid, and gifts."""

from sqlalchemy import (
    ARRAY,
    BigInteger,
    CheckConstraint,
    Column,
    Date,
    DateTime,
    ForeignKey,
    Index,
    Integer,
    SmallInteger,
    Table,
    Text,
)
from sqlalchemy.dialects.postgresql import JSONB

from billing.store.tables import METADATA

ACCOUNT_PAYERS = Table(
    "account_payers",
    METADATA,
    Column("account_id", Text, ForeignKey("accounts.account_id"), primary_key=True),
    Column("position", SmallInteger, primary_key=True),
    Column("payer_account_id", Text, ForeignKey("accounts.account_id"), nullable=False),
    Column("monthly_limit_minor", BigInteger, doc="null is no limit"),
    Column("families", ARRAY(Text), nullable=False, doc="of products; none is every charge"),
    Column("recorded_at", DateTime(timezone=True), nullable=False),
    CheckConstraint("payer_account_id <> account_id", name="account_payers_other"),
    CheckConstraint("monthly_limit_minor >= 0", name="account_payers_limit"),
    Index("account_payers_payer", "payer_account_id"),
)

ACCOUNT_PAYER_CHANGES = Table(
    "account_payer_changes",
    METADATA,
    Column("change_id", Text, primary_key=True),
    Column("account_id", Text, ForeignKey("accounts.account_id"), nullable=False),
    Column("payers", JSONB, nullable=False, doc="[[account, monthly limit or null, [family, ...]], ...]"),
    Column("occurred_at", DateTime(timezone=True), nullable=False),
    Column("recorded_at", DateTime(timezone=True), nullable=False),
    Index("account_payer_changes_account", "account_id", "change_id"),
)

PAYER_MONTHS = Table(
    "payer_months",
    METADATA,
    Column("account_id", Text, ForeignKey("accounts.account_id"), primary_key=True),
    Column("payer_account_id", Text, ForeignKey("accounts.account_id"), primary_key=True),
    Column("month", Date, primary_key=True, doc="its first day, in the operator's calendar"),
    Column("paid_minor", BigInteger, nullable=False),
    CheckConstraint("paid_minor > 0", name="payer_months_paid"),
)

GIFTS = Table(
    "gifts",
    METADATA,
    Column("gift_id", Text, primary_key=True, doc="that of its ledger transaction"),
    Column("account_id", Text, ForeignKey("accounts.account_id"), nullable=False),
    Column("lot", BigInteger, nullable=False, doc="the ledger's lot: the account version that granted it"),
    Column("granted_minor", BigInteger, nullable=False),
    Column("priority", Integer, nullable=False),
    Column("expires_at", DateTime(timezone=True), doc="exclusive; null lives for ever"),
    Column("reason", Text, nullable=False),
    Column("granted_at", DateTime(timezone=True), nullable=False, doc="business time"),
    Column("recorded_at", DateTime(timezone=True), nullable=False),
    CheckConstraint("granted_minor > 0 AND priority >= 0", name="gifts_signs"),
    Index("gifts_lot", "account_id", "lot", unique=True),
)
