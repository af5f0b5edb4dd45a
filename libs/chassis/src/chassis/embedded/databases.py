"""Databases with two logins: an owner who may change tables and a service login which may only use them."""

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Self

import asyncpg

from chassis.embedded.postgres import SUPERUSER, PostgresServer


@dataclass(frozen=True, slots=True)
class Login:
    """A role that may log in, with its password."""

    user: str
    password: str

    @classmethod
    def random(cls, user: str) -> Self:
        """A login with a password of 192 random bits."""
        return cls(user, secrets.token_urlsafe(24))


@dataclass(frozen=True, slots=True)
class Database:
    """A database of one service: where it is and who reaches it how."""

    name: str
    url: str
    owner_url: str


@dataclass(frozen=True, slots=True)
class Logins:
    """The two logins of one service: `billing_owner` runs migrations, `billing` serves."""

    owner: Login
    service: Login

    @classmethod
    def random(cls, service: str) -> Self:
        """Both logins with random passwords."""
        return cls(Login.random(f"{service}_owner"), Login.random(service))


async def ensure_database(server: PostgresServer, name: str, logins: Logins) -> Database:
    """Makes the database and its logins where they are missing, and sets the passwords; a repeat changes nothing else.

    What the owner's migrations create later is readable and writable for the service login by default; whoever wants a
    table append-only takes the privileges back from it.
    """
    owner, service = _quoted(logins.owner.user), _quoted(logins.service.user)
    async with as_superuser(server) as connection:
        for login in (logins.owner, logins.service):
            await _ensure_login(connection, login)
        if not await connection.fetchval("SELECT true FROM pg_database WHERE datname = $1", name):
            await _create(connection, name, logins, template="template0")
    async with as_superuser(server, name) as connection:
        defaults = f"ALTER DEFAULT PRIVILEGES FOR ROLE {owner} IN SCHEMA public"
        await connection.execute(f"GRANT USAGE ON SCHEMA public TO {service}")
        await connection.execute(f"{defaults} GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO {service}")
        await connection.execute(f"{defaults} GRANT USAGE, SELECT ON SEQUENCES TO {service}")
    return database_of(server, name, logins)


async def clone_database(server: PostgresServer, name: str, logins: Logins, *, template: str) -> Database:
    """A new database with everything that is in the template, to which nobody may be connected meanwhile.

    Its files are copied: faster than through the log, as long as a checkpoint costs nothing.
    """
    async with as_superuser(server) as connection:
        await _create(connection, name, logins, template=template, strategy="FILE_COPY")
    return database_of(server, name, logins)


def database_of(server: PostgresServer, name: str, logins: Logins) -> Database:
    """The addresses of a database that exists."""
    return Database(
        name=name,
        url=server.url(user=logins.service.user, password=logins.service.password, database=name),
        owner_url=server.url(user=logins.owner.user, password=logins.owner.password, database=name),
    )


async def drop_database(server: PostgresServer, name: str) -> None:
    """Drops the database and ends whatever is still connected to it."""
    async with as_superuser(server) as connection:
        await connection.execute(f"DROP DATABASE IF EXISTS {_quoted(name)} WITH (FORCE)")


@asynccontextmanager
async def as_superuser(server: PostgresServer, database: str = "postgres") -> AsyncIterator[asyncpg.Connection]:
    """A connection of the superuser, closed at the end."""
    password = server.superuser_password
    connection = await asyncpg.connect(server.url(user=SUPERUSER, password=password, database=database))
    try:
        yield connection
    finally:
        await connection.close()


async def _create(
    connection: asyncpg.Connection, name: str, logins: Logins, *, template: str, strategy: str = "WAL_LOG"
) -> None:
    """The privileges on a database itself are not cloned with it: nobody but its two logins may enter."""
    database, owner, service = _quoted(name), _quoted(logins.owner.user), _quoted(logins.service.user)
    source = f"TEMPLATE {_quoted(template)} STRATEGY {strategy}"
    await connection.execute(f"CREATE DATABASE {database} OWNER {owner} {source}")
    await connection.execute(f"REVOKE ALL ON DATABASE {database} FROM PUBLIC")
    await connection.execute(f"GRANT CONNECT ON DATABASE {database} TO {service}")


async def _ensure_login(connection: asyncpg.Connection, login: Login) -> None:
    known = await connection.fetchval("SELECT true FROM pg_roles WHERE rolname = $1", login.user)
    password = await connection.fetchval("SELECT quote_literal($1)", login.password)
    verb = "ALTER" if known else "CREATE"
    await connection.execute(f"{verb} ROLE {_quoted(login.user)} LOGIN PASSWORD {password}")


def _quoted(identifier: str) -> str:
    escaped = identifier.replace('"', '""')
    return f'"{escaped}"'
