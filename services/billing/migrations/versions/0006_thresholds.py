"""Versions of bill plans, crossings of every cause, bills with what corrects them, and overdue steps.

Bills of before stay as they are: originals that do not know their plan or stay. Those that were open while their
account had come back to its threshold are closed, because from now on a bill asks for the stay it was issued for.
"""

from alembic import op
from chassis.migrations import append_only

revision = "0006"
down_revision = "0005"

_PLANS = """
CREATE TABLE bill_plan_versions (
    plan_id text NOT NULL REFERENCES bill_plans,
    revision bigint NOT NULL,
    display_name text NOT NULL,
    threshold_minor bigint NOT NULL,
    target_balance_minor bigint NOT NULL,
    due_days integer NOT NULL,
    spend_days integer,
    spend_window_days integer,
    spend_minimum_minor bigint,
    spend_maximum_minor bigint,
    cycle text NOT NULL,
    anchor_day integer NOT NULL,
    amount_kind text NOT NULL,
    fixed_amount_minor bigint,
    recurring_cycles integer NOT NULL,
    overdue_steps jsonb NOT NULL,
    effective_from timestamptz,
    recorded_at timestamptz NOT NULL,
    PRIMARY KEY (plan_id, revision),
    CONSTRAINT bill_plan_versions_amounts CHECK (threshold_minor >= 0 AND target_balance_minor >= threshold_minor),
    CONSTRAINT bill_plan_versions_signs CHECK (due_days >= 0 AND revision > 0),
    CONSTRAINT bill_plan_versions_spend CHECK (
        num_nulls(spend_days, spend_window_days, spend_minimum_minor) IN (0, 3)),
    CONSTRAINT bill_plan_versions_kinds CHECK (
        cycle IN ('immediate', 'daily', 'monthly')
        AND amount_kind IN ('target_balance', 'fixed', 'recurring_cycles', 'shortfall')
        AND (amount_kind = 'fixed') = (fixed_amount_minor IS NOT NULL))
);
INSERT INTO bill_plan_versions
SELECT plan_id, revision, display_name, threshold_minor, target_balance_minor, due_days, NULL, NULL, NULL, NULL,
       'immediate', 1, 'target_balance', NULL, 0, '[]', NULL, recorded_at
FROM bill_plans;
ALTER TABLE bill_plans
    DROP COLUMN display_name, DROP COLUMN threshold_minor, DROP COLUMN target_balance_minor, DROP COLUMN due_days,
    ADD CONSTRAINT bill_plans_revision CHECK (revision > 0)
"""

_ACCOUNTS = """
ALTER TABLE accounts
    ADD COLUMN crossed_cause text,
    ADD COLUMN crossed_at timestamptz,
    ADD COLUMN bill_at timestamptz,
    ADD COLUMN overdue_at timestamptz,
    ADD COLUMN day_threshold_minor bigint,
    ADD COLUMN day_threshold_day date NOT NULL DEFAULT '1970-01-01',
    ADD COLUMN state text NOT NULL DEFAULT 'active',
    ADD COLUMN state_revision bigint NOT NULL DEFAULT 0,
    ADD COLUMN state_because text,
    ADD COLUMN state_since timestamptz;
UPDATE accounts a SET crossed_cause = 'debit', crossed_at = e.occurred_at FROM ledger_entries e
WHERE a.crossed_version IS NOT NULL AND e.account_id = 'balance:' || a.account_id
  AND e.account_version = a.crossed_version;
ALTER TABLE accounts
    DROP CONSTRAINT accounts_crossing,
    ADD CONSTRAINT accounts_crossing CHECK (
        num_nulls(crossed_threshold_minor, crossed_version, crossed_cause, crossed_at) IN (0, 4)
        AND (crossed_version IS NOT NULL OR (bill_at IS NULL AND overdue_at IS NULL))),
    ADD CONSTRAINT accounts_state CHECK (
        state IN ('active', 'suspended') AND (state_revision = 0) = (state_because IS NULL)
        AND num_nulls(state_because, state_since) IN (0, 2));
CREATE INDEX accounts_bill_at ON accounts (bill_at, account_id) WHERE bill_at IS NOT NULL;
CREATE INDEX accounts_overdue_at ON accounts (overdue_at, account_id) WHERE overdue_at IS NOT NULL;
CREATE INDEX accounts_day_threshold ON accounts (plan_id, day_threshold_day);
CREATE TABLE account_states (
    account_id text NOT NULL REFERENCES accounts,
    revision bigint NOT NULL,
    state text NOT NULL,
    because text NOT NULL,
    bill_id text,
    reason text NOT NULL,
    occurred_at timestamptz NOT NULL,
    recorded_at timestamptz NOT NULL,
    PRIMARY KEY (account_id, revision)
)
"""

