"""Billing's settings: what every service has, and the payment channels that it speaks to."""

from pathlib import Path

from chassis.settings import ServiceSettings
from pydantic import Field


class BillingSettings(ServiceSettings):
    """Where the payment providers are, and how long they are waited for."""

    payment_channels_file: Path | None = Field(
        None, description="JSON file of the payment channels with their secrets; without it there are none."
    )
    payment_channel_seconds: float = Field(
        3.0, gt=0, le=5, description="How long a payment provider is waited for; it is asked again later."
    )
    payment_page_minutes: int = Field(
        30,
        ge=0,
        le=24 * 60,
        description="How long an unpaid payment on a provider's page counts as on its way and puts off bills.",
    )
    export_folder: Path | None = Field(
        None, description="Folder below which closed days are exported as Parquet files; without it they are not."
    )
    close_days_after_hours: int = Field(
        1, ge=0, le=24 * 500, description="How long after its end a day is closed; what comes later counts as late."
    )
    cycle_anchor_day: int = Field(
        1, ge=0, le=31, description="Day of the month on which cycles of months begin; 0 is the day of each order."
    )
    member_target: str = Field(
        "", description="Address of member, asked for orders with coupons or points; empty refuses those."
    )
    member_timeout_seconds: float = Field(1.0, gt=0, le=10, description="How long member is waited for.")
