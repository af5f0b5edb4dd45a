"""Events on their way: delivered again, poisoned, malformed, replayed; the broker gone, the stream deleted."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import nats as nats_client
import pytest
from chassis import database as engines
from chassis import failpoints
from chassis.broker import Broker
from chassis.consumers import Delivery, Handlers, RegisteredTwice
from chassis.embedded import NatsServer
from chassis.embedded.databases import Database
from chassis.ids import new_id
from chassis.outbox import Relay
from chassis.settings import ServiceSettings
from chassis.testing import Databases, Keys
from chassis.testing.processes import until
from chassis.testing.serving import Serving, serving
from chassis.work import Transaction
from nats.js import JetStreamContext
from probe.service import PROCESS
from sqlalchemy import text
from touchstone.billing.v1 import billing_events_pb2, charging_service_pb2_grpc
from touchstone.common.v1 import operations_service_pb2 as operations

from libs.chassis.tests.rig import WHEN, charge, number, rows

TYPE = "touchstone.billing.v1.AccountCharged"
SUBJECT = f"events.{TYPE}"
EFFECTS = "SELECT count(*) FROM effects"
LETTERS = "SELECT count(*) FROM dead_letters WHERE replayed_at IS NULL"
HASTY: dict[str, Any] = {"ack_wait_seconds": 1.0, "event_tries": 3, "event_retry_seconds": 0.02}


@pytest.fixture
async def store(database: Databases) -> Database:
    """The probe's database."""
    return await database("probe")


@pytest.fixture
async def probe(store: Database, nats: NatsServer, keys: Keys) -> AsyncIterator[Serving]:
    """The probe, which gives an event up after three tries in quick succession."""
    async with serving(PROCESS, store, nats, keys, **HASTY) as served:
        yield served


@asynccontextmanager
async def stream(nats: NatsServer) -> AsyncIterator[JetStreamContext]:
    """The broker as somebody else reaches it."""
    connection = await nats_client.connect(nats.url)
    try:
        yield connection.jetstream()
    finally:
        await connection.close()


def settings_of(store: Database, nats: NatsServer, keys: Keys) -> ServiceSettings:
    """Settings for parts of the chassis that a test puts together itself."""
    values: dict[str, Any] = {"database_url": store.url, "nats_url": nats.url, "jwks": str(keys.jwks)}
    return ServiceSettings(**values)


def headers(event_id: str, **changed: str) -> dict[str, str]:
    """The attributes of an event that another service told."""
    attributes = {
        "Nats-Msg-Id": event_id,
        "ce-id": event_id,
        "ce-type": TYPE,
        "ce-source": "billing",
        "ce-time": WHEN.isoformat(),
        "ce-recordedtime": WHEN.isoformat(),
    }
    return attributes | {name.replace("_", "-"): value for name, value in changed.items()}


def payload(charge_id: str, account_id: str = "a-1") -> bytes:
    """An event's body."""
    return billing_events_pb2.AccountCharged(charge_id=charge_id, account_id=account_id).SerializeToString()


async def publish(nats: NatsServer, body: bytes, carried: Mapping[str, str]) -> None:
    """Puts a message on the stream, past every outbox."""
    async with stream(nats) as jetstream:
        await jetstream.publish(SUBJECT, body, headers=dict(carried))


async def letters_of(store: Database) -> list[tuple[Any, ...]]:
    """What was put aside and waits: id, type, tries, reason."""
    return await rows(
        store, "SELECT event_id, event_type, attempts, error FROM dead_letters WHERE replayed_at IS NULL ORDER BY 1"
    )


async def touchstone(probe: Serving, *words: str, targets: str = "") -> tuple[int, str]:
    """The operators' command as a process of its own: exit code and what it printed."""
    environment = {
        **os.environ,
        "SERVICES": targets or f"probe={probe.target}",
        "TOKEN": probe.keys.mint("operator", ["operations"]),
        "COLUMNS": "200",
    }
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", "from chassis.cli import main; main()", *words),
        env=environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    printed, _ = await process.communicate()
    return process.returncode or 0, printed.decode()