_BILLS = """
ALTER TABLE bills
    ADD COLUMN kind text NOT NULL DEFAULT 'original',
    ADD COLUMN corrects_bill_id text REFERENCES bills,
    ADD COLUMN cause text,
    ADD COLUMN plan_id text,
    ADD COLUMN plan_revision bigint,
    ADD COLUMN crossing_version bigint,
    ADD COLUMN credit_limit_at_issue_minor bigint NOT NULL DEFAULT 0,
    ADD COLUMN reason text NOT NULL DEFAULT '',
    ALTER COLUMN transaction_id DROP NOT NULL,
    DROP CONSTRAINT bills_transaction_id_key,
    DROP CONSTRAINT bills_crossing,
    ADD CONSTRAINT bills_measure CHECK (
        kind <> 'original' OR balance_at_issue_minor + credit_limit_at_issue_minor < threshold_minor),
    ADD CONSTRAINT bills_kind CHECK (
        kind IN ('original', 'supplement', 'credit_note') AND (kind = 'original') = (corrects_bill_id IS NULL));
CREATE UNIQUE INDEX bills_transaction ON bills (transaction_id, account_id) WHERE kind <> 'credit_note';
CREATE UNIQUE INDEX bills_one_per_stay ON bills (account_id, crossing_version) WHERE kind = 'original';
CREATE INDEX bills_corrects ON bills (corrects_bill_id) WHERE corrects_bill_id IS NOT NULL;
ALTER TABLE bill_payments
    ADD COLUMN amount_minor bigint,
    ADD CONSTRAINT bill_payments_amount CHECK (amount_minor > 0);
CREATE TABLE bill_closures (
    bill_id text PRIMARY KEY REFERENCES bills,
    because text NOT NULL,
    account_version bigint,
    occurred_at timestamptz NOT NULL,
    recorded_at timestamptz NOT NULL,
    CONSTRAINT bill_closures_because CHECK (because IN ('restored', 'credited'))
);
INSERT INTO bill_closures (bill_id, because, account_version, occurred_at, recorded_at)
SELECT b.bill_id, 'restored', l.version, now(), now()
FROM bills b JOIN accounts a USING (account_id) JOIN ledger_accounts l ON l.id = 'balance:' || b.account_id
LEFT JOIN bill_payments p USING (bill_id)
WHERE p.bill_id IS NULL AND a.crossed_version IS NULL;
CREATE TABLE overdue_steps_done (
    bill_id text NOT NULL REFERENCES bills,
    step integer NOT NULL,
    action text NOT NULL,
    occurred_at timestamptz NOT NULL,
    recorded_at timestamptz NOT NULL,
    PRIMARY KEY (bill_id, step)
)
"""


def upgrade() -> None:
    """Makes the tables, keeps what was, and closes those that are only appended to."""
    for statements in (_PLANS, _ACCOUNTS, _BILLS):
        for statement in statements.split(";\n"):
            op.execute(statement)
    append_only(op, "bill_plan_versions", "account_states", "bill_closures", "overdue_steps_done")
