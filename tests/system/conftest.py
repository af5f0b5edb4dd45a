"""The whole platform for the journeys: six processes, PostgreSQL, NATS, set up as the demo sets it up."""

import asyncio
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from os import environ
from pathlib import Path

import pytest_asyncio
from demo.desk import open_desk
from demo.partner import Partner, listening
from demo.platform import Touchstone, reached
from demo.scenario import set_up
from local import SERVICES, Platform

# An event that a killed process left behind comes again after a second instead of thirty.
HASTY = {"TOUCHSTONE_ACK_WAIT_SECONDS": "1"}
# The journeys' members pay and look at offers at fixed dates, with tokens of their own.
LONG_AGO = {"TOUCHSTONE_MEMBER_TIME_BACK_SECONDS": str(100 * 365 * 86_400)}
# A dict for each: some get more.
ENVIRONMENT = {service: {**HASTY, **LONG_AGO} for service in SERVICES}
# Business time is the journeys' own.
ENVIRONMENT["member"] |= {"TOUCHSTONE_TIMED_WORK": "false"}
ENVIRONMENT["touchpoint"] |= {
    "TOUCHSTONE_DELIVERY_SCHEDULE_SECONDS": "0,0.5,1,2,4",
    "TOUCHSTONE_ALLOW_PRIVATE_WEBHOOKS": "true",
}
ENVIRONMENT["gateway"] = {"TOUCHSTONE_REQUESTS_PER_MINUTE": "100000"}


@dataclass(slots=True)
class World:
    """The running platform, its partner, and what the platform said about its processes."""

    touchstone: Touchstone
    partner: Partner
    said: list[str] = field(default_factory=list)

    @property
    def platform(self) -> Platform:
        """The processes."""
        return self.touchstone.platform

    async def command(self, *words: str) -> tuple[int, str]:
        """`touchstone` as an operator runs it: exit code and what it printed."""
        addresses = ",".join(f"{name}={self.platform.addresses.grpc(name)}" for name in SERVICES)
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", "from chassis.cli import main; main()", *words),
            env={**environ, "SERVICES": addresses, "TOKEN": self.platform.token(["operations"]), "COLUMNS": "160"},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        printed, _ = await process.communicate()
        return process.returncode or 0, printed.decode()

    async def agrees(self) -> None:
        """Proofs hold, nothing waits or was put aside, and no event is missing anywhere."""
        for words in (["prove"], ["status"], ["reconcile", "--dry-run"]):
            code, printed = await self.command(*words)
            assert code == 0, printed + (await self.command("dead-letters", "list"))[1]
        assert lost_in(printed) == dict.fromkeys(SERVICES, 0), printed


def lost_in(printed: str) -> dict[str, int]:
    """How many events of each producer `touchstone reconcile` found missing."""
    lines: Sequence[str] = [line for line in printed.splitlines() if " events looked at, " in line]
    return {line.split(":")[0]: int(line.split(" looked at, ")[1].split()[0]) for line in lines}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world() -> AsyncIterator[World]:
    """A platform for the journeys of one module, with the demo's plan, policy, campaigns, partner and desk."""
    folder = Path(tempfile.mkdtemp(prefix="touchstone-system-"))
    folder.chmod(0o711)  # root's PostgreSQL runs as another user, who must reach its data
    said: list[str] = []
    try:
        async with (
            Platform(folder / "platform", extra_env=ENVIRONMENT, say=said.append) as platform,
            listening() as partner,
            reached(platform) as touchstone,
        ):
            await set_up(touchstone, partner)
            await open_desk(touchstone)
            yield World(touchstone, partner, said)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
