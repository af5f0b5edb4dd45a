"""What was held at the end of a day may be less than nothing.

Days are counted by business time, and what was set aside on one day may be taken on the day before, by the clock of the
system that took it. A day that must not come to this could never be closed, nor any day after it.
"""

from alembic import op

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    """Keeps the other signs."""
    op.execute("ALTER TABLE account_day_ends DROP CONSTRAINT account_day_ends_signs")
    op.execute(
        "ALTER TABLE account_day_ends ADD CONSTRAINT account_day_ends_signs"
        " CHECK (entries > 0 AND account_version > 0) NOT VALID"
    )
    op.execute("ALTER TABLE account_day_ends VALIDATE CONSTRAINT account_day_ends_signs")
    op.execute("ALTER TABLE snapshots DROP CONSTRAINT snapshots_signs")
    op.execute(
        "ALTER TABLE snapshots ADD CONSTRAINT snapshots_signs"
        " CHECK (accounts >= 0 AND asked_minor >= 0 AND last_bill_number >= 0 AND entries >= 0)"
    )
