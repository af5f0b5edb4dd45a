"""Payments through channels, their call-backs and refunds, stored means of payment, automatic top-up."""

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Nothing yet."""
