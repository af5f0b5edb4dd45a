"""The platform as one object: servers, databases, keys, six processes and the sandbox payment provider, in order up and
in reverse order down."""

import asyncio
import shlex
import sys
from collections.abc import Iterable, Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from chassis.embedded import Child, NatsServer, PostgresServer
from chassis.embedded.databases import Database, ensure_database
from chassis.tokens import all_scopes

from local.folder import DataFolder, write_private
from local.identities import minter, write_payment_channels, write_service_tokens
from local.processes import GATEWAY, PROCESSES, PROVIDER, SERVICES, Addresses, Site, port_names
from local.readiness import is_ready
from local.supervisor import PlatformDidNotStart, Say, Supervisor, all_ended, how_ended, last_words
from local.watch import keep_servers

_READY_SECONDS = 120.0
_MIGRATED_SECONDS = 180.0
_TOKEN_SECONDS = 7 * 86_400.0


def to_stderr(message: str) -> None:
    """Where a platform speaks when nobody listens."""
    sys.stderr.write(message + "\n")


class Platform:
    """`async with Platform(folder) as platform:` runs everything; leaving it stops everything.

    `wipe` starts from nothing. `extra_env` adds environment variables by process name.
    """

    nats: NatsServer

    def __init__(
        self,
        folder: Path,
        *,
        wipe: bool = False,
        extra_env: Mapping[str, Mapping[str, str]] | None = None,
        say: Say = to_stderr,
    ) -> None:
        self.folder = DataFolder(folder.absolute())
        self.postgres = PostgresServer(self.folder.postgres)
        self._wipe = wipe
        self._extra_env = extra_env or {}
        self._say = say
        self._supervisor = Supervisor(say)
        self._stack = AsyncExitStack()
        self._site: Site | None = None

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            stack.enter_context(self.folder.held())
            if self._wipe:
                self.folder.wipe()
            self.folder.prepare()
            await self._start_servers(stack)
            await self._migrate()
            await self._serve(stack)
            self._write_env()
            self._stack = stack.pop_all()
        return self

    async def __aexit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        await self._stack.aclose()

    @property
    def addresses(self) -> Addresses:
        """Where everything is reached."""
        return self._site_now.addresses

    @property
    def databases(self) -> Mapping[str, Database]:
        """Each service's database, for looking into it from outside."""
        return self._site_now.databases

    def token(
        self,
        scopes: Iterable[str] | None = None,
        customer_id: str | None = None,
        *,
        subject: str = "boss",
        lifetime_seconds: float = _TOKEN_SECONDS,
    ) -> str:
        """A bearer token; without scopes one that may call everything."""
        granted = all_scopes() if scopes is None else scopes
        mint = minter(self.folder).mint
        return mint(subject, granted, customer_id=customer_id, lifetime_seconds=lifetime_seconds)

    def kill(self, name: str) -> None:
        """Kills a process as a crash would (SIGKILL); it stays down until `restart`."""
        self._supervisor.kill(name)

    async def stop(self, name: str) -> None:
        """Ends a process in order (SIGTERM); it stays down until `restart`."""
        await self._supervisor.stop([name])

    async def restart(self, name: str, *, extra_env: Mapping[str, str] | None = None) -> None:
        """Starts a process, which is stopped first where it runs, and waits until it is ready.

        `extra_env` is for this start alone: a process that crashes by it is started again without it.
        """
        await self._supervisor.stop([name])
        self._start_process(name, extra_env)
        await self.wait_ready(name)

    def running(self, name: str) -> bool:
        """Whether the process runs at this moment."""
        return self._supervisor.running(name)

    async def ready(self, name: str) -> bool:
        """Whether the process says that it serves."""
        return await is_ready(name, self.addresses)

    @property
    def _site_now(self) -> Site:
        if self._site is None:
            raise PlatformDidNotStart("the platform is not running")
        return self._site

    async def _start_servers(self, stack: AsyncExitStack) -> None:
        names = ["postgres", "nats", "nats.monitor"]
        ports = self.folder.ports([*names, *port_names()])
        self.nats = NatsServer(self.folder.nats, user="touchstone", password=self.folder.password("nats"))
        stack.callback(self.postgres.stop)
        self.postgres.start(port=ports["postgres"])
        stack.callback(self.nats.stop)
        self.nats.start(port=ports["nats"], monitor_port=ports["nats.monitor"])
        logins = {name: self.folder.logins(name) for name in SERVICES}
        databases = {name: await ensure_database(self.postgres, name, logins[name]) for name in SERVICES}
        write_service_tokens(self.folder)
        addresses = Addresses(ports, self.nats.url, self.nats.monitor_url)
        write_payment_channels(self.folder, addresses.provider_url)
        self._site = Site(self.folder, addresses, databases, self._extra_env)
        stack.callback(setattr, self, "_site", None)

    async def _migrate(self) -> None:
        """All databases at once; the first failure is told with what it printed."""
        children = {name: Child(self._site_now.launch(name, "migrate")) for name in SERVICES}
        try:
            await all_ended(children.values(), patience_seconds=_MIGRATED_SECONDS)
        finally:
            for child in children.values():
                child.kill()
        for name, child in children.items():
            if code := child.exit_code():
                raise PlatformDidNotStart(last_words(f"migrate of {name}", child, f"failed ({how_ended(code)})"))

    async def _serve(self, stack: AsyncExitStack) -> None:
        stack.push_async_callback(self._supervisor.stop, reversed(SERVICES))
        stack.push_async_callback(self._supervisor.stop, [GATEWAY, PROVIDER])
        everything = (*PROCESSES, PROVIDER)
        for name in everything:
            self._start_process(name)
        await asyncio.gather(*(self.wait_ready(name) for name in everything))
        watching = [
            asyncio.create_task(self._supervisor.watch()),
            asyncio.create_task(keep_servers({"postgres": self.postgres, "nats": self.nats}, self._say)),
        ]
        stack.push_async_callback(_cancel, watching)

    def _start_process(self, name: str, extra_env: Mapping[str, str] | None = None) -> None:
        site = self._site_now
        once = site.launch(name, "serve", extra_env) if extra_env else None
        self._supervisor.start(name, lambda: site.launch(name, "serve"), once=once)

    async def wait_ready(self, name: str) -> None:
        """Waits until the process says that it serves; PlatformDidNotStart when it ends or takes too long."""
        await self._supervisor.wait_until(name, lambda: self.ready(name), timeout_seconds=_READY_SECONDS)

    def _write_env(self) -> None:
        addresses = self.addresses
        variables = {
            "GATEWAY_URL": addresses.gateway_url,
            "PAYMENT_PROVIDER_URL": addresses.provider_url,
            "TOKEN": self.token(),
            **{f"{name.upper()}_GRPC": addresses.grpc(name) for name in SERVICES},
            **{f"{name.upper()}_METRICS_URL": addresses.metrics_url(name) for name in PROCESSES},
            "SERVICES": ",".join(f"{name}={addresses.grpc(name)}" for name in SERVICES),
            "NATS_URL": addresses.nats_url,
            "NATS_MONITOR_URL": addresses.nats_monitor_url,
        }
        lines = [f"export {name}={shlex.quote(value)}\n" for name, value in variables.items()]
        write_private(self.folder.env_file, "# Read it with: . .local/env\n" + "".join(lines))


async def _cancel(tasks: Iterable["asyncio.Task[None]"]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
