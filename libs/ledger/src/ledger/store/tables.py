"""The ledger's tables. State (accounts, lots, holds) is rewritten under the account's row lock; the record
(transactions, entries, lot moves) is only ever added to, and the database itself refuses anything else.

A transaction is named by its source and an account's step by its version, so that the keys alone already hold most
rules: one effect per source, dense versions, a lot granted and expired once, a hold ended once.
"""

from typing import TYPE_CHECKING, NamedTuple

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    Index,
    Integer,
    MetaData,
    SmallInteger,
    Table,
    Text,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.schema import CreateIndex, CreateTable

from ledger.domain.account import HoldState
from ledger.domain.command import AMOUNT_LIMIT, BALANCE_LIMIT, SOURCE_LENGTH
from ledger.store.sealing import seals_table, written_by_column, written_by_index

if TYPE_CHECKING:
    from chassis.migrations import Operations

APPEND_ONLY = ("ledger_transactions", "ledger_entries", "ledger_lot_moves", "ledger_seals")
"""The record and its seals: the service's login needs no UPDATE or DELETE on these."""


class LedgerTables(NamedTuple):
    """The ledger's tables on the service's own MetaData."""

    accounts: Table
    transactions: Table
    entries: Table
    lots: Table
    lot_moves: Table
    holds: Table
    seals: Table


def ledger_tables(metadata: MetaData) -> LedgerTables:
    """Add the ledger's tables to a service's metadata."""
    return LedgerTables(
        accounts=_accounts(metadata),
        transactions=_transactions(metadata),
        entries=_entries(metadata),
        lots=_lots(metadata),
        lot_moves=_lot_moves(metadata),
        holds=_holds(metadata),
        seals=seals_table(metadata),
    )


def create_ledger_tables(op: "Operations") -> None:
    """For a service's first migration: tables, indexes, the balance check, and triggers that keep the record."""
    from chassis.migrations import append_only  # needed by migrations alone, which bring alembic with them

    metadata = MetaData()
    ledger_tables(metadata)
    for table in metadata.sorted_tables:
        op.execute(CreateTable(table))
        for index in sorted(table.indexes, key=lambda index: str(index.name)):
            op.execute(CreateIndex(index))
    op.execute(_BALANCED_FUNCTION)
    op.execute(_BALANCED_TRIGGER)
    append_only(op, *APPEND_ONLY)


def let_accounts_owe(op: "Operations") -> None:
    """For a later migration of a service whose ledger was made before reversals could leave an account owing. Does
    nothing to a ledger made since."""
    op.execute("ALTER TABLE ledger_accounts ADD COLUMN IF NOT EXISTS owed bigint NOT NULL DEFAULT 0")
    op.execute("ALTER TABLE ledger_accounts DROP CONSTRAINT ledger_accounts_floor")
    op.execute("ALTER TABLE ledger_accounts DROP CONSTRAINT IF EXISTS ledger_accounts_owed")
    for name, rule in (("floor", _FLOOR), ("owed", _OWED)):
        op.execute(f"ALTER TABLE ledger_accounts ADD CONSTRAINT ledger_accounts_{name} CHECK ({rule}) NOT VALID")
        op.execute(f"ALTER TABLE ledger_accounts VALIDATE CONSTRAINT ledger_accounts_{name}")


# What an account owes is exactly what it stands below its floor, and it has nothing in lots meanwhile.
_FLOOR = "balance - held - in_lots >= floor - owed"
_OWED = "owed >= 0 AND (owed = 0 OR in_lots = 0 AND balance - held = floor - owed)"


def _accounts(metadata: MetaData) -> Table:
    return Table(
        "ledger_accounts",
        metadata,
        Column("id", Text, primary_key=True),
        Column("asset", Text, nullable=False),
        Column("balance", BigInteger, nullable=False, server_default=text("0")),
        Column("held", BigInteger, nullable=False, server_default=text("0")),
        Column("in_lots", BigInteger, nullable=False, server_default=text("0")),
        Column("floor", BigInteger, nullable=False, server_default=text("0")),
        Column("version", BigInteger, nullable=False, server_default=text("0")),
        Column("owed", BigInteger, nullable=False, server_default=text("0"), comment="by reversals, below the floor"),
        Column("opened_at", DateTime(timezone=True), nullable=False),
        CheckConstraint(_FLOOR, name="ledger_accounts_floor"),
        CheckConstraint(_OWED, name="ledger_accounts_owed"),
        CheckConstraint("held >= 0 AND in_lots >= 0 AND floor <= 0 AND version >= 0", name="ledger_accounts_signs"),
        CheckConstraint(f"balance BETWEEN -{BALANCE_LIMIT} AND {BALANCE_LIMIT}", name="ledger_accounts_range"),
        # Room on each page for the rows' next versions, so that a posting need not touch the index.
        postgresql_with={"fillfactor": 70},
    )


