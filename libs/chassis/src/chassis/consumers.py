"""Events in: fetched in batches, handled once each, put aside when they cannot be handled.

Acknowledged after commit, so a crash in between only brings the event again and its claim makes that nothing. What
fails is tried again with growing delay; what is malformed, or failed too often, becomes a row in `dead_letters`.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Generic, TypeVar

import nats.errors
import nats.js.errors
import structlog
from google.protobuf.message import DecodeError, Message
from nats.aio.msg import Msg

from chassis import clock, dead_letters, failpoints, telemetry
from chassis.broker import EVENTS, INTAKE, Broker, ConsumerGone, Pull, durable_config
from chassis.errors import InvalidArgument
from chassis.settings import ServiceSettings
from chassis.work import Transaction, Work

_log = structlog.get_logger(__name__)
M = TypeVar("M", bound=Message)

_FETCH = 200
_FETCH_SECONDS = 2.0
_ACK_PENDING_MAX = 1000
_RETRY_SECONDS_MAX = 60.0
_PARTITIONS = 64


@dataclass(frozen=True, slots=True)
class Delivery(Generic[M]):
    """An event as a handler gets it: who told it, when it happened, when it was recorded, and the message."""

    event_id: str
    source: str
    occurred_at: datetime
    recorded_at: datetime
    message: M


Handler = Callable[[Transaction, Sequence[Delivery[Any]]], Awaitable[None]]


class RegisteredTwice(RuntimeError):
    """A service listens to a type of event by two handlers."""


@dataclass(slots=True)
class Handlers:
    """What a service listens to. A handler gets a batch of one type, duplicates removed, in one transaction.

    Handlers must not rely on order: an effect is applied whenever it comes, a state is dropped when it is older than
    what is known.
    """

    by_type: dict[str, tuple[type[Message], Handler]] = field(default_factory=dict)
    intake_type: str = ""
    intake_lanes: int = 0

    def on(
        self, message_type: type[M], handler: Callable[[Transaction, Sequence[Delivery[M]]], Awaitable[None]]
    ) -> None:
        """Listens to a type of event on the stream of events. RegisteredTwice for one that is listened to already: of
        two handlers only one would be called."""
        if message_type.DESCRIPTOR.full_name in self.by_type:
            raise RegisteredTwice(message_type.DESCRIPTOR.full_name)
        self.by_type[message_type.DESCRIPTOR.full_name] = (message_type, handler)

    def on_intake(self, message_type: type[M], handler: Handler, lanes: int) -> None:
        """Listens to the partitions of customer events in `lanes` groups, each with one batch in work at a time."""
        self.on(message_type, handler)
        self.intake_lanes = lanes
        self.intake_type = message_type.DESCRIPTOR.full_name

    def subjects(self) -> list[str]:
        """Subjects on the stream of events."""
        return [f"events.{name}" for name in self.by_type if name != self.intake_type]


@dataclass(frozen=True, slots=True)
class Lane:
    """One durable consumer: its stream, name and subjects."""

    stream: str
    durable: str
    subjects: list[str]
    ack_pending_max: int
    fetch: int


def lanes_of(service: str, handlers: Handlers) -> list[Lane]:
    """The durable consumers a service needs: one for events, one for each group of intake partitions."""
    lanes = []
    if handlers.subjects():
        lanes.append(Lane(EVENTS, service, handlers.subjects(), _ACK_PENDING_MAX, _FETCH))
    for lane in range(handlers.intake_lanes):
        partitions = range(lane, _PARTITIONS, handlers.intake_lanes)
        subjects = [f"intake.{partition}" for partition in partitions]
        # As many in flight as are fetched at once: the next batch of these customers starts after this one.
        lanes.append(Lane(INTAKE, f"{service}-{lane}", subjects, 20, 20))
    return lanes


@dataclass(frozen=True, slots=True)
class _Parsed:
    message: Msg
    delivery: Delivery[Any]
    event_type: str
    trace_parent: str


class Consumer:
    """Runs one lane for ever."""

    def __init__(self, settings: ServiceSettings, lane: Lane, handlers: Handlers, work: Work, broker: Broker) -> None:
        self._settings = settings
        self._lane = lane
        self._handlers = handlers
        self._work = work
        self._broker = broker

    async def run(self) -> None:
        """Fetches, handles and acknowledges; makes its stream and durable consumer anew when they are gone."""
        while True:
            try:
                await self._broker.until_connected()  # the process serves already while it still connects
                await self._run_bound()
            except ConsumerGone:
                _log.warning("consumer is gone, making it anew", durable=self._lane.durable)
                await asyncio.sleep(0.2)
            except (nats.errors.Error, nats.js.errors.Error, OSError) as error:
                _log.warning("consumer lost the broker", durable=self._lane.durable, error=type(error).__name__)
                await asyncio.sleep(0.5)

    async def _run_bound(self) -> None:
        """Handles what one pull brings until it fails; then gives the pull back, so that nothing more goes to it."""
        pull = await self._bind()
        try:
            while True:
                if messages := await pull.fetch(self._lane.fetch, _FETCH_SECONDS):
                    await failpoints.reach("consumer.after_fetch")
                    await self._handle_all(messages)
        finally:
            await pull.close()

    async def _bind(self) -> Pull:
        await self._broker.ensure_streams()
        config = durable_config(
            self._lane.durable,
            self._lane.subjects,
            ack_pending_max=self._lane.ack_pending_max,
            ack_wait_seconds=self._settings.ack_wait_seconds,
        )
        await self._broker.ensure_consumer(self._lane.stream, config)
        return await self._broker.pull(self._lane.stream, self._lane.durable)

    async def _handle_all(self, messages: Sequence[Msg]) -> None:
        groups: dict[tuple[str, str], list[_Parsed]] = {}
        for message in messages:
            parsed = await self._parse(message)
            if parsed is not None:
                groups.setdefault((parsed.delivery.source, parsed.event_type), []).append(parsed)
        for (_, event_type), group in groups.items():
            await self._handle_group(event_type, group)

    async def _handle_group(self, event_type: str, group: Sequence[_Parsed]) -> None:
        try:
            with telemetry.handling(event_type, [each.trace_parent for each in group]):
                deliveries = [each.delivery for each in group]
                await handle_once(self._work, event_type, deliveries, self._handlers.by_type[event_type][1])
        except Exception as error:  # noqa: BLE001 - whatever it is, the event is tried again or put aside
            if len(group) > 1:
                _log.warning("batch failed, handling each alone", event_type=event_type, error=repr(error))
                for each in group:
                    await self._handle_group(event_type, [each])
                return
            await self._failed(group[0], error)
            return
        await failpoints.reach("consumer.before_ack")
        for each in group:
            await each.message.ack()

    async def _failed(self, parsed: _Parsed, error: Exception) -> None:
        attempts = parsed.message.metadata.num_delivered
        _log.warning("event not handled", event_type=parsed.event_type, attempts=attempts, error=repr(error))
        if isinstance(error, InvalidArgument) or attempts >= self._settings.event_tries:
            await self._put_aside(parsed.message, repr(error))
        else:
            delay_seconds = self._settings.event_retry_seconds * 2.0 ** (attempts - 1)
            await parsed.message.nak(delay=min(_RETRY_SECONDS_MAX, delay_seconds))

    async def _parse(self, message: Msg) -> _Parsed | None:
        """The event, or None after it was put aside because it cannot be read."""
        headers = message.headers or {}
        event_type = headers.get("ce-type", "")
        try:
            if any("\x00" in each for each in headers.values()):
                raise ValueError("a NUL in its headers")  # no text of PostgreSQL can hold it
            message_type, _ = self._handlers.by_type[event_type]
            delivery = Delivery(
                headers["ce-id"],
                headers["ce-source"],
                dead_letters.instant(headers["ce-time"]),
                dead_letters.instant(headers["ce-recordedtime"]),
                message_type.FromString(message.data),
            )
            if max(len(delivery.event_id), len(delivery.source)) > dead_letters.NAME_LENGTH_MAX:
                raise ValueError("longer names than any event has")
        except (KeyError, ValueError, DecodeError) as error:
            await self._put_aside(message, f"cannot be read: {error!r}")
            return None
        return _Parsed(message, delivery, event_type, headers.get("traceparent", ""))

    async def _put_aside(self, message: Msg, error: str) -> None:
        letter = dead_letters.from_message(message, error, clock.now())
        await self._work.run(lambda transaction: dead_letters.put(transaction.connection, letter))
        telemetry.dead_letter(letter.event_type)
        await message.term()


async def handle_once(work: Work, event_type: str, deliveries: Sequence[Delivery[Any]], handler: Handler) -> None:
    """Hands the deliveries that were not handled before to the handler, in one transaction."""

    async def act(transaction: Transaction, fresh: set[str]) -> None:
        await handler(transaction, [each for each in unique.values() if each.event_id in fresh])

    unique = {each.event_id: each for each in deliveries}
    count = await work.handle(deliveries[0].source, event_type, list(unique), act)
    telemetry.handled(event_type, count)
