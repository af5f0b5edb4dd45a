"""A provider's alias of a means of payment is one customer's: of who stored it first, while it lives.

Where several customers had stored one, it stays with the first of them; the others' are removed, and what uses them
stops as it does when a customer removes one.
"""

from alembic import op

revision = "0013"
down_revision = "0012"

_ALIASES = """
CREATE TABLE payment_aliases (
    channel text NOT NULL,
    provider_token text NOT NULL,
    customer_id text NOT NULL,
    recorded_at timestamptz NOT NULL,
    PRIMARY KEY (channel, provider_token)
)
"""
_FIRST = """
INSERT INTO payment_aliases (channel, provider_token, customer_id, recorded_at)
SELECT DISTINCT ON (t.channel, t.provider_token) t.channel, t.provider_token, a.customer_id, t.recorded_at
FROM payment_tokens t JOIN accounts a USING (account_id) WHERE t.removed_at IS NULL
ORDER BY t.channel, t.provider_token, t.recorded_at, t.account_id
"""
_OTHERS = """
UPDATE payment_tokens t SET removed_at = greatest(t.stored_at, now())
FROM accounts a, payment_aliases o
WHERE a.account_id = t.account_id AND o.channel = t.channel AND o.provider_token = t.provider_token
  AND t.removed_at IS NULL AND o.customer_id <> a.customer_id
"""


def upgrade() -> None:
    """Makes the table of whose aliases are, of what is stored."""
    op.execute(_ALIASES)
    op.execute("CREATE INDEX payment_tokens_alias ON payment_tokens (channel, provider_token) WHERE removed_at IS NULL")
    op.execute(_FIRST)
    op.execute(_OTHERS)
