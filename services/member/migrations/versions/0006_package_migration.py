"""Rules that bring package customers into tiers, and the plans that carried them out."""

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Makes everything."""
