"""Benefits with quotas, their use, and the one row that answers what a customer is entitled to."""

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Makes everything."""
