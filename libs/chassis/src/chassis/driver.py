"""The way to asyncpg under a SQLAlchemy connection: same transaction, without SQLAlchemy's work on every statement.

SQLAlchemy costs a statement about half a millisecond of CPU. Statements that every batch runs take whole columns as
arrays and are few, so the driver's own statement cache serves them best; all others go the usual way.
"""

from collections.abc import Sequence

import asyncpg
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from chassis import telemetry

Row = asyncpg.Record
"""What a statement answers: stores read it by the names of its columns, and let none leave them."""


async def fetch(connection: AsyncConnection, sql: str, *arguments: object) -> Sequence[asyncpg.Record]:
    """Run one statement in the connection's transaction, unless it commits by itself. Errors come as SQLAlchemy's, as
    from any other statement."""
    driver = _driver_of(connection)
    if driver is None or (not driver.is_in_transaction() and not _commits_by_itself(connection)):
        # SQLAlchemy sends BEGIN with the first statement of its own; a lock taken before that would not last.
        await connection.exec_driver_sql("SELECT")
        driver = _driver_of(connection)
    assert driver is not None, "needs a connection that is open, on asyncpg"
    try:
        with telemetry.statement(sql):
            return await driver.fetch(sql, *arguments)
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
        if driver.is_closed():
            # What SQLAlchemy does not see fail it would give back to the pool, to fail for everybody after.
            await connection.exec_driver_sql("SELECT")
        kind = IntegrityError if isinstance(error, asyncpg.IntegrityConstraintViolationError) else DBAPIError
        raise kind(sql, None, error) from error


def _commits_by_itself(connection: AsyncConnection) -> bool:
    known = connection.sync_connection
    return known is not None and known.get_execution_options().get("isolation_level") == "AUTOCOMMIT"


def _driver_of(connection: AsyncConnection) -> "asyncpg.Connection[asyncpg.Record] | None":
    if connection.sync_connection is None:
        return None
    driver = connection.sync_connection.connection.driver_connection
    return driver if isinstance(driver, asyncpg.Connection) else None
