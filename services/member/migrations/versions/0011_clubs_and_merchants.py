"""Clubs, alliance merchants, and the rewards shop."""

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    """Makes everything."""
