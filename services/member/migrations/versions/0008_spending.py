"""Transfers and pools of points within a household."""

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Makes everything."""
