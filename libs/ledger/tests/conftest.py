"""A real PostgreSQL, and for each test a fresh database with the ledger's tables in it."""

from collections.abc import AsyncIterator

import asyncpg
import pytest
from alembic.migration import MigrationContext
from alembic.operations import Operations
from chassis.embedded import PostgresServer
from chassis.ids import new_id
from ledger import Ledger, create_ledger_tables
from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine


@pytest.fixture
async def engine(postgres: PostgresServer) -> AsyncIterator[AsyncEngine]:
    """An engine on a database of this test's own."""
    name = f"ledger_{new_id().replace('-', '')}"
    boss = await asyncpg.connect(postgres.superuser_url)
    await boss.execute(f"CREATE DATABASE {name}")
    url = postgres.superuser_url.rpartition("/")[0].replace("postgresql:", "postgresql+asyncpg:")
    engine = create_async_engine(f"{url}/{name}", pool_size=16, max_overflow=0)
    async with engine.begin() as connection:
        await connection.run_sync(_create_tables)
    yield engine
    await engine.dispose()
    await boss.execute(f"DROP DATABASE {name}")
    await boss.close()


@pytest.fixture
def ledger() -> Ledger:
    """A ledger with the other sides that points and money need."""
    return Ledger(["issued", "redeemed", "cash_in", "revenue"])


def _create_tables(connection: Connection) -> None:
    create_ledger_tables(Operations(MigrationContext.configure(connection)))
