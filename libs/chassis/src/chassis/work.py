"""One request or one event is one transaction: claim, state, reply and outbox rows are stored together or not at all.

A repeated request and a redelivered event are the same thing: the claim `(caller, use case, request id)` is a primary
key, taken in the transaction that does the work. A twin waits for it and gets the stored reply; the same id with
another body is refused; a refusal leaves no row. READ COMMITTED; money safety rests on row locks and constraints.
Nothing else in the platform commits.
"""

import asyncio
import hashlib
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any, Generic, NamedTuple, TypeVar, cast

import structlog
from google.protobuf.message import Message
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from chassis import clock, failpoints, telemetry
from chassis.arrays import array_of_bytes, array_of_texts
from chassis.auth import current_caller
from chassis.database import DatabaseDown, is_down, sqlstate
from chassis.driver import fetch
from chassis.errors import InternalError, Refusal, RequestIdReused
from chassis.ids import check_request_id
from chassis.outbox import Fact, FactsToProto, OutboxEvent, encode_fact, event_arguments, insert_events

_log = structlog.get_logger(__name__)
C = TypeVar("C")
M = TypeVar("M", bound=Message)
T = TypeVar("T")

_ATTEMPTS = 5
# Serialisation failure, deadlock; and a key that somebody else stored after it was looked for: looked for again it is
# found.
_RETRIED = {"40001", "40P01", "23505"}

_CLAIM = text("""
INSERT INTO handled_requests (caller, use_case, request_id, fingerprint, recorded_at)
SELECT caller, CAST(:use_case AS text), request_id, fingerprint, CAST(:recorded_at AS timestamptz)
FROM unnest(CAST(:callers AS text)::text[], CAST(:request_ids AS text)::text[], CAST(:fingerprints AS text)::bytea[])
     AS asked(caller, request_id, fingerprint)
ON CONFLICT DO NOTHING RETURNING caller, request_id
""")
_CLAIMED_BEFORE = text("""
SELECT h.caller, h.request_id, h.fingerprint, h.reply
FROM handled_requests h
JOIN unnest(CAST(:callers AS text)::text[], CAST(:request_ids AS text)::text[]) AS asked(caller, request_id)
  ON h.caller = asked.caller AND h.request_id = asked.request_id
WHERE h.use_case = CAST(:use_case AS text)
""")
_ANSWERED = """
answered AS (
  UPDATE handled_requests h SET reply = done.reply
  FROM unnest($2::text::text[], $3::text::text[], $4::text::bytea[]) AS done(caller, request_id, reply)
  WHERE h.use_case = $1 AND h.caller = done.caller AND h.request_id = done.request_id
)"""
_REFUSED = """
refused AS (
  DELETE FROM handled_requests h
  USING unnest($5::text::text[], $6::text::text[]) AS gone(caller, request_id)
  WHERE h.use_case = $1 AND h.caller = gone.caller AND h.request_id = gone.request_id
)"""
# Replies, refusals and outbox rows leave in one round trip; the order of the outbox is the order of telling.
_FINISH = f"WITH {_ANSWERED}, {_REFUSED} {insert_events(7)}"
_TELL = insert_events(1)


class Ask(NamedTuple, Generic[C]):
    """A request as `Work` knows it: whose, which, with what body, and the command it came to."""

    caller: str
    request_id: str
    fingerprint: bytes
    command: C

    @property
    def key(self) -> tuple[str, str]:
        """What is claimed, within one use case."""
        return self.caller, self.request_id


def ask(request: Message, command: C) -> Ask[C]:
    """The ask of a request message with a `request_id`, made by the current caller."""
    request_id = check_request_id(cast(Any, request).request_id)
    fingerprint = hashlib.sha256(request.SerializeToString(deterministic=True)).digest()
    return Ask(current_caller().subject, request_id, fingerprint, command)


class Transaction:
    """What a use case works in. Only stores touch `connection`."""

    def __init__(self, connection: AsyncConnection, recorded_at: datetime, facts: FactsToProto) -> None:
        self.connection = connection
        self.recorded_at = recorded_at
        self._facts = facts
        self._told: list[OutboxEvent] = []
        self._trace_parent = telemetry.trace_parent()

    def emit(self, fact: Fact) -> None:
        """Tells a fact: it becomes an event when, and only when, this transaction commits."""
        self._told.append(encode_fact(self._facts, fact, self._trace_parent))

    def told(self) -> list[OutboxEvent]:
        """What was told so far, in order."""
        return self._told


