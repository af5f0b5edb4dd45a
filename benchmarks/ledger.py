"""What the ledger costs on top of its own SQL: postings per second beside pgbench.

pgbench runs the very statements of a posting between BEGIN and COMMIT, prepared, with as many clients on the same
server; so the ratio is the share of the database's speed that is left when the postings go through `Ledger`. Both sides
charge accounts of their own, in fresh databases with equal contents, in turns.
"""

import asyncio
import gc
import re
import resource
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

import asyncpg
import uvloop
from alembic.migration import MigrationContext
from alembic.operations import Operations
from chassis import clock
from chassis.arrays import array_of_texts
from chassis.embedded import PostgresServer, remove_data
from ledger import AccountId, Asset, Entry, Ledger, NewAccount, Post, Source, create_ledger_tables
from ledger.domain.account import Account
from ledger.domain.engine import Books
from ledger.store.posting import LOCK_ACCOUNTS, saving
from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

CLIENTS = 16
ACCOUNTS_PER_CLIENT = 50
ROUNDS = 3
ROUND_SECONDS = 5
START_BALANCE = 10**9
REVENUE = AccountId("revenue")
CASH_IN = AccountId("cash_in")
MONEY = Asset("CNY")
AT = datetime(2026, 1, 1, tzinfo=UTC)

# Values of the sample batch that the script puts pgbench's own variables for.
CLIENT, NUMBER, SLOT, VERSION, BALANCE = "C#", "N#", "S#", 700_000_007, 900_000_000_009
VARIABLES = {CLIENT: "client_id", SLOT: "slot", str(VERSION): "version", str(BALANCE): "balance"}


@dataclass(frozen=True, slots=True)
class Shape:
    """One benchmark: how many postings a transaction carries, and the ratio that is asked of it."""

    name: str
    batch: int
    target: float


SHAPES = (Shape("ledger.batch50", 50, 0.8), Shape("ledger.single", 1, 0.25))


def run() -> list[dict[str, object]]:
    """Measure both shapes on a server of their own."""
    with tempfile.TemporaryDirectory(prefix="touchstone-bench-") as name:
        folder = Path(name)
        folder.chmod(0o711)  # root's server runs as another user, who must reach its data
        server = PostgresServer(folder / "postgres")
        server.start()
        try:
            return [uvloop.run(_compare(server, shape, folder)) for shape in SHAPES]
        finally:
            server.stop()
            remove_data(folder / "postgres")


async def _compare(server: PostgresServer, shape: Shape, folder: Path) -> dict[str, object]:
    ours, theirs = [], []
    through_ledger = await _prepare(server, f"ours_{shape.batch}")
    through_pgbench = await _prepare(server, f"theirs_{shape.batch}")
    await through_pgbench.dispose()
    for number in range(ROUNDS):
        theirs.append(_run_pgbench(server, shape, folder, number))
        ours.append(await _run_ledger(through_ledger, shape, number))
    await through_ledger.dispose()
    return {
        "name": shape.name,
        "value": round(median(ours)),
        "unit": "postings/s",
        "baseline": f"pgbench -M prepared, the same statements, {CLIENTS} clients",
        "baseline_value": round(median(theirs)),
        "ratio": round(median(ours) / median(theirs), 3),
        "target": shape.target,
        "peak_memory_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
    }


async def _prepare(server: PostgresServer, database: str) -> AsyncEngine:
    url = server.superuser_url.replace("postgresql:", "postgresql+asyncpg:")
    boss = create_async_engine(url, isolation_level="AUTOCOMMIT")
    async with boss.connect() as connection:
        await connection.exec_driver_sql(f"CREATE DATABASE {database}")
    await boss.dispose()
    engine = create_async_engine(f"{url.rpartition('/')[0]}/{database}", pool_size=CLIENTS, max_overflow=0)
    async with engine.begin() as connection:
        await connection.run_sync(_create_tables)
    for number in range(ROUNDS):
        async with engine.begin() as connection:
            await _fund(connection, number)
    async with engine.connect() as connection:
        await connection.execution_options(isolation_level="AUTOCOMMIT")
        await connection.exec_driver_sql("VACUUM ANALYZE")
    return engine


def _create_tables(connection: Connection) -> None:
    create_ledger_tables(Operations(MigrationContext.configure(connection)))


async def _fund(connection: AsyncConnection, number: int) -> None:
    """Open the round's accounts and put money on them: their first version."""
    ledger = _ledger()
    accounts = [_account(number, client, slot) for client in range(CLIENTS) for slot in range(ACCOUNTS_PER_CLIENT)]
    await ledger.open_accounts(connection, [NewAccount(account, MONEY) for account in accounts], opened_at=AT)
    await ledger.post(
        connection,
        [_recharge(Source(f"fund:{account}"), account) for account in accounts],
        recorded_at=AT,
    )


