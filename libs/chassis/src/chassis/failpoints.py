"""Named crash points: `FAILPOINT=name:action@n` makes the n-th passage of `name` kill, raise or sleep.

Compiled in, off by default: one dictionary look-up per passage. Several are separated by commas.
Actions: `kill` (SIGKILL to this very process), `raise` (FailpointError), `sleep<seconds>` (e.g. `sleep0.5`).
"""

import asyncio
import os
import signal
from dataclasses import dataclass


class FailpointError(RuntimeError):
    """Raised by the action `raise`."""


@dataclass(slots=True)
class _Trap:
    action: str
    passages_left: int


def _parse(specification: str) -> dict[str, _Trap]:
    traps = {}
    for part in filter(None, (each.strip() for each in specification.split(","))):
        name, _, rest = part.partition(":")
        action, _, passage = rest.partition("@")
        if action not in {"kill", "raise"} and not action.startswith("sleep"):
            raise ValueError(f"FAILPOINT: {part!r} is not name:kill|raise|sleep<seconds>[@n]")
        traps[name] = _Trap(action, int(passage or 1))
    return traps


_TRAPS = _parse(os.environ.get("FAILPOINT", ""))


def arm(specification: str) -> None:
    """Replaces the armed points of this process; an empty text disarms all."""
    _TRAPS.clear()
    _TRAPS.update(_parse(specification))


async def reach(name: str) -> None:
    """Passes the point `name`; does nothing unless it is armed and its turn has come."""
    trap = _TRAPS.get(name)
    if trap is None:
        return
    trap.passages_left -= 1
    if trap.passages_left != 0:
        return
    if trap.action == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if trap.action == "raise":
        raise FailpointError(name)
    await asyncio.sleep(float(trap.action.removeprefix("sleep")))
