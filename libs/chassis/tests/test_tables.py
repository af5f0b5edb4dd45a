"""The tables of every service: what may not be changed, who may change the tables, how long rows are kept."""

from collections.abc import AsyncIterator, Callable
from datetime import datetime, timedelta

import asyncpg
import pytest
from chassis import clock
from chassis.embedded import NatsServer
from chassis.embedded.databases import Database
from chassis.housekeeping import CLAIMS_KEPT, OUTBOX_KEPT, discard_once
from chassis.testing import Databases, Keys
from chassis.testing.serving import serving
from probe.service import PROCESS
from touchstone.billing.v1 import charging_service_pb2_grpc

from libs.chassis.tests.rig import charge, number

CHANGES = {
    "update": "UPDATE effects SET charge_id = 'x'",
    "delete": "DELETE FROM effects",
    "truncate": "TRUNCATE effects",
}
DEFINITIONS = {
    "make a table": "CREATE TABLE mine (id int)",
    "change a table": "ALTER TABLE sums ADD COLUMN more int",
    "drop a table": "DROP TABLE sums",
    "drop the guard": "DROP TRIGGER effects_append_only ON effects",
    "switch the guard off": "ALTER TABLE effects DISABLE TRIGGER ALL",
    "replace the guard": "CREATE OR REPLACE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS "
    "'BEGIN RETURN NULL; END'",
    "make a schema": "CREATE SCHEMA mine",
}


@pytest.fixture
async def store(database: Databases) -> Database:
    """The probe's database with one effect in it."""
    made = await database("probe")
    connection = await asyncpg.connect(made.url)
    await connection.execute("INSERT INTO effects (charge_id) VALUES ('c-1')")
    await connection.close()
    return made


@pytest.fixture(params=["service", "owner"])
async def login(request: pytest.FixtureRequest, store: Database) -> AsyncIterator[asyncpg.Connection]:
    """Either login of the database."""
    connection = await asyncpg.connect(store.url if request.param == "service" else store.owner_url)
    yield connection
    await connection.close()


@pytest.mark.parametrize("change", CHANGES)
async def test_append_only_rows_stay_whoever_asks(login: asyncpg.Connection, store: Database, change: str) -> None:
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await login.execute(CHANGES[change])
    assert await number(store, "SELECT count(*) FROM effects WHERE charge_id = 'c-1'") == 1


@pytest.mark.parametrize("definition", DEFINITIONS)
async def test_the_service_cannot_change_its_tables(store: Database, definition: str) -> None:
    connection = await asyncpg.connect(store.url)
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await connection.execute(DEFINITIONS[definition])
    await connection.close()


_AGED = """
INSERT INTO outbox (event_id, event_type, subject, aggregate_id, payload, occurred_at, recorded_at, published_at)
VALUES ($1, 'x', 'events.x', 'a', '', $2, $2, $3)
"""
_CLAIMED = """
INSERT INTO handled_requests (caller, use_case, request_id, fingerprint, reply, recorded_at)
VALUES ('boss', 'add', $1, '', '', $2)
"""


async def test_rows_are_kept_for_their_time_and_not_longer(store: Database, nats: NatsServer, keys: Keys) -> None:
    assert (timedelta(days=14), timedelta(days=35)) == (OUTBOX_KEPT, CLAIMS_KEPT)
    written = clock.now()
    connection = await asyncpg.connect(store.url)
    await connection.execute(_AGED, "published", written, written)
    await connection.execute(_CLAIMED, "r-old", written)
    await connection.close()
    assert await _left(store, nats, keys, written + timedelta(days=13, hours=23)) == (1, 1)
    assert await _left(store, nats, keys, written + timedelta(days=14, seconds=1)) == (0, 1)
    assert await _left(store, nats, keys, written + timedelta(days=34, hours=23)) == (0, 1)
    assert await _left(store, nats, keys, written + timedelta(days=35, seconds=1)) == (0, 0)


async def _left(store: Database, nats: NatsServer, keys: Keys, when: datetime) -> tuple[int, int]:
    """Outbox rows and claims that are left after keeping house at that time."""
    async with serving(PROCESS, store, nats, keys, now=_at(when)) as probe:
        while await discard_once(probe.work):
            pass
    outbox = await number(store, "SELECT count(*) FROM outbox")
    return outbox, await number(store, "SELECT count(*) FROM handled_requests")


def _at(when: datetime) -> Callable[[], datetime]:
    return lambda: when


async def test_what_is_not_published_is_kept_however_old(store: Database, keys: Keys, nats: NatsServer) -> None:
    connection = await asyncpg.connect(store.url)
    await connection.execute(_AGED, "unpublished", clock.now() - timedelta(days=400), None)
    # Whoever leads here publishes nothing, so that no relay of the process does.
    await connection.execute("SELECT pg_advisory_lock(hashtext('outbox relay'))")
    async with serving(PROCESS, store, nats, keys) as probe:
        while await discard_once(probe.work):
            pass
        left = await number(store, "SELECT count(*) FROM outbox")
    await connection.close()
    assert left == 1


async def test_within_its_time_a_claim_answers_a_repeat(store: Database, nats: NatsServer, keys: Keys) -> None:
    started = clock.now()
    for days in (0, 34):
        async with serving(PROCESS, store, nats, keys, now=_at(started + timedelta(days=days))) as probe:
            while await discard_once(probe.work):
                pass
            stub = charging_service_pb2_grpc.ChargingServiceStub(probe.channel("billing.charge"))
            assert (await stub.Charge(charge(5, "r-1"))).account_version == 5