def _transactions(metadata: MetaData) -> Table:
    return Table(
        "ledger_transactions",
        metadata,
        Column("source", Text, primary_key=True),
        Column("kind", Text, nullable=False),
        Column("asset", Text, nullable=False),
        Column("occurred_at", DateTime(timezone=True), nullable=False),
        Column("recorded_at", DateTime(timezone=True), nullable=False),
        Column("metadata", JSONB, nullable=False),
        Column("ends", Text, comment="the hold this transaction ended"),
        Column("reverses", Text, comment="source of the transaction this one undoes"),
        Column("reversed_before", BigInteger, nullable=False, server_default=text("0")),
        Column("reversed_amount", BigInteger, nullable=False, server_default=text("0")),
        written_by_column(),
        CheckConstraint(f"length(source) BETWEEN 1 AND {SOURCE_LENGTH}", name="ledger_transactions_source"),
        CheckConstraint("(reverses IS NULL) = (reversed_amount = 0)", name="ledger_transactions_reversal"),
        Index("ledger_transactions_ends", "ends", unique=True, postgresql_where=text("ends IS NOT NULL")),
        # Two reversals that did not see each other would start from the same amount: only one of them fits.
        Index(
            "ledger_transactions_reverses",
            "reverses",
            "reversed_before",
            unique=True,
            postgresql_where=text("reverses IS NOT NULL"),
        ),
        written_by_index(),
    )


def _entries(metadata: MetaData) -> Table:
    of_accounts = text("account_version IS NOT NULL")
    return Table(
        "ledger_entries",
        metadata,
        Column("source", Text, primary_key=True),
        Column("line", SmallInteger, primary_key=True),
        Column("account_id", Text, nullable=False),
        Column("amount", BigInteger, nullable=False),
        Column("held_change", BigInteger),
        Column("account_version", BigInteger, comment="null on system accounts, which have no balance row"),
        Column("balance_after", BigInteger),
        Column("held_after", BigInteger),
        Column("floor", BigInteger),
        Column("occurred_at", DateTime(timezone=True), nullable=False),
        CheckConstraint(f"amount BETWEEN -{BALANCE_LIMIT} AND {BALANCE_LIMIT}", name="ledger_entries_range"),
        CheckConstraint("held_after >= 0 AND balance_after - held_after >= floor", name="ledger_entries_floor"),
        CheckConstraint(
            "num_nulls(account_version, held_change, balance_after, held_after, floor) IN (0, 5)",
            name="ledger_entries_account_or_system",
        ),
        Index("ledger_entries_version", "account_id", "account_version", unique=True, postgresql_where=of_accounts),
        Index("ledger_entries_occurred", "account_id", "occurred_at", postgresql_where=of_accounts),
    )


def _lots(metadata: MetaData) -> Table:
    is_open = text("remaining > 0")
    return Table(
        "ledger_lots",
        metadata,
        Column("account_id", Text, primary_key=True),
        Column("account_version", BigInteger, primary_key=True, comment="the version that granted the lot names it"),
        Column("granted", BigInteger, nullable=False),
        Column("remaining", BigInteger, nullable=False),
        Column("expires_at", DateTime(timezone=True), comment="exclusive: at this instant the lot is gone"),
        Column("priority", Integer, nullable=False),
        Column("expired", Boolean, nullable=False),
        CheckConstraint("remaining BETWEEN 0 AND granted AND granted > 0", name="ledger_lots_remaining"),
        CheckConstraint("NOT expired OR remaining = 0", name="ledger_lots_expired"),
        Index("ledger_lots_open", "account_id", "expires_at", postgresql_where=is_open),
        Index("ledger_lots_due", "expires_at", postgresql_where=is_open),
    )


def _lot_moves(metadata: MetaData) -> Table:
    return Table(
        "ledger_lot_moves",
        metadata,
        Column("account_id", Text, primary_key=True),
        Column("account_version", BigInteger, primary_key=True),
        Column("lot", BigInteger, primary_key=True),
        Column("amount", BigInteger, nullable=False),
        CheckConstraint("amount <> 0", name="ledger_lot_moves_amount"),
    )


def _holds(metadata: MetaData) -> Table:
    states = ", ".join(f"'{state}'" for state in HoldState)
    is_open = text("state = 'open'")
    return Table(
        "ledger_holds",
        metadata,
        Column("id", Text, primary_key=True),
        Column("account_id", Text, nullable=False),
        Column("account_version", BigInteger, nullable=False),
        Column("amount", BigInteger, nullable=False),
        Column("expires_at", DateTime(timezone=True), nullable=False),
        Column("state", Text, nullable=False),
        CheckConstraint(f"amount BETWEEN 1 AND {AMOUNT_LIMIT}", name="ledger_holds_amount"),
        CheckConstraint(f"state IN ({states})", name="ledger_holds_state"),
        Index("ledger_holds_open", "account_id", postgresql_where=is_open),
        Index("ledger_holds_due", "expires_at", postgresql_where=is_open),
    )


# One statement writes all entries of a batch, so a look at what that statement added sees whole transactions.
_BALANCED_FUNCTION = """
CREATE FUNCTION ledger_entries_balance() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM added GROUP BY source HAVING sum(amount) <> 0) THEN
        RAISE EXCEPTION 'the entries of a transaction must sum to zero' USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END
$$"""

_BALANCED_TRIGGER = """
CREATE TRIGGER ledger_entries_balance AFTER INSERT ON ledger_entries
REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION ledger_entries_balance()"""
