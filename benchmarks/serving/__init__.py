"""A service as it runs in production, with one method more that does nothing: what calls are measured beside.

The empty method stands on the same server behind the same interceptors (token, scopes, limits, metrics, traces), so the
ratio to it is what the service itself adds to a call. Server, database and broker are processes of their own; the
client has as many calls in flight as it is told.
"""

import asyncio
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

import grpc
from chassis import clock
from chassis.embedded import Child, Launch, NatsServer, PostgresServer, free_port, remove_data
from chassis.embedded.databases import Database, Logins, ensure_database
from chassis.process import Parts, Process, Served, Servicer
from chassis.tokens import Minter, new_key, write_jwks
from google.protobuf import descriptor_pb2, descriptor_pool, empty_pb2
from touchstone.common.v1 import access_pb2

ROOT = Path(__file__).parents[2]
IN_FLIGHT = 64
EMPTY_SERVICE = "touchstone.benchmark.v1.EmptyService"

Call = Callable[[], Awaitable[object]]


@dataclass(frozen=True, slots=True)
class Servers:
    """Database and broker, with a folder for what else a measurement writes."""

    folder: Path
    postgres: PostgresServer
    nats: NatsServer


@dataclass(frozen=True, slots=True)
class Measured:
    """A service that serves: its process, its database, and a channel whose calls carry a token."""

    server: Child
    database_url: str
    channel: grpc.aio.Channel


@contextmanager
def servers() -> Iterator[Servers]:
    """Servers of their own."""
    with tempfile.TemporaryDirectory(prefix="touchstone-bench-") as name:
        folder = Path(name)
        folder.chmod(0o711)  # root's server runs as another user, who must reach its data
        postgres, nats = PostgresServer(folder / "postgres"), NatsServer(folder / "nats")
        postgres.start()
        try:
            nats.start()
            yield Servers(folder, postgres, nats)
        finally:
            nats.kill()
            postgres.stop()
            remove_data(folder / "postgres")


@asynccontextmanager
async def measured(among: Servers, family: str, service: str, scopes: Sequence[str]) -> AsyncIterator[Measured]:
    """The service that the family's own file starts (`run_process(with_empty_method(...))`), migrated and serving."""
    key, port = new_key(), free_port()
    write_jwks(among.folder / f"{service}.jwks.json", key)
    database = await migrated(among, family, service)
    server = _start(family, "serve", among, database, TOUCHSTONE_GRPC_PORT=str(port))
    token = Minter(key).mint("benchmark", scopes)
    options = [("grpc.max_receive_message_length", 1 << 24)]
    target = f"127.0.0.1:{port}"
    async with grpc.aio.insecure_channel(target, options=options, interceptors=[_Authorized(token)]) as channel:
        try:
            await asyncio.wait_for(channel.channel_ready(), 120)
            yield Measured(server, database.owner_url, channel)
        finally:
            server.stop(signal.SIGTERM)


async def migrated(among: Servers, family: str, name: str) -> Database:
    """A database of the service that the family's own file starts, at its newest revision."""
    database = await ensure_database(among.postgres, name, Logins.random(name))
    migrating = _start(family, "migrate", among, database)
    if migrating.wait() != 0:
        raise RuntimeError(migrating.log_since_start())
    return database


def _start(family: str, command: str, among: Servers, database: Database, **settings: str) -> Child:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TOUCHSTONE_")}
    environment |= {
        "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]),
        "TOUCHSTONE_DATABASE_URL": database.url,
        "TOUCHSTONE_MIGRATION_DATABASE_URL": database.owner_url,
        "TOUCHSTONE_NATS_URL": among.nats.url,
        "TOUCHSTONE_JWKS": str(among.folder / f"{database.name}.jwks.json"),
        "TOUCHSTONE_TIMED_WORK": "false",
        "TOUCHSTONE_BIND_HOST": "127.0.0.1",
        "TOUCHSTONE_LOG_LEVEL": "WARNING",
        **settings,
    }
    # -P: a benchmark beside the family is called like a library.
    return Child(
        Launch(
            [sys.executable, "-P", family, command],
            among.folder / f"{database.name}-{command}.log",
            environment=environment,
        )
    )


