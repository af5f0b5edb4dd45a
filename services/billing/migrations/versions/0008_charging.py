"""Reservations, usage and its counters, what charges carry, and runs of recurring charges."""

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Nothing yet."""
