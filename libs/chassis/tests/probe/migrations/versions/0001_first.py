"""The chassis's tables and the probe's two."""

from alembic import op
from chassis.migrations import append_only, create_chassis_tables
from probe.store import EFFECTS, METADATA, SUMS

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Makes the tables."""
    create_chassis_tables(op)
    METADATA.create_all(op.get_bind(), tables=[SUMS, EFFECTS])
    append_only(op, "effects")
