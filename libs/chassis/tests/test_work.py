"""One request is one transaction: twins, refusals, races, cancelled callers."""

import asyncio
from datetime import UTC, datetime
from typing import Any, cast

import grpc
import pytest
from chassis.ids import new_id
from chassis.testing.serving import Serving
from chassis.times import to_proto
from google.rpc import error_details_pb2
from grpc_status import rpc_status
from sqlalchemy import text
from touchstone.billing.v1 import charging_service_pb2 as pb
from touchstone.billing.v1 import charging_service_pb2_grpc
from touchstone.common.v1.common_pb2 import Money
from touchstone.common.v1.operations_service_pb2 import GetStatusRequest

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


def stub(probe: Serving) -> "charging_service_pb2_grpc.ChargingServiceAsyncStub":
    """A stub with the scope to charge."""
    return charging_service_pb2_grpc.ChargingServiceStub(probe.channel("billing.charge"))


async def scalar(probe: Serving, statement: str) -> int:
    """One number out of the database."""
    async with probe.work.reading() as connection:
        return int((await connection.execute(text(statement))).scalar_one())


def reason(error: grpc.aio.AioRpcError) -> str:
    """The reason in the error's details."""
    info = error_details_pb2.ErrorInfo()
    status = rpc_status.from_call(cast(Any, error))
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


async def test_another_body_under_the_same_id_is_refused_and_does_nothing(probe: Serving) -> None:
    await stub(probe).Charge(charge(5, "one"))
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await stub(probe).Charge(charge(6, "one"))
    assert (refused.value.code(), reason(refused.value)) == (grpc.StatusCode.INVALID_ARGUMENT, "REQUEST_ID_REUSED")
    assert await scalar(probe, "SELECT total FROM sums") == 5


async def test_the_same_id_of_another_caller_is_another_request(probe: Serving) -> None:
    for subject in ("boss", "crm"):
        channel = probe.channel("billing.charge", subject=subject)
        await charging_service_pb2_grpc.ChargingServiceStub(channel).Charge(charge(5, "same"))
    assert await scalar(probe, "SELECT total FROM sums") == 10


async def test_a_refusal_leaves_no_row_and_the_id_may_be_used_again(probe: Serving) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await stub(probe).Charge(charge(13, "again"))
    assert (refused.value.code(), reason(refused.value)) == (grpc.StatusCode.FAILED_PRECONDITION, "NOT_COUNTED")
    assert await scalar(probe, "SELECT count(*) FROM handled_requests") == 0
    await stub(probe).Charge(charge(5, "again"))
    assert await scalar(probe, "SELECT total FROM sums") == 5


async def test_fifty_concurrent_charges_lose_none(probe: Serving) -> None:
    await asyncio.gather(*(stub(probe).Charge(charge(1)) for _ in range(50)))
    assert await scalar(probe, "SELECT total FROM sums") == 50


async def test_in_a_batch_each_item_has_its_own_outcome(probe: Serving) -> None:
    malformed = charge(1, account_id="no spaces allowed")
    requests = [
        charge(1),
        charge(13),
        charge(-1),
        malformed,
        charge(2, "twice"),
        charge(2, "twice"),
        charge(3, "twice"),
    ]
    results = (await stub(probe).BatchCharge(pb.BatchChargeRequest(requests=requests))).results
    kinds = [each.WhichOneof("result") for each in results]
    assert kinds == ["response", "error", "error", "error", "response", "response", "error"]
    assert results[4] == results[5]
    assert await scalar(probe, "SELECT total FROM sums") == 3


async def test_what_breaks_in_a_batch_breaks_alone(probe: Serving) -> None:
    requests = [charge(1), charge(666), charge(2)]
    results = (await stub(probe).BatchCharge(pb.BatchChargeRequest(requests=requests))).results
    assert [each.WhichOneof("result") for each in results] == ["response", "error", "response"]
    assert results[1].error.message == "internal error"
    assert await scalar(probe, "SELECT total FROM sums") == 3


async def test_an_oversized_batch_is_refused_whole(probe: Serving) -> None:
    requests = [charge(1) for _ in range(1001)]
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await stub(probe).BatchCharge(pb.BatchChargeRequest(requests=requests))
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert await scalar(probe, "SELECT count(*) FROM handled_requests") == 0


async def test_a_thousand_cancelled_calls_leave_the_pool_whole(probe: Serving) -> None:
    async def cancelled(number: int) -> None:
        call = stub_.Charge(charge(99, how="alone", account_id=f"a-{number % 7}"))
        await asyncio.sleep(0.001 * (number % 20))
        call.cancel()

    stub_ = stub(probe)
    for start in range(0, 1000, 100):
        await asyncio.gather(*(cancelled(start + number) for number in range(100)))
    await probe.work.finish()
    assert cast(Any, probe.running.engine.pool).checkedout() == 1  # the relay's own
    await stub_.Charge(charge(5, account_id="after"))
    claimed = await scalar(probe, "SELECT count(*) FROM handled_requests WHERE caller = 'boss'")
    assert await scalar(probe, "SELECT count(*) FROM outbox") == claimed


async def test_three_hundred_cancelled_reads_leave_the_pool_whole(probe: Serving) -> None:
    async def cancelled(number: int) -> None:
        call = operations.GetStatus(GetStatusRequest())
        await asyncio.sleep(0.001 * (number % 20))
        call.cancel()

    operations = probe.operations
    for start in range(0, 300, 100):
        await asyncio.gather(*(cancelled(start + number) for number in range(100)))
    pool = cast(Any, probe.running.engine.pool)
    async with asyncio.timeout(60):
        while pool.checkedout() > 1:  # the relay's own
            await asyncio.sleep(0.05)
    assert (await operations.GetStatus(GetStatusRequest())).database_up
