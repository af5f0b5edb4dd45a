"""Payments through channels, their call-backs and refunds, stored means of payment, automatic top-up."""

from alembic import op
from chassis.migrations import append_only

revision = "0005"
down_revision = "0004"

_TABLES = """
CREATE TABLE payment_tokens (
    account_id text NOT NULL REFERENCES accounts,
    token_id text NOT NULL,
    channel text NOT NULL,
    provider_token text NOT NULL,
    display_name text NOT NULL,
    expires_at timestamptz,
    stored_at timestamptz NOT NULL,
    removed_at timestamptz,
    recorded_at timestamptz NOT NULL,
    PRIMARY KEY (account_id, token_id)
);
CREATE TABLE payments (
    payment_id text PRIMARY KEY,
    account_id text NOT NULL REFERENCES accounts,
    customer_id text NOT NULL,
    amount_minor bigint NOT NULL,
    currency text NOT NULL,
    channel text NOT NULL,
    bill_id text REFERENCES bills,
    token_id text,
    return_url text NOT NULL,
    origin text NOT NULL,
    state text NOT NULL,
    provider_reference text,
    redirect_url text NOT NULL DEFAULT '',
    decline_code text NOT NULL DEFAULT '',
    transaction_id text UNIQUE,
    bill_missed boolean NOT NULL DEFAULT false,
    requested_at timestamptz NOT NULL,
    settled_at timestamptz,
    expires_at timestamptz NOT NULL,
    next_ask_at timestamptz,
    asked integer NOT NULL DEFAULT 0,
    recorded_at timestamptz NOT NULL,
    UNIQUE (channel, provider_reference),
    FOREIGN KEY (account_id, token_id) REFERENCES payment_tokens,
    CONSTRAINT payments_amount CHECK (amount_minor > 0),
    CONSTRAINT payments_state CHECK (
        state IN ('requested', 'pending', 'succeeded', 'declined', 'cancelled', 'expired')),
    CONSTRAINT payments_origin CHECK (origin IN ('customer', 'top_up', 'operator')),
    CONSTRAINT payments_booked CHECK ((state = 'succeeded') = (transaction_id IS NOT NULL)),
    CONSTRAINT payments_settled CHECK ((state IN ('requested', 'pending')) = (settled_at IS NULL)),
    CONSTRAINT payments_asked CHECK ((state IN ('requested', 'pending')) = (next_ask_at IS NOT NULL)),
    CONSTRAINT payments_missed CHECK (NOT bill_missed OR (bill_id IS NOT NULL AND state = 'succeeded'))
);
CREATE UNIQUE INDEX one_top_up_in_flight ON payments (account_id)
    WHERE origin = 'top_up' AND state IN ('requested', 'pending');
CREATE INDEX payments_account ON payments (account_id, payment_id);
CREATE INDEX payments_customer ON payments (customer_id, payment_id);
CREATE INDEX payments_on_their_way ON payments (account_id) WHERE state IN ('requested', 'pending');
CREATE INDEX payments_to_ask ON payments (next_ask_at) WHERE next_ask_at IS NOT NULL;
CREATE TABLE payment_steps (
    payment_id text NOT NULL REFERENCES payments,
    step integer NOT NULL,
    state text NOT NULL,
    because text NOT NULL,
    occurred_at timestamptz NOT NULL,
    recorded_at timestamptz NOT NULL,
    PRIMARY KEY (payment_id, step)
);
CREATE TABLE payment_callbacks (
    channel text NOT NULL,
    webhook_id text NOT NULL,
    payment_id text NOT NULL REFERENCES payments,
    type text NOT NULL,
    refund_id text NOT NULL,
    reference text NOT NULL,
    amount_minor bigint NOT NULL,
    currency text NOT NULL,
    provider_sequence bigint NOT NULL,
    decline_code text NOT NULL,
    body_sha256 text NOT NULL,
    occurred_at timestamptz NOT NULL,
    recorded_at timestamptz NOT NULL,
    applied boolean NOT NULL,
    PRIMARY KEY (channel, webhook_id)
);
CREATE INDEX payment_callbacks_waiting ON payment_callbacks (payment_id) WHERE NOT applied;
CREATE TABLE payment_refunds (
    refund_id text PRIMARY KEY,
    payment_id text NOT NULL REFERENCES payments,
    amount_minor bigint NOT NULL,
    reason text NOT NULL,
    state text NOT NULL,
    hold_id text NOT NULL UNIQUE,
    transaction_id text UNIQUE,
    requested_at timestamptz NOT NULL,
    settled_at timestamptz,
    next_ask_at timestamptz,
    asked integer NOT NULL DEFAULT 0,
    recorded_at timestamptz NOT NULL,
    CONSTRAINT payment_refunds_amount CHECK (amount_minor > 0),
    CONSTRAINT payment_refunds_state CHECK (state IN ('pending', 'succeeded', 'declined')),
    CONSTRAINT payment_refunds_booked CHECK ((state = 'succeeded') = (transaction_id IS NOT NULL)),
    CONSTRAINT payment_refunds_settled CHECK ((state = 'pending') = (settled_at IS NULL)),
    CONSTRAINT payment_refunds_asked CHECK ((state = 'pending') = (next_ask_at IS NOT NULL))
);
CREATE INDEX payment_refunds_payment ON payment_refunds (payment_id);
CREATE INDEX payment_refunds_to_ask ON payment_refunds (next_ask_at) WHERE next_ask_at IS NOT NULL;
CREATE TABLE payment_chargebacks (
    payment_id text NOT NULL REFERENCES payments,
    sequence bigint NOT NULL,
    amount_minor bigint NOT NULL,
    owed_minor bigint NOT NULL,
    transaction_id text NOT NULL UNIQUE,
    occurred_at timestamptz NOT NULL,
    recorded_at timestamptz NOT NULL,
    PRIMARY KEY (payment_id, sequence),
    CONSTRAINT payment_chargebacks_amounts CHECK (amount_minor > 0 AND owed_minor BETWEEN 0 AND amount_minor)
);
CREATE TABLE top_up_rules (
    account_id text PRIMARY KEY REFERENCES accounts,
    token_id text NOT NULL,
    minimum_minor bigint NOT NULL,
    monthly_limit_minor bigint,
    enabled boolean NOT NULL,
    declines integer NOT NULL DEFAULT 0,
    next_attempt_at timestamptz,
    paused_because text NOT NULL DEFAULT '',
    recorded_at timestamptz NOT NULL,
    FOREIGN KEY (account_id, token_id) REFERENCES payment_tokens,
    CONSTRAINT top_up_rules_amounts CHECK (minimum_minor >= 0 AND monthly_limit_minor > 0 AND declines >= 0)
);
CREATE TABLE top_up_attempts (
    bill_id text NOT NULL REFERENCES bills,
    attempt integer NOT NULL,
    payment_id text NOT NULL UNIQUE REFERENCES payments,
    recorded_at timestamptz NOT NULL,
    PRIMARY KEY (bill_id, attempt)
)
"""


def upgrade() -> None:
    """Makes the tables; steps, charge-backs and attempts are only appended to."""
    for statement in _TABLES.split(";\n"):
        op.execute(statement)
    append_only(op, "payment_steps", "payment_chargebacks", "top_up_attempts")
