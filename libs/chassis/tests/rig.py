"""The probe as a process of its own, what it is asked for, and what its database holds."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import asyncpg
from chassis.embedded.databases import Database
from chassis.ids import new_id
from chassis.testing.processes import ServiceProcess
from chassis.times import to_proto
from touchstone.billing.v1 import charging_service_pb2 as pb
from touchstone.billing.v1 import charging_service_pb2_grpc
from touchstone.common.v1.common_pb2 import Money

WHEN = datetime(2026, 1, 1, tzinfo=UTC)


def charge(amount: int, request_id: str = "", *, account_id: str = "a-1", how: str = "") -> pb.ChargeRequest:
    """A request to add."""
    return pb.ChargeRequest(
        request_id=request_id or new_id(),
        account_id=account_id,
        amount=Money(minor_units=amount, currency="CNY"),
        description=how,
        occurred_at=to_proto(WHEN),
    )


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


class ProbeProcess(ServiceProcess):
    """`python -m probe serve`, with what tests ask of it."""

    async def charge(self, request: pb.ChargeRequest) -> pb.ChargeResponse:
        """One call."""
        stub: Any = charging_service_pb2_grpc.ChargingServiceStub(self.open_channel())
        return await stub.Charge(request, timeout=20.0)  # type: ignore[no-any-return]

    async def charge_all(self, requests: Sequence[pb.ChargeRequest]) -> list[pb.ChargeResponse]:
        """Calls at once, each of which must succeed."""
        return list(await asyncio.gather(*(self.charge(each) for each in requests)))
