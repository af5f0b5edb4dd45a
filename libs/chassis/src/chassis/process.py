"""One composition root for every service: settings, telemetry, database, broker, server, and a graceful stop.

A service says what it is (`Process`) and how its parts are put together (`build`); `run` is its command line:
`python -m <service> serve` and `python -m <service> migrate`.
"""

import asyncio
import contextlib
import gc
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

import cyclopts
import grpc
import structlog
import uvloop
from grpc_health.v1 import health_pb2_grpc
from sqlalchemy.ext.asyncio import AsyncEngine
from touchstone.common.v1 import operations_service_pb2_grpc

from chassis import clock, database, operations, telemetry
from chassis.auth import Verifier
from chassis.broker import Broker
from chassis.consumers import Consumer, Handlers, Lane, lanes_of
from chassis.housekeeping import keep_house
from chassis.operations import Operated, OperationsApi, Prove
from chassis.outbox import FactsToProto, Relay
from chassis.rpc.access import AboutNow
from chassis.rpc.client import open_channel
from chassis.rpc.errors import name_service
from chassis.rpc.health import Health
from chassis.rpc.server import Bounds, make_server
from chassis.settings import ServiceSettings, load_settings
from chassis.timed import Timed, keep_time
from chassis.work import Work

_log = structlog.get_logger(__name__)
S = TypeVar("S", bound=ServiceSettings)
Register = Callable[[Any, grpc.aio.Server], None]
_RESTART_SECONDS = 1.0


@dataclass(slots=True)
class Parts(Generic[S]):
    """What the chassis gives a service to build with."""

    settings: S
    work: Work
    channels: list[grpc.aio.Channel] = field(default_factory=list)

    def channel(self, target: str) -> grpc.aio.Channel:
        """A channel to another service, with this service's own token; closed when the process stops."""
        channel = open_channel(target, self.service_token)
        self.channels.append(channel)
        return channel

    def service_token(self) -> str:
        """The service's own token, read at each use so that a rotated one is taken at once."""
        path = self.settings.service_token_file
        if path is None:
            raise RuntimeError("TOUCHSTONE_SERVICE_TOKEN_FILE is needed for calls to other services")
        return Path(path).read_text().strip()


@dataclass(frozen=True, slots=True)
class Servicer:
    """One gRPC service: its full name in the contracts, what registers it, and its implementation."""

    name: str
    register: Register
    implementation: Any


@dataclass(frozen=True, slots=True)
class Served:
    """What a service has built: calls, events it listens to, tasks that run all the time, what the calendar asks for,
    and its proof."""

    servicers: Sequence[Servicer]
    handlers: Handlers = field(default_factory=Handlers)
    background: Sequence[Callable[[], Coroutine[Any, Any, None]]] = ()
    timed: Sequence[Timed] = ()
    prove: Prove | None = None


@dataclass(frozen=True, slots=True)
class Process(Generic[S]):
    """A service as the chassis runs it."""

    name: str
    package: str
    settings: type[S]
    facts: FactsToProto
    build: Callable[[Parts[S]], Served]


@dataclass(frozen=True, slots=True)
class _Servicers:
    """What a process answers calls with: its own services, and what every process has."""

    own: Sequence[Servicer]
    operations: OperationsApi
    health: Health


@dataclass(slots=True)
class Running:
    """A service that serves: where, and its parts, for tests."""

    port: int
    work: Work
    engine: AsyncEngine
    broker: Broker
    lanes: Sequence[Lane]


