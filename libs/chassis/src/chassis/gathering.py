"""Many requests as one: unary calls gathered for a moment, and batch calls with an outcome for each item.

A transaction costs several round trips and a wait for the disk whatever it does; shared by the calls that are there
at the same moment it costs each of them little. Every call keeps its own claim, reply and refusal.
"""

import asyncio
from collections.abc import Callable, Sequence
from contextvars import Context, copy_context
from typing import Generic, NamedTuple, TypeVar

from google.protobuf.message import Message

from chassis import clock
from chassis.errors import InvalidArgument, Refusal
from chassis.work import ActMany, Ask, Work, ask

C = TypeVar("C")
R = TypeVar("R", bound=Message)
M = TypeVar("M", bound=Message)
Result = TypeVar("Result", bound=Message)

BATCH_MAX = 1000
_GATHER_STEP_SECONDS = 0.001
_GATHER_SECONDS_MAX = 0.05


class _Call(NamedTuple, Generic[C, M]):
    """A unary call that waits: what it asks, where its reply goes, and the trace it belongs to."""

    ask: Ask[C]
    reply: asyncio.Future[M]
    context: Context


class Gatherer(Generic[C, M]):
    """Answers the calls of one use case, a batch call in one transaction and unary calls in shared ones.

    One transaction is under way at a time; calls that come meanwhile wait for the next one. A lone call waits a
    millisecond. Calls that come together wait as long as further ones come, and until as many are there as were in
    flight when the last transaction ended, but not longer than twice what it took: callers that got their answers come
    again, and what a transaction costs is shared by more. Two transactions at once would only divide the same calls
    between them, and wait for each other where they touch the same accounts.
    """

    def __init__(self, work: Work, use_case: str, act: ActMany[C, M], reply_type: type[M]) -> None:
        self._work = work
        self._use_case = use_case
        self._act = act
        self._reply_type = reply_type
        self._draining = False
        self._last_seconds = 0.0
        self._in_flight_last = 0
        self._waiting: list[_Call[C, M]] = []
        self._tasks: set[asyncio.Task[None]] = set()

    async def answer(self, ask: Ask[C]) -> M:
        """The reply to this ask, or its Refusal raised."""
        future: asyncio.Future[M] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Call(ask, future, copy_context()))
        if not self._draining:
            self._draining = True
            task = asyncio.create_task(self._drain())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return await future

    async def answer_batch(
        self, requests: Sequence[R], *, read: Callable[[R], C], result: Callable[[M | Refusal], Result]
    ) -> list[Result]:
        """Answers a batch call: a result per request, in order. An item that cannot be read is that item's error."""
        if len(requests) > BATCH_MAX:
            raise InvalidArgument("requests", f"must have at most {BATCH_MAX} items")
        outcomes: dict[int, M | Refusal] = {}
        asks: dict[int, Ask[C]] = {}
        for place, request in enumerate(requests):
            try:
                asks[place] = ask(request, read(request))
            except Refusal as refusal:
                outcomes[place] = refusal
        answers = await self._work.answer_many(self._use_case, list(asks.values()), self._act, self._reply_type)
        outcomes |= zip(asks, answers, strict=True)
        return [result(outcomes[place]) for place in range(len(requests))]

    async def _drain(self) -> None:
        try:
            while self._waiting:
                await self._gather()
                batch, self._waiting = self._waiting[:BATCH_MAX], self._waiting[BATCH_MAX:]
                began = clock.monotonic()
                # The events that a batch tells belong to the trace of its first call.
                await asyncio.create_task(self._answer(batch), context=batch[0].context)
                self._last_seconds = clock.monotonic() - began
                self._in_flight_last = len(batch) + len(self._waiting)
        finally:
            self._draining = False

    async def _gather(self) -> None:
        began = clock.monotonic()
        linger = min(2 * self._last_seconds, _GATHER_SECONDS_MAX)
        seen = 0
        while len(self._waiting) < BATCH_MAX and (passed := clock.monotonic() - began) < _GATHER_SECONDS_MAX:
            together = 1 < len(self._waiting) < self._in_flight_last and passed < linger
            if not together and seen == len(self._waiting):
                break
            seen = len(self._waiting)
            await asyncio.sleep(_GATHER_STEP_SECONDS)

    async def _answer(self, batch: Sequence[_Call[C, M]]) -> None:
        asks = [call.ask for call in batch]
        try:
            outcomes = await self._work.answer_many(self._use_case, asks, self._act, self._reply_type)
        except BaseException as error:
            for call in batch:
                if not call.reply.done():
                    call.reply.set_exception(error)
            raise
        for call, outcome in zip(batch, outcomes, strict=True):
            if call.reply.done():  # the caller went away; the work is done and its reply is stored
                continue
            if isinstance(outcome, Refusal):
                call.reply.set_exception(outcome)
            else:
                call.reply.set_result(outcome)
