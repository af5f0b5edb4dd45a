"""What accounts say of their customers' tags, each account in its own order.

Nothing is filled in: stored tags do not know their account. Each stands by its business time, as it did, until a value
of a later one is told.
"""

from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Makes the table."""
    op.execute(
        """
        CREATE TABLE account_tags (
            customer_id text NOT NULL,
            tag_id text NOT NULL,
            account_id text NOT NULL,
            value jsonb,
            valid_from timestamptz NOT NULL,
            sequence bigint NOT NULL,
            PRIMARY KEY (customer_id, tag_id, account_id)
        )"""
    )
