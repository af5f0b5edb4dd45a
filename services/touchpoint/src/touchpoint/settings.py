"""Configuration of the touchpoint service."""

from typing import Annotated

from chassis.settings import ServiceSettings
from pydantic import Field, field_validator
from pydantic_settings import NoDecode

from touchpoint.domain.delivery import STANDARD_SCHEDULE_SECONDS

Delay = Annotated[float, Field(ge=0, le=7 * 86400)]


class TouchpointSettings(ServiceSettings):
    """What the touchpoint service needs on top: its neighbour campaign, and how webhooks are sent."""

    campaign_target: str = Field("", description="Address of campaign, asked when nothing waits; empty asks nobody.")
    decide_timeout_seconds: float = Field(0.5, gt=0, le=5, description="Time campaign has for a decision.")
    allow_private_webhooks: bool = Field(
        False, description="Whether webhooks may go by http, to any port and to private addresses: one machine only."
    )
    delivery_schedule_seconds: Annotated[tuple[Delay, ...], NoDecode] = Field(
        STANDARD_SCHEDULE_SECONDS, min_length=1, max_length=50, description="Delay before each attempt, as in 0,5,300."
    )
    delivery_timeout_seconds: float = Field(10.0, gt=0, le=60, description="Time a receiver has to answer.")
    delivery_poll_seconds: float = Field(0.25, gt=0, le=60, description="Rest between looks at an empty queue.")
    delivery_slots: int = Field(100, ge=1, le=1000, description="Webhooks under way at once in this process.")
    delivery_slots_per_endpoint: int = Field(4, ge=1, le=100, description="Webhooks under way to one endpoint.")

    @field_validator("delivery_schedule_seconds", mode="before")
    @classmethod
    def _listed(cls, value: object) -> object:
        """The environment gives the delays as one text with commas."""
        return value.split(",") if isinstance(value, str) else value
