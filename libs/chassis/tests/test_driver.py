"""Statements past SQLAlchemy: their errors are SQLAlchemy's, and the pool is left as it would leave it."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from chassis.database import is_down, open_engine
from chassis.driver import fetch
from chassis.embedded import PostgresServer
from chassis.embedded.databases import as_superuser
from chassis.settings import ServiceSettings
from chassis.testing import Databases
from chassis.work import Transaction, Work
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

_MINE = "SELECT pg_backend_pid()"
_RAISE = "DO $$ BEGIN RAISE EXCEPTION 'no' USING ERRCODE = '{}'; END $$"


@pytest.fixture
async def engine(database: Databases) -> AsyncIterator[AsyncEngine]:
    """A pool: who asks one after the other gets the connection that was given back."""
    settings: dict[str, Any] = {
        "database_url": (await database("probe")).url,
        "nats_url": "nats://none",
        "jwks": "none",
    }
    made = open_engine(ServiceSettings(**settings), "probe")
    yield made
    await made.dispose()


async def end_session(postgres: PostgresServer, session: int) -> None:
    """What a restart of the server does to a connection."""
    async with as_superuser(postgres) as superuser:
        assert await superuser.fetchval("SELECT pg_terminate_backend($1, 10000)", session)


async def mine(connection: AsyncConnection) -> int:
    return int((await fetch(connection, _MINE))[0][0])


async def test_after_its_server_restarted_one_look_up_fails_as_down_and_the_next_succeeds(
    engine: AsyncEngine, postgres: PostgresServer
) -> None:
    work = Work(engine, {})
    async with work.looking_up() as connection:
        session = await mine(connection)
    await end_session(postgres, session)
    with pytest.raises(DBAPIError) as lost:
        async with work.looking_up() as connection:
            await mine(connection)
    assert is_down(lost.value)
    async with work.looking_up() as connection:
        assert await mine(connection) != session


@pytest.mark.parametrize("level", ["AUTOCOMMIT", "READ COMMITTED"])
async def test_a_connection_lost_within_a_statement_is_not_given_back(
    engine: AsyncEngine, postgres: PostgresServer, level: str
) -> None:
    async def sleep() -> None:
        async with engine.connect() as connection:
            level_set = await connection.execution_options(isolation_level=level)
            session.set_result(await mine(level_set))
            await fetch(level_set, "SELECT pg_sleep(60)")

    session: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    sleeping = asyncio.create_task(sleep())
    await end_session(postgres, await session)
    with pytest.raises(DBAPIError) as lost:
        await sleeping
    assert is_down(lost.value)
    async with engine.connect() as connection:
        assert await mine(connection) != await session


async def test_an_error_undoes_the_transaction_and_leaves_the_connection_clean(engine: AsyncEngine) -> None:
    add = "INSERT INTO effects (charge_id) VALUES ('c')"

    async def act(transaction: Transaction) -> None:
        await fetch(transaction.connection, add)
        await fetch(transaction.connection, _RAISE.format("23505"))

    with pytest.raises(IntegrityError):
        await Work(engine, {}).run(act)
    async with engine.connect() as connection:
        assert not await fetch(connection, "SELECT FROM effects")


@pytest.mark.parametrize("code", ["40001", "40P01", "23505"])
async def test_what_is_worth_another_try_gets_one(engine: AsyncEngine, code: str) -> None:
    tries = []

    async def act(transaction: Transaction) -> None:
        tries.append(code)
        if len(tries) < 3:
            await fetch(transaction.connection, _RAISE.format(code))

    await Work(engine, {}).run(act)
    assert len(tries) == 3


async def test_a_wrong_argument_is_an_error_of_the_statement(engine: AsyncEngine) -> None:
    async with engine.connect() as connection:
        with pytest.raises(DBAPIError) as wrong:
            await fetch(connection, "SELECT $1::int", "one")
        assert not is_down(wrong.value)
        assert await mine(connection)


@pytest.mark.parametrize("straight", [True, False])
async def test_the_plans_of_all_statements_of_a_service_are_kept(engine: AsyncEngine, *, straight: bool) -> None:
    async with engine.connect() as connection:
        for number in range(250):
            statement = f"SELECT {number}"
            await (fetch(connection, statement) if straight else connection.exec_driver_sql(statement))
        kept = await connection.exec_driver_sql("SELECT count(*) FROM pg_prepared_statements")
        assert kept.scalar_one() >= 250
