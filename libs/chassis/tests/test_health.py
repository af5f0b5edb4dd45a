"""Health and deadlines: alive without its database but not ready, ready again with it; time passed on, less a tenth."""

import asyncio
from typing import Any

import grpc
import pytest
from chassis import clock, migrations
from chassis.embedded import NatsServer, PostgresServer, remove_data
from chassis.embedded.databases import Logins, ensure_database
from chassis.rpc.client import time_left
from chassis.rpc.errors import RemoteRefusal, from_status
from chassis.settings import ServiceSettings
from chassis.testing import Keys
from chassis.testing.processes import until
from chassis.testing.serving import Serving, serving
from grpc_health.v1 import health_pb2, health_pb2_grpc
from probe import service
from probe.service import PROCESS
from touchstone.billing.v1 import charging_service_pb2 as pb
from touchstone.billing.v1 import charging_service_pb2_grpc
from touchstone.common.v1 import operations_service_pb2 as operations

from libs.chassis.tests.rig import charge

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


async def state(probe: Serving, name: str) -> int:
    """What health says of a name."""
    stub: Any = health_pb2_grpc.HealthStub(probe.channel())
    return int((await stub.Check(health_pb2.HealthCheckRequest(service=name))).status)


def charging(probe: Serving) -> Any:
    """A stub of the probe's own calls."""
    return charging_service_pb2_grpc.ChargingServiceStub(probe.channel("billing.charge"))


BATCH = pb.BatchChargeRequest(requests=[charge(1), charge(2), charge(3)])


async def nothing_is_answered(probe: Serving) -> None:
    """Every way to ask is told that asking again helps: alone, in shared transactions, in batches, for reading."""
    for call in (
        charging(probe).Charge(BATCH.requests[0]),
        charging(probe).Charge(charge(1, how="alone")),
        probe.operations.ListOutbox(operations.ListOutboxRequest()),
    ):
        with pytest.raises(grpc.aio.AioRpcError) as failed:
            await call
        assert failed.value.code() is grpc.StatusCode.UNAVAILABLE, failed.value
    results = (await charging(probe).BatchCharge(BATCH)).results
    assert [from_status(each.error).reason for each in results] == ["DATABASE_DOWN"] * 3


async def test_without_its_database_a_service_lives_and_is_not_ready(
    nats: NatsServer, keys: Keys, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("health")
    for each in (folder, *folder.parents[:2]):
        each.chmod(0o711)  # root's server runs as another user, who must reach its data
    server = PostgresServer(folder / "postgres")  # not the fast one, which forgets what it acknowledged when killed
    server.start()
    store = await ensure_database(server, "probe", Logins.random("probe"))
    settings: dict[str, Any] = {"migration_database_url": store.owner_url, "nats_url": nats.url, "jwks": str(keys.jwks)}
    await migrations.upgrade(PROCESS.package, ServiceSettings(database_url=store.url, **settings))
    async with serving(PROCESS, store, nats, keys) as probe:
        assert [await state(probe, name) for name in ("", "probe")] == [SERVING, SERVING]
        server.kill()
        await until(lambda: _is(probe, NOT_SERVING), "not ready without the database")
        assert await state(probe, "") == SERVING
        await nothing_is_answered(probe)
        server.start()
        await until(lambda: _is(probe, SERVING), "ready again")
        results = (await charging(probe).BatchCharge(BATCH)).results
        assert [each.WhichOneof("result") for each in results] == ["response"] * 3
    server.stop()
    remove_data(folder / "postgres")


async def _is(probe: Serving, wanted: int) -> bool:
    return await state(probe, "probe") == wanted


async def test_without_the_broker_a_service_is_ready(probe: Serving, nats: NatsServer) -> None:
    nats.kill()
    assert [await state(probe, name) for name in ("", "probe")] == [SERVING, SERVING]
    nats.start()


async def test_health_of_a_name_that_is_not_served_is_not_found(probe: Serving) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as unknown:
        await state(probe, "elsewhere")
    assert unknown.value.code() is grpc.StatusCode.NOT_FOUND


async def test_a_call_made_while_serving_gets_nine_tenths_of_what_is_left(
    probe: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    left: list[float] = []

    def read(request: Any) -> Any:
        left.append(time_left())
        return original(request)

    original = service.read
    monkeypatch.setattr(service, "read", read)
    stub = charging_service_pb2_grpc.ChargingServiceStub(probe.channel("billing.charge"))
    await stub.Charge(charge(1), timeout=1.0)
    await stub.Charge(charge(1), timeout=60.0)
    assert 0 < left[0] <= 0.9
    assert left[1] == 5.0


async def test_without_time_left_no_call_is_made(probe: Serving, monkeypatch: pytest.MonkeyPatch) -> None:
    reasons: list[str] = []

    def read(request: Any) -> Any:
        deadline = clock.monotonic() + 0.3
        while clock.monotonic() < deadline:
            pass
        try:
            time_left()
        except RemoteRefusal as refusal:
            reasons.append(refusal.reason)
        return original(request)

    original = service.read
    monkeypatch.setattr(service, "read", read)
    stub = charging_service_pb2_grpc.ChargingServiceStub(probe.channel("billing.charge"))
    with pytest.raises(grpc.aio.AioRpcError) as late:
        await stub.Charge(charge(1), timeout=0.2)
    assert late.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    await until(lambda: _some(reasons), "the server has come to the end of the call")
    assert reasons == ["DEADLINE_EXCEEDED"]


async def _some(reasons: list[str]) -> bool:
    await asyncio.sleep(0)
    return bool(reasons)
