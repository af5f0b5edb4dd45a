"""Versions of bill plans, crossings of every cause, bills with what corrects them, and overdue steps."""

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Nothing yet."""
