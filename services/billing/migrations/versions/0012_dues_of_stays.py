"""What a crossing has on top of its threshold because a cycle was due, and since when that counts no more.

Crossings that stand when this comes do not know what they have on top: they last until their threshold as it is. Bills
stay as they were issued.
"""

from alembic import op
from chassis.migrations import append_only

revision = "0012"
down_revision = "0011"

_ACCOUNTS = """
ALTER TABLE accounts
    ADD COLUMN due_minor bigint,
    ADD COLUMN due_of text,
    ADD CONSTRAINT accounts_due CHECK (
        num_nulls(due_minor, due_of) IN (0, 2)
        AND (due_minor IS NULL OR (due_minor > 0 AND crossed_version IS NOT NULL))) NOT VALID
"""

_ENDED = """
CREATE TABLE ended_dues (
    account_id text NOT NULL REFERENCES accounts,
    crossing_version bigint NOT NULL,
    subscription_id text NOT NULL,
    due_minor bigint NOT NULL,
    account_version bigint NOT NULL,
    occurred_at timestamptz NOT NULL,
    recorded_at timestamptz NOT NULL,
    PRIMARY KEY (account_id, crossing_version),
    CONSTRAINT ended_dues_signs CHECK (due_minor > 0 AND account_version > crossing_version)
)
"""


def upgrade() -> None:
    """Adds what is due to accounts, and the table of what is not any more, which is only ever appended to."""
    op.execute(_ACCOUNTS)
    op.execute("ALTER TABLE accounts VALIDATE CONSTRAINT accounts_due")
    op.execute(_ENDED)
    append_only(op, "ended_dues")
