"""One request is one transaction: twins, refusals, races, cancelled callers."""

import asyncio
from datetime import UTC, datetime

import grpc
import pytest
from google.rpc import error_details_pb2
from grpc_status import rpc_status
from sqlalchemy import text
from touchstone.billing.v1 import billing_service_pb2 as pb
from touchstone.billing.v1 import billing_service_pb2_grpc
from touchstone.common.v1.common_pb2 import Money

from chassis.ids import new_id
from chassis.testing.serving import Serving
from chassis.times import to_proto

WHEN = to_proto(datetime(2026, 1, 1, tzinfo=UTC))


def charge(amount: int, request_id: str = "", account_id: str = "a-1", how: str = "") -> pb.ChargeRequest:
    """A request."""
    return pb.ChargeRequest(
        request_id=request_id or new_id(),
        account_id=account_id,
        amount=Money(minor_units=amount, currency="CNY"),
        description=how,
        occurred_at=WHEN,
    )


def stub(probe: Serving) -> "billing_service_pb2_grpc.ChargingServiceAsyncStub":
    """A stub with the scope to charge."""
    return billing_service_pb2_grpc.ChargingServiceStub(probe.channel("billing.charge"))


async def scalar(probe: Serving, statement: str) -> int:
    """One number out of the database."""
    async with probe.work.reading() as connection:
        return int((await connection.execute(text(statement))).scalar_one())


def reason(error: grpc.aio.AioRpcError) -> str:
    """The reason in the error's details."""
    info = error_details_pb2.ErrorInfo()
    status = rpc_status.from_call(error)
    status.details[0].Unpack(info)
    return str(info.reason)


@pytest.mark.parametrize("how", ["alone", "gathered"])
async def test_fifty_twins_make_one_effect_one_event_and_fifty_equal_answers(probe: Serving, how: str) -> None:
    request = charge(5, "twin", how=how)
    answers = await asyncio.gather(*(stub(probe).Charge(request) for _ in range(50)))
    assert {answer.SerializeToString() for answer in answers} == {answers[0].SerializeToString()}
    await probe.settle()
    assert await scalar(probe, "SELECT total FROM sums") == 5
    assert await scalar(probe, "SELECT count(*) FROM outbox") == 1
    assert await scalar(probe, "SELECT count(*) FROM effects") == 1
