"""What the calendar asks of billing: gift credit expires, and the books are sealed."""

from collections.abc import Sequence

from chassis.calendar import Calendar
from chassis.timed import Timed
from ledger.sealing import sealing

from billing.store.balance import LEDGER


def timed(calendar: Calendar) -> Sequence[Timed]:  # noqa: ARG001 - what is timed by days asks for it
    """Everything that is done by itself."""
    return [sealing(LEDGER)]
