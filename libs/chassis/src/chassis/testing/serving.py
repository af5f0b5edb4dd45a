"""A service under test: the real process parts in this very process, with real gRPC on a free port."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeVar

import grpc
from touchstone.common.v1 import operations_service_pb2 as operations
from touchstone.common.v1 import operations_service_pb2_grpc

from chassis import clock, process
from chassis.embedded import NatsServer
from chassis.embedded.databases import Database
from chassis.rpc.client import open_channel
from chassis.settings import ServiceSettings
from chassis.testing.identities import Keys
from chassis.work import Work

S = TypeVar("S", bound=ServiceSettings)
_SETTLE_SECONDS = 30.0
# Settings of a service whose members' own tokens do things at the fixed dates of a test, and not about now.
DATED_LONG_AGO: dict[str, Any] = {"member_time_back_seconds": 100 * 365 * 86_400.0}


@dataclass(slots=True)
class Serving:
    """A service that serves, as a test reaches it."""

    running: process.Running
    keys: Keys
    _channels: list[grpc.aio.Channel] = field(default_factory=list)

    @property
    def work(self) -> Work:
        """The service's own transactions."""
        return self.running.work

    @property
    def target(self) -> str:
        """Where it listens."""
        return f"127.0.0.1:{self.running.port}"

    def channel(
        self, *scopes: str, subject: str = "boss", customer_id: str | None = None, token: str | None = None
    ) -> grpc.aio.Channel:
        """A channel with a token of these scopes, or with the very token given."""
        carried = token if token is not None else self.keys.mint(subject, scopes, customer_id=customer_id)
        channel = open_channel(self.target, lambda: carried)
        self._channels.append(channel)
        return channel

    @property
    def operations(self) -> Any:
        """A stub of OperationsService, with the scope for it."""
        return operations_service_pb2_grpc.OperationsServiceStub(self.channel("operations"))

    async def settle(self) -> None:
        """Waits until everything told is published and everything heard is handled."""
        stub, quiet = self.operations, 0
        deadline = clock.monotonic() + _SETTLE_SECONDS
        while quiet < 2:
            status = await stub.GetStatus(operations.GetStatusRequest())
            quiet = quiet + 1 if status.outbox_unpublished == 0 and status.consumer_pending == 0 else 0
            if clock.monotonic() > deadline:
                raise AssertionError(f"not settled after {_SETTLE_SECONDS} s: {status}")
            await asyncio.sleep(0.05)

    async def close(self) -> None:
        """Closes the channels that were opened."""
        for channel in self._channels:
            await channel.close()


@asynccontextmanager
async def serving(
    served: process.Process[S],
    database: Database,
    nats: NatsServer,
    keys: Keys,
    *,
    now: Callable[[], datetime] = clock.now,
    **settings: Any,
) -> AsyncIterator[Serving]:
    """Serves a process on loopback with a database, a broker and the run's keys; further settings by name."""
    values: dict[str, Any] = {
        "database_url": database.url,
        "nats_url": nats.url,
        "jwks": str(keys.jwks),
        "grpc_port": 0,
        "bind_host": "127.0.0.1",
        "shutdown_grace_seconds": 1.0,
    }
    async with process.serving(served, served.settings(**values | settings), now=now) as running:
        made = Serving(running, keys)
        try:
            await _until_connected(running)
            yield made
        finally:
            await made.close()


async def _until_connected(running: process.Running) -> None:
    """Waits until the broker is there with its streams, so that a test may publish at once."""
    async with asyncio.timeout(_SETTLE_SECONDS):
        await running.broker.until_connected()
