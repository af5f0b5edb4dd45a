"""Batches to a stream: all of them taken at once, none twice; what a stream refuses is learnt one by one."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from typing import Any

import nats as nats_client
import psutil
import pytest
from chassis.broker import Broker
from chassis.embedded import NatsServer
from chassis.ingest import BatchesNotEnabled, Ingest, Publication
from chassis.settings import ServiceSettings
from chassis.testing.processes import until
from nats.aio.client import Client
from nats.js.api import StreamConfig


@pytest.fixture
async def client(nats: NatsServer) -> AsyncIterator[Client]:
    """A connection to a broker without streams."""
    connection = await nats_client.connect(nats.url)
    yield connection
    await connection.close()


def publications(count: int, first: int = 0, subject: str = "events.probe") -> list[Publication]:
    """Messages numbered from `first`."""
    return [
        Publication(subject, f"Nats-Msg-Id: m-{number}\r\nce-id: {number}\r\n", str(number).encode())
        for number in range(first, first + count)
    ]


async def stored(client: Client) -> list[bytes]:
    """What the stream holds, in its order."""
    jetstream = client.jetstream()
    count = (await jetstream.stream_info("EVENTS")).state.messages
    messages = [await jetstream.get_msg("EVENTS", number) for number in range(1, count + 1)]
    return [message.data or b"" for message in messages]


async def add_stream(client: Client, **more: Any) -> None:
    """The stream of events, as somebody else may have made it."""
    await client.jetstream().add_stream(StreamConfig(name="EVENTS", subjects=["events.>"], **more))


def settings_of(nats: NatsServer, **more: Any) -> ServiceSettings:
    """Settings of a process that meets this broker."""
    values: dict[str, Any] = {
        "database_url": "postgresql://nobody@host/none",
        "nats_url": nats.url,
        "jwks": "none",
    }
    return ServiceSettings(**values | more)


async def test_a_batch_is_stored_in_its_order_and_a_second_time_not_again(client: Client) -> None:
    await add_stream(client, allow_batched=True)
    ingest = Ingest(client)
    assert await ingest.publish(publications(1), timeout_seconds=5)
    assert await ingest.publish(publications(1500), timeout_seconds=5)
    assert await ingest.publish(publications(1000, 1000), timeout_seconds=5)
    assert await stored(client) == [str(number).encode() for number in range(2000)]
    first = await client.jetstream().get_msg("EVENTS", 1)
    assert first.headers == {"Nats-Msg-Id": "m-0", "ce-id": "0"}


async def test_a_stream_that_takes_no_batches_says_so(client: Client) -> None:
    await add_stream(client)
    with pytest.raises(BatchesNotEnabled):
        await Ingest(client).publish(publications(3), timeout_seconds=5)
    assert await stored(client) == []


@pytest.mark.parametrize("count", [1, 3])
async def test_a_batch_that_no_stream_hears_is_not_taken(client: Client, count: int) -> None:
    assert not await Ingest(client).publish(publications(count), timeout_seconds=5)


async def test_a_full_stream_does_not_take_the_whole_batch(client: Client) -> None:
    await add_stream(client, allow_batched=True, max_msgs=5, discard_new_per_subject=False)
    config = (await client.jetstream().stream_info("EVENTS")).config
    await client.jetstream().update_stream(config.evolve(discard="new"))
    assert not await Ingest(client).publish(publications(8), timeout_seconds=5)
    assert len(await stored(client)) <= 5


async def test_what_was_said_of_a_batch_given_up_is_not_taken_for_the_next_ones_answer(
    client: Client, nats: NatsServer
) -> None:
    await add_stream(client, allow_batched=True)
    ingest = Ingest(client)
    assert await ingest.publish(publications(2), timeout_seconds=5)
    assert nats.pid is not None
    os.kill(nats.pid, signal.SIGSTOP)
    server = psutil.Process(nats.pid)

    async def stopped() -> bool:
        return server.status() == psutil.STATUS_STOPPED

    try:
        await until(stopped, "the broker stands still")
        with pytest.raises(TimeoutError):
            await ingest.publish(publications(3, 2), timeout_seconds=0.2)
    finally:
        os.kill(nats.pid, signal.SIGCONT)
    assert await ingest.publish(publications(6, 2), timeout_seconds=5)
    assert await stored(client) == [str(number).encode() for number in range(8)]


async def test_a_stream_of_an_older_release_is_taught_to_take_batches(client: Client, nats: NatsServer) -> None:
    await add_stream(client)
    broker = Broker(settings_of(nats), "probe")
    await broker.connect()
    try:
        assert await broker.publish_batch(publications(3), timeout_seconds=5)
    finally:
        await broker.close()
    assert len(await stored(client)) == 3


async def test_where_streams_are_kept_by_others_events_go_one_by_one(client: Client, nats: NatsServer) -> None:
    await add_stream(client)
    broker = Broker(settings_of(nats, streams_managed=False), "probe")
    await broker.connect()
    try:
        for _ in range(2):
            assert not await broker.publish_batch(publications(3), timeout_seconds=5)
        await asyncio.gather(*[await broker.publish("events.probe", b"1", {"Nats-Msg-Id": "alone"})])
    finally:
        await broker.close()

    async def arrived() -> bool:
        return await stored(client) == [b"1"]

    await until(arrived, "the message is in the stream")