Act = Callable[[Transaction, C], Awaitable[M]]
ActMany = Callable[[Transaction, Sequence[C]], Awaitable[Sequence[M | Refusal]]]


class Work:
    """The one place where transactions begin and end."""

    def __init__(
        self,
        engine: AsyncEngine,
        facts: FactsToProto,
        *,
        told: Callable[[], None] = lambda: None,
        now: Callable[[], datetime] = clock.now,
    ) -> None:
        self._engine = engine
        self._facts = facts
        self._told = told
        self._now = now
        self._running: set[asyncio.Task[Any]] = set()

    async def answer(self, use_case: str, ask: Ask[C], act: Act[C, M], reply_type: type[M]) -> M:
        """Does what is asked, once; raises the Refusal of `act` and then leaves nothing behind."""

        async def act_alone(transaction: Transaction, commands: Sequence[C]) -> Sequence[M | Refusal]:
            return [await act(transaction, commands[0])]

        outcome = (await self._transact(lambda t: self._answer(t, use_case, [ask], act_alone, reply_type)))[0]
        await failpoints.reach("work.after_commit")
        if isinstance(outcome, Refusal):
            raise outcome
        return outcome

    async def answer_many(
        self, use_case: str, asks: Sequence[Ask[C]], act: ActMany[C, M], reply_type: type[M]
    ) -> list[M | Refusal]:
        """Does what is asked in one transaction, each ask with its own claim and outcome, in order.

        When the transaction as a whole fails, each ask is tried in one of its own, so that one never fails another;
        not without a database, where each would wait in vain.
        """
        if not asks:
            return []
        try:
            outcomes = await self._transact(lambda t: self._answer(t, use_case, asks, act, reply_type))
            await failpoints.reach("work.after_commit")
            return outcomes
        except Refusal as refusal:
            if len(asks) == 1:
                return [refusal]
        except Exception as error:  # noqa: BLE001 - each ask is tried alone, and the last cause is logged
            if is_down(error):
                _log.warning("no database", use_case=use_case, items=len(asks), error=repr(error))
                return [DatabaseDown() for _ in asks]
            if len(asks) == 1:
                _log.exception("use case failed", use_case=use_case)
                return [InternalError()]
            _log.warning("batch failed, trying each alone", use_case=use_case, items=len(asks), exc_info=True)
        return [(await self.answer_many(use_case, [each], act, reply_type))[0] for each in asks]

    async def handle(
        self,
        source: str,
        event_type: str,
        event_ids: Sequence[str],
        act: Callable[[Transaction, set[str]], Awaitable[None]],
    ) -> int:
        """Handles events once: `act` gets the ids not handled before; returns how many these were."""

        async def claim_and_act(transaction: Transaction) -> int:
            asks = [Ask(f"event:{source}", each, b"", None) for each in event_ids]
            fresh = {request_id for _, request_id in await _claim(transaction, event_type, asks)}
            if fresh:
                await act(transaction, fresh)
                await failpoints.reach("consumer.before_commit")
                await _tell(transaction)
            return len(fresh)

        return await self._transact(claim_and_act)

    async def run(self, act: Callable[[Transaction], Awaitable[T]]) -> T:
        """A transaction that claims nothing: for workers whose rows are themselves the claim."""

        async def act_and_tell(transaction: Transaction) -> T:
            result = await act(transaction)
            await _tell(transaction)
            return result

        return await self._transact(act_and_tell)

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncConnection]:
        """A read-only transaction on one snapshot."""
        async with self._engine.connect() as connection:
            yield await connection.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)

    @asynccontextmanager
    async def looking_up(self) -> AsyncIterator[AsyncConnection]:
        """For one statement that reads: it is a snapshot of its own, and costs one round trip instead of three."""
        async with self._engine.connect() as connection:
            yield await connection.execution_options(isolation_level="AUTOCOMMIT")

    async def finish(self) -> None:
        """Waits for the transactions that callers have already left."""
        while self._running:
            await asyncio.wait(self._running)

    async def _answer(
        self, transaction: Transaction, use_case: str, asks: Sequence[Ask[C]], act: ActMany[C, M], reply_type: type[M]
    ) -> list[M | Refusal]:
        first: dict[tuple[str, str], Ask[C]] = {}
        for each in asks:
            first.setdefault(each.key, each)
        claimed = await _claim(transaction, use_case, list(first.values()))
        known = {key: each for key, each in first.items() if key not in claimed}
        outcomes = await _before(transaction, use_case, known, reply_type) if known else {}
        fresh = [each for each in first.values() if each.key in claimed]
        if fresh:
            done = await act(transaction, [each.command for each in fresh])
            outcomes.update({each.key: outcome for each, outcome in zip(fresh, done, strict=True)})
            await _finish(transaction, use_case, fresh, done)
            await failpoints.reach("work.before_commit")
        return [
            outcomes[each.key] if each.fingerprint == first[each.key].fingerprint else RequestIdReused(each.request_id)
            for each in asks
        ]

    async def _transact(self, act: Callable[[Transaction], Awaitable[T]]) -> T:
        """Runs to its end even when the caller goes away: a cancelled call must not leave a connection half used."""
        task = asyncio.get_running_loop().create_task(self._attempt(act))
        self._running.add(task)
        task.add_done_callback(self._left)
        return await asyncio.shield(task)

    def _left(self, task: asyncio.Task[Any]) -> None:
        self._running.discard(task)
        if not task.cancelled():
            task.exception()  # looked at, so that a caller who went away is not reported as a lost error

    async def _attempt(self, act: Callable[[Transaction], Awaitable[T]]) -> T:
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                async with self._engine.connect() as connection:
                    transaction = Transaction(connection, self._now(), self._facts)
                    result = await act(transaction)
                    await connection.commit()
                if transaction.told():
                    self._told()
                return result
            except Exception as error:
                if sqlstate(error) not in _RETRIED or attempt == _ATTEMPTS:
                    raise
            await asyncio.sleep(random.uniform(0, 0.02 * 2**attempt))  # noqa: S311 - jitter
        raise AssertionError("the last attempt returns or raises")


