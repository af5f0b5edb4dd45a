"""OperationsService: what an operator may ask of every service. The same code serves it everywhere."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import grpc
import nats.errors
import nats.js.errors
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection
from touchstone.common.v1 import operations_service_pb2 as pb
from touchstone.common.v1 import operations_service_pb2_grpc

from chassis import clock, dead_letters
from chassis.broker import Broker
from chassis.consumers import Delivery, Handlers, Lane, handle_once
from chassis.database import READ_WHOLE_TABLES
from chassis.dead_letters import DeadLetter
from chassis.errors import InvalidArgument
from chassis.ids import check_text
from chassis.paging import Page, page_from_request
from chassis.proof import Check
from chassis.times import from_proto_or, to_proto
from chassis.work import Transaction, Work

SERVICE = "touchstone.common.v1.OperationsService"
Prove = Callable[[AsyncConnection], Awaitable[Sequence[Check]]]
_OUTBOX_PAGE_MAX = 5000
_NAME_LENGTH_MAX = 1000
# Longest decimal that surely fits the database's bigint.
_ROW_DIGITS_MAX = 18
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

_QUEUES = text("""
SELECT (SELECT count(*) FROM outbox WHERE published_at IS NULL),
       (SELECT count(*) FROM dead_letters WHERE replayed_at IS NULL),
       (SELECT min(recorded_at) FROM outbox WHERE published_at IS NULL)
""")
_TOTALS = text("""
SELECT (SELECT count(*) FROM outbox WHERE published_at IS NOT NULL),
       (SELECT count(*) FROM handled_requests WHERE caller LIKE 'event:%')
""")
_OUTBOX = text("""
SELECT id, event_id, event_type, subject, aggregate_id, occurred_at, recorded_at, published_at, payload
FROM outbox
WHERE id > :after
  AND (:event_type = '' OR event_type = :event_type) AND (:event_id = '' OR event_id = :event_id)
  AND recorded_at >= CAST(:recorded_from AS timestamptz)
ORDER BY id LIMIT :limit
""")
_MISSING = text("""
SELECT e.event_id
FROM unnest(CAST(:callers AS text[]), CAST(:event_types AS text[]), CAST(:event_ids AS text[]),
            CAST(:sources AS text[])) AS e(caller, event_type, event_id, source)
WHERE NOT EXISTS (SELECT FROM handled_requests h
                  WHERE h.caller = e.caller AND h.use_case = e.event_type AND h.request_id = e.event_id)
  AND NOT EXISTS (SELECT FROM dead_letters d
                  WHERE d.source = e.source AND d.event_id = e.event_id AND d.replayed_at IS NULL)
