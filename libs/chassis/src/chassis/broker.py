"""The broker: one connection to NATS, the platform's two streams, and a pull that returns what is there.

EVENTS carries what services tell each other (`events.<full name>`), INTAKE the customer events in partitions
(`intake.<partition>`). Both are bounded and refuse when full, so that a full disk is an answer and not a hang.
"""

import asyncio
import contextlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

import nats
import nats.errors
import nats.js.errors
import structlog
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js import JetStreamContext
from nats.js.api import AckPolicy, ConsumerConfig, DiscardPolicy, Header, StorageType, StreamConfig

from chassis import clock
from chassis.ingest import BatchesNotEnabled, Ingest, Publication, publication_bytes
from chassis.settings import ServiceSettings

_log = structlog.get_logger(__name__)
EVENTS = "EVENTS"
INTAKE = "INTAKE"
_KEPT_SECONDS = 14 * 86400.0
# How long a pull goes on collecting once the first message is there: a batch costs little more than one message.
_LINGER_SECONDS = 0.01
STREAM_OF_PREFIX = {"events": EVENTS, "intake": INTAKE}


def stream_of(subject: str) -> str:
    """The stream that carries what is published under this subject."""
    return STREAM_OF_PREFIX[subject.partition(".")[0]]


class Broker:
    """The connection of one process."""

    def __init__(self, settings: ServiceSettings, name: str) -> None:
        self._settings = settings
        self._name = name
        self._client = Client()
        self._jetstream: JetStreamContext = self._client.jetstream(publish_async_max_pending=20_000)
        self._ingest = Ingest(self._client)
        self._takes_batches = True
        self._reached = asyncio.Event()

    @property
    def connected(self) -> bool:
        """Whether the broker can be reached now."""
        return self._client.is_connected

    @property
    def client(self) -> Client:
        """The raw connection, for consumers of this package."""
        return self._client

    async def connect(self) -> None:
        """Connects and makes sure that the streams exist; afterwards reconnects by itself, for ever."""
        await self._client.connect(
            servers=[self._settings.nats_url],
            name=self._name,
            max_reconnect_attempts=-1,
            reconnect_time_wait=1,
            allow_reconnect=True,
            pending_size=64 * 1024 * 1024,
            error_cb=_note,
        )
        await self.ensure_streams()
        self._reached.set()

    async def until_connected(self) -> None:
        """Waits for the first connection."""
        await self._reached.wait()

    async def close(self) -> None:
        """Sends what is buffered and leaves."""
        with contextlib.suppress(nats.errors.Error, TimeoutError):
            async with asyncio.timeout(5.0):
                await self._client.drain()

    async def ensure_streams(self) -> None:
        """Creates a stream that is missing, unless the streams are managed elsewhere."""
        if not self._settings.streams_managed:
            return
        bounds = {EVENTS: self._settings.events_max_bytes, INTAKE: self._settings.intake_max_bytes}
        for prefix, stream in STREAM_OF_PREFIX.items():
            config = StreamConfig(
                name=stream,
                subjects=[f"{prefix}.>"],
                max_bytes=bounds[stream],
                max_age=_KEPT_SECONDS,
                discard=DiscardPolicy.NEW,
                storage=StorageType.FILE,
                allow_batched=True,
            )
            try:
                known = (await self._jetstream.stream_info(stream)).config
                if not known.allow_batched:
                    await self._jetstream.update_stream(known.evolve(allow_batched=True))
            except nats.js.errors.NotFoundError:
                with contextlib.suppress(nats.js.errors.BadRequestError):  # another process was faster
                    await self._jetstream.add_stream(config)
            except (nats.errors.Error, nats.js.errors.Error) as error:
                _log.warning("streams cannot be looked at", error=type(error).__name__)
                return

    async def publish(self, subject: str, payload: bytes, headers: Mapping[str, str]) -> asyncio.Future[Any]:
        """Sends; the future ends with the broker's acknowledgement, or never: callers bound their wait. MaxPayloadError
        for what the broker would hang up on."""
        named = {**headers, Header.EXPECTED_STREAM.value: stream_of(subject)}
        lines = "".join(f"{name}: {value}\r\n" for name, value in named.items())
        if publication_bytes(Publication(subject, lines, payload)) > self._client.max_payload:
            raise nats.errors.MaxPayloadError
        return await self._jetstream.publish_async(subject, payload, headers=named, wait_stall=1.0)

    async def publish_batch(self, messages: Sequence[Publication], *, timeout_seconds: float) -> bool:
        """Whether the broker has taken every message of one stream: if not, each is to be published by itself, to learn
        which. TimeoutError when it did not say."""
        if not self._takes_batches:
            return False
        try:
            return await self._ingest.publish(messages, timeout_seconds=timeout_seconds)
        except BatchesNotEnabled:
            _log.warning("the stream takes no batches: events are published one by one")
            self._takes_batches = False
            return False

    async def ensure_consumer(self, stream: str, config: ConsumerConfig) -> None:
        """Creates a durable consumer or brings its filter up to date."""
        await self._jetstream.add_consumer(stream, config)

    async def pending(self, stream: str, durable: str) -> int:
        """Messages that a durable consumer has not acknowledged yet, delivered or not."""
        info = await self._jetstream.consumer_info(stream, durable)
        return (info.num_pending or 0) + (info.num_ack_pending or 0)

    async def pull(self, stream: str, durable: str) -> "Pull":
        """A pull on a durable consumer."""
        inbox = self._client.new_inbox()
        subscription = await self._client.subscribe(inbox)
        return Pull(self._client, subscription, inbox, f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{durable}")


class ConsumerGone(Exception):
    """The consumer, or the stream it reads, does not exist any more."""


class Pull:
    """Fetches batches: returns as soon as something is there, with whatever else is there too.

    nats-py's own `fetch` waits its whole timeout for a batch to fill; this one does not.
    """

    def __init__(self, client: Client, subscription: Any, inbox: str, subject: str) -> None:
        self._client = client
        self._subscription = subscription
        self._inbox = inbox
        self._subject = subject
        self._wanted = 0
        self._expires_at = 0.0

    async def fetch(self, batch: int, wait_seconds: float) -> list[Msg]:
        """Up to `batch` messages; empty when none came in time. ConsumerGone when there is nothing to pull from."""
        if self._wanted <= 0 or clock.monotonic() >= self._expires_at:
            await self._ask(batch, wait_seconds)
        messages: list[Msg] = []
        timeout = max(self._expires_at - clock.monotonic(), 0.05)
        while len(messages) < batch:
            try:
                message = await self._subscription.next_msg(timeout=timeout)
            except (nats.errors.TimeoutError, TimeoutError):
                break
            if self._is_status(message):
                break
            messages.append(message)
            self._wanted -= 1
            timeout = _LINGER_SECONDS
        return messages

    async def close(self) -> None:
        """Gives the subscription back."""
        with contextlib.suppress(nats.errors.Error):
            await self._subscription.unsubscribe()

    async def _ask(self, batch: int, wait_seconds: float) -> None:
        request = {"batch": batch, "expires": int(wait_seconds * 1e9)}
        await self._client.publish(self._subject, json.dumps(request).encode(), reply=self._inbox)
        self._wanted = batch
        self._expires_at = clock.monotonic() + wait_seconds + 0.5

    def _is_status(self, message: Msg) -> bool:
        """Whether the message ends the request instead of carrying an event."""
        status = (message.headers or {}).get("Status")
        if status is None or message.data:
            return False
        self._wanted = 0
        if status in {"503", "404"} or "deleted" in (message.headers or {}).get("Description", "").lower():
            raise ConsumerGone(status)
        return True


def durable_config(name: str, subjects: list[str], *, ack_pending_max: int, ack_wait_seconds: float) -> ConsumerConfig:
    """A durable consumer that keeps trying: what cannot be handled is put aside by the consumer itself."""
    return ConsumerConfig(
        durable_name=name,
        filter_subjects=subjects,
        ack_policy=AckPolicy.EXPLICIT,
        ack_wait=ack_wait_seconds,
        max_deliver=-1,
        max_ack_pending=ack_pending_max,
    )


async def _note(error: Exception) -> None:
    _log.warning("broker", error=type(error).__name__)
