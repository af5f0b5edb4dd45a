"""The ledger's record is sealed block by block."""

from alembic import op
from ledger import create_ledger_seals

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Makes the seals' table, and lets each transaction of the ledger say who wrote it."""
    create_ledger_seals(op)
