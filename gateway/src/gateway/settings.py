"""Configuration of the gateway."""

from chassis.settings import ProcessSettings
from pydantic import Field


class GatewaySettings(ProcessSettings):
    """Where to listen, where the services are, and the limits that hold for one caller."""

    http_port: int = Field(default=8080, ge=1, le=65535, description="Port of the REST interface.")
    member_target: str = Field(description="gRPC target of the member service.")
    billing_target: str = Field(description="gRPC target of the billing service.")
    campaign_target: str = Field(description="gRPC target of the campaign service.")
    touchpoint_target: str = Field(description="gRPC target of the touchpoint service.")
    scoring_target: str = Field(description="gRPC target of the scoring service.")
    request_seconds: float = Field(default=5.0, gt=0, le=60, description="Time a request may take.")
    home_seconds: float = Field(
        default=1.5, gt=0, le=60, description="Time the member home page may take; the rest is missing."
    )
    requests_per_minute: int = Field(default=6000, ge=1, description="Requests of one caller a minute, per replica.")
    body_bytes_max: int = Field(default=256 * 1024, ge=1024, description="Longest body accepted.")
