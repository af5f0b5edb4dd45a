"""What a recurring run costs: a cycle for each of 100,000 accounts, round by round, beside the very statements.

Two databases in the same state: on one the run charges a round, and its statements are written down; on the other the
bare driver sends them again. Every cycle has its posting, its charge, its reckoning, its subscription's next step and
its events, on both sides.
"""

import os
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

import asyncpg
import uvloop
from billing.__main__ import PROCESS
from billing.settings import BillingSettings
from billing.use_cases.recurring import RunRecurring, run_recurring
from billing.wire import FACTS
from chassis import clock
from chassis.calendar import Calendar
from chassis.database import open_engine
from chassis.embedded.databases import Database
from chassis.process import run as run_process
from chassis.work import Work

from benchmarks.serving import Servers, migrated, peak_memory_mb, servers
from benchmarks.serving.statements import Sent, written_down

SUBSCRIPTIONS = 100_000
APRIL = RunRecurring(datetime(2026, 4, 1, 12, tzinfo=UTC))
CALENDAR = Calendar(ZoneInfo("UTC"))
# Accounts with money, each with a subscription whose first cycle ended with March.
_SETUP = f"""
INSERT INTO products (product_id, display_name, display_name_zh, family, kind, cycle_unit, cycle_count, unit,
                      refundable, retired, revision, recorded_at)
VALUES ('tv', 'TV', '', 'tv', 'recurring', 'month', 1, '', true, false, 1, now());
INSERT INTO prices (product_id, currency, version, effective_from, amount_minor, package_size, tax_basis_points,
                    recorded_at)
VALUES ('tv', 'CNY', 1, '2026-01-01', 9900, 0, 0, now());
INSERT INTO accounts (account_id, customer_id, currency, opened_at, recorded_at)
SELECT 'a-' || n, 'c-' || n, 'CNY', '2026-01-01', now() FROM generate_series(1, {SUBSCRIPTIONS}) AS n;
INSERT INTO ledger_accounts (id, asset, balance, version, opened_at)
SELECT 'balance:a-' || n, 'CNY', 1000000, 1, now() FROM generate_series(1, {SUBSCRIPTIONS}) AS n;
INSERT INTO orders (order_id, account_id, customer_id, state, items, coupon_ids, points, points_hold_id, charge_ids,
                    rejected_because, placed_at, recorded_at)
VALUES ('o', 'a-1', 'c-1', 'placed', '[]', '{{}}', 0, '', '{{first}}', '', '2026-03-01', now());
INSERT INTO subscriptions (subscription_id, account_id, customer_id, product_id, quantity, subscriber_id, currency,
                           state, anchor_day, cycle_start, cycle_end, cycle_charge_id, cycle_charged_minor, started_at,
                           order_id, revision, recorded_at)
SELECT 's-' || n, 'a-' || n, 'c-' || n, 'tv', 1, '', 'CNY', 'active', 1, '2026-03-01', '2026-04-01', 'first', 9900,
       '2026-03-01', 'o', 1, now()
FROM generate_series(1, {SUBSCRIPTIONS}) AS n;
ANALYZE
"""


def run() -> list[dict[str, object]]:
    """Measure on servers of their own."""
    with servers() as among:
        return [uvloop.run(_compare(among))]


async def _compare(among: Servers) -> dict[str, object]:
    ours, theirs = [await _prepared(among, name) for name in ("ours", "theirs")]
    values: Any = {"database_url": ours.owner_url, "nats_url": among.nats.url, "jwks": "unused"}
    engine = open_engine(BillingSettings(**values), "billing")
    work = Work(engine, FACTS)
    bare = await asyncpg.connect(theirs.owner_url)
    charged, seconds, bare_seconds = 0, 0.0, 0.0
    while True:
        async with written_down(engine) as sent:
            began = clock.monotonic()
            done = await work.run(partial(run_recurring, wanted=APRIL, calendar=CALENDAR))
            seconds += clock.monotonic() - began
        if not any(done):
            break
        charged += done.charged
        bare_seconds += await _played(bare, sent)
    assert charged == SUBSCRIPTIONS, charged
    await bare.close()
    await engine.dispose()
    return {
        "name": "billing.recurring_run",
        "value": round(charged / seconds),
        "unit": "cycles/s",
        "baseline": "the same statements sent by the bare driver",
        "baseline_value": round(charged / bare_seconds),
        "ratio": round(bare_seconds / seconds, 3),
        "target": 0.333,
        "peak_memory_mb": peak_memory_mb(os.getpid()),
    }


async def _prepared(among: Servers, name: str) -> Database:
    database = await migrated(among, __file__, name)
    connection = await asyncpg.connect(database.owner_url)
    await connection.execute(_SETUP)
    await connection.close()
    return database


async def _played(connection: "asyncpg.Connection[Any]", sent: Sequence[Sent]) -> float:
    """Seconds that a round's statements take in a transaction of their own."""
    began = clock.monotonic()
    async with connection.transaction():
        for statement, arguments in sent:
            await connection.fetch(statement, *arguments)
    return clock.monotonic() - began


if __name__ == "__main__":
    run_process(PROCESS)
