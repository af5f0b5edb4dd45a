"""The outbox: what a transaction tells, stored with it, and the relay that publishes it.

The outbox is the record and the stream is transport: a row is marked only after the broker has acknowledged it, and
what was not acknowledged is published again. Rows are read by state and not by cursor, since ids commit out of order.
"""

import asyncio
import contextlib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple, Protocol

import nats.errors
import structlog
from google.protobuf.message import Message
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from chassis import clock, failpoints, telemetry
from chassis.arrays import array_of_bytes, array_of_instants, array_of_numbers, array_of_texts
from chassis.broker import Broker, stream_of
from chassis.driver import fetch
from chassis.ids import new_id
from chassis.ingest import Publication

_log = structlog.get_logger(__name__)
_POLL_SECONDS = 0.1
_BATCH = 1000
_ACK_SECONDS = 5.0
# What goes to the broker at once, and is to be taken within the seconds above.
_PORTION_BYTES = 16 * 1024 * 1024
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


class OutboxEvent(NamedTuple):
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
    if not fact.aggregate_id.isprintable():
        raise ValueError(f"{name} names an aggregate that cannot stand in a header")
    if len(payload) > _PAYLOAD_BYTES_MAX:
        raise ValueError(f"{name} has {len(payload)} bytes, and the broker takes {_PAYLOAD_BYTES_MAX}")
    return OutboxEvent(new_id(), name, subject, fact.aggregate_id, payload, trace_parent, fact.occurred_at)


def insert_events(first: int) -> str:
    """The statement that writes events, with its arguments, those of `event_arguments`, numbered from `first`."""
    kinds = ("text", "text", "text", "text", "bytea", "text", "timestamptz")
    columns = ", ".join(f"${number}::text::{kind}[]" for number, kind in enumerate(kinds, start=first + 1))
    return f"""
INSERT INTO outbox (event_id, event_type, subject, aggregate_id, payload, trace_parent, occurred_at, recorded_at)
SELECT e.event_id, e.event_type, e.subject, e.aggregate_id, e.payload, e.trace_parent, e.occurred_at,
       ${first}::timestamptz
FROM unnest({columns})
     WITH ORDINALITY AS e(event_id, event_type, subject, aggregate_id, payload, trace_parent, occurred_at, position)
ORDER BY e.position
"""  # noqa: S608 - numbers and kinds only


def event_arguments(events: Sequence[OutboxEvent], recorded_at: datetime) -> list[Any]:
    """Arguments of `insert_events`."""
    ids, types, subjects, aggregates, payloads, parents, instants = zip(*events, strict=True) if events else [()] * 7
    return [
        recorded_at,
        *map(array_of_texts, (ids, types, subjects, aggregates)),
        array_of_bytes(payloads),
        array_of_texts(parents),
        array_of_instants(instants),
    ]


_UNPUBLISHED = """
SELECT id, event_id, event_type, subject, aggregate_id, payload, trace_parent, occurred_at, recorded_at, republished
FROM outbox WHERE published_at IS NULL ORDER BY id LIMIT $1
"""
_MARK = "UPDATE outbox SET published_at = $1 WHERE id = ANY($2::text::bigint[])"
_LEAD = text("SELECT pg_try_advisory_lock(hashtext('outbox relay'))")
_DISCARD = text("""
DELETE FROM outbox WHERE id IN (
    SELECT id FROM outbox WHERE published_at IS NOT NULL AND recorded_at < CAST(:before AS timestamptz) LIMIT 5000)
""")
_FORGET = text("""
DELETE FROM handled_requests WHERE ctid = ANY(ARRAY(
    SELECT ctid FROM handled_requests WHERE recorded_at < CAST(:before AS timestamptz) LIMIT 5000))
""")


class _Row(NamedTuple):
    """A row to publish, as `_UNPUBLISHED` reads it."""

    id: int
    event_id: str
    event_type: str
    subject: str
    aggregate_id: str
    payload: bytes
    trace_parent: str
    occurred_at: datetime
    recorded_at: datetime
    republished: int


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
        rows = [_Row(*row) for row in await fetch(connection, _UNPUBLISHED, _BATCH)]
        if not rows:
            return False
        published = await self._publish(rows)
        await failpoints.reach("relay.before_mark")
        if published:
            await fetch(connection, _MARK, clock.now(), array_of_numbers(published))
            telemetry.published(self._service, len(published))
        return len(published) == len(rows)

    async def _publish(self, rows: Sequence[_Row]) -> list[int]:
        """Sends the rows and waits for the broker; ids of those it has acknowledged."""
        published: list[int] = []
        by_stream: dict[str, list[_Row]] = {}
        for row in rows:
            by_stream.setdefault(stream_of(row.subject), []).append(row)
        for of_stream in by_stream.values():
            published += await self._publish_to_one_stream(of_stream)
        return published

    async def _publish_to_one_stream(self, rows: Sequence[_Row]) -> list[int]:
        """Portion after portion, until the broker falls silent."""
        published: list[int] = []
        try:
            for portion in _portions(rows):
                messages = [Publication(row.subject, self._headers(row), row.payload) for row in portion]
                if await self._broker.publish_batch(messages, timeout_seconds=_ACK_SECONDS):
                    published += [row.id for row in portion]
                else:
                    published += await self._publish_each(portion)
        except (TimeoutError, nats.errors.Error):
            _log.warning("broker did not say whether it has taken a batch", events=len(rows) - len(published))
        return published

    async def _publish_each(self, rows: Sequence[_Row]) -> list[int]:
        """The same with an acknowledgement for each, which tells those that the broker refuses from the others."""
        # Side by side, because each publish gives the loop a turn: one after the other, a busy process would take a
        # thousand turns for a batch. They start in the order of the rows.
        publishing = (self._broker.publish(row.subject, row.payload, _named(self._headers(row))) for row in rows)
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

    def _headers(self, row: _Row) -> str:
        """CloudEvents attributes in binary mode; a republished row gets an id of its own within the dedupe window."""
        _, event_id, event_type, _, aggregate_id, _, trace_parent, occurred_at, recorded_at, republished = row
        unique = event_id if not republished else f"{event_id}.{republished}"
        trace = f"traceparent: {trace_parent}\r\n" if trace_parent else ""
        return (
            f"Nats-Msg-Id: {unique}\r\nce-specversion: 1.0\r\nce-id: {event_id}\r\nce-type: {event_type}\r\n"
            f"ce-source: {self._service}\r\nce-subject: {aggregate_id}\r\n"
            f"ce-time: {occurred_at.isoformat()}\r\nce-recordedtime: {recorded_at.isoformat()}\r\n{trace}"
        )


def _portions(rows: Sequence[_Row]) -> Iterator[Sequence[_Row]]:
    """Rows that the broker can take in the time it is given: what it did not take in time, it would never take."""
    first = size = 0
    for index, row in enumerate(rows):
        if size and size + len(row.payload) > _PORTION_BYTES:
            yield rows[first:index]
            first, size = index, 0
        size += len(row.payload)
    yield rows[first:]


def _named(headers: str) -> dict[str, str]:
    return dict(line.split(": ", 1) for line in headers.splitlines())


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
