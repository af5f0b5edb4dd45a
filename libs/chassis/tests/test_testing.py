"""The fixtures: a fresh database per test, a fresh broker per test, tokens that verify."""

import json
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import nats as nats_client
import pytest
from chassis.embedded import NatsServer, PostgresServer
from chassis.embedded.databases import Logins, ensure_database
from chassis.testing import Databases, Keys
from chassis.testing.servers import MigrationError
from chassis.tokens import Minter, new_key, read_key, write_jwks, write_key
from joserfc import jwt
from joserfc.jwk import KeySet
from joserfc.jwt import JWTClaimsRegistry

# A package as small as can be: its `migrate` makes one table with the owner's login.
MAIN = """
import asyncio, os, sys
import asyncpg
assert sys.argv[1:] == ["migrate"]
async def migrate():
    connection = await asyncpg.connect(os.environ["TOUCHSTONE_MIGRATION_DATABASE_URL"])
    await connection.execute("CREATE TABLE things (id bigint GENERATED ALWAYS AS IDENTITY, name text)")
    await connection.close()
    with open(os.environ["MIGRATIONS_RUN"], "a") as runs:
        runs.write("run\\n")
asyncio.run(migrate())
"""


@dataclass(frozen=True)
class Package:
    package: str
    runs: Path


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Package:
    folder = tmp_path_factory.mktemp("packages")
    (folder / "thingstore").mkdir()
    (folder / "thingstore" / "__main__.py").write_text(MAIN)
    return Package("thingstore", folder / "runs")


@pytest.fixture(autouse=True)
def importable(package: Package, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(package.runs.parent))
    monkeypatch.setenv("MIGRATIONS_RUN", str(package.runs))


@pytest.mark.parametrize("_time", [1, 2, 3])
async def test_each_test_gets_an_empty_clone_and_the_migrations_run_once(
    _time: int, database: Databases, package: Package
) -> None:
    made = await database(package)
    connection = await asyncpg.connect(made.url)
    assert await connection.fetchval("SELECT count(*) FROM things") == 0
    await connection.execute("INSERT INTO things (name) VALUES ('kept by nobody')")
    await connection.close()
    assert package.runs.read_text() == "run\n"


async def test_two_databases_of_one_test_are_two(database: Databases, package: Package) -> None:
    first, second = await database(package), await database(package)
    connection = await asyncpg.connect(first.url)
    await connection.execute("INSERT INTO things (name) VALUES ('first')")
    await connection.close()
    connection = await asyncpg.connect(second.url)
    assert await connection.fetchval("SELECT count(*) FROM things") == 0
    await connection.close()


async def test_databases_are_dropped_after_the_test(
    database: Databases, postgres: PostgresServer, package: Package
) -> None:
    made = await database(package)
    still_open = await asyncpg.connect(made.url)
    await database.drop_all()
    with pytest.raises(asyncpg.InvalidCatalogNameError):
        await asyncpg.connect(made.owner_url)
    still_open.terminate()


async def test_the_service_login_changes_rows_but_no_tables(database: Databases, package: Package) -> None:
    made = await database(package)
    connection = await asyncpg.connect(made.url)
    await connection.execute("INSERT INTO things (name) VALUES ('a')")
    await connection.execute("UPDATE things SET name = 'b'")
    await connection.execute("DELETE FROM things")
    for statement in (
        "CREATE TABLE mine (id int)",
        "ALTER TABLE things ADD COLUMN more text",
        "DROP TABLE things",
        "TRUNCATE things",
        "CREATE SCHEMA mine",
        "CREATE TEMPORARY TABLE mine (id int)",
    ):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute(statement)
    await connection.close()


async def test_one_services_login_cannot_enter_anothers_database(
    database: Databases, postgres: PostgresServer, package: Package
) -> None:
    others = await ensure_database(postgres, "others", Logins.random("others"))
    made = await database(package)
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await asyncpg.connect(others.url, database=made.name)
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await asyncpg.connect(made.url, database=others.name)


async def test_ensuring_a_database_again_keeps_its_rows_and_changes_the_passwords(postgres: PostgresServer) -> None:
    first = await ensure_database(postgres, "again", Logins.random("again"))
    connection = await asyncpg.connect(first.owner_url)
    await connection.execute("CREATE TABLE kept AS SELECT 1 AS one")
    await connection.close()
    second = await ensure_database(postgres, "again", Logins.random("again"))
    connection = await asyncpg.connect(second.url)
    assert await connection.fetchval("SELECT one FROM kept") == 1
    await connection.close()
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(first.url)


async def test_failing_migrations_fail_the_test_with_what_they_printed(database: Databases) -> None:
    with pytest.raises(MigrationError, match=r"No module named.*no_such_package"):
        await database("no_such_package")


@pytest.mark.parametrize("_time", [1, 2])
async def test_each_test_gets_a_broker_without_streams(_time: int, nats: NatsServer) -> None:
    client = await nats_client.connect(nats.url)
    assert await client.jetstream().streams_info() == []
    await client.jetstream().add_stream(name="LEFT", subjects=["left"])
    await client.close()


def test_a_minted_token_verifies_with_the_public_set_alone(keys: Keys) -> None:
    public = json.loads(keys.jwks.read_text())
    assert "d" not in public["keys"][0]
    token = jwt.decode(
        keys.mint("app", ["points.read", "bills.read"], customer_id="C1"),
        KeySet.import_key_set(public),
        algorithms=["ES256"],
    )
    assert token.header["typ"] == "at+jwt"
    assert token.claims["sub"] == "app"
    assert token.claims["scope"] == "bills.read points.read"
    assert token.claims["customer_id"] == "C1"
    assert token.claims["exp"] - token.claims["iat"] == 3600


def test_a_negative_lifetime_mints_an_expired_token(keys: Keys) -> None:
    token = jwt.decode(keys.mint(lifetime_seconds=-120), keys.key, algorithms=["ES256"])
    with pytest.raises(Exception, match="expired"):
        JWTClaimsRegistry().validate(token.claims)


def test_a_key_survives_its_file_which_is_private(tmp_path: Path) -> None:
    key = new_key()
    write_key(tmp_path / "key.json", key)
    assert (tmp_path / "key.json").stat().st_mode & 0o777 == 0o600
    again = read_key(tmp_path / "key.json")
    assert again.kid == key.kid
    token = Minter(again).mint("boss", ["a"])
    assert jwt.decode(token, key, algorithms=["ES256"]).claims["aud"] == "touchstone"


def test_the_public_set_holds_several_keys_while_they_are_rotated(tmp_path: Path) -> None:
    old, new = new_key(), new_key()
    write_jwks(tmp_path / "jwks.json", new, old)
    both = KeySet.import_key_set(json.loads((tmp_path / "jwks.json").read_text()))
    for key in (old, new):
        assert jwt.decode(Minter(key).mint("boss", []), both, algorithms=["ES256"]).claims["sub"] == "boss"
