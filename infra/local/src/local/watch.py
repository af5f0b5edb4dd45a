"""Keeps PostgreSQL and NATS running: one that ends by itself is started again on its port."""

import asyncio
from collections.abc import Mapping

from chassis.embedded import NatsServer, PostgresServer, ServerDidNotStart

from local.supervisor import Say, delay_seconds

_POLL_SECONDS = 0.2


async def keep_servers(servers: Mapping[str, PostgresServer | NatsServer], say: Say) -> None:
    """Runs until cancelled; a server that was stopped on purpose is left alone."""
    failures = dict.fromkeys(servers, 0)
    while True:
        for name, server in servers.items():
            if not server.has_crashed():
                continue
            failures[name] += 1
            delay = delay_seconds(failures[name])
            say(f"{name} ended by itself (see {server.log_path}); it starts again in {delay:g} s")
            await asyncio.sleep(delay)
            if not server.has_crashed():
                continue  # stopped on purpose in the meantime
            try:
                server.start()
                say(f"{name} started again")
            except ServerDidNotStart as error:
                say(str(error))
        await asyncio.sleep(_POLL_SECONDS)
