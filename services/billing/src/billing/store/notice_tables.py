"""Tables of the books' days, of snapshots and exports, and of what reconciling compares and finds.

An entry of the ledger belongs to the first day whose closing saw it, so that a day that is closed never changes. An
account has a row for a day only when it moved; entries that came after their own day was closed are noted as late.
"""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Date,
    DateTime,
    ForeignKey,
    ForeignKeyConstraint,
    Identity,
    Index,
    Integer,
    LargeBinary,
    Table,
    Text,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from billing.store.tables import CHARGES, METADATA

# What was charged on a day is found without a cost to charging.
Index("charges_occurred", CHARGES.c.occurred_at, postgresql_using="brin")

BOOK_DAYS = Table(
    "book_days",
    METADATA,
    Column("day", Date, primary_key=True, doc="of the operator's calendar"),
    Column("starts_at", DateTime(timezone=True), nullable=False),
    Column("ends_at", DateTime(timezone=True), nullable=False, doc="exclusive"),
    Column("reached", Text, nullable=False, server_default="", doc="accounts up to this one are closed"),
    Column("closed_at", DateTime(timezone=True), doc="system time; null while its rounds are under way"),
    CheckConstraint("starts_at < ends_at", name="book_days_span"),
    Index("book_days_one_open", text("(true)"), unique=True, postgresql_where=text("closed_at IS NULL")),
)

ACCOUNT_DAY_ENDS = Table(
    "account_day_ends",
    METADATA,
    Column("account_id", Text, ForeignKey("accounts.account_id"), primary_key=True),
    Column("day", Date, ForeignKey("book_days.day"), primary_key=True),
    Column("balance_minor", BigInteger, nullable=False),
    Column("held_minor", BigInteger, nullable=False),
    Column("change_minor", BigInteger, nullable=False, doc="of the balance, by the entries of the day"),
    Column("held_change_minor", BigInteger, nullable=False),
    Column("entries", Integer, nullable=False),
    Column("account_version", BigInteger, nullable=False, doc="the newest that closing saw: later ones come late"),
    Index("account_day_ends_day", "day"),
)

ACCOUNT_DAY_SUMS = Table(
    "account_day_sums",
    METADATA,
    Column("account_id", Text, primary_key=True),
    Column("day", Date, primary_key=True),
    Column("kind", Text, primary_key=True),
    Column("amount_minor", BigInteger, nullable=False),
    Column("entries", Integer, nullable=False),
    ForeignKeyConstraint(["account_id", "day"], ["account_day_ends.account_id", "account_day_ends.day"]),
)

LATE_ENTRIES = Table(
    "late_entries",
    METADATA,
    Column("account_id", Text, ForeignKey("accounts.account_id"), primary_key=True),
    Column("account_version", BigInteger, primary_key=True),
    Column("stated_at", DateTime(timezone=True), nullable=False, doc="the start of the day that it belongs to"),
    Index("late_entries_stated", "account_id", "stated_at"),
)

SNAPSHOTS = Table(
    "snapshots",
    METADATA,
    Column("day", Date, ForeignKey("book_days.day"), primary_key=True),
    Column("currency", Text, primary_key=True),
    Column("accounts", BigInteger, nullable=False),
    Column("balances_minor", BigInteger, nullable=False),
    Column("held_minor", BigInteger, nullable=False),
    Column("asked_minor", BigInteger, nullable=False),
    Column("last_bill_number", BigInteger, nullable=False),
    Column("entries", BigInteger, nullable=False, doc="of accounts, by the end of the day"),
    Column("chain_digest", LargeBinary, doc="end of the ledger's seals; null before the first"),
    Column("taken_at", DateTime(timezone=True), nullable=False),
)

EXPORTS = Table(
    "exports",
    METADATA,
    Column("day", Date, ForeignKey("book_days.day"), primary_key=True),
    Column("files", JSONB, nullable=False),
    Column("finished_at", DateTime(timezone=True), nullable=False),
)

PROVIDER_RECORDS = Table(
    "provider_records",
    METADATA,
    Column("channel", Text, primary_key=True),
    Column("provider_reference", Text, primary_key=True),
    Column("kind", Text, primary_key=True),
    Column("settled_at", DateTime(timezone=True), primary_key=True),
    Column("amount_minor", BigInteger, primary_key=True, doc="negative for refunds and charge-backs"),
    Column("currency", Text, primary_key=True),
    Column("day", Date, nullable=False, doc="that the file is of"),
    Column("recorded_at", DateTime(timezone=True), nullable=False),
    Index("provider_records_day", "day", "channel"),
)

PROVIDER_FILES = Table(
    "provider_files",
    METADATA,
    Column("channel", Text, primary_key=True),
    Column("day", Date, primary_key=True),
    Column("recorded_at", DateTime(timezone=True), nullable=False, doc="when the file was complete"),
)

DIFFERENCES = Table(
    "differences",
    METADATA,
    Column("difference_id", Text, primary_key=True, doc="made of what differs, so that it is found once"),
    Column("number", BigInteger, Identity(always=True), unique=True, doc="the order in which they were found"),
    Column("kind", Text, nullable=False),
    Column("reference", Text, nullable=False),
    Column("here_minor", BigInteger),
    Column("here_currency", Text),
    Column("there_minor", BigInteger),
    Column("there_currency", Text),
    Column("day", Date, nullable=False),
    Column("found_at", DateTime(timezone=True), nullable=False),
    Index("differences_day", "day", "number"),
)

DIFFERENCE_RESOLUTIONS = Table(
    "difference_resolutions",
    METADATA,
    Column("difference_id", Text, ForeignKey("differences.difference_id"), primary_key=True),
    Column("resolution", Text, nullable=False),
    Column("resolved_at", DateTime(timezone=True), nullable=False, doc="business time"),
    Column("recorded_at", DateTime(timezone=True), nullable=False),
)
