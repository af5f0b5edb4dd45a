"""The threshold machine: one bill for each stay of a balance below its threshold.

An account is *armed* or *crossed*. Armed, a debit that leaves the balance below the plan's threshold crosses: one bill.
Crossed, nothing more is billed, however deep the balance falls, until it is back at or above the threshold it crossed;
then the account is armed again. A plan that changes meanwhile acts on the next crossing.
Credits never cross, so an account that starts at 0 gets its first bill with its first debit, not by being opened.
"""

from enum import StrEnum
from typing import NamedTuple

from billing.domain.account import Crossing


class Turn(StrEnum):
    """What one movement of the balance did to the machine."""

    NONE = "none"
    CROSSED = "crossed"
    RESTORED = "restored"


class Booked(NamedTuple):
    """What the ledger says of a movement, in minor units; a charge of zero leaves all as it was."""

    balance_before: int
    balance_after: int
    account_version: int


class Observed(NamedTuple):
    """The state after a movement, what it did, and the threshold that was met on the way."""

    crossing: Crossing | None
    turn: Turn
    threshold_minor: int = 0


def observe(crossing: Crossing | None, threshold_minor: int | None, booked: Booked) -> Observed:
    """Take the machine over one movement, as the ledger booked it under the account's lock; `threshold_minor` is the
    plan's, None without a plan."""
    if crossing is not None:
        if booked.balance_after < crossing.threshold_minor:
            return Observed(crossing, Turn.NONE)
        return Observed(None, Turn.RESTORED, crossing.threshold_minor)
    debited = booked.balance_after < booked.balance_before
    if threshold_minor is None or not debited or booked.balance_after >= threshold_minor:
        return Observed(None, Turn.NONE)
    return Observed(Crossing(threshold_minor, booked.account_version), Turn.CROSSED, threshold_minor)


def amount_to_ask(target_minor: int, balance_minor: int, open_bills_minor: int) -> int:
    """What a bill asks for: the whole gap up to the target, less what open bills ask for already; 0 is no bill.

    Open bills count as money on its way, so that a balance that sways around the threshold is not billed twice over.
    A crossing that needs no bill still counts as crossed: the open bill is the one for it.
    """
    return max(target_minor - balance_minor - open_bills_minor, 0)
