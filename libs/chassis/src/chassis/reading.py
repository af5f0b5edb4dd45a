"""Many reads as one: unary calls that each ask for one thing by its key share a transaction and a statement.

A read of its own costs a connection and three round trips; shared by the calls that wait at the moment it costs each of
them little. What a call gets was read after it asked, so it sees everything that was committed before.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Generic, TypeVar

from sqlalchemy.ext.asyncio import AsyncConnection

from chassis.work import Work

K = TypeVar("K")
V = TypeVar("V")

_KEYS_MAX = 1000
_GATHER_SECONDS = 0.004


class Reader(Generic[K, V]):
    """Finds things by their keys, for many calls at once; `find` is one statement.

    One read is under way at a time; calls that come meanwhile wait for the next one. A lone call waits for nothing;
    where several came together the next read waits four milliseconds for more, so that a busy service shares each read
    among all callers that are there.
    """

    def __init__(self, work: Work, find: Callable[[AsyncConnection, Collection[K]], Awaitable[Mapping[K, V]]]) -> None:
        self._work = work
        self._find = find
        self._waiting: dict[K, list[asyncio.Future[V | None]]] = {}
        self._reading = False
        self._tasks: set[asyncio.Task[None]] = set()

    async def get(self, key: K) -> V | None:
        """The thing with this key; None where there is none."""
        future: asyncio.Future[V | None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(key, []).append(future)
        if not self._reading:
            self._reading = True
            # A task of its own: a caller that goes away takes neither the read nor its connection with it.
            task = asyncio.create_task(self._drain())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return await future

    async def _drain(self) -> None:
        try:
            together = False
            while self._waiting:
                if together:
                    await asyncio.sleep(_GATHER_SECONDS)
                together = len(self._waiting) > 1
                keys = list(self._waiting)[:_KEYS_MAX]
                await self._answer({key: self._waiting.pop(key) for key in keys})
        finally:
            self._reading = False

    async def _answer(self, waiting: dict[K, list[asyncio.Future[V | None]]]) -> None:
        try:
            async with self._work.looking_up() as connection:
                found = await self._find(connection, waiting)
        except Exception as error:  # noqa: BLE001 - each caller gets it, and the next read is tried
            for future in _open(waiting):
                future.set_exception(error)
            return
        for key, futures in waiting.items():
            for future in futures:
                if not future.done():  # else the caller went away
                    future.set_result(found.get(key))


def _open(waiting: Mapping[K, list[asyncio.Future[V | None]]]) -> list[asyncio.Future[V | None]]:
    return [future for futures in waiting.values() for future in futures if not future.done()]
