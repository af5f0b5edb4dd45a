"""`touchstone`: what operators do with a running platform, through each service's OperationsService.

It never reads a database. Addresses and token come from options or from the environment; `make up` writes both to
`.local/env`.
"""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

import cyclopts
import grpc
from cyclopts import Parameter
from google.protobuf import json_format, symbol_database
from rich.console import Console
from rich.progress import Progress
from rich.table import Table
from touchstone.common.v1 import operations_service_pb2 as pb
from touchstone.common.v1 import operations_service_pb2_grpc

from chassis.contracts import contract_modules
from chassis.reconciliation import compare, republish
from chassis.rpc.client import open_channel
from chassis.rpc.errors import remote_refusal

NAMES = ("member", "billing", "campaign", "touchpoint", "scoring")
_CALL_SECONDS = 60.0

Targets = Annotated[
    str, Parameter(env_var="SERVICES", help="Addresses, e.g. member=127.0.0.1:50051,billing=127.0.0.1:50052")
]
Token = Annotated[str, Parameter(env_var="TOKEN", help="Access token with the scope `operations`.")]

app = cyclopts.App(name="touchstone", help="Operate a running Touchstone.")
letters = cyclopts.App(name="dead-letters", help="Events that could not be handled.")
events = cyclopts.App(name="events", help="Events that services told.")
app.command(letters)
app.command(events)
console = Console()
Stubs = dict[str, Any]


@asynccontextmanager
async def _services(targets: str, token: str, only: str = "") -> AsyncIterator[Stubs]:
    """Stubs by service name; exit status 2 when the addresses cannot be read."""
    pairs = [each.partition("=") for each in targets.split(",") if each]
    if not pairs or any(not address for _, _, address in pairs):
        raise SystemExit("touchstone: --targets must be name=host:port, separated by commas")
    if only and only not in {name for name, _, _ in pairs}:
        raise SystemExit(f"touchstone: no address is given for {only!r}")
    channels = {name: open_channel(address, lambda: token) for name, _, address in pairs if not only or name == only}
    try:
        yield {name: operations_service_pb2_grpc.OperationsServiceStub(each) for name, each in channels.items()}
    except grpc.aio.AioRpcError as error:
        raise SystemExit(f"touchstone: {remote_refusal(error)}") from None
    finally:
        await asyncio.gather(*(channel.close() for channel in channels.values()))


@app.command
async def status(*, targets: Targets, token: Token) -> None:
    """Show every service's queues and parts; exit status 1 when something is down or put aside."""
    table = Table("service", "database", "broker", "unpublished", "waiting", "handled", "dead letters")
    healthy = True
    async with _services(targets, token) as stubs:
        for name, stub in stubs.items():
            try:
                got = await stub.GetStatus(pb.GetStatusRequest(totals=True), timeout=_CALL_SECONDS)
            except grpc.aio.AioRpcError as error:
                table.add_row(name, f"[red]{error.code().name}", *[""] * 5)
                healthy = False
                continue
            counts = (got.outbox_unpublished, got.consumer_pending, got.events_handled, got.dead_letters)
            table.add_row(name, _up(got.database_up), _up(got.broker_up), *map(str, counts))
            healthy &= got.database_up and got.broker_up and not got.dead_letters
    console.print(table)
    sys.exit(0 if healthy else 1)


def _up(whether: bool) -> str:
    return "[green]up" if whether else "[red]down"


@letters.command(name="list")
async def list_letters(*, targets: Targets, token: Token, service: str = "", replayed: bool = False) -> None:
    """List what was put aside, of one service or of all."""
    table = Table("service", "event", "type", "source", "tries", "error")
    async with _services(targets, token, service) as stubs:
        for name, stub in stubs.items():
            request = pb.ListDeadLettersRequest(page_size=500, include_replayed=replayed)
            while True:
                page = await stub.ListDeadLetters(request, timeout=_CALL_SECONDS)
                for each in page.dead_letters:
                    table.add_row(name, each.event_id, each.event_type, each.source, str(each.attempts), each.error)
                if not page.next_page_token:
                    break
                request.page_token = page.next_page_token
    console.print(table)


@letters.command(name="replay")
async def replay_letters(*event_ids: str, targets: Targets, token: Token, service: str) -> None:
    """Handle dead letters of a service again: those named, or all that wait."""
    async with _services(targets, token, service) as stubs:
        request = pb.ReplayDeadLettersRequest(event_ids=event_ids)
        got = await stubs[service].ReplayDeadLetters(request, timeout=_CALL_SECONDS)
    console.print(f"{got.replayed} replayed, {len(got.failed)} failed again")
    for each in got.failed:
        console.print(f"  {each.event_id} {each.event_type}: {each.error}")
    sys.exit(1 if got.failed else 0)


@app.command
async def reconcile(*, targets: Targets, token: Token, dry_run: bool = False) -> None:
    """Compare every outbox with every inbox, and publish again what somebody should have handled and has not."""
    async with _services(targets, token) as stubs:
        with Progress(console=console, transient=True) as progress:
            for producer in progress.track(stubs, description="comparing"):
                found = await compare(producer, stubs)
                if not dry_run:
                    await republish(stubs[producer], found.missing)
                verb = "would be published again" if dry_run else "published again"
                console.print(f"{producer}: {found.published} events looked at, {len(found.missing)} {verb}")


@app.command
async def prove(*, targets: Targets, token: Token) -> None:
    """Let every service prove its own data; exit status 1 when a claim does not hold."""
    table = Table("service", "claim", "looked at", "holds")
    holds = True
    async with _services(targets, token) as stubs:
        for name, stub in stubs.items():
            proof = await stub.Prove(pb.ProveRequest(), timeout=_CALL_SECONDS)
            holds &= proof.holds
            for check in proof.checks:
                verdict = "[green]yes" if check.holds else f"[red]no: {', '.join(check.offenders)}"
                table.add_row(name, check.claim, str(check.examined), verdict)
    console.print(table)
    sys.exit(0 if holds else 1)


@events.command(name="show")
async def show_events(
    event_id: str = "", *, targets: Targets, token: Token, service: str, event_type: str = ""
) -> None:
    """Print events of a service's outbox for people: one by its id, or the first twenty of a type."""
    async with _services(targets, token, service) as stubs:
        request = pb.ListOutboxRequest(page_size=20, event_id=event_id, event_type=event_type)
        page = await stubs[service].ListOutbox(request, timeout=_CALL_SECONDS)
    for row in page.rows:
        console.rule(f"{row.event_type}  {row.event_id}")
        console.print_json(json_format.MessageToJson(_event(row), preserving_proto_field_name=True))
    if not page.rows:
        raise SystemExit("touchstone: no such event")


def _event(row: pb.OutboxRow) -> Any:
    """The event inside a row, by the message type that the contracts name."""
    contract_modules()
    return symbol_database.Default().GetSymbol(row.event_type).FromString(row.payload)


def main() -> None:
    """The console script."""
    app()
