"""Configuration of the scoring process."""

from typing import Annotated
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from chassis.settings import ServiceSettings
from pydantic import AfterValidator, Field


def _known_timezone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise ValueError(f"{name!r} is not a time zone of the IANA database") from error
    return name


class ScoringSettings(ServiceSettings):
    """What scoring needs on top of every service."""

    business_timezone: Annotated[str, AfterValidator(_known_timezone)] = Field(
        "UTC", description="Time zone whose days purchases are merged by; days already stored stay as they are."
    )
    annual_discount_bps: int = Field(
        1000, ge=0, le=100_000, description="What a year's waiting takes off a value, in hundredths of a percent."
    )

    @property
    def zone(self) -> ZoneInfo:
        """The time zone of business days."""
        return ZoneInfo(self.business_timezone)
