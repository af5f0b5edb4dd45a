"""Coupon templates, coupons and their reservations."""

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    """Makes everything."""
