"""Accounts in full: credit limits, payers and what they paid in a month, and gifts."""

from alembic import op
from chassis.migrations import append_only

revision = "0004"
down_revision = "0003"

_TABLES = """
ALTER TABLE accounts
    ADD COLUMN credit_limit_minor bigint NOT NULL DEFAULT 0,
    ADD COLUMN has_payers boolean NOT NULL DEFAULT false,
    ADD CONSTRAINT accounts_credit_limit CHECK (credit_limit_minor >= 0);
CREATE TABLE account_payers (
    account_id text NOT NULL REFERENCES accounts,
    position smallint NOT NULL,
    payer_account_id text NOT NULL REFERENCES accounts,
    monthly_limit_minor bigint,
    families text[] NOT NULL,
    recorded_at timestamptz NOT NULL,
    PRIMARY KEY (account_id, position),
    CONSTRAINT account_payers_other CHECK (payer_account_id <> account_id),
    CONSTRAINT account_payers_limit CHECK (monthly_limit_minor >= 0)
);
CREATE INDEX account_payers_payer ON account_payers (payer_account_id);
CREATE TABLE account_payer_changes (
    change_id text PRIMARY KEY,
    account_id text NOT NULL REFERENCES accounts,
    payers jsonb NOT NULL,
    occurred_at timestamptz NOT NULL,
    recorded_at timestamptz NOT NULL
);
CREATE INDEX account_payer_changes_account ON account_payer_changes (account_id, change_id);
CREATE TABLE payer_months (
    account_id text NOT NULL REFERENCES accounts,
    payer_account_id text NOT NULL REFERENCES accounts,
    month date NOT NULL,
    paid_minor bigint NOT NULL,
    PRIMARY KEY (account_id, payer_account_id, month),
    CONSTRAINT payer_months_paid CHECK (paid_minor > 0)
);
CREATE TABLE gifts (
    gift_id text PRIMARY KEY,
    account_id text NOT NULL REFERENCES accounts,
    lot bigint NOT NULL,
    granted_minor bigint NOT NULL,
    priority integer NOT NULL,
    expires_at timestamptz,
    reason text NOT NULL,
    granted_at timestamptz NOT NULL,
    recorded_at timestamptz NOT NULL,
    CONSTRAINT gifts_signs CHECK (granted_minor > 0 AND priority >= 0)
);
CREATE UNIQUE INDEX gifts_lot ON gifts (account_id, lot)
"""


def upgrade() -> None:
    """Adds columns and tables; what was given and who was to pay is only ever appended."""
    for statement in _TABLES.split(";\n"):
        op.execute(statement)
    append_only(op, "account_payer_changes", "gifts")