async def test_an_event_delivered_again_has_one_effect(probe: Serving, store: Database, nats: NatsServer) -> None:
    await publish(nats, payload("c-1"), headers("e-1"))
    await probe.settle()
    # Another message id stands for the end of the broker's dedupe window: the stream stores the event a second time.
    await publish(nats, payload("c-1"), headers("e-1", Nats_Msg_Id="e-1-again"))
    await publish(nats, payload("c-2"), headers("e-2"))
    await probe.settle()
    async with stream(nats) as jetstream:
        assert (await jetstream.stream_info("EVENTS")).state.messages == 3
    assert await rows(store, "SELECT charge_id FROM effects ORDER BY id") == [("c-1",), ("c-2",)]


async def test_the_same_event_twice_in_one_batch_has_one_effect(store: Database, nats: NatsServer, keys: Keys) -> None:
    async with serving(PROCESS, store, nats, keys, **HASTY) as probe:
        await probe.settle()
    async with stream(nats) as jetstream:
        for again in range(5):
            await jetstream.publish(SUBJECT, payload("c-1"), headers=headers("e-1", Nats_Msg_Id=f"m-{again}"))
    async with serving(PROCESS, store, nats, keys, **HASTY) as probe:
        await probe.settle()
    assert await number(store, EFFECTS) == 1


async def test_the_broker_drops_a_message_with_a_known_id(probe: Serving, store: Database, nats: NatsServer) -> None:
    await charging_service_pb2_grpc.ChargingServiceStub(probe.channel("billing.charge")).Charge(charge(1, "r-1"))
    await probe.settle()
    ((event_id,),) = await rows(store, "SELECT event_id FROM outbox")
    async with stream(nats) as jetstream:
        stored = await jetstream.get_msg("EVENTS", 1)
        assert (stored.headers or {})["Nats-Msg-Id"] == (stored.headers or {})["ce-id"] == event_id
    # As a relay that crashed before it could mark: the row is published again, and the stream keeps one message.
    await _mark_unpublished(probe)
    await probe.settle()
    async with stream(nats) as jetstream:
        assert (await jetstream.stream_info("EVENTS")).state.messages == 1
    assert await number(store, EFFECTS) == 1


async def _mark_unpublished(probe: Serving) -> None:
    await probe.work.run(lambda t: t.connection.execute(text("UPDATE outbox SET published_at = NULL")))


async def test_poison_is_put_aside_after_its_tries_and_others_flow(
    probe: Serving, store: Database, nats: NatsServer
) -> None:
    await publish(nats, payload("c-1", "poison"), headers("e-1"))
    for n in range(2, 12):
        await publish(nats, payload(f"c-{n}"), headers(f"e-{n}"))
    await probe.settle()
    assert await letters_of(store) == [("e-1", TYPE, 3, "RuntimeError('poison')")]
    assert await number(store, EFFECTS) == 10


async def test_a_refused_event_is_put_aside_at_once(probe: Serving, store: Database, nats: NatsServer) -> None:
    await publish(nats, payload("c-1", "malformed"), headers("e-1"))
    await probe.settle()
    ((event_id, _, tries, error),) = await letters_of(store)
    assert (event_id, tries) == ("e-1", 1)
    assert "malformed" in error


UNREADABLE = {
    "bytes that are no message": (b"\xff\xff\xff", headers("e-1")),
    "no headers at all": (payload("c-1"), {}),
    "no id": (payload("c-1"), {name: value for name, value in headers("e-1").items() if name != "ce-id"}),
    "no time": (payload("c-1"), {name: value for name, value in headers("e-1").items() if name != "ce-time"}),
    "a time that is none": (payload("c-1"), headers("e-1", ce_time="yesterday")),
    "a time without offset": (payload("c-1"), headers("e-1", ce_time="2026-01-01T00:00:00")),
    "a type that nobody knows": (payload("c-1"), headers("e-1", ce_type="touchstone.billing.v1.Nothing")),
    "a NUL in the id": (payload("c-1"), headers("e-1", ce_id="e\x001")),
    "an id that no key can hold": (payload("c-1"), headers("e-1", ce_id="".join(new_id() for _ in range(300)))),
}


