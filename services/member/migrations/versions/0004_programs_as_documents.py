"""Programs as versioned documents, and what judged each member."""

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Makes everything."""
