"""A database of before: its plans, open bills and crossings, as the migration of thresholds finds and leaves them."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from alembic import command
from alembic.config import Config
from billing.use_cases.proof import prove
from chassis.database import async_url
from chassis.migrations import migrations_folder
from chassis.testing import Database
from sqlalchemy import make_url, text
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine

BEFORE = """
INSERT INTO bill_plans VALUES ('old', 'Old', 'CNY', 5000, 10000, 14, 3, now());
INSERT INTO accounts (account_id, customer_id, currency, plan_id, opened_at, recorded_at, crossed_threshold_minor,
                      crossed_version)
VALUES ('armed', 'c', 'CNY', 'old', now(), now(), NULL, NULL), ('crossed', 'c', 'CNY', 'old', now(), now(), 5000, 2);
INSERT INTO ledger_accounts (id, asset, balance, version, opened_at)
VALUES ('balance:armed', 'CNY', 8000, 3, now()), ('balance:crossed', 'CNY', 4000, 2, now());
INSERT INTO ledger_transactions (source, kind, asset, occurred_at, recorded_at, metadata)
SELECT a || n, kind, 'CNY', now(), now(), '{}' FROM unnest(ARRAY['armed', 'crossed']) AS a,
  (VALUES (1, 'recharge'), (2, 'charge'), (3, 'recharge')) AS m (n, kind) WHERE a = 'armed' OR n < 3;
WITH m AS (SELECT a, n, amount, after FROM unnest(ARRAY['armed', 'crossed']) AS a,
  (VALUES (1, 10000, 10000), (2, -6000, 4000), (3, 4000, 8000)) AS m (n, amount, after) WHERE a = 'armed' OR n < 3)
INSERT INTO ledger_entries (source, line, account_id, amount, held_change, account_version, balance_after, held_after,
                            floor, occurred_at)
SELECT a || n, 0, 'balance:' || a, amount, 0, n, after, 0, 0, '2026-01-01'::timestamptz FROM m
UNION ALL SELECT a || n, 1, 'system', -amount, NULL, NULL, NULL, NULL, NULL, '2026-01-01' FROM m;
INSERT INTO charges (charge_id, account_id, amount_minor, description, transaction_id, occurred_at, recorded_at)
SELECT a, a, 6000, '', a || 2, now(), now() FROM unnest(ARRAY['armed', 'crossed']) AS a;
INSERT INTO bills (bill_id, bill_number, account_id, customer_id, currency, amount_minor, balance_at_issue_minor,
                   threshold_minor, transaction_id, issued_at, due_at, recorded_at)
VALUES ('b1', 1, 'armed', 'c', 'CNY', 6000, 4000, 5000, 'armed2', now(), now(), now()),
       ('b2', 2, 'crossed', 'c', 'CNY', 6000, 4000, 5000, 'crossed2', now(), now(), now());
UPDATE bill_books SET last_number = 2
"""


@pytest.fixture
async def old(fresh: Database) -> AsyncIterator[Database]:
    """The database, back at the revision before, with what it might have held then."""
    engine = create_async_engine(async_url(fresh.owner_url))
    async with engine.begin() as connection:
        await connection.execute(text("DROP SCHEMA public CASCADE"))
        await connection.execute(text("CREATE SCHEMA public"))
    await migrate(fresh, "0005")
    async with engine.begin() as connection:
        for statement in BEFORE.split(";\n"):
            await connection.execute(text(statement))
    yield fresh
    await engine.dispose()


async def migrate(database: Database, revision: str) -> None:
    """Brings the database to a revision, with the owner's login."""
    config = Config()
    config.set_main_option("script_location", str(migrations_folder("billing")))
    config.attributes["url"] = database.owner_url
    config.attributes["service_login"] = make_url(database.owner_url).username
    await asyncio.to_thread(command.upgrade, config, revision)


async def rows(connection: AsyncConnection, sql: str) -> list[tuple[object, ...]]:
    """What a query finds."""
    return [tuple(row) for row in await connection.execute(text(sql))]


async def test_what_was_open_after_its_stay_is_closed_and_the_rest_goes_on(old: Database) -> None:
    await migrate(old, "head")

    engine = create_async_engine(async_url(old.owner_url))
    async with engine.connect() as connection:
        assert await rows(connection, "SELECT bill_id, because, account_version FROM bill_closures") == [
            ("b1", "restored", 3)
        ]
        assert await rows(connection, "SELECT account_id, crossed_cause FROM accounts ORDER BY 1") == [
            ("armed", None),
            ("crossed", "debit"),
        ]
        plans = "SELECT plan_id, revision, threshold_minor, effective_from FROM bill_plan_versions"
        assert await rows(connection, plans) == [("old", 3, 5000, None)]
        broken = [check.claim for check in await prove(connection) if not check.holds]
    await engine.dispose()
    assert broken == []
