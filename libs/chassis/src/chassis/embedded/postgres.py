"""A real PostgreSQL server on loopback, with a data folder that a later start finds again."""

import contextlib
import hashlib
import os
import secrets
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from chassis import clock
from chassis.embedded.child import Child, Launch, ServerDidNotStart, User, leashed
from chassis.embedded.installation import owned_folder, postgres_binaries, reachable, unprivileged_user
from chassis.embedded.ports import free_port
from chassis.embedded.server import Server

SUPERUSER = "touchstone"
_STAND_INS = Path("/var/tmp")  # noqa: S108 - a folder that outlives a restart and that every user can walk into
_LOCALE = ("--encoding=UTF8", "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8")
_ENVIRONMENT = {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"}

# Small enough for six processes on two cores; fsync and synchronous_commit keep their defaults (on).
_DURABLE = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": ".",
    "max_connections": "120",
    "shared_buffers": "128MB",
    "max_wal_size": "1GB",
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_checkpoints": "off",
    "log_line_prefix": "%m [%p] %q%u@%d ",
}
# What tests may lose: everything, at the machine's end.
_FAST = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off", "wal_level": "minimal"}
_FAST_TOO = {
    "max_wal_senders": "0",
    "checkpoint_timeout": "1h",
    "max_wal_size": "256MB",  # the data may lie in memory
    "io_method": "sync",  # nothing is read that the kernel has not in memory
    "scram_iterations": "1",  # a client computes them anew for each connection, and all passwords are random
}
_FAST_INITDB = ["--no-sync", "--set=scram_iterations=1"]


