"""Tasks with their streaks, and activities with their places."""

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    """Makes everything."""
