"""Instants on the wire: what is taken comes back, and what nothing could be added to is not taken."""

import pytest
from chassis.errors import InvalidArgument
from chassis.times import from_proto, to_proto
from google.protobuf.timestamp_pb2 import Timestamp

LAST_SECOND = 250246627199  # 9899-12-31T23:59:59Z


@pytest.mark.parametrize("stamp", [Timestamp(nanos=1000), Timestamp(seconds=LAST_SECOND, nanos=999_999_000)])
def test_an_instant_comes_back_as_it_was(stamp: Timestamp) -> None:
    assert to_proto(from_proto(stamp, "occurred_at")) == stamp


@pytest.mark.parametrize(
    "stamp",
    [
        Timestamp(),
        Timestamp(seconds=-1),
        Timestamp(seconds=1, nanos=-1),
        Timestamp(seconds=1, nanos=1_000_000_000),
        Timestamp(seconds=LAST_SECOND + 1),
        Timestamp(seconds=253402300799, nanos=999_999_999),
        Timestamp(seconds=2**63 - 1),
    ],
)
def test_an_instant_out_of_range_is_refused_with_its_field(stamp: Timestamp) -> None:
    with pytest.raises(InvalidArgument) as refused:
        from_proto(stamp, "occurred_at")
    assert [violation.field for violation in refused.value.violations] == ["occurred_at"]
