"""One pool of connections to one database, with the limits that keep a slow query from holding everything."""

from opentelemetry.instrumentation.sqlalchemy import SQLAlchemyInstrumentor
from sqlalchemy import make_url, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from chassis.errors import Unavailable
from chassis.settings import ServiceSettings

_SESSION = {
    # A plan is made once for each connection and kept: made while a table is small it would read the whole of it, and
    # go on doing so when it has grown. So what an index can answer is asked of the index.
    "enable_seqscan": "off",
    # Compiling a plan pays for minutes of reading, which no service does.
    "jit": "off",
    # Milliseconds. A statement, a wait for a lock, a transaction left open and a whole transaction end by themselves.
    "statement_timeout": "30000",
    "lock_timeout": "10000",
    "idle_in_transaction_session_timeout": "30000",
    "timezone": "UTC",
}

_STATEMENTS_KEPT = 500

# What PostgreSQL says while it starts, stops, or has no connection left; class 08 is a connection that broke.
_DOWN = {"57P01", "57P02", "57P03", "53300"}

# Said in a transaction that does want to read everything.
READ_WHOLE_TABLES = text("SET LOCAL enable_seqscan = on")


class DatabaseDown(Unavailable):
    """The database does not take connections, or dropped one. What was asked may have been done: the same request may
    be made again, and is then answered as the first time."""

    def __init__(self) -> None:
        super().__init__("the database cannot be reached; the same request may be made again")


def async_url(url: str) -> str:
    """The address with the driver that this platform uses."""
    return make_url(url).set(drivername="postgresql+asyncpg").render_as_string(hide_password=False)


def open_engine(settings: ServiceSettings, service: str) -> AsyncEngine:
    """The pool of a service; READ COMMITTED, because money safety rests on row locks and constraints."""
    return create_async_engine(
        async_url(settings.database_url),
        pool_size=settings.database_pool_size,
        max_overflow=0,
        pool_timeout=10,
        # Recycled rather than pinged before each use: a ping is one more round trip per request.
        pool_recycle=1800,
        isolation_level="READ COMMITTED",
        hide_parameters=True,  # an error is logged, and what a statement was asked is no matter for a log
        connect_args={
            "server_settings": {**_SESSION, "application_name": service},
            "timeout": 5,
            # A service has a few hundred statements: with the hundred that SQLAlchemy keeps of its own, and the driver
            # of those that go straight to it, they would push each other out.
            "prepared_statement_cache_size": _STATEMENTS_KEPT,
            "statement_cache_size": _STATEMENTS_KEPT,
        },
    )


def trace_statements(engine: AsyncEngine) -> None:
    """Gives every statement a span inside the request's trace."""
    # The instrumentation declares an upper bound below the SQLAlchemy in use and would silently do nothing.
    SQLAlchemyInstrumentor().instrument(engine=engine.sync_engine, skip_dep_check=True)


def is_down(error: BaseException) -> bool:
    """Whether an error says that the database cannot be reached, and nothing about what was asked of it."""
    if isinstance(error, DBAPIError):
        state = sqlstate(error) or ""
        return error.connection_invalidated or state in _DOWN or state.startswith("08")
    return isinstance(error, OSError | PoolTimeoutError)


def sqlstate(error: BaseException) -> str | None:
    """The code of PostgreSQL for an error; None for one that is not PostgreSQL's."""
    return getattr(getattr(error, "orig", error), "sqlstate", None)


async def answers(engine: AsyncEngine) -> bool:
    """Whether the database answers at all."""
    try:
        async with engine.connect() as connection:
            await connection.execute(text("SELECT 1"))
    except Exception:  # noqa: BLE001 - whatever it was, the database did not answer
        return False
    return True
