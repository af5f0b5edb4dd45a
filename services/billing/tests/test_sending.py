"""The rounds that look after payments: a provider that is down, and a report that breaks, hold up nobody else."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from billing.__main__ import PROCESS
from billing.store.payment import due_payments
from chassis import clock
from chassis.database import async_url
from chassis.embedded import NatsServer
from chassis.testing import Database, Keys
from chassis.testing.serving import DATED_LONG_AGO, serving
from chassis.times import to_proto
from chassis.work import Transaction
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import create_async_engine
from structlog.testing import capture_logs
from touchstone.billing.v1 import payment_pb2

from services.billing.tests.calls import cny
from services.billing.tests.factories import OCCURRED_AT
from services.billing.tests.payments import CHANNEL, Paying, Provider, providing, secret_of

NOON, MINUTE = OCCURRED_AT, timedelta(minutes=1)
DEAD, MANY = "dead", 60
_WAITING = """
INSERT INTO payments (payment_id, account_id, customer_id, amount_minor, currency, channel, return_url, origin, state,
                      requested_at, expires_at, next_ask_at, recorded_at)
SELECT n.channel || '-' || n.number, 'acc-1', 'cus-1', 100, 'CNY', n.channel, '', 'operator', 'pending', n.at,
       n.at + interval '900 days', n.at + n.number * interval '1 second', n.at
FROM (SELECT number, CAST(:channel AS text) AS channel, CAST(:at AS timestamptz) AS at
      FROM generate_series(1, CAST(:many AS integer)) AS number) AS n
"""


async def wait_for_provider(paying: Paying, channel: str, many: int) -> None:
    """Payments of a channel whose provider is to be asked."""

    async def act(transaction: Transaction) -> None:
        asked = {"channel": channel, "many": many, "at": NOON - MINUTE}
        await transaction.connection.execute(text(_WAITING), asked)

    await paying.served.work.run(act)


async def test_a_round_takes_some_of_every_channel(paying: Paying) -> None:
    await wait_for_provider(paying, DEAD, MANY)
    await wait_for_provider(paying, CHANNEL, 2)
    await wait_for_provider(paying, "gone", 1)
    async with paying.served.work.reading() as connection:
        taken = await due_payments(connection, NOON, 20)
        others = await due_payments(connection, NOON, 20, but_for=[DEAD])
    channels = list(taken.values())
    assert {name: channels.count(name) for name in channels} == {DEAD: 20, CHANNEL: 2, "gone": 1}
    assert f"{DEAD}-1" in taken, "the longest waiting first"
    assert set(others.values()) == {CHANNEL, "gone"}


async def test_a_report_that_cannot_be_taken_in_fails_no_other(paying: Paying, fresh: Database) -> None:
    now = clock.now()
    broken = await paying.create("broken", amount=cny(20_00), occurred_at=to_proto(now))
    whole = await paying.create("whole", amount=cny(30_00), occurred_at=to_proto(now))
    engine = create_async_engine(async_url(fresh.owner_url))
    async with engine.begin() as connection:
        await connection.exec_driver_sql(f"""
            ALTER TABLE payments ADD CONSTRAINT damage
            CHECK (payment_id <> '{broken.payment_id}' OR state <> 'succeeded')""")
    await engine.dispose()
    amounts = {broken.payment_id: 20_00, whole.payment_id: 30_00}
    paying.provider.state = "succeeded"
    paying.provider.answer = lambda path, read: paying.provider.report(
        path, {"amount_minor": amounts[path.rpartition("/")[2]]}
    )
    assert whole.state == payment_pb2.PAYMENT_STATE_PENDING

    with capture_logs() as logged:
        reply = await paying.advance("advance", now + MINUTE)

    assert reply.asked == 2
    (told,) = [each for each in logged if each["log_level"] == "error"]
    assert isinstance(told["exc_info"], IntegrityError)
    assert (await paying.payment(whole.payment_id)).state == payment_pb2.PAYMENT_STATE_SUCCEEDED
    assert (await paying.payment(broken.payment_id)).state == payment_pb2.PAYMENT_STATE_PENDING
    assert await paying.balance() == 130_00
    assert await paying.broken() == []


@pytest.fixture
async def dead() -> AsyncIterator[Provider]:
    """A provider that takes connections and never answers."""
    async with providing() as provider:
        provider.answer = lambda path, read: None
        yield provider


@pytest.fixture
async def keeping(
    fresh: Database, nats: NatsServer, keys: Keys, tmp_path: Path, dead: Provider
) -> AsyncIterator[Paying]:
    """Billing that looks after payments by itself, of a channel that is dead and of one that is not."""
    async with providing() as provider:
        channels = [
            {"channel": name, "base_url": each.url, "secrets": [secret_of(CHANNEL)]}
            for name, each in ((CHANNEL, provider), (DEAD, dead))
        ]
        file = tmp_path / "channels.json"
        file.write_text(json.dumps({"channels": channels}))
        values: dict[str, Any] = {"payment_channels_file": file, "payment_channel_seconds": 5.0, **DATED_LONG_AGO}
        async with serving(PROCESS, fresh, nats, keys, **values) as served:
            yield await Paying.begun(served, provider)


async def test_a_provider_that_does_not_answer_holds_up_no_other(keeping: Paying, dead: Provider) -> None:
    asked, alive = asyncio.Event(), asyncio.Event()

    def hang(path: str, read: dict[str, Any]) -> None:
        asked.set()

    def answer(path: str, read: dict[str, Any]) -> dict[str, Any]:
        alive.set()
        return keeping.provider.report(path, read | {"amount_minor": 100})

    dead.answer, keeping.provider.answer = hang, answer
    await wait_for_provider(keeping, DEAD, MANY)
    await asked.wait()
    await wait_for_provider(keeping, CHANNEL, 1)

    await alive.wait()

    assert len(dead.asked) < MANY, "the other's turn comes before the last call to who does not answer"
