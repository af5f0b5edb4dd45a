"""What the record costs on top of the transport: events a second through the relay beside bare publishing.

The relay reads rows of a filled outbox, publishes them with their headers, waits for the broker's acknowledgement and
marks them published. Beside it stands nats-py's own asynchronous publish of the same payloads under the same headers to
the same stream, with all acknowledgements awaited. Both run in turns, in one process, against the same servers.
"""

import asyncio
import resource
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from os import environ
from pathlib import Path
from statistics import median
from typing import Any

import nats
import uvloop
from chassis import clock, database
from chassis.broker import Broker
from chassis.embedded import NatsServer, PostgresServer, remove_data
from chassis.embedded.databases import Database, Logins, ensure_database
from chassis.outbox import Relay
from chassis.settings import ServiceSettings
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine
from touchstone.billing.v1 import billing_events_pb2
from touchstone.common.v1.common_pb2 import Money

EVENTS = 20_000
ROUNDS = 3
TARGET = 0.1
IN_FLIGHT = 4_000
SERVICE = "billing"
TYPE = billing_events_pb2.AccountCharged.DESCRIPTOR.full_name
SUBJECT = f"events.{TYPE}"
AT = datetime(2026, 1, 1, tzinfo=UTC)

_FILL = text("""
INSERT INTO outbox (event_id, event_type, subject, aggregate_id, payload, trace_parent, occurred_at, recorded_at)
SELECT CAST(:round AS text) || '-' || n, :type, :subject, 'a-' || n % 500, :payload, :trace, :at, :at
FROM generate_series(1, :events) AS n ORDER BY n
""")
_LEFT = text("SELECT count(*) FROM outbox WHERE published_at IS NULL")
_TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@dataclass(frozen=True, slots=True)
class Bench:
    """The servers, as both sides reach them."""

    settings: ServiceSettings
    engine: AsyncEngine


def run() -> list[dict[str, object]]:
    """Measure on servers of their own."""
    with tempfile.TemporaryDirectory(prefix="touchstone-bench-") as name:
        folder = Path(name)
        folder.chmod(0o711)  # root's server runs as another user, who must reach its data
        postgres, broker = PostgresServer(folder / "postgres"), NatsServer(folder / "nats")
        try:
            postgres.start()
            broker.start()
            return [uvloop.run(_compare(postgres, broker))]
        finally:
            broker.stop()
            postgres.stop()
            remove_data(folder / "postgres")


async def _compare(postgres: PostgresServer, broker: NatsServer) -> dict[str, object]:
    made = await ensure_database(postgres, SERVICE, Logins.random(SERVICE))
    values: dict[str, Any] = {"database_url": made.url, "nats_url": broker.url, "jwks": "unused"}
    settings = ServiceSettings(**values)
    _migrate(made, broker)
    bench = Bench(settings, database.open_engine(settings, SERVICE))
    ours, theirs = [], []
    for number in range(ROUNDS):
        ours.append(await _relay(bench, number))
        theirs.append(await _publish(bench, number))
    await bench.engine.dispose()
    return {
        "name": "outbox.relay",
        "value": round(median(ours)),
        "unit": "events/s",
        "baseline": f"nats-py's publish_async, the same messages, {IN_FLIGHT} in flight",
        "baseline_value": round(median(theirs)),
        "ratio": round(median(ours) / median(theirs), 3),
        "target": TARGET,
        "peak_memory_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
    }


def _migrate(made: Database, broker: NatsServer) -> None:
    """Billing's own tables, made as before a roll-out."""
    addresses = {"DATABASE_URL": made.url, "MIGRATION_DATABASE_URL": made.owner_url, "NATS_URL": broker.url}
    settings = {f"TOUCHSTONE_{name}": value for name, value in (addresses | {"JWKS": "unused"}).items()}
    command = [sys.executable, "-m", SERVICE, "migrate"]
    subprocess.run(command, env={**environ, **settings}, check=True, stdout=subprocess.DEVNULL)


async def _relay(bench: Bench, number: int) -> float:
    """Events a second from the first look at a filled outbox to the last row marked."""
    async with bench.engine.begin() as connection:
        parameters = {"round": str(number), "type": TYPE, "subject": SUBJECT, "at": AT, "events": EVENTS}
        await connection.execute(_FILL, parameters | {"payload": _payload(), "trace": _TRACE})
    broker = Broker(bench.settings, SERVICE)
    await broker.connect()
    started = clock.monotonic()
    relaying = asyncio.create_task(Relay(bench.engine, broker, SERVICE).run())
    while await _left(bench.engine):  # noqa: ASYNC110 - what is waited for happens in the database
        await asyncio.sleep(0.05)
    seconds = clock.monotonic() - started
    relaying.cancel()
    await asyncio.wait([relaying])
    await broker.close()
    return EVENTS / seconds


async def _left(engine: AsyncEngine) -> int:
    async with engine.connect() as connection:
        return int((await connection.execute(_LEFT)).scalar_one())


async def _publish(bench: Bench, number: int) -> float:
    """Events a second from the first message sent to the last acknowledged."""
    connection = await nats.connect(bench.settings.nats_url)
    jetstream = connection.jetstream(publish_async_max_pending=IN_FLIGHT)
    messages = [(_payload(), _headers(f"bare-{number}-{n}", f"a-{n % 500}")) for n in range(EVENTS)]
    started = clock.monotonic()
    acknowledged: Sequence[Any] = [
        await jetstream.publish_async(SUBJECT, payload, headers=headers) for payload, headers in messages
    ]
    await asyncio.gather(*acknowledged)
    seconds = clock.monotonic() - started
    await connection.close()
    return EVENTS / seconds


def _payload() -> bytes:
    return billing_events_pb2.AccountCharged(
        charge_id="0199f0e4-7c1e-7a86-9c55-1a4b7d1d2f01",
        account_id="a-1",
        customer_id="c-1",
        amount=Money(minor_units=1234, currency="CNY"),
        balance_after=Money(minor_units=98_766, currency="CNY"),
    ).SerializeToString()


def _headers(event_id: str, account_id: str) -> dict[str, str]:
    return {
        "Nats-Msg-Id": event_id,
        "ce-specversion": "1.0",
        "ce-id": event_id,
        "ce-type": TYPE,
        "ce-source": SERVICE,
        "ce-subject": account_id,
        "ce-time": AT.isoformat(),
        "ce-recordedtime": AT.isoformat(),
        "traceparent": _TRACE,
    }
