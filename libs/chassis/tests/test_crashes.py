"""Killed at each named point of the protocol: every request and every event still has its effect exactly once.

The probe runs as a process of its own and is ended by SIGKILL at the point; what its database holds at that moment
shows that it died where it should. Then it is started again, and the client repeats what it had no answer to.
"""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import nats as nats_client
import pytest
from chassis.embedded import NatsServer
from chassis.testing import Databases, Keys

from libs.chassis.tests.rig import ProbeProcess, charge, number, rows

CLAIMED = "SELECT count(*) FROM handled_requests WHERE caller = 'boss'"
PUBLISHED = "SELECT count(*) FROM outbox WHERE published_at IS NOT NULL"
TOLD = "SELECT count(*) FROM outbox"
EFFECTS = "SELECT count(*) FROM effects"

# What the database holds when the second charge, or its event, met the point; the first one was through.
AT_DEATH = {
    "work.before_commit": {CLAIMED: 1, TOLD: 1, EFFECTS: 1},
    "work.after_commit": {CLAIMED: 2, TOLD: 2},
    "relay.before_mark": {CLAIMED: 2, TOLD: 2, PUBLISHED: 1},
    "consumer.after_fetch": {CLAIMED: 2, TOLD: 2, EFFECTS: 1},
    "consumer.before_commit": {CLAIMED: 2, TOLD: 2, EFFECTS: 1},
    "consumer.before_ack": {CLAIMED: 2, TOLD: 2, EFFECTS: 2},
}


@pytest.fixture
async def probe(database: Databases, nats: NatsServer, keys: Keys, tmp_path: Path) -> AsyncIterator[ProbeProcess]:
    """A probe that is not started yet."""
    made = ProbeProcess(await database("probe"), nats, keys, tmp_path, "probe")
    yield made
    await made.close()


async def in_stream(nats: NatsServer) -> int:
    """Messages that the broker has stored."""
    connection = await nats_client.connect(nats.url)
    try:
        return int((await connection.jetstream().stream_info("EVENTS")).state.messages)
    finally:
        await connection.close()


async def expect_each_once(probe: ProbeProcess, amounts: dict[str, int]) -> None:
    """Sums, events and effects are those of these charges, each counted once."""
    await probe.settle()
    assert await number(probe.database, "SELECT total FROM sums") == sum(amounts.values())
    assert await number(probe.database, CLAIMED) == len(amounts)
    assert await number(probe.database, TOLD) == await number(probe.database, PUBLISHED) == len(amounts)
    effects = await rows(probe.database, "SELECT charge_id FROM effects ORDER BY charge_id")
    assert [charge_id for (charge_id,) in effects] == sorted(amounts)
    assert await number(probe.database, "SELECT count(*) FROM dead_letters") == 0


@pytest.mark.parametrize("how", ["alone", "gathered"])
@pytest.mark.parametrize("point", [name for name in AT_DEATH if name.startswith("work")])
async def test_killed_around_its_commit_a_request_has_one_effect(probe: ProbeProcess, point: str, how: str) -> None:
    await probe.start(f"{point}:kill@2")
    first = await probe.charge(charge(1, "r-1", how=how))
    await probe.settle()
    with pytest.raises(grpc.aio.AioRpcError) as lost:
        await probe.charge(charge(2, "r-2", how=how))
    assert lost.value.code() is grpc.StatusCode.UNAVAILABLE
    assert await probe.killed() == -9
    assert {each: await number(probe.database, each) for each in AT_DEATH[point]} == AT_DEATH[point]
    await probe.start()
    again = await probe.charge_all([charge(n, f"r-{n}", how=how) for n in (1, 2, 3)])
    assert again[0] == first
    assert [each.charge_id for each in again] == ["r-1", "r-2", "r-3"]
    await expect_each_once(probe, {"r-1": 1, "r-2": 2, "r-3": 3})


@pytest.mark.parametrize("point", [name for name in AT_DEATH if not name.startswith("work")])
async def test_killed_on_its_way_an_event_has_one_effect(probe: ProbeProcess, point: str) -> None:
    await probe.start(f"{point}:kill@2")
    await probe.charge(charge(1, "r-1"))
    await probe.settle()
    await asyncio.gather(probe.charge(charge(2, "r-2")), return_exceptions=True)  # the kill may cut its answer off
    assert await probe.killed() == -9
    assert {each: await number(probe.database, each) for each in AT_DEATH[point]} == AT_DEATH[point]
    assert await in_stream(probe.nats) == 2
    await probe.start()
    amounts = {f"r-{n}": n for n in range(1, 12)}
    await probe.charge_all([charge(amount, request_id) for request_id, amount in amounts.items()])
    await expect_each_once(probe, amounts)


async def test_killed_at_every_point_in_turn_while_calls_go_on(probe: ProbeProcess) -> None:
    amounts: dict[str, int] = {}
    for turn, point in enumerate(AT_DEATH):
        await probe.start(f"{point}:kill@3")
        ours = {f"r-{turn}-{n}": n for n in range(1, 12)}
        amounts |= ours
        calls = asyncio.gather(*(probe.charge(charge(n, r)) for r, n in ours.items()), return_exceptions=True)
        more = asyncio.create_task(_repeat(probe, turn))
        assert await probe.killed() == -9, point
        await asyncio.gather(calls, more, return_exceptions=True)
    await probe.start()
    await probe.charge_all([charge(n, request_id) for request_id, n in amounts.items()])
    extra = dict(
        await rows(probe.database, "SELECT request_id, 1 FROM handled_requests WHERE request_id LIKE 'more-%'")
    )
    await expect_each_once(probe, amounts | extra)


async def _repeat(probe: ProbeProcess, turn: int) -> None:
    """One call after another until the process is gone, so that every point is passed again and again."""
    for n in range(1000):
        await probe.charge(charge(1, f"more-{turn}-{n}"))
        await asyncio.sleep(0.02)
