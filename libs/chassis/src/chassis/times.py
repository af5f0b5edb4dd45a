"""Instants between protobuf and the domain: aware, UTC, to the microsecond, within 1970 and 9999."""

from datetime import UTC, datetime, timedelta

from google.protobuf.timestamp_pb2 import Timestamp

from chassis.errors import InvalidArgument

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SECONDS_MAX = 253402300799  # 9999-12-31T23:59:59Z, the last that a protobuf Timestamp may hold


def to_proto(instant: datetime) -> Timestamp:
    """The instant as a protobuf timestamp."""
    since = instant - _EPOCH
    return Timestamp(seconds=since.days * 86400 + since.seconds, nanos=since.microseconds * 1000)


def from_proto(timestamp: Timestamp, field: str) -> datetime:
    """The instant, cut to microseconds; InvalidArgument when unset or out of range."""
    seconds, nanos = timestamp.seconds, timestamp.nanos
    if not seconds and not nanos:
        raise InvalidArgument(field, "is required")
    if not 0 <= seconds <= _SECONDS_MAX or not 0 <= nanos < 1_000_000_000:
        raise InvalidArgument(field, "must lie between 1970 and 9999")
    return _EPOCH + timedelta(seconds=seconds, microseconds=nanos // 1000)


def from_proto_or(timestamp: Timestamp, field: str, default: datetime) -> datetime:
    """The instant, or `default` when the field is unset."""
    if not timestamp.seconds and not timestamp.nanos:
        return default
    return from_proto(timestamp, field)
