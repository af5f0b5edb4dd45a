"""A payment on a provider's page counts as on its way for a while only: who leaves the page puts nothing off by it.

What is on its way when this comes counts for half an hour from its request, and is looked at by the next round.
"""

from alembic import op

revision = "0014"
down_revision = "0013"


def upgrade() -> None:
    """Adds until when a payment counts, and whether it does still."""
    op.execute(
        "ALTER TABLE payments ADD COLUMN counted_until timestamptz, ADD COLUMN counts boolean DEFAULT true NOT NULL"
    )
    op.execute(
        "UPDATE payments SET counted_until = requested_at + interval '30 minutes'"
        " WHERE token_id IS NULL AND state IN ('requested', 'pending')"
    )
    op.execute(
        "CREATE INDEX payments_counted_until ON payments (counted_until)"
        " WHERE counts AND state IN ('requested', 'pending')"
    )
