"""Billing's settings: what every service has; it calls no other service."""

from chassis.settings import ServiceSettings


class BillingSettings(ServiceSettings):
    """Nothing of its own yet."""
