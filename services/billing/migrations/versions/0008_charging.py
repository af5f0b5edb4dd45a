"""Reservations, usage and its counters, refunds of charges, what a charge says of its origin, and refused cycles."""

from alembic import op
from chassis.migrations import append_only

revision = "0008"
down_revision = "0007"

_TABLES = """
ALTER TABLE charges
    ADD COLUMN category text NOT NULL DEFAULT 'rated',
    ADD COLUMN gift_minor bigint NOT NULL DEFAULT 0,
    ADD COLUMN payer_minor bigint NOT NULL DEFAULT 0,
    ADD COLUMN late boolean NOT NULL DEFAULT false,
    ADD COLUMN external_id text,
    ADD COLUMN product_id text,
    ADD COLUMN order_id text,
    ADD COLUMN subscription_id text,
    ADD COLUMN reservation_id text,
    ADD CONSTRAINT charges_category CHECK (category IN ('rated', 'order', 'recurring', 'usage', 'reservation')),
    ADD CONSTRAINT charges_parts CHECK (
        gift_minor BETWEEN 0 AND amount_minor AND payer_minor BETWEEN 0 AND amount_minor);
CREATE INDEX charges_account ON charges (account_id, charge_id);
CREATE TABLE charge_refunds (
    refund_id text PRIMARY KEY,
    charge_id text NOT NULL REFERENCES charges,
    account_id text NOT NULL REFERENCES accounts,
    amount_minor bigint NOT NULL,
    transaction_id text NOT NULL UNIQUE,
    reason text NOT NULL,
    occurred_at timestamptz NOT NULL,
    recorded_at timestamptz NOT NULL,
    CONSTRAINT charge_refunds_amount CHECK (amount_minor > 0)
);
CREATE INDEX charge_refunds_charge ON charge_refunds (charge_id);
CREATE TABLE reservations (
    reservation_id text PRIMARY KEY,
    number bigint GENERATED ALWAYS AS IDENTITY,
    account_id text NOT NULL REFERENCES accounts,
    asked_minor bigint NOT NULL,
    granted_minor bigint NOT NULL,
    final boolean NOT NULL,
    description text NOT NULL,
    state text NOT NULL,
    committed_minor bigint NOT NULL DEFAULT 0,
    overrun_minor bigint NOT NULL DEFAULT 0,
    charge_id text,
    occurred_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    ended_at timestamptz,
    recorded_at timestamptz NOT NULL,
    CONSTRAINT reservations_granted CHECK (granted_minor BETWEEN 1 AND asked_minor),
    CONSTRAINT reservations_state CHECK (state IN ('open', 'committed', 'released')),
    CONSTRAINT reservations_ended CHECK ((state = 'open') = (ended_at IS NULL)),
    CONSTRAINT reservations_committed CHECK ((state = 'committed') = (charge_id IS NOT NULL)
        AND (state = 'committed') = (committed_minor > 0) AND overrun_minor >= 0),
    CONSTRAINT reservations_expiry CHECK (expires_at > occurred_at)
);
CREATE UNIQUE INDEX reservations_account ON reservations (account_id, number);
CREATE INDEX reservations_open ON reservations (expires_at) WHERE state = 'open';
CREATE TABLE usage_records (
    usage_id text PRIMARY KEY,
    number bigint GENERATED ALWAYS AS IDENTITY,
    account_id text NOT NULL,
    product_id text NOT NULL,
    subscriber_id text NOT NULL,
    quantity bigint NOT NULL,
    corrects_usage_id text,
    state text NOT NULL,
    reason text,
    month date NOT NULL,
    price_version bigint,
    amount_minor bigint,
    currency text,
    charge_id text REFERENCES charges,
    refund_id text REFERENCES charge_refunds,
    late boolean NOT NULL,
    occurred_at timestamptz NOT NULL,
    recorded_at timestamptz NOT NULL,
    CONSTRAINT usage_records_quantity CHECK (quantity >= 0),
    CONSTRAINT usage_records_state CHECK (state IN ('charged', 'rejected')),
    CONSTRAINT usage_records_reason CHECK ((state = 'rejected') = (reason IS NOT NULL)),
    CONSTRAINT usage_records_rated CHECK (
        (state = 'charged') = (num_nulls(price_version, amount_minor, currency) = 0))
);
CREATE UNIQUE INDEX usage_records_corrected ON usage_records (corrects_usage_id) WHERE state = 'charged';
CREATE UNIQUE INDEX usage_records_account ON usage_records (account_id, number);
CREATE TABLE usage_counters (
    account_id text NOT NULL REFERENCES accounts,
    subscriber_id text NOT NULL,
    product_id text NOT NULL,
    month date NOT NULL,
    price_version bigint NOT NULL,
    quantity bigint NOT NULL,
    charged_minor bigint NOT NULL,
    PRIMARY KEY (account_id, subscriber_id, product_id, month, price_version),
    CONSTRAINT usage_counters_signs CHECK (quantity >= 0 AND charged_minor >= 0)
);
CREATE TABLE closed_months (
    month date PRIMARY KEY,
    closed_at timestamptz NOT NULL
);
CREATE TABLE recurring_refusals (
    subscription_id text PRIMARY KEY REFERENCES subscriptions,
    day date NOT NULL,
    account_version bigint NOT NULL
);
CREATE INDEX subscriptions_resting ON subscriptions (cycle_end, subscription_id) WHERE state = 'resting'
"""


def upgrade() -> None:
    """Makes the tables, and closes those that are only appended to."""
    for statement in _TABLES.split(";\n"):
        op.execute(statement)
    append_only(op, "charge_refunds", "usage_records", "closed_months")
