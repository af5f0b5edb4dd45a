"""The outbox: what a transaction tells, stored with it, and the relay that publishes it.

The outbox is the record and the stream is transport: a row is marked only after the broker has acknowledged it, and
what was not acknowledged is published again. Rows are read by state and not by cursor, since ids commit out of order.
"""

import asyncio
import contextlib
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

import structlog
from google.protobuf.message import Message
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from chassis import clock, failpoints, telemetry
from chassis.arrays import array_of_bytes, array_of_instants, array_of_texts
from chassis.broker import Broker
from chassis.ids import new_id

_log = structlog.get_logger(__name__)
_POLL_SECONDS = 0.1
_BATCH = 1000
_ACK_SECONDS = 5.0
# The broker takes messages of a mebibyte, headers included.
_PAYLOAD_BYTES_MAX = 1024 * 1024 - 16 * 1024


class Fact(Protocol):
    """Something that happened, as a domain tells it."""

    @property
    def aggregate_id(self) -> str: ...

    @property
    def occurred_at(self) -> datetime: ...


@dataclass(frozen=True, slots=True)
class Routed:
    """A message with a subject of its own, instead of `events.<full name>`."""

    subject: str
    message: Message


FactsToProto = Mapping[type[Any], Callable[[Any], Message | Routed]]


@dataclass(frozen=True, slots=True)
class OutboxEvent:
    """One row to be, in the order of the columns that `insert_events` writes."""

    event_id: str
    event_type: str
    subject: str
    aggregate_id: str
    payload: bytes
    trace_parent: str
    occurred_at: datetime


def encode_fact(facts: FactsToProto, fact: Fact, trace_parent: str) -> OutboxEvent:
    """The fact as a row of the outbox; TypeError when it has no protobuf form, ValueError when the broker would never
    take it: its transaction fails, and nothing is stored that could not be told."""
    render = facts.get(type(fact))
    if render is None:
        raise TypeError(f"{type(fact).__name__} has no protobuf form in wire.FACTS")
    rendered = render(fact)
    message = rendered.message if isinstance(rendered, Routed) else rendered
    name = message.DESCRIPTOR.full_name
    subject = rendered.subject if isinstance(rendered, Routed) else f"events.{name}"
    payload = message.SerializeToString()
    if len(payload) > _PAYLOAD_BYTES_MAX:
        raise ValueError(f"{name} has {len(payload)} bytes, and the broker takes {_PAYLOAD_BYTES_MAX}")
    return OutboxEvent(new_id(), name, subject, fact.aggregate_id, payload, trace_parent, fact.occurred_at)


INSERT_EVENTS = """
INSERT INTO outbox (event_id, event_type, subject, aggregate_id, payload, trace_parent, occurred_at, recorded_at)
SELECT e.event_id, e.event_type, e.subject, e.aggregate_id, e.payload, e.trace_parent, e.occurred_at,
       CAST(:recorded_at AS timestamptz)
FROM unnest(CAST(:event_ids AS text)::text[], CAST(:event_types AS text)::text[],
            CAST(:subjects AS text)::text[], CAST(:aggregate_ids AS text)::text[],
            CAST(:payloads AS text)::bytea[], CAST(:trace_parents AS text)::text[],
            CAST(:occurred_ats AS text)::timestamptz[])
     WITH ORDINALITY AS e(event_id, event_type, subject, aggregate_id, payload, trace_parent, occurred_at, position)
ORDER BY e.position
"""


def event_parameters(events: Sequence[OutboxEvent], recorded_at: datetime) -> dict[str, Any]:
    """Parameters of INSERT_EVENTS."""
    return {
        "recorded_at": recorded_at,
        "event_ids": array_of_texts([e.event_id for e in events]),
        "event_types": array_of_texts([e.event_type for e in events]),
        "subjects": array_of_texts([e.subject for e in events]),
        "aggregate_ids": array_of_texts([e.aggregate_id for e in events]),
        "payloads": array_of_bytes([e.payload for e in events]),
        "trace_parents": array_of_texts([e.trace_parent for e in events]),
        "occurred_ats": array_of_instants([e.occurred_at for e in events]),
    }


_UNPUBLISHED = text("""
SELECT id, event_id, event_type, subject, aggregate_id, payload, trace_parent, occurred_at, recorded_at, republished
FROM outbox WHERE published_at IS NULL ORDER BY id LIMIT :limit
""")
_MARK = text("UPDATE outbox SET published_at = CAST(:now AS timestamptz) WHERE id = ANY(CAST(:ids AS bigint[]))")
_LEAD = text("SELECT pg_try_advisory_lock(hashtext('outbox relay'))")
_DISCARD = text("""
DELETE FROM outbox WHERE id IN (
    SELECT id FROM outbox WHERE published_at IS NOT NULL AND recorded_at < CAST(:before AS timestamptz) LIMIT 5000)
""")
_FORGET = text("""
DELETE FROM handled_requests WHERE ctid = ANY(ARRAY(
    SELECT ctid FROM handled_requests WHERE recorded_at < CAST(:before AS timestamptz) LIMIT 5000))
""")


