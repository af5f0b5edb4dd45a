"""Differences: what does not agree between the ledger, what billing knows of it, and what a provider says."""

from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from hashlib import sha256
from typing import NamedTuple, NewType

from chassis.errors import NotFound, Refusal
from chassis.money import Money

DifferenceId = NewType("DifferenceId", str)
_ID_LENGTH = 32


class DifferenceNotFound(NotFound):
    """No such difference."""


class DifferenceResolved(Refusal):
    """How a difference was settled is written down once."""


class DifferenceKind(StrEnum):
    """What does not agree."""

    PAYMENT_MISSING_HERE = "payment_missing_here"
    PAYMENT_MISSING_THERE = "payment_missing_there"
    AMOUNT_DIFFERS = "amount_differs"
    STATE_DIFFERS = "state_differs"
    BILL_UNBOOKED = "bill_unbooked"
    CHARGE_UNBOOKED = "charge_unbooked"
    LEDGER_UNEXPLAINED = "ledger_unexplained"


class Difference(NamedTuple):
    """One thing that does not agree, named by the payment, bill, charge or ledger transaction. `day` is the day whose
    books were looked at."""

    kind: DifferenceKind
    reference: str
    day: date
    here: Money | None = None
    there: Money | None = None

    @property
    def difference_id(self) -> DifferenceId:
        """Made of what differs and not of the day, so that the same is found once, however often it is looked for."""
        parts = (self.kind, self.reference, *map(_amount, (self.here, self.there)))
        return DifferenceId(sha256("\n".join(parts).encode()).hexdigest()[:_ID_LENGTH])


class FoundDifference(NamedTuple):
    """A difference as it is listed. An empty `resolution` says that it stands."""

    difference: Difference
    found_at: datetime
    resolution: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class DifferenceFound:
    """Effect: something does not agree."""

    difference_id: DifferenceId
    kind: DifferenceKind
    reference: str
    occurred_at: datetime

    @property
    def aggregate_id(self) -> str:
        """The difference."""
        return self.difference_id


def difference_not_found(difference_id: DifferenceId) -> DifferenceNotFound:
    """The answer for an unknown difference."""
    return DifferenceNotFound(f"difference {difference_id} is not known", difference_id=difference_id)


def _amount(money: Money | None) -> str:
    return "" if money is None else f"{money.minor_units} {money.currency}"
