"""A service as a process of its own, which a test starts, kills or sees killed, and starts again."""

import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
from touchstone.common.v1 import operations_service_pb2 as operations
from touchstone.common.v1 import operations_service_pb2_grpc

from chassis import clock
from chassis.embedded import Child, Launch, NatsServer, free_port
from chassis.embedded.databases import Database
from chassis.rpc.client import open_channel
from chassis.testing.identities import Keys
from chassis.tokens import all_scopes

# Long enough for a loaded machine; nothing is judged by it but that it ends at all.
PATIENCE_SECONDS = 60.0
# For tests whose own calls are to do what the calendar asks for.
UNTIMED = {"TOUCHSTONE_TIMED_WORK": "false"}


async def until(holds: Callable[[], Awaitable[bool]], what: str) -> None:
    """Waits until something holds, or fails saying what did not."""
    deadline = clock.monotonic() + PATIENCE_SECONDS
    while not await holds():
        assert clock.monotonic() < deadline, f"still not so after {PATIENCE_SECONDS} s: {what}"
        await asyncio.sleep(0.05)


@dataclass(slots=True)
class ServiceProcess:
    """`python -m <module> serve` on a port of its own, which it keeps over its starts; the caller is BOSS, with every
    scope unless a test names others (`operations` is always among them)."""

    database: Database
    nats: NatsServer
    keys: Keys
    folder: Path
    module: str
    settings: Mapping[str, str] = field(default_factory=dict)
    scopes: Iterable[str] = field(default_factory=all_scopes)
    port: int = field(default_factory=free_port)
    child: Child | None = None
    channel: grpc.aio.Channel | None = None

    def environment(self) -> dict[str, str]:
        """The environment of the process, without what was meant for others."""
        inherited = {n: v for n, v in os.environ.items() if not n.startswith(("TOUCHSTONE_", "FAILPOINT"))}
        own = {
            "TOUCHSTONE_DATABASE_URL": self.database.url,
            "TOUCHSTONE_NATS_URL": self.nats.url,
            "TOUCHSTONE_JWKS": str(self.keys.jwks),
            "TOUCHSTONE_GRPC_PORT": str(self.port),
            "TOUCHSTONE_BIND_HOST": "127.0.0.1",
            "TOUCHSTONE_ACK_WAIT_SECONDS": "1",
        }
        return inherited | own | dict(self.settings)

    async def start(self, failpoint: str = "", **settings: str) -> grpc.aio.Channel:
        """Starts and waits until it answers; the channel to it."""
        environment = self.environment() | settings | ({"FAILPOINT": failpoint} if failpoint else {})
        command = [sys.executable, "-m", self.module, "serve"]
        self.child = Child(Launch(command, self.folder / "log", environment, self.folder))
        # A channel that saw the end of the last one waits longer and longer before it looks again.
        if self.channel is not None:
            await self.channel.close()
        token = self.keys.mint("boss", {*self.scopes, "operations"})
        self.channel = open_channel(f"127.0.0.1:{self.port}", lambda: token)
        await until(self._answers, f"{self.module} answers")
        return self.channel

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
        assert self.channel is not None, f"{self.module} was never started"
        return self.channel

    async def status(self, **options: Any) -> operations.GetStatusResponse:
        """What the service says about itself."""
        stub: Any = operations_service_pb2_grpc.OperationsServiceStub(self.open_channel())
        return await stub.GetStatus(operations.GetStatusRequest(), **options)  # type: ignore[no-any-return]

    async def kill(self) -> int:
        """Kills it now, whatever it is doing; its exit code."""
        assert self.child is not None
        self.child.send(signal.SIGKILL)
        return await self.killed()

    async def killed(self) -> int:
        """Waits for the end of the process; its exit code, minus the signal."""
        child = self.child
        assert child is not None

        async def ended() -> bool:
            return child.exit_code() is not None

        await until(ended, f"{self.module} has ended")
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
