"""Accounts in full: credit limits, payers and what they paid in a month, gifts, and what turns back."""

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Nothing yet."""
