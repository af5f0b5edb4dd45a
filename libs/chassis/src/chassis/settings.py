"""Configuration of a process: from the environment (TOUCHSTONE_…), frozen, unknown or bad values refuse to start."""

import os
import sys
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Literal, NoReturn, Self, TypeVar
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, Field, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict, SettingsError

PREFIX = "TOUCHSTONE_"
# A century: a replay of old business may be dated so far back; more than that no clock can be added to safely.
_AGE_SECONDS_MAX = 100 * 366 * 86_400.0
S = TypeVar("S", bound="ProcessSettings")


def _known_timezone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise ValueError(f"{name!r} is not a time zone of the IANA database") from error
    return name


class ProcessSettings(BaseSettings):
    """What every process needs, the gateway too."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="forbid")

    jwks: str = Field(description="Path or https address of the JSON Web Key Set that tokens are checked against.")
    issuer: str = Field("touchstone", description="Issuer that tokens must name.")
    audience: str = Field("touchstone", description="Audience that tokens must name.")
    service_token_file: Path | None = Field(None, description="File with this process's own token for calls it makes.")
    metrics_port: int = Field(0, ge=0, le=65535, description="Port of /metrics; 0 switches it off.")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field("INFO", description="Least level that is logged.")
    trace_endpoint: str = Field("", description="OTLP/HTTP address of the collector; empty exports no spans.")
    trace_ratio: float = Field(0.1, ge=0, le=1, description="Share of new traces that are recorded.")
    bind_host: str = Field("0.0.0.0", description="Address to listen on.")  # noqa: S104 - a pod listens on all of its own
    shutdown_grace_seconds: float = Field(10.0, gt=0, description="Time for requests in flight when stopping.")


class ServiceSettings(ProcessSettings):
    """What every service needs on top: its database, the broker, its port."""

    database_url: str = Field(description="PostgreSQL address with the service's login, postgresql://…")
    migration_database_url: str = Field("", description="The same database with the owner's login; for `migrate` only.")
    database_pool_size: int = Field(10, ge=2, le=100, description="Connections held to the database.")
    nats_url: str = Field(description="Address of the broker, nats://…")
    events_max_bytes: int = Field(1 << 30, ge=1 << 20, description="Bound of the stream of events; full refuses.")
    intake_max_bytes: int = Field(1 << 30, ge=1 << 20, description="Bound of the stream of customer events.")
    streams_managed: bool = Field(True, description="Whether this process creates missing streams itself.")
    ack_wait_seconds: float = Field(30.0, ge=1, description="An event not acknowledged by then is delivered again.")
    event_tries: int = Field(8, ge=1, description="Deliveries of an event that fails before it is put aside.")
    event_retry_seconds: float = Field(0.5, gt=0, description="Delay before the second try; doubles, up to a minute.")
    grpc_port: int = Field(50051, ge=0, le=65535, description="Port of gRPC; 0 takes a free one.")
    business_timezone: Annotated[str, AfterValidator(_known_timezone)] = Field(
        "UTC", description="Time zone of the operator's days and months; days already stored stay as they are."
    )
    timed_work: bool = Field(True, description="Whether this process does what the calendar asks for by itself.")
    in_flight_max: int = Field(1000, ge=1, description="Calls in work at once; more are refused.")

    member_time_back_seconds: float = Field(
        3600.0, ge=0, le=_AGE_SECONDS_MAX, description="How long ago a member's own token may date what it does."
    )
    member_time_ahead_seconds: float = Field(
        300.0, ge=0, le=_AGE_SECONDS_MAX, description="How far ahead a member's own token may date what it does."
    )

    @property
    def member_time_back(self) -> timedelta:
        """How long ago a member's own token may date what it does."""
        return timedelta(seconds=self.member_time_back_seconds)

    @property
    def member_time_ahead(self) -> timedelta:
        """How far ahead a member's own token may date what it does."""
        return timedelta(seconds=self.member_time_ahead_seconds)

    @property
    def zone(self) -> ZoneInfo:
        """The time zone of the operator's days."""
        return ZoneInfo(self.business_timezone)

    @model_validator(mode="after")
    def _addresses(self) -> Self:
        if not self.database_url.startswith("postgresql://"):
            raise ValueError("database_url must start with postgresql://")
        if not self.nats_url.startswith(("nats://", "tls://")):
            raise ValueError("nats_url must start with nats:// or tls://")
        return self


def load_settings(settings: type[S]) -> S:
    """The settings from the environment, or exit status 2 after one clear line that names the variable."""
    known = {PREFIX + name.upper() for name in settings.model_fields}
    unknown = sorted(name for name in os.environ if name.startswith(PREFIX) and name not in known)
    if unknown:
        _refuse(f"unknown {', '.join(unknown)}")
    try:
        return settings()  # type: ignore[call-arg]  # read from the environment
    except SettingsError as error:
        _refuse(str(error))
    except ValidationError as error:
        _refuse("; ".join(_line(each["loc"], each["msg"]) for each in error.errors()))


def _line(location: tuple[int | str, ...], message: str) -> str:
    name = PREFIX + str(location[0]).upper() + " " if location else ""
    return f"{name}{message}"


def _refuse(what: str) -> NoReturn:
    sys.stderr.write(f"configuration: {what}\n")
    raise SystemExit(2)
