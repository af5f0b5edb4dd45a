"""What every service's tests of its calls need: refusals as a caller sees them, and that bad input leaves nothing."""

from collections.abc import Sequence
from typing import Any, Protocol

import grpc
import pytest
from google.protobuf.message import Message
from sqlalchemy import func, select, table, text

from chassis.errors import Code
from chassis.rpc.errors import RemoteRefusal, remote_refusal
from chassis.testing.serving import Serving

_TABLES = "SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY tablename"


class Caller(Protocol):
    """The stubs of a service for one caller."""

    def method(self, name: str) -> Any:
        """The method with this name, in whichever service."""


async def refused(caller: Caller, name: str, request: Message) -> RemoteRefusal:
    """What the call is refused with."""
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await caller.method(name)(request)
    return remote_refusal(error.value)


def fields(refusal: RemoteRefusal) -> list[str]:
    """The fields it names."""
    return [violation.field for violation in refusal.violations]


async def refuses_bad_input(
    served: Serving,
    caller: Caller,
    bad: Sequence[tuple[str, Message, list[str]]],
    unknown: Sequence[tuple[str, Message, str]] = (),
) -> None:
    """Each bad request is refused with the names of its fields, each unknown thing with its reason, and nothing is
    stored: rows are counted before and after all of them."""
    await served.settle()  # what was done before the test's own requests may still be heard by the service itself
    before = await _stored(served)
    for name, request, expected in bad:
        refusal = await refused(caller, name, request)
        assert (refusal.code, fields(refusal)) == (Code.INVALID_ARGUMENT, expected), (name, request)
    for name, request, reason in unknown:
        assert (await refused(caller, name, request)).reason == reason, (name, request)
    assert await _stored(served) == before


def methods_of(*modules: Any) -> set[str]:
    """The methods of the services in these generated modules: a test that lists requests lists them all."""
    services = [service for module in modules for service in module.DESCRIPTOR.services_by_name.values()]
    return {method.name for service in services for method in service.methods}


async def _stored(served: Serving) -> dict[str, int]:
    """Rows of every table."""
    async with served.work.reading() as connection:
        tables = (await connection.execute(text(_TABLES))).scalars().all()
        assert tables, "a service has tables"
        counts = {name: select(func.count()).select_from(table(name)) for name in tables}
        return {name: (await connection.execute(count)).scalar_one() for name, count in counts.items()}
