"""What a transaction may tell: only what has a form, and what the broker can take."""

from dataclasses import dataclass
from datetime import UTC, datetime

import pytest
from chassis.outbox import _PORTION_BYTES, _portions, _Row, encode_fact
from touchstone.billing.v1.billing_events_pb2 import AccountCharged


@dataclass(frozen=True, slots=True)
class Said:
    """Something that was said."""

    words: str
    aggregate_id: str = "a-1"
    occurred_at: datetime = datetime(2026, 1, 1, tzinfo=UTC)


FACTS = {Said: lambda said: AccountCharged(description=said.words)}


def test_a_fact_is_told_under_the_name_of_its_message() -> None:
    event = encode_fact(FACTS, Said("short"), "")
    assert event.subject == "events.touchstone.billing.v1.AccountCharged"
    assert AccountCharged.FromString(event.payload).description == "short"


def test_a_fact_without_a_form_fails_its_transaction() -> None:
    with pytest.raises(TypeError, match="no protobuf form"):
        encode_fact({}, Said("short"), "")


def test_a_fact_that_the_broker_would_never_take_fails_its_transaction() -> None:
    with pytest.raises(ValueError, match="the broker takes"):
        encode_fact(FACTS, Said("x" * 1024 * 1024), "")


def test_no_portion_is_more_than_the_broker_takes_in_time() -> None:
    sizes = [1, _PORTION_BYTES - 1, 1, 5, _PORTION_BYTES + 1, 7]
    event = encode_fact(FACTS, Said("short"), "")
    rows = [_Row(n, *event._replace(payload=bytes(size)), event.occurred_at, 0) for n, size in enumerate(sizes)]
    assert [[row.id for row in portion] for portion in _portions(rows)] == [[0, 1], [2, 3], [4], [5]]
    assert [list(portion) for portion in _portions(rows[:1])] == [rows[:1]]
