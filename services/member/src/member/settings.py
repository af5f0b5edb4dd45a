"""Configuration of the member service: what every service needs, and nothing of its own yet."""

from chassis.settings import ServiceSettings


class MemberSettings(ServiceSettings):
    """The member service's settings."""
