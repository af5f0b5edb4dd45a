"""What a charge costs on top of the call itself: unary charges a second beside an empty method.

Billing runs as it is run in production, in a process of its own, with one method more that does nothing: it stands on
the same server behind the same interceptors (token, scopes, limits, metrics, traces). A client with 64 calls in flight
asks the one and the other in turns. The charges are spread over 2,000 accounts on a bill plan; each is claimed,
locked, booked, recorded and told, and the events are published to NATS meanwhile.
"""

import asyncio
import itertools
import os
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

import grpc
import uvloop
from billing.__main__ import PROCESS
from chassis import clock
from chassis.embedded import Child, Launch, NatsServer, PostgresServer, free_port, remove_data
from chassis.embedded.databases import Logins, ensure_database
from chassis.process import Parts, Process, Served, Servicer
from chassis.process import run as run_process
from chassis.times import to_proto
from chassis.tokens import Minter, new_key, write_jwks
from google.protobuf import descriptor_pb2, descriptor_pool, empty_pb2
from touchstone.billing.v1 import billing_pb2, billing_service_pb2_grpc
from touchstone.billing.v1 import billing_service_pb2 as pb
from touchstone.common.v1 import access_pb2
from touchstone.common.v1.common_pb2 import Money

IN_FLIGHT = 64
ACCOUNTS = 2_000
ROUNDS = 5
ROUND_SECONDS = 4.0
TARGET = 0.2
AT = to_proto(datetime(2026, 1, 1, tzinfo=UTC))
EMPTY_SERVICE = "touchstone.benchmark.v1.EmptyService"
SCOPES = ("billing.write", "billing.admin", "billing.charge")

Call = Callable[[], Awaitable[object]]


def run() -> list[dict[str, object]]:
    """Measure on servers of their own."""
    with tempfile.TemporaryDirectory(prefix="touchstone-bench-") as name:
        folder = Path(name)
        folder.chmod(0o711)  # root's server runs as another user, who must reach its data
        with _servers(folder) as (postgres, nats):
            return [uvloop.run(_compare(folder, postgres, nats))]


@contextmanager
def _servers(folder: Path) -> Iterator[tuple[PostgresServer, NatsServer]]:
    postgres, nats = PostgresServer(folder / "postgres"), NatsServer(folder / "nats")
    postgres.start()
    try:
        nats.start()
        yield postgres, nats
    finally:
        nats.kill()
        postgres.stop()
        remove_data(folder / "postgres")


async def _compare(folder: Path, postgres: PostgresServer, nats: NatsServer) -> dict[str, object]:
    async with _billing(folder, postgres, nats) as (server, channel):
        await _prepare(channel)
        charge, nothing = _charge_call(channel), _empty_call(channel)
        for call in (charge, nothing):
            await _rate(call, ROUND_SECONDS / 2)
        charges, empties = [], []
        for _ in range(ROUNDS):
            empties.append(await _rate(nothing, ROUND_SECONDS))
            charges.append(await _rate(charge, ROUND_SECONDS))
        peak_mb = _peak_memory_mb(server.pid)
    return {
        "name": "rpc.charge",
        "value": round(median(charges)),
        "unit": "charges/s",
        "baseline": f"an empty method on the same server behind the same interceptors, {IN_FLIGHT} calls in flight",
        "baseline_value": round(median(empties)),
        "ratio": round(median(charges) / median(empties), 3),
        "target": TARGET,
        "peak_memory_mb": peak_mb,
    }


@asynccontextmanager
async def _billing(
    folder: Path, postgres: PostgresServer, nats: NatsServer
) -> AsyncIterator[tuple[Child, grpc.aio.Channel]]:
    """Billing with the empty method, migrated and serving, and a channel whose calls carry a token."""
    key, jwks, port = new_key(), folder / "jwks.json", free_port()
    write_jwks(jwks, key)
    database = await ensure_database(postgres, "billing", Logins.random("billing"))
    settings = {
        "TOUCHSTONE_DATABASE_URL": database.url,
        "TOUCHSTONE_MIGRATION_DATABASE_URL": database.owner_url,
        "TOUCHSTONE_NATS_URL": nats.url,
        "TOUCHSTONE_JWKS": str(jwks),
        "TOUCHSTONE_GRPC_PORT": str(port),
        "TOUCHSTONE_BIND_HOST": "127.0.0.1",
        "TOUCHSTONE_LOG_LEVEL": "WARNING",
    }
    migrating = _start("migrate", folder, settings)
    if migrating.wait() != 0:
        raise RuntimeError(migrating.log_since_start())
    server = _start("serve", folder, settings)
    token = Minter(key).mint("benchmark", SCOPES)
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}", interceptors=[_Authorized(token)]) as channel:
        try:
            await asyncio.wait_for(channel.channel_ready(), 120)
            yield server, channel
        finally:
            server.stop(signal.SIGTERM)