class PostgresServer(Server):
    """PostgreSQL, stopped by a fast shutdown: open transactions are rolled back, a checkpoint is written.

    `folder` holds `data/`, `log` and `superuser.password`. Root's server runs as an ordinary user; where that user
    cannot reach `folder`, the data lie under /var/tmp and `data` is a link to them.
    """

    STOPPED_BY = (signal.SIGINT, signal.SIGQUIT)

    def __init__(self, folder: Path, *, fast: bool = False, options: Mapping[str, str] | None = None) -> None:
        super().__init__(folder)
        self.fast = fast
        self.options = {**_DURABLE, **((_FAST | _FAST_TOO) if fast else {}), **(options or {})}
        self._user: User | None = None

    def start(self, *, port: int | None = None, timeout_seconds: float = 60.0) -> None:
        """Makes the data folder if there is none, starts and waits until connections are accepted.

        The port is the given one, else that of the last start, else a free one.
        """
        if self.running:
            raise ServerDidNotStart(f"PostgreSQL in {self.folder} runs already")
        self._user = self._owner()
        binaries = postgres_binaries(self._user)
        data = self._data_folder()
        if not (data / "PG_VERSION").exists():
            self._initialise(binaries, data)
        _drop_stale_pid_file(data)
        deadline = clock.monotonic() + timeout_seconds
        wished = port or self.port
        while True:
            self.port = wished or free_port()
            self._child = self._launch(binaries, data)
            failure = self._wait_until_ready(self._child, data, deadline)
            if failure is None:
                return
            if not self._worth_another_try(failure, wished) or clock.monotonic() > deadline:
                raise ServerDidNotStart(f"PostgreSQL in {self.folder} did not start:\n{failure}")
            time.sleep(0.1)

    @property
    def socket_folder(self) -> Path:
        """The folder of the Unix socket: the data folder itself, open to the server's user and root alone."""
        return (self.folder / "data").resolve()

    @property
    def superuser_password(self) -> str:
        """The password made with the data folder."""
        return (self.folder / "superuser.password").read_text().strip()

    @property
    def superuser_url(self) -> str:
        """The address of the database `postgres` for the superuser."""
        return self.url(user=SUPERUSER, password=self.superuser_password, database="postgres")

    def url(self, *, user: str, password: str, database: str) -> str:
        """The address of a database over TCP, as asyncpg and the settings of services take it."""
        return f"postgresql://{user}:{password}@127.0.0.1:{self.port}/{database}"

    def binary(self, name: str) -> Path:
        """A program of the same installation, such as `psql` or `pgbench`."""
        return postgres_binaries(unprivileged_user()) / name

    def _owner(self) -> User | None:
        """Root takes the user the data belong to already, so that a folder made without root stays usable."""
        with contextlib.suppress(FileNotFoundError):
            found = (self.folder / "data" / "PG_VERSION").stat()
            if os.geteuid() == 0 and found.st_uid != 0:
                return User(found.st_uid, found.st_gid)
        return unprivileged_user()

    def _data_folder(self) -> Path:
        """Where the data are: in `folder`, or in a stand-in that the unprivileged user can reach."""
        data = self.folder / "data"
        self.folder.mkdir(mode=0o700 if self._user is None else 0o711, parents=True, exist_ok=True)
        if self._user is None or (reachable(self.folder) and not data.is_symlink()):
            return data
        stand_in = _stand_in(self.folder)
        if not data.is_symlink():
            # The folder was deleted and made anew: what a former one left behind is nobody's.
            _remove_stand_in(stand_in)
            data.symlink_to(stand_in / "data")
        owned_folder(stand_in, 0o711)
        return stand_in / "data"

    def _initialise(self, binaries: Path, data: Path) -> None:
        """Runs initdb beside and renames, so that an interrupted one is never taken for a data folder."""
        beside = data.with_name("data.new")
        shutil.rmtree(beside, ignore_errors=True)
        beside.mkdir(mode=0o700)
        with self._password_file(data.parent) as password_file:
            if self._user is not None:
                os.chown(beside, self._user.uid, self._user.gid)
            words = ["-D", str(beside), "-U", SUPERUSER, "--auth=scram-sha-256", f"--pwfile={password_file}", *_LOCALE]
            initdb = [str(binaries / "initdb"), *words, *(_FAST_INITDB if self.fast else [])]
            leash = leashed(initdb, user=self._user, death_signal=signal.SIGKILL)
            ended = subprocess.run(leash, cwd="/", env=_ENVIRONMENT, capture_output=True, text=True, check=False)
        if ended.returncode != 0:
            raise ServerDidNotStart(f"initdb in {beside} failed:\n{ended.stderr}{ended.stdout}")
        beside.rename(data)

    @contextlib.contextmanager
    def _password_file(self, folder: Path) -> Iterator[Path]:
        """Makes the superuser's password; keeps it, and lends it to initdb's user for as long as initdb runs."""
        password = secrets.token_urlsafe(24)
        kept, lent = self.folder / "superuser.password", folder / "password.lent"
        for file in (kept, lent):
            file.unlink(missing_ok=True)
            file.touch(mode=0o600)
            file.write_text(password + "\n")
        if self._user is not None:
            os.chown(lent, self._user.uid, self._user.gid)
        try:
            yield lent
        finally:
            lent.unlink()

    def _launch(self, binaries: Path, data: Path) -> Child:
        options = {**self.options, "port": str(self.port)}
        words = [word for name, value in options.items() for word in ("-c", f"{name}={value}")]
        return Child(
            Launch(
                command=[str(binaries / "postgres"), "-D", str(data), *words],
                log=self.log_path,
                environment=_ENVIRONMENT,
                user=self._user,
                death_signal=signal.SIGQUIT if self.fast else signal.SIGINT,
            )
        )

    def _wait_until_ready(self, child: Child, data: Path, deadline: float) -> str | None:
        """None when ready, else what the server said. The postmaster writes its state into line 8 of its pid file."""
        pid_file = data / "postmaster.pid"
        while child.exit_code() is None:
            with contextlib.suppress(OSError):
                lines = pid_file.read_text().splitlines()
                if len(lines) >= 8 and lines[0] == str(child.pid) and lines[7].strip() == "ready":
                    return None
            if clock.monotonic() > deadline:
                child.stop(signal.SIGQUIT, patience_seconds=5.0)
                return "not ready in time\n" + child.log_since_start()
            time.sleep(0.01)
        return child.log_since_start()

    @staticmethod
    def _worth_another_try(failure: str, wished_port: int) -> bool:
        """A port taken in the meantime (if we chose it), or the shared memory of backends still about to end."""
        port_taken = "could not create any TCP/IP sockets" in failure and not wished_port
        return port_taken or "pre-existing shared memory block" in failure


def remove_data(folder: Path) -> None:
    """Deletes a stopped server's folder, with the stand-in where the data lie elsewhere."""
    folder = folder.absolute()
    if (folder / "data").is_symlink():
        _remove_stand_in(_stand_in(folder))
    shutil.rmtree(folder, ignore_errors=False) if folder.exists() else None


def _stand_in(folder: Path) -> Path:
    digest = hashlib.sha256(os.fsencode(folder)).hexdigest()[:16]
    return _STAND_INS / f"touchstone-{digest}"


def _remove_stand_in(stand_in: Path) -> None:
    if stand_in.exists() or stand_in.is_symlink():
        shutil.rmtree(owned_folder(stand_in, 0o711))


def _drop_stale_pid_file(data: Path) -> None:
    """Removes a pid file whose process is alive but no postmaster (a number used again, as in a restarted container).

    PostgreSQL itself sorts out the other cases: the process is gone, or it is a postmaster.
    """
    pid_file = data / "postmaster.pid"
    with contextlib.suppress(OSError, ValueError, IndexError):
        pid = int(pid_file.read_text().splitlines()[0])
        if b"postgres" not in Path(f"/proc/{pid}/cmdline").read_bytes():
            pid_file.unlink()