@pytest.mark.parametrize("what", UNREADABLE)
async def test_what_cannot_be_read_is_put_aside_at_once(
    probe: Serving, store: Database, nats: NatsServer, what: str
) -> None:
    body, carried = UNREADABLE[what]
    await publish(nats, body, carried)
    await publish(nats, payload("c-2"), headers("e-2"))
    await probe.settle()
    ((_, _, tries, error),) = await letters_of(store)
    assert (tries, await number(store, EFFECTS)) == (1, 1), error


async def test_dead_letters_are_replayed_by_call_and_by_command(
    probe: Serving, store: Database, nats: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POISON", "1")
    for n in (1, 2, 3):
        await publish(nats, payload(f"c-{n}", "curable"), headers(f"e-{n}"))
    await publish(nats, payload("c-4", "poison"), headers("e-4"))
    await probe.settle()
    assert await number(store, LETTERS) == 4
    code, printed = await touchstone(probe, "dead-letters", "replay", "e-1", "--service", "probe")
    assert (code, await number(store, EFFECTS)) == (1, 0), printed
    assert (await touchstone(probe, "status"))[0] == 1
    monkeypatch.delenv("POISON")
    replied = await probe.operations.ReplayDeadLetters(operations.ReplayDeadLettersRequest(event_ids=["e-1"]))
    assert (replied.replayed, len(replied.failed)) == (1, 0)
    code, printed = await touchstone(probe, "dead-letters", "list")
    assert (code, [f"e-{n}" in printed for n in (1, 2, 3, 4)]) == (0, [False, True, True, True]), printed
    code, printed = await touchstone(probe, "dead-letters", "replay", "--service", "probe")
    assert (code, "2 replayed, 1 failed again" in printed) == (1, True), printed
    code, printed = await touchstone(probe, "dead-letters", "list", "--replayed")
    assert [f"e-{n}" in printed for n in (1, 2, 3, 4)] == [True] * 4
    await probe.operations.ReplayDeadLetters(operations.ReplayDeadLettersRequest())
    assert await rows(store, "SELECT charge_id FROM effects ORDER BY 1") == [("c-1",), ("c-2",), ("c-3",)]
    assert [each[0] for each in await letters_of(store)] == ["e-4"]


async def test_an_event_that_comes_after_its_replay_has_no_second_effect(
    probe: Serving, store: Database, nats: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POISON", "1")
    await publish(nats, payload("c-1", "curable"), headers("e-1"))
    await probe.settle()
    monkeypatch.delenv("POISON")
    await probe.operations.ReplayDeadLetters(operations.ReplayDeadLettersRequest())
    await publish(nats, payload("c-1", "curable"), headers("e-1", Nats_Msg_Id="later"))
    await probe.settle()
    assert (await number(store, EFFECTS), await number(store, LETTERS)) == (1, 0)


async def test_while_the_broker_is_down_no_call_fails_and_afterwards_everything_arrives(
    probe: Serving, store: Database, nats: NatsServer
) -> None:
    stub = charging_service_pb2_grpc.ChargingServiceStub(probe.channel("billing.charge"))
    for n in range(120):
        if n == 20:
            nats.kill()
        if n == 100:
            nats.start()
        await stub.Charge(charge(1, f"r-{n}"))
        await asyncio.sleep(0.02)
    await probe.settle()
    assert await number(store, "SELECT total FROM sums") == 120
    assert await rows(store, "SELECT count(*), count(DISTINCT charge_id) FROM effects") == [(120, 120)]


async def test_a_frozen_broker_does_not_use_up_the_places_of_what_it_never_answers(
    probe: Serving, store: Database, nats: NatsServer
) -> None:
    stub = charging_service_pb2_grpc.ChargingServiceStub(probe.channel("billing.charge"))
    assert nats.pid is not None
    probe.running.broker._takes_batches = False
    os.kill(nats.pid, signal.SIGSTOP)
    await asyncio.gather(*(stub.Charge(charge(1, f"r-{n}")) for n in range(20)))
    pending = probe.running.broker._jetstream.publish_async_pending

    async def given_up() -> bool:
        return pending() == 0

    async def waits() -> bool:
        return pending() > 0

    await until(waits, "the relay waits for the broker")
    await until(given_up, "the relay has given up what was not answered")
    os.kill(nats.pid, signal.SIGCONT)
    await probe.settle()
    assert await number(store, EFFECTS) == 20


async def test_after_its_stream_was_deleted_reconcile_brings_back_what_was_lost(
    store: Database, nats: NatsServer, keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving(PROCESS, store, nats, keys, **HASTY | {"event_retry_seconds": 30.0}) as probe:
        stub = charging_service_pb2_grpc.ChargingServiceStub(probe.channel("billing.charge"))
        await stub.Charge(charge(1, "r-0"))
        await probe.settle()
        # An event that waits for its second try is in the stream alone when that is deleted.
        monkeypatch.setenv("POISON", "1")
        await stub.Charge(charge(1, "r-1", account_id="curable"))
        await until(_was_met, "the event has failed once")
        async with stream(nats) as jetstream:
            await jetstream.delete_stream("EVENTS")
        monkeypatch.delenv("POISON")
        for n in range(2, 12):
            await stub.Charge(charge(1, f"r-{n}"))
        await probe.settle()
        assert await number(store, EFFECTS) == 11
        code, printed = await touchstone(probe, "reconcile", "--dry-run")
        assert (code, "12 events looked at, 1 would be published again" in printed) == (0, True), printed
        code, printed = await touchstone(probe, "reconcile")
        assert (code, "1 published again" in printed) == (0, True), printed
        await probe.settle()
        assert await rows(store, "SELECT count(*), count(DISTINCT charge_id) FROM effects") == [(12, 12)]
        assert "12 events looked at, 0 published again" in (await touchstone(probe, "reconcile"))[1]
        assert (await touchstone(probe, "status"))[0] == 0


async def _was_met() -> bool:
    return os.environ.get("POISON") == "met"


async def test_of_two_relays_one_leads_and_events_leave_in_their_order(
    store: Database, nats: NatsServer, keys: Keys
) -> None:
    async with (
        serving(PROCESS, store, nats, keys, **HASTY) as one,
        serving(PROCESS, store, nats, keys, **HASTY) as other,
    ):
        stubs = [charging_service_pb2_grpc.ChargingServiceStub(each.channel("billing.charge")) for each in (one, other)]
        for n in range(0, 200, 20):
            await asyncio.gather(*(stubs[m % 2].Charge(charge(1, f"r-{m}")) for m in range(n, n + 20)))
        await one.settle()
        assert await number(store, "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND granted") == 1
    told = [each for (each,) in await rows(store, "SELECT event_id FROM outbox ORDER BY id")]
    assert len(told) == 200
    assert await _in_stream(nats, 200) == told
    assert await number(store, EFFECTS) == 200


async def test_a_full_outbox_leaves_in_its_order_from_the_first_event_on(
    store: Database, nats: NatsServer, keys: Keys
) -> None:
    nats.kill()
    settings = settings_of(store, nats, keys)
    engine = engines.open_engine(settings, "filler")
    async with engine.begin() as connection:
        await connection.execute(text(_FILL), {"type": TYPE, "subject": SUBJECT, "at": WHEN})
    await engine.dispose()
    nats.start()
    async with serving(PROCESS, store, nats, keys, **HASTY) as probe:
        await probe.settle()
    assert await _in_stream(nats, 2500) == [f"e-{n}" for n in range(2500)]


async def test_what_the_broker_would_hang_up_on_keeps_nothing_else_back(
    probe: Serving, store: Database, nats: NatsServer, keys: Keys
) -> None:
    """As where the broker was given a smaller bound after the event was stored."""
    settings = settings_of(store, nats, keys)
    engine = engines.open_engine(settings, "filler")
    for n, size in enumerate([1, 2**20, 2**20 - 200, 1]):
        row = {"id": f"e-{n}", "type": TYPE, "subject": SUBJECT, "payload": bytes(size), "at": WHEN}
        async with engine.begin() as connection:
            await connection.execute(text(_TOO_MUCH), row)
    await engine.dispose()

    async def others_left() -> bool:
        return await rows(store, "SELECT event_id FROM outbox WHERE published_at IS NULL ORDER BY id") == [
            ("e-1",),
            ("e-2",),
        ]

    await until(others_left, "what is small enough was published")
    assert probe.running.broker.connected
    assert await _in_stream(nats, 2) == ["e-0", "e-3"]


_TOO_MUCH = """
INSERT INTO outbox (event_id, event_type, subject, aggregate_id, payload, occurred_at, recorded_at)
VALUES (:id, :type, :subject, 'a-1', :payload, :at, :at)
"""

_FILL = """
INSERT INTO outbox (event_id, event_type, subject, aggregate_id, payload, occurred_at, recorded_at)
SELECT 'e-' || n, :type, :subject, 'a-1', decode('0a0163', 'hex'), :at, :at
FROM generate_series(0, 2499) AS n ORDER BY n
"""


async def _in_stream(nats: NatsServer, count: int) -> list[str]:
    """The ids of the stream's messages, first to last."""
    async with stream(nats) as jetstream:
        assert (await jetstream.stream_info("EVENTS")).state.messages == count
        subscription = await jetstream.subscribe("events.>", ordered_consumer=True)
        return [((await subscription.next_msg(timeout=30)).headers or {})["ce-id"] for _ in range(count)]


async def test_a_relay_that_failed_gives_its_lead_back(store: Database, nats: NatsServer, keys: Keys) -> None:
    settings = settings_of(store, nats, keys)
    engine, broker = engines.open_engine(settings, "probe"), Broker(settings, "probe")
    await broker.connect()
    async with engine.begin() as connection:
        await connection.execute(text(_FILL), {"type": TYPE, "subject": SUBJECT, "at": WHEN})
    failpoints.arm("relay.before_mark:raise")
    with pytest.raises(failpoints.FailpointError):
        await Relay(engine, broker, "probe").run()
    assert await number(store, "SELECT pg_try_advisory_lock(hashtext('outbox relay'))::int") == 1
    await broker.close()
    await engine.dispose()


async def test_an_event_of_an_unknown_source_is_claimed_under_its_own_name(
    probe: Serving, store: Database, nats: NatsServer
) -> None:
    same_id = new_id()
    for source in ("billing", "elsewhere"):
        await publish(nats, payload(f"c-{source}"), headers(same_id, ce_source=source, Nats_Msg_Id=source))
    await probe.settle()
    assert await number(store, EFFECTS) == 2


def test_a_type_of_event_has_one_handler() -> None:
    async def hear(transaction: Transaction, deliveries: Sequence[Delivery[billing_events_pb2.AccountCharged]]) -> None:
        """Nothing."""

    handlers = Handlers()
    handlers.on(billing_events_pb2.AccountCharged, hear)
    with pytest.raises(RegisteredTwice, match=billing_events_pb2.AccountCharged.DESCRIPTOR.full_name):
        handlers.on(billing_events_pb2.AccountCharged, hear)