def _start(command: str, folder: Path, settings: dict[str, str]) -> Child:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("TOUCHSTONE_")}
    # -P: a benchmark beside this one is called like a library.
    return Child(
        Launch([sys.executable, "-P", __file__, command], folder / f"{command}.log", environment=inherited | settings)
    )


class _Authorized(grpc.aio.UnaryUnaryClientInterceptor):
    """Adds the token and a deadline, and no more: the client shares the machine with what is measured."""

    def __init__(self, token: str) -> None:
        self._metadata = grpc.aio.Metadata(("authorization", f"Bearer {token}"))

    async def intercept_unary_unary(self, continuation: Any, client_call_details: Any, request: Any) -> Any:
        details = grpc.aio.ClientCallDetails(
            method=client_call_details.method,
            timeout=30.0,
            metadata=self._metadata,
            credentials=client_call_details.credentials,
            wait_for_ready=client_call_details.wait_for_ready,
        )
        return await continuation(details, request)


async def _prepare(channel: grpc.aio.Channel) -> None:
    """A plan, the accounts on it, and so much money on each that no bill comes between."""
    accounts: Any = billing_service_pb2_grpc.AccountServiceStub(channel)
    bills: Any = billing_service_pb2_grpc.BillServiceStub(channel)
    plan = billing_pb2.BillPlan(
        plan_id="plan", display_name="Plan", threshold=_cny(50_00), target_balance=_cny(100_00), due_days=14
    )
    await bills.PutBillPlan(pb.PutBillPlanRequest(request_id="plan", plan=plan))
    for first in range(0, ACCOUNTS, 1000):
        names = [f"acc-{number}" for number in range(first, first + 1000)]
        opening = [
            pb.OpenAccountRequest(
                request_id=name, account_id=name, customer_id=name, currency="CNY", plan_id="plan", occurred_at=AT
            )
            for name in names
        ]
        await accounts.BatchOpenAccounts(pb.BatchOpenAccountsRequest(requests=opening))
        recharging = [
            pb.RechargeRequest(request_id=name, account_id=name, amount=_cny(10**9), occurred_at=AT) for name in names
        ]
        reply = await accounts.BatchRecharge(pb.BatchRechargeRequest(requests=recharging))
        assert all(result.HasField("response") for result in reply.results)


def _charge_call(channel: grpc.aio.Channel) -> Call:
    stub: Any = billing_service_pb2_grpc.ChargingServiceStub(channel)
    numbers = itertools.count()

    async def charge() -> object:
        number = next(numbers)
        request = pb.ChargeRequest(
            request_id=f"charge-{number}",
            account_id=f"acc-{number * 7919 % ACCOUNTS}",
            amount=_cny(100),
            description="a charge",
            occurred_at=AT,
        )
        return await stub.Charge(request)

    return charge


def _empty_call(channel: grpc.aio.Channel) -> Call:
    method: Any = channel.unary_unary(
        f"/{EMPTY_SERVICE}/DoNothing",
        request_serializer=empty_pb2.Empty.SerializeToString,
        response_deserializer=empty_pb2.Empty.FromString,
    )

    async def nothing() -> object:
        return await method(empty_pb2.Empty())

    return nothing


async def _rate(call: Call, seconds: float) -> float:
    """Calls a second with a fixed number of them in flight."""
    until = clock.monotonic() + seconds
    started = clock.monotonic()

    async def caller() -> int:
        done = 0
        while clock.monotonic() < until:
            await call()
            done += 1
        return done

    done = sum(await asyncio.gather(*(caller() for _ in range(IN_FLIGHT))))
    return done / (clock.monotonic() - started)


def _peak_memory_mb(pid: int) -> int:
    """The most memory that the serving process has held."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return round(int(line.split()[1]) / 1024)
    raise RuntimeError("the kernel does not tell the peak memory")


def _cny(minor_units: int) -> Money:
    return Money(minor_units=minor_units, currency="CNY")


def _declare_empty_service() -> None:
    """The contract of the method that does nothing, with the scope that a charge needs; no part of the product."""
    file = descriptor_pb2.FileDescriptorProto(
        name="touchstone/benchmark/v1/empty_service.proto",
        package="touchstone.benchmark.v1",
        syntax="proto3",
        dependency=[empty_pb2.DESCRIPTOR.name, access_pb2.DESCRIPTOR.name],
    )
    method = file.service.add(name="EmptyService").method.add(
        name="DoNothing", input_type=".google.protobuf.Empty", output_type=".google.protobuf.Empty"
    )
    method.options.Extensions[access_pb2.access].scopes.append("billing.charge")
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


def _with_empty_method() -> Process[Any]:
    """Billing as it is, and the empty method beside it."""
    _declare_empty_service()

    def build(parts: Parts[Any]) -> Served:
        served = PROCESS.build(parts)
        nothing = Servicer(EMPTY_SERVICE, _register_empty_service, _do_nothing)
        return replace(served, servicers=(*served.servicers, nothing))

    return replace(PROCESS, build=build)


if __name__ == "__main__":
    run_process(_with_empty_method())
