"""The ledger learns that a reversal may leave an account owing; billing's own reversals do not."""

from alembic import op
from ledger import let_accounts_owe

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Brings the ledger's tables up to what its statements write."""
    let_accounts_owe(op)
