"""Timed work: rounds until nothing is left, and one replica at a time."""

import asyncio

from chassis.testing.serving import Serving
from chassis.timed import Timed, do_round, keep_time
from chassis.work import Transaction


async def test_rounds_follow_each_other_until_nothing_is_left(probe: Serving) -> None:
    left = [3]

    async def act(transaction: Transaction) -> bool:
        left[0] -= 1
        return left[0] > 0

    keeping = asyncio.create_task(keep_time(probe.work, Timed("count", 3600.0, act), asyncio.Lock())())
    async with asyncio.timeout(30):
        while left[0] > 0:
            await asyncio.sleep(0.01)
    await asyncio.sleep(0.2)  # long enough for a round too many
    keeping.cancel()
    assert left == [0]


async def test_pieces_of_work_take_turns_round_by_round(probe: Serving) -> None:
    rounds: list[str] = []
    at_work: set[str] = set()

    def piece(name: str) -> Timed:
        async def act(transaction: Transaction) -> bool:
            assert not at_work
            at_work.add(name)
            await asyncio.sleep(0.01)
            at_work.remove(name)
            rounds.append(name)
            return rounds.count(name) < 3

        return Timed(name, 3600.0, act)

    turn = asyncio.Lock()
    keeping = [asyncio.create_task(keep_time(probe.work, piece(name), turn)()) for name in ("long", "short")]
    async with asyncio.timeout(30):
        while len(rounds) < 6:
            await asyncio.sleep(0.01)
    for each in keeping:
        each.cancel()
    assert rounds == ["long", "short"] * 3


async def test_while_one_replica_works_the_others_leave_it_be(probe: Serving) -> None:
    begun, end = asyncio.Event(), asyncio.Event()
    rounds: list[str] = []

    async def slow(transaction: Transaction) -> bool:
        rounds.append("slow")
        begun.set()
        await end.wait()
        return True

    async def other(transaction: Transaction) -> bool:
        rounds.append("other")
        return True

    working = asyncio.create_task(do_round(probe.work, Timed("the same", 1.0, slow)))
    await begun.wait()
    assert not await do_round(probe.work, Timed("the same", 1.0, other))
    assert await do_round(probe.work, Timed("another", 1.0, other))
    end.set()
    assert await working
    assert await do_round(probe.work, Timed("the same", 1.0, other))
    assert rounds == ["slow", "other", "other"]
