"""Fixtures with the real servers, and databases cloned from a template that the migrations made."""

import asyncio
import os
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import pytest

from chassis.embedded import NatsServer, PostgresServer, remove_data
from chassis.embedded.databases import Database, Logins, clone_database, drop_database, ensure_database
from chassis.ids import new_id
from chassis.testing.scratch import scratch_folder


class Migrated(Protocol):
    """What has a database: a process, told by the package whose `python -m <package> migrate` makes its tables."""

    @property
    def package(self) -> str:
        """The importable package."""
        ...


class MigrationError(RuntimeError):
    """The migrations of a package failed; the message is what they printed."""


@pytest.fixture(scope="session")
def scratch() -> Iterator[Path]:
    """A folder of this test process, in memory where there is room."""
    with scratch_folder() as folder:
        yield folder


@pytest.fixture(scope="session")
def postgres(scratch: Path) -> Iterator[PostgresServer]:
    """A PostgreSQL for this test process, which keeps nothing; a missing installation fails."""
    server = PostgresServer(scratch / "postgres", fast=True)
    server.start()
    yield server
    server.stop()
    remove_data(scratch / "postgres")


@pytest.fixture
def nats(scratch: Path) -> Iterator[NatsServer]:
    """A nats-server for this test alone, without streams."""
    with fresh_broker(scratch) as server:
        yield server


@contextmanager
def fresh_broker(scratch: Path) -> Iterator[NatsServer]:
    """A nats-server without streams, killed at the end together with what it kept."""
    folder = Path(tempfile.mkdtemp(prefix="nats-", dir=scratch))
    server = NatsServer(folder)
    server.start()
    try:
        yield server
    finally:
        server.kill()
        shutil.rmtree(folder)


class Templates:
    """The databases that the migrations made, one per package, each built when first asked for."""

    def __init__(self, server: PostgresServer) -> None:
        self.server = server
        self._logins: dict[str, Logins] = {}

    async def clone(self, package: str) -> Database:
        """A new database with the tables of the package, as its migrations leave them."""
        if package not in self._logins:
            self._logins[package] = await self._build(package)
        logins = self._logins[package]
        return await clone_database(self.server, f"{package}_{new_id()}", logins, template=_template(package))

    async def _build(self, package: str) -> Logins:
        logins = Logins.random(package)
        database = await ensure_database(self.server, _template(package), logins)
        await _migrate(package, database)
        return logins


class Databases:
    """Gives databases to one test and takes them back at its end."""

    def __init__(self, templates: Templates) -> None:
        self._templates = templates
        self._given: list[Database] = []

    async def __call__(self, process: Migrated | str) -> Database:
        """A fresh database for a process, or for a package by its name."""
        package = process if isinstance(process, str) else process.package
        made = await self._templates.clone(package)
        self._given.append(made)
        return made

    async def drop_all(self) -> None:
        """Drops what was given."""
        for database in self._given:
            await drop_database(self._templates.server, database.name)


@pytest.fixture(scope="session")
def database_templates(postgres: PostgresServer) -> Templates:
    """The templates of this test process."""
    return Templates(postgres)


@pytest.fixture
async def database(database_templates: Templates) -> AsyncIterator[Databases]:
    """Gives, when called with a process and awaited, a fresh database, and drops it after the test."""
    databases = Databases(database_templates)
    yield databases
    await databases.drop_all()


def _template(package: str) -> str:
    return f"{package}_template"


async def _migrate(package: str, database: Database) -> None:
    """Runs the very command that is run before a roll-out."""
    settings = {
        "TOUCHSTONE_DATABASE_URL": database.url,
        "TOUCHSTONE_MIGRATION_DATABASE_URL": database.owner_url,
        "TOUCHSTONE_NATS_URL": "nats://127.0.0.1:1",
        "TOUCHSTONE_JWKS": os.devnull,
    }
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("TOUCHSTONE_")}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", package, "migrate"),
        env=inherited | settings,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    printed, _ = await process.communicate()
    if process.returncode != 0:
        raise MigrationError(f"python -m {package} migrate:\n{printed.decode(errors='replace')}")
