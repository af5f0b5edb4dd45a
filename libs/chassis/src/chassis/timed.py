"""Work that the calendar asks for: expiries, anniversaries, reminders.

A piece of timed work is done in rounds, each a transaction of its own that takes the advisory lock of its name: of
several replicas one works at a time, and a crash loses no more than the round it ends. What a round is to do stands in
the tables, so that it is safe to begin it again. The business time of a round is the time at which it is recorded.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from sqlalchemy import text

from chassis.work import Transaction, Work

_LOCK = text("SELECT pg_try_advisory_xact_lock(hashtext(:name))")


@dataclass(frozen=True, slots=True)
class Timed:
    """Timed work: `act` does one round and says whether there is more to do; looked at every so many seconds."""

    name: str
    every_seconds: float
    act: Callable[[Transaction], Awaitable[bool]]


async def do_round(work: Work, timed: Timed) -> bool:
    """One round; False when nothing is left to do, or another replica is at it."""

    async def act(transaction: Transaction) -> bool:
        asked = {"name": f"timed {timed.name}"}
        if not (await transaction.connection.execute(_LOCK, asked)).scalar_one():
            return False
        return await timed.act(transaction)

    return await work.run(act)


def keep_time(work: Work, timed: Timed, turn: asyncio.Lock) -> Callable[[], Coroutine[Any, Any, None]]:
    """A background task that does what is due, round after round, and then waits.

    All timed work of a process has one `turn` and takes it for a round, in the order asked: begun together, a dozen
    pieces would hold every connection of the pool, and requests would wait for the calendar.
    """

    async def keep() -> None:
        while True:
            async with turn:
                more = await do_round(work, timed)
            if not more:
                await asyncio.sleep(timed.every_seconds)

    return keep