def _ledger() -> Ledger:
    return Ledger([REVENUE, CASH_IN])


def _account(number: int, client: int | str, slot: int | str) -> AccountId:
    return AccountId(f"balance:{number}/{client}/{slot}")


def _recharge(source: Source, account: AccountId) -> Post:
    entries = (Entry(CASH_IN, -START_BALANCE), Entry(account, START_BALANCE))
    return Post(source=source, kind="recharge", occurred_at=AT, entries=entries)


def _charge(source: str, account: AccountId) -> Post:
    entries = (Entry(account, -1), Entry(REVENUE, 1))
    return Post(source=Source(source), kind="charge", occurred_at=AT, entries=entries)


async def _run_ledger(engine: AsyncEngine, shape: Shape, number: int) -> float:
    """Postings per second through the ledger, with one connection and one task per client."""
    ledger = _ledger()
    gc.collect()
    gc.freeze()  # what was imported lives as long as the process; no collection need look at it again
    deadline = clock.monotonic() + ROUND_SECONDS

    async def client(name: int) -> int:
        done = 0
        async with engine.connect() as connection:
            # The transaction is the caller's business and begins and ends on the driver here, as pgbench's does.
            await connection.execution_options(isolation_level="AUTOCOMMIT")
            driver = (await connection.get_raw_connection()).driver_connection
            assert isinstance(driver, asyncpg.Connection)
            while clock.monotonic() < deadline:
                slots = range(ACCOUNTS_PER_CLIENT) if shape.batch > 1 else [done % ACCOUNTS_PER_CLIENT]
                commands = [_charge(f"charge:{number}/{name}/{done}/{s}", _account(number, name, s)) for s in slots]
                async with driver.transaction():
                    await ledger.post(connection, commands, recorded_at=AT)
                done += 1
        return done

    started = clock.monotonic()
    done = await asyncio.gather(*(client(name) for name in range(CLIENTS)))
    return sum(done) * shape.batch / (clock.monotonic() - started)


def _run_pgbench(server: PostgresServer, shape: Shape, folder: Path, number: int) -> float:
    """Postings per second of the bare statements."""
    script = folder / f"{shape.name}-{number}.sql"
    script.write_text(_script(shape, number))
    url = server.superuser_url.rpartition("/")[0] + f"/theirs_{shape.batch}"
    command = [str(server.binary("pgbench")), "-n", "-M", "prepared", "-D", "n=-1", "-f", str(script)]
    command += ["-c", str(CLIENTS), "-j", "2", "-T", str(ROUND_SECONDS), url]
    ended = subprocess.run(command, capture_output=True, text=True, check=True)
    found = re.search(r"tps = ([0-9.]+)", ended.stdout)
    assert found is not None, ended.stdout
    assert "number of failed transactions: 0 " in ended.stdout, ended.stdout
    return float(found[1]) * shape.batch


def _script(shape: Shape, number: int) -> str:
    """The statements with the arguments of a sample batch, in which pgbench's variables stand for what changes."""
    slots: Sequence[int | str] = range(ACCOUNTS_PER_CLIENT) if shape.batch > 1 else [SLOT]
    accounts = [_account(number, CLIENT, slot) for slot in slots]
    commands = [_charge(f"charge:{number}/{CLIENT}/{NUMBER}/{s}", a) for s, a in zip(slots, accounts, strict=True)]
    state = {a: Account(a, MONEY, balance=BALANCE + 1, version=VERSION - 1) for a in accounts}
    books = Books(frozenset([REVENUE]), state)
    books.decide(commands)
    save, columns = saving(books, AT)
    asked = [array_of_texts(accounts), array_of_texts([command.source for command in commands]), "{}", "{}"]
    lock = _filled(LOCK_ACCOUNTS, asked)
    every = 1 if shape.batch > 1 else ACCOUNTS_PER_CLIENT
    return "\n".join(
        [
            r"\set n :n + 1",
            rf"\set slot :n % {every}",
            rf"\set version :n / {every} + 2",
            rf"\set balance {START_BALANCE} - :version + 1",
            f"BEGIN;\n{lock};\n{_filled(save, columns)};\nCOMMIT;\n",
        ]
    )


def _filled(statement: str, columns: Sequence[str]) -> str:
    return re.sub(r"\$(\d+)", lambda found: _literal(columns[int(found[1]) - 1]), statement)


def _literal(text: str) -> str:
    """An argument of the statement: never a constant, which PostgreSQL would read once when it plans."""
    literal = f"replace('{text}', '{NUMBER}', :n::text)"
    for sample, variable in VARIABLES.items():
        if sample in text:
            literal = f"replace({literal}, '{sample}', :{variable}::text)"
    return literal
