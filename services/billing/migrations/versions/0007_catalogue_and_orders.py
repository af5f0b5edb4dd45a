"""Products, prices and discounts in versions; orders, subscriptions and reckonings."""

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Nothing yet."""
