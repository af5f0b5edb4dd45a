"""Earning rules, their caps, and points that ripen."""

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Makes everything."""