async def _claim(transaction: Transaction, use_case: str, asks: Sequence[Ask[Any]]) -> set[tuple[str, str]]:
    """Claims what nobody has claimed; waits for a twin in flight. Sorted, so that batches cannot deadlock on claims."""
    ordered = sorted(asks, key=lambda each: each.key)
    rows = await transaction.connection.execute(
        _CLAIM,
        {
            "use_case": use_case,
            "recorded_at": transaction.recorded_at,
            "callers": array_of_texts([each.caller for each in ordered]),
            "request_ids": array_of_texts([each.request_id for each in ordered]),
            "fingerprints": array_of_bytes([each.fingerprint for each in ordered]),
        },
    )
    return {(caller, request_id) for caller, request_id in rows}


async def _before(
    transaction: Transaction, use_case: str, asks: dict[tuple[str, str], Ask[Any]], reply_type: type[M]
) -> dict[tuple[str, str], M | Refusal]:
    """Outcomes of asks that were answered before: the stored reply, or a refusal when the body is another."""
    rows = await transaction.connection.execute(
        _CLAIMED_BEFORE,
        {
            "use_case": use_case,
            "callers": array_of_texts([caller for caller, _ in asks]),
            "request_ids": array_of_texts([request_id for _, request_id in asks]),
        },
    )
    outcomes: dict[tuple[str, str], M | Refusal] = {}
    for caller, request_id, fingerprint, reply in rows:
        same = fingerprint == asks[caller, request_id].fingerprint
        outcomes[caller, request_id] = reply_type.FromString(reply) if same else RequestIdReused(request_id)
    return outcomes


async def _finish(
    transaction: Transaction, use_case: str, asks: Sequence[Ask[Any]], outcomes: Sequence[Message | Refusal]
) -> None:
    """Stores replies, takes back the claims of the refused, and writes the outbox rows, in one statement."""
    done = [(each, outcome) for each, outcome in zip(asks, outcomes, strict=True) if not isinstance(outcome, Refusal)]
    refused = [each for each, outcome in zip(asks, outcomes, strict=True) if isinstance(outcome, Refusal)]
    await fetch(
        transaction.connection,
        _FINISH,
        use_case,
        array_of_texts([each.caller for each, _ in done]),
        array_of_texts([each.request_id for each, _ in done]),
        array_of_bytes([outcome.SerializeToString() for _, outcome in done]),
        array_of_texts([each.caller for each in refused]),
        array_of_texts([each.request_id for each in refused]),
        *event_arguments(transaction.told(), transaction.recorded_at),
    )


async def _tell(transaction: Transaction) -> None:
    if transaction.told():
        await fetch(transaction.connection, _TELL, *event_arguments(transaction.told(), transaction.recorded_at))
