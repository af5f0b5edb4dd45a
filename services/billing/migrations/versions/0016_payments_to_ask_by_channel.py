"""Payments are brought to their providers channel by channel, so that one whose provider is down holds up no other."""

from alembic import op

revision = "0016"
down_revision = "0015"


def upgrade() -> None:
    """Puts the channel first in the index of what is due."""
    op.execute("DROP INDEX payments_to_ask")
    op.execute(
        "CREATE INDEX payments_to_ask ON payments (channel, next_ask_at, payment_id) WHERE next_ask_at IS NOT NULL"
    )