@asynccontextmanager
async def serving(process: Process[S], settings: S, *, now: Callable[[], Any] = clock.now) -> AsyncIterator[Running]:
    """Serves until the block ends; then finishes what is in work and closes everything."""
    name_service(process.name)
    engine = database.open_engine(settings, process.name)
    database.trace_statements(engine)
    broker = Broker(settings, process.name)
    relay = Relay(engine, broker, process.name)
    work = Work(engine, process.facts, told=relay.wake, now=now)
    parts = Parts(settings, work)
    served = process.build(parts)
    lanes = lanes_of(process.name, served.handlers)
    health = Health(process.name, lambda: database.answers(engine))
    operated = Operated(
        process.name, work, broker, served.handlers, lanes, served.prove, lambda: database.answers(engine)
    )
    about_now = AboutNow(settings.member_time_back, settings.member_time_ahead, now)
    servicers = _Servicers(served.servicers, OperationsApi(operated), health)
    server, port = await _start_server(process.name, settings, servicers, Bounds(settings.in_flight_max, about_now))
    consumers = [Consumer(settings, lane, served.handlers, work, broker).run for lane in lanes]
    turn = asyncio.Lock()
    timed = [keep_time(work, each, turn) for each in served.timed] if settings.timed_work else []
    background = (relay.run, *consumers, *served.background, *timed, keep_house(work))
    tasks = [asyncio.create_task(_for_ever(each)) for each in background]
    connecting = asyncio.create_task(_connect(broker, process.name))
    try:
        yield Running(port, work, engine, broker, lanes)
    finally:
        health.stop()
        await server.stop(settings.shutdown_grace_seconds)
        await _cancel([connecting, *tasks])
        await work.finish()
        for channel in parts.channels:
            await channel.close()
        await broker.close()
        await engine.dispose()


async def _start_server(
    name: str, settings: ServiceSettings, servicers: _Servicers, bounds: Bounds
) -> tuple[grpc.aio.Server, int]:
    verifier = Verifier(settings.jwks, issuer=settings.issuer, audience=settings.audience)
    names = [*(servicer.name for servicer in servicers.own), operations.SERVICE]
    server = make_server(name, verifier, names, bounds=bounds)
    for servicer in servicers.own:
        servicer.register(servicer.implementation, server)
    operations_service_pb2_grpc.add_OperationsServiceServicer_to_server(servicers.operations, server)
    health_pb2_grpc.add_HealthServicer_to_server(servicers.health, server)
    port = server.add_insecure_port(f"{settings.bind_host}:{settings.grpc_port}")
    await server.start()
    return server, port


async def _connect(broker: Broker, name: str) -> None:
    """Connects to the broker however long that takes: requests are served meanwhile, the outbox keeps their events."""
    while True:
        try:
            return await broker.connect()
        except Exception as error:  # noqa: BLE001 - whatever it is, trying again is the answer
            _log.warning("broker cannot be reached", service=name, error=type(error).__name__)
            await asyncio.sleep(_RESTART_SECONDS)


async def _for_ever(task: Callable[[], Awaitable[None]]) -> None:
    """Runs a task again when it fails, so that one fault never stops a process's background for good."""
    while True:
        try:
            await task()
        except Exception:  # noqa: BLE001 - logged, and started again
            _log.exception("background task failed, starting it again", task=getattr(task, "__qualname__", "?"))
        await asyncio.sleep(_RESTART_SECONDS)


async def _cancel(tasks: Sequence[asyncio.Task[None]]) -> None:
    """Ends the tasks. Asked again until they have: `asyncio.wait_for`, which the broker's client uses, loses a
    cancellation that comes at the moment its result does (CPython before 3.12)."""
    pending = set(tasks)
    while pending:
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=0.5)


def run(process: Process[Any]) -> None:
    """The command line of a service."""
    app = cyclopts.App(name=process.package, help=f"The {process.name} service of Touchstone.")

    @app.command
    def serve() -> None:
        """Serve until SIGTERM or SIGINT, then finish what is in work."""
        settings = load_settings(process.settings)
        telemetry.start(process.name, settings)
        uvloop.run(_serve(process, settings))

    @app.command
    def migrate() -> None:
        """Bring the database to the newest revision and grant the service's login its privileges."""
        from chassis import migrations  # here, so that `serve` does not load alembic

        settings = load_settings(process.settings)
        asyncio.run(migrations.upgrade(process.package, settings))
        sys.stdout.write(f"{process.name}: database is at the newest revision\n")

    app()


async def _serve(process: Process[Any], settings: Any) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for each in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(each, stop.set)
    async with serving(process, settings) as running:
        # What start-up made stays: the collector need not look through it again while requests are served.
        gc.collect()
        gc.freeze()
        # A batch makes thousands of objects that are gone with it: looking after every 700 finds them all in use.
        gc.set_threshold(20_000, 20, 50)
        _log.info("serving", port=running.port)
        await stop.wait()
        _log.info("stopping")
    with contextlib.suppress(Exception):
        sys.stderr.flush()
