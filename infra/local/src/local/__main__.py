"""The command line: `python -m local up | down | status | token`."""

import asyncio
import os
import signal
import sys
from pathlib import Path
from typing import Annotated

import cyclopts
from chassis import clock
from chassis.tokens import all_scopes
from rich.console import Console
from rich.table import Table

from local.folder import DataFolder, FolderInUse
from local.identities import minter
from local.platform import Platform
from local.processes import GATEWAY, PROCESSES, SERVICES, Addresses
from local.readiness import is_ready
from local.supervisor import PlatformDidNotStart

app = cyclopts.App(name="local", help="The whole Touchstone platform on this machine.", version_flags=())
Data = Annotated[
    Path, cyclopts.Parameter(name="--data", help="The folder that keeps databases, streams, keys and logs.")
]
DEFAULT = Path(".local")
_STOPPED_SECONDS = 90.0


def _help(text: str) -> cyclopts.Parameter:
    return cyclopts.Parameter(help=text, negative=())


@app.command
def up(*, data: Data = DEFAULT) -> int:
    """Run everything in the foreground until Ctrl-C; a later `up` finds its data again."""
    console = Console(highlight=False)
    try:
        return asyncio.run(_up(data, console))
    except FolderInUse as error:
        return _refuse(str(error))
    except (PlatformDidNotStart, RuntimeError, OSError) as error:
        return _refuse(f"{error}\nnothing is left running")


@app.command
def down(*, data: Data = DEFAULT, wipe: Annotated[bool, _help("Delete its data as well.")] = False) -> int:
    """Stop the platform that runs on the data folder."""
    folder = DataFolder(data.absolute())
    stopped = _stop(folder)
    if wipe and stopped == 0:
        with folder.held():
            folder.wipe()
        print(f"the data in {folder.root} are deleted")
    return stopped


def _stop(folder: DataFolder) -> int:
    if not folder.is_held():
        print(f"no platform runs on {folder.root}")
        return 0
    pid = folder.running_pid()
    if pid is None:
        return _refuse(f"{folder.root} is in use by a process that cannot be told for sure; nothing was stopped")
    os.kill(pid, signal.SIGTERM)
    return asyncio.run(_gone(folder, pid))


@app.command
def status(*, data: Data = DEFAULT) -> int:
    """Say where everything is and whether it serves; exit status 1 where something does not."""
    folder = DataFolder(data.absolute())
    if folder.running_pid() is None:
        return _refuse(f"no platform runs on {folder.root}")
    addresses = Addresses(folder.known_ports(), nats_url="", nats_monitor_url="")
    states = asyncio.run(_states(addresses))
    Console(highlight=False).print(_table(addresses, states))
    return 0 if all(states.values()) else 1


@app.command
def token(
    *,
    data: Data = DEFAULT,
    scope: Annotated[list[str] | None, _help("What it may do, repeated as needed; else everything.")] = None,
    customer: Annotated[str | None, _help("A member's token: reaches this customer's data alone.")] = None,
    subject: Annotated[str, _help("Whom it names.")] = "operator",
    hours: Annotated[float, _help("How long it is valid.")] = 24.0,
) -> int:
    """Print a bearer token for this platform."""
    mint = minter(DataFolder(data.absolute())).mint
    unknown = sorted(set(scope or ()) - all_scopes())
    if unknown:
        return _refuse(f"no method asks for {', '.join(unknown)}; known are {', '.join(sorted(all_scopes()))}")
    print(mint(subject, scope or all_scopes(), customer_id=customer, lifetime_seconds=hours * 3600))
    return 0


async def _up(data: Path, console: Console) -> int:
    """Runs until a signal, which also stops a platform that is still starting."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(each, stop.set)
    running = asyncio.create_task(_run(data, console))
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait({running, stopping}, return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    if not running.done():
        console.print("\nstopping …")
        running.cancel()
    try:
        await running
    except asyncio.CancelledError:
        console.print("stopped; the data stay where they are")
    return 0


async def _run(data: Path, console: Console) -> None:
    started_at = clock.monotonic()
    console.print(f"starting the platform on [bold]{data}[/bold] …")
    async with Platform(data, say=lambda message: console.print(message, markup=False)) as platform:
        console.print(_table(platform.addresses, dict.fromkeys(PROCESSES, True)))
        console.print(f"ready after {clock.monotonic() - started_at:.1f} s; logs in [bold]{data / 'logs'}[/bold]")
        console.print(f"addresses and a token for your shell: [bold]. {data / 'env'}[/bold]")
        console.print("Ctrl-C stops everything.")
        await asyncio.Event().wait()


async def _gone(folder: DataFolder, pid: int) -> int:
    deadline = clock.monotonic() + _STOPPED_SECONDS
    while folder.is_held():
        if clock.monotonic() > deadline:
            return _refuse(f"process {pid} was asked to stop and still runs after {_STOPPED_SECONDS:.0f} s")
        await asyncio.sleep(0.05)
    print("stopped")
    return 0


async def _states(addresses: Addresses) -> dict[str, bool]:
    answers = await asyncio.gather(*(is_ready(name, addresses) for name in PROCESSES))
    return dict(zip(PROCESSES, answers, strict=True))


def _table(addresses: Addresses, states: dict[str, bool]) -> Table:
    table = Table(box=None, pad_edge=False)
    for heading in ("process", "serves", "address", "metrics"):
        table.add_column(heading, no_wrap=True)
    where = {GATEWAY: addresses.gateway_url} | {name: f"{addresses.grpc(name)} (gRPC)" for name in SERVICES}
    for name in (GATEWAY, *SERVICES):
        table.add_row(name, "yes" if states[name] else "[red]no[/red]", where[name], addresses.metrics_url(name))
    table.add_row("postgres", "", f"127.0.0.1:{addresses.ports['postgres']}", "")
    monitor = f"http://127.0.0.1:{addresses.ports['nats.monitor']} (monitor)"
    table.add_row("nats", "", f"127.0.0.1:{addresses.ports['nats']}", monitor)
    return table


def _refuse(what: str) -> int:
    sys.stderr.write(f"local: {what}\n")
    return 1


if __name__ == "__main__":
    sys.exit(app())
