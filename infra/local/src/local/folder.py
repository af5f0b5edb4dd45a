"""The data folder of one platform: where everything lies, who runs on it, the ports and passwords it remembers."""

import fcntl
import json
import os
import secrets
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from chassis.embedded import free_port, remove_data
from chassis.embedded.databases import Login, Logins


class FolderInUse(RuntimeError):
    """Another platform runs on this data folder."""

    def __init__(self, folder: Path, pid: int | None) -> None:
        who = f"process {pid}" if pid else "another process"
        super().__init__(f"a platform runs already on {folder} ({who}); stop it first: python -m local down")


@dataclass(frozen=True, slots=True)
class DataFolder:
    """Paths below one root. Files with secrets are for their owner alone (0600)."""

    root: Path

    @property
    def postgres(self) -> Path:
        """PostgreSQL's folder."""
        return self.root / "postgres"

    @property
    def nats(self) -> Path:
        """The broker's folder."""
        return self.root / "nats"

    @property
    def env_file(self) -> Path:
        """Addresses and a token for a person's shell."""
        return self.root / "env"

    @property
    def signing_key(self) -> Path:
        """The private key of all tokens of this folder."""
        return self.root / "keys" / "signing-key.json"

    @property
    def jwks(self) -> Path:
        """Its public half, which every process is configured with."""
        return self.root / "keys" / "jwks.json"

    @property
    def payment_channels(self) -> Path:
        """The payment channels with their secrets: what billing reads, and the sandbox provider."""
        return self.root / "keys" / "payment-channels.json"

    def log(self, name: str) -> Path:
        """What a process wrote, over all its starts."""
        return self.root / "logs" / f"{name}.log"

    def token_file(self, name: str) -> Path:
        """A process's own token."""
        return self.root / "tokens" / name

    def prepare(self) -> None:
        """Makes the folders; root's is passable, because its PostgreSQL runs as another user."""
        self.root.mkdir(mode=0o711 if os.geteuid() == 0 else 0o700, parents=True, exist_ok=True)
        for name in ("keys", "logs", "tokens"):
            (self.root / name).mkdir(mode=0o700, exist_ok=True)

    def wipe(self) -> None:
        """Deletes what a platform makes, nothing else that may lie in the folder."""
        remove_data(self.postgres)
        for name in ("keys", "logs", "nats", "tokens"):
            shutil.rmtree(self.root / name, ignore_errors=True)
        for name in ("env", "passwords.json", "ports.json"):
            (self.root / name).unlink(missing_ok=True)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keeps other platforms off the folder, by a lock that the kernel lets go at this process's end."""
        self.root.mkdir(mode=0o711 if os.geteuid() == 0 else 0o700, parents=True, exist_ok=True)
        with self._pid_file.open("a+") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise FolderInUse(self.root, self.running_pid()) from None
            file.truncate(0)
            file.write(f"{os.getpid()} {_started_at(os.getpid())}\n")
            file.flush()
            yield
            file.truncate(0)

    def running_pid(self) -> int | None:
        """The process that holds the folder, None where nobody does.

        Only the lock's holder has written the file; the start time tells it from a later process with its number.
        """
        if not self._pid_file.exists():
            return None
        with self._pid_file.open() as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                words = file.read().split()
            else:
                return None
        if len(words) == 2 and _started_at(int(words[0])) == words[1]:
            return int(words[0])
        return None

    def is_held(self) -> bool:
        """Whether a platform runs on the folder, even if it has not said its number yet."""
        if not self._pid_file.exists():
            return False
        with self._pid_file.open() as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
            return False

    def ports(self, names: Sequence[str]) -> dict[str, int]:
        """A free port per name, the same as last time wherever nobody took it, so that addresses stay."""
        last = self.known_ports()
        chosen: dict[str, int] = {}
        for name in names:
            port = free_port(last.get(name))
            while port in chosen.values():
                port = free_port()
            chosen[name] = port
        self._ports_file.write_text(json.dumps(chosen, indent=2) + "\n")
        return chosen

    def known_ports(self) -> dict[str, int]:
        """The ports of the last start."""
        known: dict[str, int] = json.loads(self._ports_file.read_text()) if self._ports_file.exists() else {}
        return known

    def password(self, name: str) -> str:
        """The password of this name, made at the first asking."""
        file = self.root / "passwords.json"
        known: dict[str, str] = json.loads(file.read_text()) if file.exists() else {}
        if name not in known:
            known[name] = secrets.token_urlsafe(24)
            write_private(file, json.dumps(known, indent=2) + "\n")
        return known[name]

    def logins(self, service: str) -> Logins:
        """The two logins of a service's database."""
        owner, login = f"{service}_owner", service
        return Logins(Login(owner, self.password(owner)), Login(login, self.password(login)))

    @property
    def _ports_file(self) -> Path:
        return self.root / "ports.json"

    @property
    def _pid_file(self) -> Path:
        return self.root / "pid"


def write_private(file: Path, text: str) -> None:
    """Replaces the file in one step, readable for its owner alone."""
    beside = file.with_name(file.name + ".new")
    beside.unlink(missing_ok=True)
    beside.touch(mode=0o600)
    beside.write_text(text)
    beside.rename(file)


def _started_at(pid: int) -> str:
    """When a process started, in the kernel's ticks; `?` where the system does not tell."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return "?"
