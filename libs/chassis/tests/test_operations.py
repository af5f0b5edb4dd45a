"""OperationsService as an operator calls it: pages that end, and bad input named by its field."""

import base64
from typing import Any

import grpc
import pytest
from chassis import clock
from chassis.dead_letters import DeadLetter, put
from chassis.errors import Code
from chassis.rpc.errors import remote_refusal
from chassis.testing.serving import Serving
from google.protobuf.timestamp_pb2 import Timestamp
from touchstone.common.v1 import operations_service_pb2 as pb


async def put_aside(probe: Serving, event_id: str, source: str) -> None:
    """An event that could not be handled."""
    letter = DeadLetter(event_id=event_id, source=source, **LETTER, occurred_at=clock.now(), recorded_at=clock.now())
    await probe.work.run(lambda transaction: put(transaction.connection, letter))


LETTER: dict[str, Any] = {
    "event_type": "t",
    "subject": "events.t",
    "payload": b"",
    "trace_parent": "",
    "error": "",
    "attempts": 1,
}


@pytest.mark.parametrize("page_size", [1, 2, 3, 50])
async def test_every_dead_letter_is_listed_once(probe: Serving, page_size: int) -> None:
    expected = [("e-1", "billing"), ("e-1", "member"), ("e-2", "billing"), ("e-3", "billing")]
    for event_id, source in expected:
        await put_aside(probe, event_id, source)
    listed: list[tuple[str, str]] = []
    request = pb.ListDeadLettersRequest(page_size=page_size)
    while len(listed) <= len(expected):
        page = await probe.operations.ListDeadLetters(request)
        listed += [(letter.event_id, letter.source) for letter in page.dead_letters]
        request.page_token = page.next_page_token
        if not page.next_page_token:
            break
    assert listed == expected


def token(key: str) -> str:
    """A page token that no list call returned."""
    return base64.urlsafe_b64encode(key.encode()).decode().rstrip("=")


REFERENCE = {"source": "billing", "event_id": "e-1", "event_type": "t"}
SUBJECT = "events.touchstone.billing.v1.AccountCharged"
BAD: list[tuple[str, Any, str]] = [
    ("ListOutbox", pb.ListOutboxRequest(page_token=token("9" * 30)), "page_token"),
    ("ListOutbox", pb.ListOutboxRequest(page_token=token("-1")), "page_token"),
    ("ListOutbox", pb.ListOutboxRequest(event_type="a\x00b"), "event_type"),
    ("ListOutbox", pb.ListOutboxRequest(event_id="a\x00b"), "event_id"),
    ("ListOutbox", pb.ListOutboxRequest(recorded_from=Timestamp(seconds=2**62)), "recorded_from"),
    ("ReplayDeadLetters", pb.ReplayDeadLettersRequest(event_ids=["a\x00b"]), "event_ids"),
    ("Republish", pb.RepublishRequest(event_ids=["a\x00b"]), "event_ids"),
    *(
        ("FindMissing", pb.FindMissingRequest(events=[reference]), f"events.{field}")
        for field in REFERENCE
        for reference in [pb.EventReference(**REFERENCE | {field: "a\x00b"}, subject=SUBJECT)]
    ),
]


async def test_bad_input_is_refused_with_its_field(probe: Serving) -> None:
    for method, request, field in BAD:
        with pytest.raises(grpc.aio.AioRpcError) as failed:
            await getattr(probe.operations, method)(request)
        refusal = remote_refusal(failed.value)
        assert refusal.code is Code.INVALID_ARGUMENT, (method, request)
        assert [violation.field for violation in refusal.violations] == [field], (method, request)
