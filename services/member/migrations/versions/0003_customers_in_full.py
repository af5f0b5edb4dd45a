"""Persons, consents, account links, merges and erasures of customers."""

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Makes everything."""