class _Authorized(grpc.aio.UnaryUnaryClientInterceptor):
    """Adds the token and a deadline, and no more: the client shares the machine with what is measured."""

    def __init__(self, token: str) -> None:
        self._metadata = grpc.aio.Metadata(("authorization", f"Bearer {token}"))

    async def intercept_unary_unary(self, continuation: Any, client_call_details: Any, request: Any) -> Any:
        details = grpc.aio.ClientCallDetails(
            method=client_call_details.method,
            timeout=60.0,
            metadata=self._metadata,
            credentials=client_call_details.credentials,
            wait_for_ready=client_call_details.wait_for_ready,
        )
        return await continuation(details, request)


async def in_turns(calls: Sequence[Call], *, rounds: int, seconds: float, in_flight: int = IN_FLIGHT) -> list[float]:
    """Calls a second of each, measured in turns after a warm-up; the median of the rounds."""
    for call in calls:
        await rate(call, seconds / 2, in_flight=in_flight)
    found: list[list[float]] = [[] for _ in calls]
    for _ in range(rounds):
        for call, rates in zip(calls, found, strict=True):
            rates.append(await rate(call, seconds, in_flight=in_flight))
    return [median(rates) for rates in found]


async def rate(call: Call, seconds: float, *, in_flight: int = IN_FLIGHT) -> float:
    """Calls a second with a fixed number of them in flight."""
    started = clock.monotonic()
    until = started + seconds

    async def caller() -> int:
        done = 0
        while clock.monotonic() < until:
            await call()
            done += 1
        return done

    done = sum(await asyncio.gather(*(caller() for _ in range(in_flight))))
    return done / (clock.monotonic() - started)


def empty_call(channel: grpc.aio.Channel) -> Call:
    """The call that does nothing."""
    method: Any = channel.unary_unary(
        f"/{EMPTY_SERVICE}/DoNothing",
        request_serializer=empty_pb2.Empty.SerializeToString,
        response_deserializer=empty_pb2.Empty.FromString,
    )

    async def nothing() -> object:
        return await method(empty_pb2.Empty())

    return nothing


def with_empty_method(process: Process[Any], scope: str) -> Process[Any]:
    """The service as it is, and beside it the method that does nothing for callers with this scope."""
    _declare_empty_service(scope)

    def build(parts: Parts[Any]) -> Served:
        served = process.build(parts)
        nothing = Servicer(EMPTY_SERVICE, _register_empty_service, _do_nothing)
        return replace(served, servicers=(*served.servicers, nothing))

    return replace(process, build=build)


def run_pgbench(among: Servers, url: str, script: str, *, seconds: int, clients: int) -> float:
    """Transactions a second of a script, prepared."""
    path = among.folder / "pgbench.sql"
    path.write_text(script)
    command = [str(among.postgres.binary("pgbench")), "-n", "-M", "prepared", "-D", "n=-1", "-f", str(path)]
    command += ["-c", str(clients), "-j", "2", "-T", str(seconds), url]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    if ended.returncode or "number of failed transactions: 0 " not in ended.stdout:
        raise RuntimeError(ended.stdout + ended.stderr[:2000])
    (line,) = (line for line in ended.stdout.splitlines() if line.startswith("tps = "))
    return float(line.split()[2])


def peak_memory_mb(pid: int) -> int:
    """The most memory that a process has held."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return round(int(line.split()[1]) / 1024)
    raise RuntimeError("the kernel does not tell the peak memory")


def _declare_empty_service(scope: str) -> None:
    """The contract of the method that does nothing; no part of the product."""
    file = descriptor_pb2.FileDescriptorProto(
        name="touchstone/benchmark/v1/empty_service.proto",
        package="touchstone.benchmark.v1",
        syntax="proto3",
        dependency=[empty_pb2.DESCRIPTOR.name, access_pb2.DESCRIPTOR.name],
    )
    method = file.service.add(name="EmptyService").method.add(
        name="DoNothing", input_type=".google.protobuf.Empty", output_type=".google.protobuf.Empty"
    )
    method.options.Extensions[access_pb2.access].scopes.append(scope)
    descriptor_pool.Default().Add(file)


async def _do_nothing(request: empty_pb2.Empty, _context: object) -> empty_pb2.Empty:
    return request


def _register_empty_service(implementation: Any, server: grpc.aio.Server) -> None:
    handler = grpc.unary_unary_rpc_method_handler(
        implementation,
        request_deserializer=empty_pb2.Empty.FromString,
        response_serializer=empty_pb2.Empty.SerializeToString,
    )
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(EMPTY_SERVICE, {"DoNothing": handler}),))
