"""Instants between protobuf and the domain: aware, UTC, to the microsecond, from 1970 to the end of 9899.

The century below the calendar's end is left to what domains add: due dates, expiries, windows. An instant so near the
end that nothing can be added to it would be taken in, and break whatever is worked out from it later.
"""

from datetime import datetime, timedelta

from google.protobuf.timestamp_pb2 import Timestamp

from chassis.calendar import EARLIEST, LATEST
from chassis.errors import InvalidArgument

__all__ = ["EARLIEST", "LATEST", "from_proto", "to_proto"]

_SECONDS_END = int(LATEST.timestamp())


def to_proto(instant: datetime) -> Timestamp:
    """The instant as a protobuf timestamp."""
    since = instant - EARLIEST
    return Timestamp(seconds=since.days * 86400 + since.seconds, nanos=since.microseconds * 1000)


def from_proto(timestamp: Timestamp, field: str) -> datetime:
    """The instant, cut to microseconds; InvalidArgument when unset or out of range."""
    seconds, nanos = timestamp.seconds, timestamp.nanos
    if not seconds and not nanos:
        raise InvalidArgument(field, "is required")
    if not 0 <= seconds < _SECONDS_END or not 0 <= nanos < 1_000_000_000:
        raise InvalidArgument(field, f"must lie from 1970 to {LATEST.year - 1}")
    return EARLIEST + timedelta(seconds=seconds, microseconds=nanos // 1000)


def from_proto_or(timestamp: Timestamp, field: str, default: datetime) -> datetime:
    """The instant, or `default` when the field is unset."""
    if not timestamp.seconds and not timestamp.nanos:
        return default
    return from_proto(timestamp, field)
