"""What was published and never handled: every outbox compared with every inbox, through OperationsService alone."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from touchstone.common.v1 import operations_service_pb2 as pb

_PAGE = 5000
_CALL_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Comparison:
    """One producer's outbox against all inboxes. `missing` holds ids of events that somebody should have handled."""

    producer: str
    published: int
    missing: tuple[str, ...]


async def compare(producer: str, services: Mapping[str, Any]) -> Comparison:
    """Compares one producer's published events with every service's inbox; `services` are stubs by name."""
    missing: dict[str, None] = {}
    published = 0
    request = pb.ListOutboxRequest(page_size=_PAGE)
    while True:
        page = await services[producer].ListOutbox(request, timeout=_CALL_SECONDS)
        references = [
            pb.EventReference(source=producer, event_id=r.event_id, event_type=r.event_type, subject=r.subject)
            for r in page.rows
            if r.HasField("published_at")
        ]
        published += len(references)
        for consumer in services.values():
            found = await consumer.FindMissing(pb.FindMissingRequest(events=references), timeout=_CALL_SECONDS)
            missing.update(dict.fromkeys(found.event_ids))
        if not page.next_page_token:
            return Comparison(producer, published, tuple(missing))
        request.page_token = page.next_page_token


async def republish(producer: Any, event_ids: tuple[str, ...]) -> None:
    """Lets a producer publish these events once more; whoever handled them before does nothing."""
    for start in range(0, len(event_ids), _PAGE):
        request = pb.RepublishRequest(event_ids=event_ids[start : start + _PAGE])
        await producer.Republish(request, timeout=_CALL_SECONDS)
