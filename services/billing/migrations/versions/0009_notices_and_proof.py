"""Ends of days, snapshots, exports, providers' files and the differences found."""

from alembic import op
from chassis.migrations import append_only

revision = "0009"
down_revision = "0008"

_DAYS = """
CREATE TABLE book_days (
    day date PRIMARY KEY,
    starts_at timestamptz NOT NULL,
    ends_at timestamptz NOT NULL,
    reached text NOT NULL DEFAULT '',
    closed_at timestamptz,
    CONSTRAINT book_days_span CHECK (starts_at < ends_at)
);
CREATE UNIQUE INDEX book_days_one_open ON book_days ((true)) WHERE closed_at IS NULL;
CREATE TABLE account_day_ends (
    account_id text NOT NULL REFERENCES accounts,
    day date NOT NULL REFERENCES book_days,
    balance_minor bigint NOT NULL,
    held_minor bigint NOT NULL,
    change_minor bigint NOT NULL,
    held_change_minor bigint NOT NULL,
    entries integer NOT NULL,
    account_version bigint NOT NULL,
    PRIMARY KEY (account_id, day),
    CONSTRAINT account_day_ends_signs CHECK (entries > 0 AND account_version > 0 AND held_minor >= 0)
);
CREATE INDEX account_day_ends_day ON account_day_ends (day);
CREATE TABLE account_day_sums (
    account_id text NOT NULL,
    day date NOT NULL,
    kind text NOT NULL,
    amount_minor bigint NOT NULL,
    entries integer NOT NULL,
    PRIMARY KEY (account_id, day, kind),
    FOREIGN KEY (account_id, day) REFERENCES account_day_ends,
    CONSTRAINT account_day_sums_entries CHECK (entries > 0)
);
CREATE TABLE late_entries (
    account_id text NOT NULL REFERENCES accounts,
    account_version bigint NOT NULL,
    stated_at timestamptz NOT NULL,
    PRIMARY KEY (account_id, account_version)
);
CREATE INDEX late_entries_stated ON late_entries (account_id, stated_at);
CREATE TABLE snapshots (
    day date NOT NULL REFERENCES book_days,
    currency text NOT NULL,
    accounts bigint NOT NULL,
    balances_minor bigint NOT NULL,
    held_minor bigint NOT NULL,
    asked_minor bigint NOT NULL,
    last_bill_number bigint NOT NULL,
    entries bigint NOT NULL,
    chain_digest bytea,
    taken_at timestamptz NOT NULL,
    PRIMARY KEY (day, currency),
    CONSTRAINT snapshots_signs CHECK (
        accounts >= 0 AND held_minor >= 0 AND asked_minor >= 0 AND last_bill_number >= 0 AND entries >= 0)
);
CREATE TABLE exports (
    day date PRIMARY KEY REFERENCES book_days,
    files jsonb NOT NULL,
    finished_at timestamptz NOT NULL
);
CREATE INDEX charges_occurred ON charges USING brin (occurred_at)
"""

_DIFFERENCES = """
CREATE TABLE provider_records (
    channel text NOT NULL,
    provider_reference text NOT NULL,
    kind text NOT NULL,
    amount_minor bigint NOT NULL,
    currency text NOT NULL,
    day date NOT NULL,
    settled_at timestamptz NOT NULL,
    recorded_at timestamptz NOT NULL,
    PRIMARY KEY (channel, provider_reference, kind, settled_at, amount_minor, currency),
    CONSTRAINT provider_records_kind CHECK (kind IN ('payment', 'refund', 'chargeback')),
    CONSTRAINT provider_records_sign CHECK ((kind = 'payment') = (amount_minor > 0) AND amount_minor <> 0)
);
CREATE INDEX provider_records_day ON provider_records (day, channel);
CREATE TABLE provider_files (
    channel text NOT NULL,
    day date NOT NULL,
    recorded_at timestamptz NOT NULL,
    PRIMARY KEY (channel, day)
);
CREATE TABLE differences (
    difference_id text PRIMARY KEY,
    number bigint GENERATED ALWAYS AS IDENTITY UNIQUE,
    kind text NOT NULL,
    reference text NOT NULL,
    here_minor bigint,
    here_currency text,
    there_minor bigint,
    there_currency text,
    day date NOT NULL,
    found_at timestamptz NOT NULL,
    CONSTRAINT differences_kind CHECK (kind IN (
        'payment_missing_here', 'payment_missing_there', 'amount_differs', 'state_differs', 'bill_unbooked',
        'charge_unbooked', 'ledger_unexplained')),
    CONSTRAINT differences_amounts CHECK (
        (here_minor IS NULL) = (here_currency IS NULL) AND (there_minor IS NULL) = (there_currency IS NULL))
);
CREATE INDEX differences_day ON differences (day, number);
CREATE TABLE difference_resolutions (
    difference_id text PRIMARY KEY REFERENCES differences,
    resolution text NOT NULL,
    resolved_at timestamptz NOT NULL,
    recorded_at timestamptz NOT NULL
)
"""


def upgrade() -> None:
    """Makes the tables; a day that is closed, and what was found, is only ever appended."""
    for statements in (_DAYS, _DIFFERENCES):
        for statement in statements.split(";\n"):
            op.execute(statement)
    append_only(
        op,
        "account_day_ends",
        "account_day_sums",
        "late_entries",
        "snapshots",
        "exports",
        "provider_records",
        "provider_files",
        "differences",
        "difference_resolutions",
    )
