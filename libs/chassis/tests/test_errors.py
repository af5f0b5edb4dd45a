"""Refusals on the wire: whole where they are short, and never so long that the caller gets none."""

from urllib.parse import quote

import pytest
from chassis.errors import FieldViolation, InvalidArgument
from chassis.rpc.errors import from_status, status_proto

METADATA_BYTES_MAX = 8 * 1024


def test_a_refusal_arrives_with_its_fields() -> None:
    refusal = InvalidArgument.many([FieldViolation("a", "is required"), FieldViolation("b.c", "must be 1")])
    arrived = from_status(status_proto(refusal, "probe"))
    assert (arrived.reason, arrived.message) == ("INVALID_ARGUMENT", "a: is required; b.c: must be 1")
    assert arrived.violations == refusal.violations


@pytest.mark.parametrize("text", ["x" * 5_000, "银" * 5_000], ids=["ascii", "three bytes each"])
@pytest.mark.parametrize("count", [1, 1000])
def test_a_long_refusal_fits_the_metadata_of_an_answer(text: str, count: int) -> None:
    refusal = InvalidArgument.many(FieldViolation(f"field_{n}", text) for n in range(count))
    status = status_proto(refusal, "probe")
    assert status.ByteSize() + len(quote(status.message)) < METADATA_BYTES_MAX
    assert from_status(status).violations[0].field == "field_0"
