"""Configuration of the scoring process."""

from chassis.settings import ServiceSettings
from pydantic import Field


class ScoringSettings(ServiceSettings):
    """What scoring needs on top of every service."""

    annual_discount_bps: int = Field(
        1000, ge=0, le=100_000, description="What a year's waiting takes off a value, in hundredths of a percent."
    )
