"""What PostgreSQL and nats-server have in common as children of this process."""

import signal
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Self

from chassis.embedded.child import Child


class Server:
    """A server with a folder of its own, as a direct child of this process, which it cannot outlive."""

    STOPPED_BY: ClassVar[tuple[signal.Signals, ...]]
    """The signal that ends it in order, and the one for when that takes too long, where it has one of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.absolute()
        self.port = 0
        self._child: Child | None = None

    def start(self) -> None:
        """Starts and waits until clients are served."""
        raise NotImplementedError

    def stop(self) -> None:
        """Ends the server in order and reaps it; what it has stored stays in the folder."""
        if self._child is not None:
            self._child.stop(*self.STOPPED_BY)
            self._child = None

    def kill(self) -> None:
        """SIGKILL, as a crash would end it; reaped, so that the next start is not refused."""
        if self._child is not None:
            self._child.kill()
            self._child = None

    @property
    def running(self) -> bool:
        """Whether the child has been started and has not ended."""
        return self._child is not None and self._child.exit_code() is None

    def has_crashed(self) -> bool:
        """Whether the child has ended although nobody stopped or killed it here."""
        return self._child is not None and self._child.exit_code() is not None

    @property
    def pid(self) -> int | None:
        """The server's process id; PostgreSQL's is the postmaster's."""
        return self._child.pid if self._child is not None else None

    @property
    def log_path(self) -> Path:
        """What the server has written, over all its starts."""
        return self.folder / "log"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self.stop()
