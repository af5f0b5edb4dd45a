"""Child processes that cannot outlive their parent.

A child is started through a leash: a few lines of Python that drop the user where asked, ask the kernel for a signal at
the parent's death and then become the wished program, under the same process id. Nothing runs between fork and exec in
the parent's own image, so that a parent with threads (gRPC has many) can start children safely.

The kernel sends that signal when the *thread* that started the child ends: start children from the main thread.
"""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

# Its words: the parent's pid, the signal at its death, uid and gid (both -1: stay), then the program and its words.
_LEASH = """
import os, sys
parent, death_signal, uid, gid = map(int, sys.argv[1:5])
if sys.platform == "linux":
    import ctypes  # before the user is dropped, who may not be able to read the library
    kernel = ctypes.CDLL(None)
if uid >= 0:
    os.setgroups([])
    os.setgid(gid)
    os.setuid(uid)
if sys.platform == "linux" and kernel.prctl(1, death_signal, 0, 0, 0) != 0:
    sys.exit("cannot ask for a signal at the parent's death")
if os.getppid() != parent:
    sys.exit("the parent is gone already")
try:
    os.execv(sys.argv[5], sys.argv[5:])
except OSError as error:
    sys.exit(f"cannot run {sys.argv[5]}: {error}")
"""


class ServerDidNotStart(RuntimeError):
    """A server ended or stayed silent at its start; the message carries the last lines of its log."""


@dataclass(frozen=True, slots=True)
class User:
    """Whom a child runs as."""

    uid: int
    gid: int


@dataclass(frozen=True, slots=True)
class Launch:
    """What to start and how: the program with its words, its whole environment, where it writes."""

    command: Sequence[str]
    log: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    folder: Path = Path("/")
    user: User | None = None
    death_signal: signal.Signals = signal.SIGKILL


class Child:
    """A running child: its own session (the terminal's Ctrl-C does not reach it), output appended to its log."""

    def __init__(self, launch: Launch) -> None:
        self.launch = launch
        launch.log.parent.mkdir(parents=True, exist_ok=True)
        with launch.log.open("ab") as log:
            self._log_start = log.tell()
            self._process = subprocess.Popen(
                leashed(launch.command, user=launch.user, death_signal=launch.death_signal),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=launch.folder,
                env=dict(launch.environment),
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """The process id, the same before and after the leash became the program."""
        return self._process.pid

    def exit_code(self) -> int | None:
        """Reaps the child if it has ended; None while it runs, minus the signal where one ended it."""
        return self._process.poll()

    def send(self, number: signal.Signals) -> None:
        """Sends a signal to the child, not to its own children."""
        self._process.send_signal(number)

    def wait(self) -> int:
        """Waits for the end and reaps: an unreaped postmaster blocks the next start on its folder."""
        return self._process.wait()

    def stop(self, *signals: signal.Signals, patience_seconds: float = 20.0) -> int:
        """Sends each signal in turn, with patience after each, at last SIGKILL; reaps and gives the exit code."""
        for number in signals:
            if self._process.poll() is None:
                self.send(number)
                try:
                    return self._process.wait(timeout=patience_seconds)
                except subprocess.TimeoutExpired:
                    continue
        return self.kill()

    def kill(self) -> int:
        """Kills the child and whatever stayed in its process group, and reaps it."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        return self._process.wait()

    def log_since_start(self, lines: int = 20) -> str:
        """The last lines this child itself has written."""
        with self.launch.log.open("rb") as log:
            log.seek(self._log_start)
            return "\n".join(log.read().decode(errors="replace").splitlines()[-lines:])


def leashed(command: Sequence[str], *, user: User | None, death_signal: signal.Signals) -> list[str]:
    """The command line that runs `command` on a leash held by this process."""
    uid, gid = (user.uid, user.gid) if user else (-1, -1)
    words = [str(os.getpid()), str(int(death_signal)), str(uid), str(gid)]
    return [sys.executable, "-I", "-S", "-c", _LEASH, *words, *command]