""")
_REPUBLISH = text("""
UPDATE outbox SET published_at = NULL, republished = republished + 1
WHERE event_id = ANY(CAST(:event_ids AS text[])) AND published_at IS NOT NULL
""")


@dataclass(frozen=True, slots=True)
class Operated:
    """The parts of a service that operations look at."""

    service: str
    work: Work
    broker: Broker
    handlers: Handlers
    lanes: Sequence[Lane]
    prove: Prove | None
    answers: Callable[[], Awaitable[bool]]


class OperationsApi(operations_service_pb2_grpc.OperationsServiceServicer):
    """The calls, each over the tables that the chassis keeps in every service's database."""

    def __init__(self, operated: Operated) -> None:
        self._of = operated

    async def GetStatus(
        self, request: pb.GetStatusRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> pb.GetStatusResponse:
        async with self._of.work.reading() as connection:
            unpublished, dead, oldest = (await connection.execute(_QUEUES)).one()
            published, handled = (await connection.execute(_TOTALS)).one() if request.totals else (0, 0)
        return pb.GetStatusResponse(
            service=self._of.service,
            outbox_unpublished=unpublished,
            outbox_published=published,
            events_handled=handled,
            consumer_pending=await self._pending(),
            dead_letters=dead,
            database_up=await self._of.answers(),
            broker_up=self._of.broker.connected,
            oldest_unpublished_seconds=(clock.now() - oldest).total_seconds() if oldest else 0.0,
        )

    async def _pending(self) -> int:
        """Events waiting for this service; -1 when the broker cannot tell."""
        if not self._of.broker.connected:
            return -1
        try:
            return sum([await self._of.broker.pending(lane.stream, lane.durable) for lane in self._of.lanes])
        except (nats.errors.Error, nats.js.errors.Error):
            return -1

    async def ListDeadLetters(
        self, request: pb.ListDeadLettersRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> pb.ListDeadLettersResponse:
        page = page_from_request(request)
        async with self._of.work.reading() as connection:
            letters = await dead_letters.list_letters(
                connection, after=page.after, limit=page.wanted, include_replayed=request.include_replayed
            )
        letters, token = page.cut(letters, lambda one: one.page_key)
        return pb.ListDeadLettersResponse(dead_letters=map(_letter_to_proto, letters), next_page_token=token)

    async def ReplayDeadLetters(
        self, request: pb.ReplayDeadLettersRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> pb.ReplayDeadLettersResponse:
        event_ids = _checked("event_ids", request.event_ids)
        async with self._of.work.reading() as connection:
            letters = await dead_letters.waiting(connection, event_ids)
        reply = pb.ReplayDeadLettersResponse()
        for letter in letters:
            error = await self._replay(letter)
            if error:
                reply.failed.add().CopyFrom(_letter_to_proto(letter, error))
            else:
                reply.replayed += 1
        return reply

    async def _replay(self, letter: DeadLetter) -> str:
        """Handles one letter again; the error in words, or empty after success."""
        if letter.event_type not in self._of.handlers.by_type:
            return f"this service does not listen to {letter.event_type}"
        message_type, handler = self._of.handlers.by_type[letter.event_type]

        async def handle_and_mark(transaction: Transaction, deliveries: Sequence[Delivery[Any]]) -> None:
            await handler(transaction, deliveries)

        try:
            message = message_type.FromString(letter.payload)
            delivery = Delivery(letter.event_id, letter.source, letter.occurred_at, letter.recorded_at, message)
            await handle_once(self._of.work, letter.event_type, [delivery], handle_and_mark)
        except Exception as error:  # noqa: BLE001 - the operator is told whatever it was
            return repr(error)
        # A crash before this line only means that the next replay finds the event handled.
        await self._of.work.run(lambda t: dead_letters.mark_replayed(t.connection, letter, clock.now()))
        return ""

    async def ListOutbox(
        self, request: pb.ListOutboxRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> pb.ListOutboxResponse:
        page = page_from_request(request, size_max=_OUTBOX_PAGE_MAX)
        parameters = {
            "after": _row_after(page),
            "event_type": check_text("event_type", request.event_type, length_max=_NAME_LENGTH_MAX),
            "event_id": check_text("event_id", request.event_id, length_max=_NAME_LENGTH_MAX),
            "recorded_from": from_proto_or(request.recorded_from, "recorded_from", _EPOCH),
            "limit": page.wanted,
        }
        async with self._of.work.reading() as connection:
            rows = (await connection.execute(_OUTBOX, parameters)).all()
        rows, token = page.cut(rows, lambda one: str(one.id))
        return pb.ListOutboxResponse(rows=map(_outbox_row_to_proto, rows), next_page_token=token)

    async def FindMissing(
        self, request: pb.FindMissingRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> pb.FindMissingResponse:
        if len(request.events) > _OUTBOX_PAGE_MAX:
            raise InvalidArgument("events", f"must have at most {_OUTBOX_PAGE_MAX} items")
        heard = [event for event in request.events if self._hears(event.subject)]
        sources = _checked("events.source", [event.source for event in heard])
        parameters = {
            "callers": [f"event:{source}" for source in sources],
            "event_types": _checked("events.event_type", [event.event_type for event in heard]),
            "event_ids": _checked("events.event_id", [event.event_id for event in heard]),
            "sources": sources,
        }
        async with self._of.work.reading() as connection:
            return pb.FindMissingResponse(event_ids=(await connection.execute(_MISSING, parameters)).scalars())

    def _hears(self, subject: str) -> bool:
        return any(subject in lane.subjects for lane in self._of.lanes)

    async def Republish(
        self, request: pb.RepublishRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> pb.RepublishResponse:
        event_ids = _checked("event_ids", request.event_ids)

        async def put_back(transaction: Transaction) -> int:
            result = await transaction.connection.execute(_REPUBLISH, {"event_ids": event_ids})
            return result.rowcount

        return pb.RepublishResponse(republished=await self._of.work.run(put_back))

    async def Prove(self, request: pb.ProveRequest, context: grpc.aio.ServicerContext[Any, Any]) -> pb.ProveResponse:
        checks: Sequence[Check] = ()
        if self._of.prove is not None:
            async with self._of.work.reading() as connection:
                await connection.execute(READ_WHOLE_TABLES)
                checks = await self._of.prove(connection)
        return pb.ProveResponse(holds=all(check.holds for check in checks), checks=map(_check_to_proto, checks))


def _checked(field: str, values: Sequence[str]) -> list[str]:
    return [check_text(field, value, length_max=_NAME_LENGTH_MAX) for value in values]


def _row_after(page: Page) -> int:
    """The row of the outbox that a page begins after; refuses a token that no list call returned."""
    after = page.after or "0"
    if not (after.isascii() and after.isdecimal() and len(after) <= _ROW_DIGITS_MAX):
        raise InvalidArgument("page_token", "is not a token that a list call returned")
    return int(after)


def _letter_to_proto(letter: DeadLetter, error: str = "") -> pb.DeadLetter:
    return pb.DeadLetter(
        event_id=letter.event_id,
        event_type=letter.event_type,
        source=letter.source,
        error=error or letter.error,
        attempts=letter.attempts,
        recorded_at=to_proto(letter.recorded_at),
        replayed_at=to_proto(letter.replayed_at) if letter.replayed_at else None,
    )


def _outbox_row_to_proto(row: Any) -> pb.OutboxRow:
    return pb.OutboxRow(
        id=row.id,
        event_id=row.event_id,
        event_type=row.event_type,
        subject=row.subject,
        aggregate_id=row.aggregate_id,
        occurred_at=to_proto(row.occurred_at),
        recorded_at=to_proto(row.recorded_at),
        published_at=to_proto(row.published_at) if row.published_at else None,
        payload=row.payload,
    )


def _check_to_proto(check: Check) -> pb.ProofCheck:
    return pb.ProofCheck(claim=check.claim, holds=check.holds, examined=check.examined, offenders=check.offenders)
