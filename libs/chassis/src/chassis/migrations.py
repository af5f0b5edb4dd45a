"""Migrations of one service's database: run with the owner's login, a short lock timeout, and privileges at the end.

A service's `env.py` calls `run_env`; its first revision calls `create_chassis_tables`. Tables named to
`append_only` refuse UPDATE and DELETE by a trigger, and the service's login has no privilege for them either.
"""

import asyncio
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

from alembic import command, context
from alembic.config import Config
from sqlalchemy import Connection, MetaData, make_url, pool, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import create_async_engine

from chassis.database import async_url
from chassis.settings import ServiceSettings
from chassis.tables import chassis_tables


class Operations(Protocol):
    """What is needed of `alembic.op`, which is a module."""

    def execute(self, sqltext: Any) -> None: ...

    def get_bind(self) -> Connection: ...


_LOCK_TIMEOUT_MS = 500
_LOCK_TRIES = 30
_LOCK_NOT_AVAILABLE = "55P03"
_APPEND_ONLY = """
SELECT tgrelid::regclass::text FROM pg_trigger JOIN pg_proc p ON p.oid = tgfoid WHERE proname = 'refuse_change'
"""


def migrations_folder(package: str) -> Path:
    """Where a service's migrations are: inside the installed package, or beside `src` in the work tree."""
    module = import_module(package).__file__
    assert module is not None, package
    inside = Path(module).parent / "migrations"
    return inside if inside.is_dir() else Path(module).parents[2] / "migrations"


def create_chassis_tables(op: Operations) -> None:
    """Makes the chassis's tables as `chassis_tables` declares them."""
    metadata = MetaData()
    chassis_tables(metadata)
    metadata.create_all(op.get_bind())


def append_only(op: Operations, *tables: str) -> None:
    """Lets rows of these tables be added and read, and nothing else, whoever asks."""
    op.execute(
        text(
            "CREATE OR REPLACE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$ "
            "BEGIN RAISE EXCEPTION 'rows of % are append-only', TG_TABLE_NAME USING ERRCODE = '42501'; END $$"
        )
    )
    for table in tables:
        op.execute(
            text(
                f"CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {table} "
                "FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
            )
        )


async def upgrade(package: str, settings: ServiceSettings) -> None:
    """Brings the database to the newest revision and gives the service's login its privileges.

    Waits no longer than half a second for a lock, so that readers never queue behind a migration, and tries again.
    """
    for attempt in range(_LOCK_TRIES):
        try:
            await asyncio.to_thread(_upgrade, package, settings)
        except DBAPIError as error:
            if getattr(error.orig, "sqlstate", None) != _LOCK_NOT_AVAILABLE or attempt == _LOCK_TRIES - 1:
                raise
            await asyncio.sleep(0.1 * (attempt + 1))
        else:
            return


def _upgrade(package: str, settings: ServiceSettings) -> None:
    config = Config()
    config.set_main_option("script_location", str(migrations_folder(package)))
    config.attributes["url"] = settings.migration_database_url or settings.database_url
    config.attributes["service_login"] = make_url(settings.database_url).username
    command.upgrade(config, "head")


def run_env(metadata: MetaData) -> None:
    """What every `env.py` does: runs the revisions in one transaction, then grants."""
    config = context.config
    asyncio.run(_run(config.attributes["url"], config.attributes["service_login"], metadata))


async def _run(url: str, service_login: str, metadata: MetaData) -> None:
    engine = create_async_engine(async_url(url), poolclass=pool.NullPool)
    async with engine.begin() as connection:
        await connection.run_sync(_migrate, service_login, metadata)
    await engine.dispose()


def _migrate(connection: Connection, service_login: str, metadata: MetaData) -> None:
    connection.execute(text(f"SET LOCAL lock_timeout = {_LOCK_TIMEOUT_MS}"))
    # Two processes that migrate at once do so one after the other.
    connection.execute(text("SELECT pg_advisory_xact_lock(hashtext('migrations'))"))
    options: dict[str, Any] = {"connection": connection, "target_metadata": metadata}
    context.configure(**options)
    context.run_migrations()
    _grant(connection, service_login)


def _grant(connection: Connection, service_login: str) -> None:
    """Reading and writing rows for the service's login; only adding for append-only tables; no DDL."""
    if connection.scalar(text("SELECT current_user")) == service_login:
        return
    quoted = connection.dialect.identifier_preparer.quote(service_login)
    for statement in (
        f"GRANT USAGE ON SCHEMA public TO {quoted}",
        f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {quoted}",
        f"GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO {quoted}",
        f"GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA public TO {quoted}",
    ):
        connection.execute(text(statement))
    for (table,) in connection.execute(text(_APPEND_ONLY)).all():
        connection.execute(text(f"REVOKE UPDATE, DELETE, TRUNCATE ON {table} FROM {quoted}"))