class Relay:
    """Publishes one database's outbox; of several replicas only the one that holds the advisory lock works."""

    def __init__(self, engine: AsyncEngine, broker: Broker, service: str) -> None:
        self._engine = engine
        self._broker = broker
        self._service = service
        self._wake = asyncio.Event()

    def wake(self) -> None:
        """Tells the relay that rows were added; otherwise it looks ten times a second."""
        self._wake.set()

    async def run(self) -> None:
        """Leads while it can, for ever; a lost database or broker only delays."""
        while True:
            try:
                async with self._engine.connect() as connection:
                    autocommit = await connection.execution_options(isolation_level="AUTOCOMMIT")
                    if (await autocommit.execute(_LEAD)).scalar_one():
                        try:
                            await self._lead(autocommit)
                        finally:
                            # The lock is the connection's: back in the pool, it would keep everybody from leading.
                            await connection.invalidate()
            except (DBAPIError, OSError, TimeoutError) as error:
                _log.warning("relay lost its database", error=type(error).__name__)
            await asyncio.sleep(1.0)

    async def _lead(self, connection: AsyncConnection) -> None:
        while True:
            self._wake.clear()
            if not await self._publish_some(connection):
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(_POLL_SECONDS):
                        await self._wake.wait()

    async def _publish_some(self, connection: AsyncConnection) -> bool:
        """Publishes a batch and marks what was acknowledged; whether there may be more at once."""
        if not self._broker.connected:
            return False
        rows = (await connection.execute(_UNPUBLISHED, {"limit": _BATCH})).all()
        if not rows:
            return False
        published = await self._publish(rows)
        await failpoints.reach("relay.before_mark")
        if published:
            await connection.execute(_MARK, {"now": clock.now(), "ids": published})
            telemetry.published(self._service, len(published))
        return len(published) == len(rows)

    async def _publish(self, rows: Sequence[Any]) -> list[int]:
        """Sends the rows and waits for the broker; ids of those it has acknowledged."""
        # Side by side, because each publish gives the loop a turn: one after the other, a busy process would take a
        # thousand turns for a batch. They start in the order of the rows.
        publishing = (self._broker.publish(row.subject, row.payload, self._headers(row)) for row in rows)
        results = await asyncio.gather(*publishing, return_exceptions=True)
        sent = {row.id: each for row, each in zip(rows, results, strict=True) if not isinstance(each, BaseException)}
        if len(sent) < len(rows):
            _log.warning("relay could not publish", events=len(rows) - len(sent))
        if sent:
            await _heard(sent.values())
        refusals = [future.exception() for future in sent.values() if _refused(future)]
        if refusals:
            _log.warning("broker refused events", events=len(refusals), error=repr(refusals[0]))
            await self._broker.ensure_streams()
        return [row_id for row_id, future in sent.items() if not future.cancelled() and not _refused(future)]

    def _headers(self, row: Any) -> dict[str, str]:
        """CloudEvents attributes in binary mode; a republished row gets an id of its own within the dedupe window."""
        headers = {
            "Nats-Msg-Id": row.event_id if not row.republished else f"{row.event_id}.{row.republished}",
            "ce-specversion": "1.0",
            "ce-id": row.event_id,
            "ce-type": row.event_type,
            "ce-source": self._service,
            "ce-subject": row.aggregate_id,
            "ce-time": row.occurred_at.isoformat(),
            "ce-recordedtime": row.recorded_at.isoformat(),
        }
        if row.trace_parent:
            headers["traceparent"] = row.trace_parent
        return headers


async def _heard(futures: Collection[asyncio.Future[Any]]) -> None:
    """Waits until the broker has spoken to each, or the time is over. One after the other, since by the time the first
    is heard most others are, and looking at one that is done costs nothing."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_ACK_SECONDS):
            for future in futures:
                if not future.done():
                    await asyncio.wait([future])
    for future in futures:
        future.cancel()  # gives back its place among the client's pending ones, which are bounded


def _refused(future: asyncio.Future[Any]) -> bool:
    """Whether the broker said no. One about which it said nothing is published again later, which is safe."""
    return not future.cancelled() and future.exception() is not None


async def discard_old(connection: AsyncConnection, published_before: datetime, claimed_before: datetime) -> int:
    """Deletes a batch of published rows and of claims past their time; how many. Claims must outlive rows."""
    assert claimed_before <= published_before
    discarded = (await connection.execute(_DISCARD, {"before": published_before})).rowcount
    return discarded + (await connection.execute(_FORGET, {"before": claimed_before})).rowcount
