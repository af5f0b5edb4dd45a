"""Keeps processes running: starts them, says when one ends, and starts it again after a growing delay."""

import asyncio
import signal
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass

from chassis import clock
from chassis.embedded import Child, Launch

Say = Callable[[str], None]

_POLL_SECONDS = 0.1
_FIRST_DELAY_SECONDS = 0.5
_LONGEST_DELAY_SECONDS = 30.0
# A process that has run this long was healthy: its next end counts as the first.
_HEALTHY_SECONDS = 60.0
# Longer than the grace that a process gives its requests in flight.
_STOP_PATIENCE_SECONDS = 20.0


class PlatformDidNotStart(RuntimeError):
    """A process ended or was not ready in time; the message carries the last lines of its log."""


@dataclass(slots=True)
class _Kept:
    """One process that should run."""

    launch: Callable[[], Launch]
    child: Child
    started_at: float
    ends_in_a_row: int = 0
    start_again_at: float | None = None


class Supervisor:
    """The processes of one platform by name. All starts happen on the event loop's thread, which outlives them."""

    def __init__(self, say: Say) -> None:
        self._say = say
        self._kept: dict[str, _Kept] = {}

    def start(self, name: str, launch: Callable[[], Launch], *, once: Launch | None = None) -> Child:
        """Starts a process and keeps it running; `once` is how it starts this time, `launch` every time after."""
        child = Child(once or launch())
        self._kept[name] = _Kept(launch, child, clock.monotonic())
        return child

    def kill(self, name: str) -> None:
        """SIGKILL, and it stays down."""
        self._kept.pop(name).child.kill()

    async def stop(self, names: Iterable[str]) -> None:
        """Asks the processes to end, all at once in the given order, waits, and kills what stays."""
        children = {name: kept.child for name in names if (kept := self._kept.pop(name, None))}
        for child in children.values():
            child.send(signal.SIGTERM)
        await all_ended(children.values(), patience_seconds=_STOP_PATIENCE_SECONDS)
        for name, child in children.items():
            if child.exit_code() is None:
                self._say(f"{name} did not stop within {_STOP_PATIENCE_SECONDS:.0f} s and is killed")
            child.kill()

    def running(self, name: str) -> bool:
        """Whether the process runs at this moment."""
        kept = self._kept.get(name)
        return kept is not None and kept.child.exit_code() is None

    async def wait_until(self, name: str, ready: Callable[[], Awaitable[bool]], *, timeout_seconds: float) -> None:
        """Waits until the process is ready; PlatformDidNotStart with its last words when it ends or takes too long."""
        child = self._kept[name].child
        deadline = clock.monotonic() + timeout_seconds
        while not await ready():
            if (code := child.exit_code()) is not None:
                raise PlatformDidNotStart(last_words(name, child, f"ended at its start ({how_ended(code)})"))
            if clock.monotonic() > deadline:
                raise PlatformDidNotStart(last_words(name, child, f"was not ready within {timeout_seconds:.0f} s"))
            await asyncio.sleep(_POLL_SECONDS)

    async def watch(self) -> None:
        """Looks after the processes until cancelled."""
        while True:
            for name, kept in list(self._kept.items()):
                self._look_after(name, kept)
            await asyncio.sleep(_POLL_SECONDS)

    def _look_after(self, name: str, kept: _Kept) -> None:
        now = clock.monotonic()
        if kept.start_again_at is not None:
            if now >= kept.start_again_at:
                kept.start_again_at, kept.started_at = None, now
                kept.child = Child(kept.launch())
                self._say(f"{name} started again")
        elif (code := kept.child.exit_code()) is not None:
            kept.ends_in_a_row = 1 if now - kept.started_at > _HEALTHY_SECONDS else kept.ends_in_a_row + 1
            delay = delay_seconds(kept.ends_in_a_row)
            kept.start_again_at = now + delay
            self._say(
                f"{last_words(name, kept.child, f'ended ({how_ended(code)})')}\n{name} starts again in {delay:g} s"
            )


async def all_ended(children: Iterable[Child], *, patience_seconds: float) -> bool:
    """Waits for the end of all, no longer than patience lasts, and says whether it came."""
    waiting = [asyncio.create_task(asyncio.to_thread(child.wait)) for child in children]
    if not waiting:
        return True
    _, still = await asyncio.wait(waiting, timeout=patience_seconds)
    return not still


def delay_seconds(ends_in_a_row: int) -> float:
    """Half a second after the first end, doubled with each further one, at most half a minute."""
    return min(_FIRST_DELAY_SECONDS * 2.0 ** (ends_in_a_row - 1), _LONGEST_DELAY_SECONDS)


def last_words(name: str, child: Child, what: str) -> str:
    """One line that says what happened, the last lines of the log, and where the rest is."""
    words = child.log_since_start(lines=15)
    indented = "\n".join(f"  | {line}" for line in words.splitlines())
    return f"{name} {what}; its last words (all of them in {child.launch.log}):\n{indented}"


def how_ended(code: int) -> str:
    """An exit code in words: the status, or the signal that ended the process."""
    return f"exit status {code}" if code >= 0 else signal.Signals(-code).name
