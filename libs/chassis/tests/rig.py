"""A service as a process of its own, which a test starts, sees killed and starts again, and what its database holds.

It is the probe unless a test names another module."""

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import asyncpg
import grpc
from chassis import clock
from chassis.embedded import Child, Launch, NatsServer, free_port
from chassis.embedded.databases import Database
from chassis.ids import new_id
from chassis.rpc.client import open_channel
from chassis.testing import Keys
from chassis.times import to_proto
from touchstone.billing.v1 import charging_service_pb2 as pb
from touchstone.billing.v1 import charging_service_pb2_grpc
from touchstone.common.v1 import operations_service_pb2 as operations
from touchstone.common.v1 import operations_service_pb2_grpc
from touchstone.common.v1.common_pb2 import Money

WHEN = datetime(2026, 1, 1, tzinfo=UTC)
# Long enough for a loaded machine; nothing is judged by it but that it ends at all.
PATIENCE_SECONDS = 60.0
SCOPES = ("billing.charge", "operations")


def charge(amount: int, request_id: str = "", *, account_id: str = "a-1", how: str = "") -> pb.ChargeRequest:
    """A request to add."""
    return pb.ChargeRequest(
        request_id=request_id or new_id(),
        account_id=account_id,
        amount=Money(minor_units=amount, currency="CNY"),
        description=how,
        occurred_at=to_proto(WHEN),
    )


async def until(holds: Callable[[], Awaitable[bool]], what: str) -> None:
    """Waits until something holds, or fails saying what did not."""
    deadline = clock.monotonic() + PATIENCE_SECONDS
    while not await holds():
        assert clock.monotonic() < deadline, f"still not so after {PATIENCE_SECONDS} s: {what}"
        await asyncio.sleep(0.05)


async def rows(database: Database, statement: str) -> list[tuple[Any, ...]]:
    """What a statement finds, over a connection of its own, whatever the service is doing."""
    connection = await asyncpg.connect(database.url)
    try:
        return [tuple(row) for row in await connection.fetch(statement)]
    finally:
        await connection.close()


async def number(database: Database, statement: str) -> int:
    """One number out of the database."""
    return int((await rows(database, statement))[0][0])


@dataclass(slots=True)
class ServiceProcess:
    """`python -m <module> serve` on a port of its own, which it keeps over its starts."""

    database: Database
    nats: NatsServer
    keys: Keys
    folder: Path
    module: str = "probe"
    scopes: Sequence[str] = SCOPES
    port: int = field(default_factory=free_port)
    child: Child | None = None
    channel: grpc.aio.Channel | None = None

    def settings(self) -> dict[str, str]:
        """The environment of the process, without what was meant for others."""
        inherited = {n: v for n, v in os.environ.items() if not n.startswith(("TOUCHSTONE_", "FAILPOINT"))}
        return inherited | {
            "TOUCHSTONE_DATABASE_URL": self.database.url,
            "TOUCHSTONE_NATS_URL": self.nats.url,
            "TOUCHSTONE_JWKS": str(self.keys.jwks),
            "TOUCHSTONE_GRPC_PORT": str(self.port),
            "TOUCHSTONE_BIND_HOST": "127.0.0.1",
            "TOUCHSTONE_ACK_WAIT_SECONDS": "1",
        }

    async def start(self, failpoint: str = "", **settings: str) -> None:
        """Starts and waits until it answers."""
        environment = self.settings() | settings | ({"FAILPOINT": failpoint} if failpoint else {})
        command = [sys.executable, "-m", self.module, "serve"]
        self.child = Child(Launch(command, self.folder / "log", environment, self.folder))
        # A channel that saw the end of the last one waits longer and longer before it looks again.
        if self.channel is not None:
            await self.channel.close()
        token = self.keys.mint("boss", self.scopes)
        self.channel = open_channel(f"127.0.0.1:{self.port}", lambda: token)
        await until(self._answers, "the probe answers")

    async def _answers(self) -> bool:
        assert self.child is not None
        assert self.child.exit_code() is None, self.child.log_since_start()
        try:
            await self.status(wait_for_ready=True)
        except grpc.aio.AioRpcError:
            return False
        return True

    def open_channel(self) -> grpc.aio.Channel:
        """The channel to it as it runs now."""
        assert self.channel is not None, "the probe was never started"
        return self.channel

    async def status(self, **options: Any) -> operations.GetStatusResponse:
        """What the service says about itself."""
        stub: Any = operations_service_pb2_grpc.OperationsServiceStub(self.open_channel())
        return await stub.GetStatus(operations.GetStatusRequest(), **options)  # type: ignore[no-any-return]

    async def charge(self, request: pb.ChargeRequest) -> pb.ChargeResponse:
        """One call."""
        stub: Any = charging_service_pb2_grpc.ChargingServiceStub(self.open_channel())
        return await stub.Charge(request, timeout=20.0)  # type: ignore[no-any-return]

    async def charge_all(self, requests: Sequence[pb.ChargeRequest]) -> list[pb.ChargeResponse]:
        """Calls at once, each of which must succeed."""
        return list(await asyncio.gather(*(self.charge(each) for each in requests)))

    async def killed(self) -> int:
        """Waits for the end of the process; its exit code, minus the signal."""
        child = self.child
        assert child is not None

        async def ended() -> bool:
            return child.exit_code() is not None

        await until(ended, "the probe has ended")
        return child.wait()

    async def settle(self) -> None:
        """Waits until everything told is published and everything heard is handled."""

        async def quiet() -> bool:
            states = [await self.status() for _ in range(2)]
            return all(each.outbox_unpublished == 0 and each.consumer_pending == 0 for each in states)

        await until(quiet, "outbox and consumer are empty")

    async def close(self) -> None:
        """Ends the process and the channel."""
        if self.child is not None:
            self.child.kill()
        if self.channel is not None:
            await self.channel.close()
