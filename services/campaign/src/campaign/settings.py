"""Configuration of the campaign service."""

from chassis.settings import ServiceSettings
from pydantic import Field


class CampaignSettings(ServiceSettings):
    """What campaign needs beyond what every service needs."""

    intake_lanes: int = Field(4, ge=1, le=64, description="Groups of intake partitions worked on side by side.")
