"""The only module that asks the system for the time; everything else is given it."""

import time
from datetime import UTC, datetime


def now() -> datetime:
    """The wall time, aware, in UTC."""
    return datetime.now(UTC)


def monotonic() -> float:
    """Seconds on a clock that never goes back, for measuring how long something took."""
    return time.monotonic()
