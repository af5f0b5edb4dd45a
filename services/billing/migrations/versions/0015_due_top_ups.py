"""Automatic top-ups that are due are found from the accounts that are crossed, which are few, not from all rules."""

from alembic import op

revision = "0015"
down_revision = "0014"


def upgrade() -> None:
    """Adds an index of accounts below their thresholds, and one of rules that may act."""
    op.execute("CREATE INDEX accounts_crossed ON accounts (account_id) WHERE crossed_version IS NOT NULL")
    op.execute("CREATE INDEX top_up_rules_acting ON top_up_rules (account_id) WHERE enabled AND paused_because = ''")
