"""Billing's first tables: accounts, plans, charges, bills and their payments, beside the ledger and the chassis's.

Revision ID: 0001
"""

from alembic import op
from chassis.migrations import append_only, create_chassis_tables
from ledger import create_ledger_tables

revision = "0001"
down_revision = None

_TABLES = """
CREATE TABLE bill_plans (
    plan_id text PRIMARY KEY,
    display_name text NOT NULL,
    currency text NOT NULL,
    threshold_minor bigint NOT NULL,
    target_balance_minor bigint NOT NULL,
    due_days integer NOT NULL,
    revision bigint NOT NULL,
    recorded_at timestamptz NOT NULL,
    CONSTRAINT bill_plans_amounts CHECK (threshold_minor >= 0 AND target_balance_minor >= threshold_minor),
    CONSTRAINT bill_plans_signs CHECK (due_days >= 0 AND revision > 0)
);
CREATE TABLE accounts (
    account_id text PRIMARY KEY,
    customer_id text NOT NULL,
    currency text NOT NULL,
    plan_id text REFERENCES bill_plans,
    opened_at timestamptz NOT NULL,
    recorded_at timestamptz NOT NULL,
    crossed_threshold_minor bigint,
    crossed_version bigint,
    CONSTRAINT accounts_crossing CHECK (num_nulls(crossed_threshold_minor, crossed_version) IN (0, 2))
);
CREATE INDEX accounts_customer ON accounts (customer_id, account_id);
CREATE TABLE charges (
    charge_id text PRIMARY KEY,
    account_id text NOT NULL REFERENCES accounts,
    amount_minor bigint NOT NULL,
    description text NOT NULL,
    transaction_id text UNIQUE,
    occurred_at timestamptz NOT NULL,
    recorded_at timestamptz NOT NULL,
    CONSTRAINT charges_amount CHECK (amount_minor >= 0),
    CONSTRAINT charges_transaction CHECK ((amount_minor = 0) = (transaction_id IS NULL))
);
CREATE TABLE bills (
    bill_id text PRIMARY KEY,
    bill_number bigint NOT NULL UNIQUE,
    account_id text NOT NULL REFERENCES accounts,
    customer_id text NOT NULL,
    currency text NOT NULL,
    amount_minor bigint NOT NULL,
    balance_at_issue_minor bigint NOT NULL,
    threshold_minor bigint NOT NULL,
    transaction_id text NOT NULL UNIQUE,
    issued_at timestamptz NOT NULL,
    due_at timestamptz NOT NULL,
    recorded_at timestamptz NOT NULL,
    CONSTRAINT bills_signs CHECK (amount_minor > 0 AND bill_number > 0),
    CONSTRAINT bills_crossing CHECK (balance_at_issue_minor < threshold_minor)
);
CREATE INDEX bills_account ON bills (account_id, bill_number);
CREATE INDEX bills_customer ON bills (customer_id, bill_number);
CREATE TABLE bill_payments (
    bill_id text PRIMARY KEY REFERENCES bills,
    transaction_id text NOT NULL UNIQUE,
    paid_at timestamptz NOT NULL,
    recorded_at timestamptz NOT NULL
);
CREATE TABLE bill_books (
    book text PRIMARY KEY,
    last_number bigint NOT NULL,
    CONSTRAINT bill_books_last_number CHECK (last_number >= 0)
);
INSERT INTO bill_books (book, last_number) VALUES ('main', 0)
"""


def upgrade() -> None:
    """Makes the tables and closes those that are only appended to."""
    create_chassis_tables(op)
    create_ledger_tables(op)
    for statement in _TABLES.split(";\n"):
        op.execute(statement)
    append_only(op, "charges", "bills", "bill_payments")
