"""The threshold machine: one bill for each stay of an account below its threshold.

What is compared with the threshold is the **measure**: balance and credit limit together. An account is *armed* or
*crossed*. Armed, a step that lowers the measure and leaves it below the threshold crosses: one bill. Crossed, no other
is issued, however deep it falls, until the measure is back at or above the threshold it crossed; then the account is
armed again. Credits never cross, so an account that starts at 0 gets its first bill with its first debit, and another
plan crosses only where something moved the account already.

A recurring charge that the account cannot pay is a step as well: what is due counts as gone, and the account has to
come back to its threshold with that on top. Once the cycle is charged, or will not be any more, nothing comes on top.
"""

from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from billing.domain.ids import AccountId, SubscriptionId, TransactionId


class CrossingCause(StrEnum):
    """What took an account below its threshold."""

    DEBIT = "debit"
    EXPIRY = "expiry"
    PLAN = "plan"
    CREDIT_LIMIT = "credit_limit"
    DUE_CHARGE = "due_charge"


class Due(NamedTuple):
    """The cycle of a subscription that the balance did not cover, in minor units."""

    due_minor: int
    subscription_id: SubscriptionId


class Crossing(NamedTuple):
    """One stay below a threshold: it stands until the measure is back at `threshold_minor`.

    `account_version` is that of the step that crossed, or the last before it where the balance did not move.
    """

    threshold_minor: int
    account_version: int
    cause: CrossingCause = CrossingCause.DEBIT
    crossed_at: datetime | None = None
    bill_at: datetime | None = None
    """When the bill is due to be issued; None once it is."""
    due: Due | None = None
    """What `threshold_minor` has on top, as long as it is due."""

    def without(self, subscription_id: SubscriptionId | None) -> "Crossing":
        """The stay once the cycle of a subscription is not due any more; the same where another one is, or none."""
        if self.due is None or self.due.subscription_id != subscription_id:
            return self
        return self._replace(threshold_minor=self.threshold_minor - self.due.due_minor, due=None)


class Turn(StrEnum):
    """What one step did to the machine."""

    NONE = "none"
    CROSSED = "crossed"
    RESTORED = "restored"


class Step(NamedTuple):
    """One change of an account's measure, or of what it is compared with, in the order of booking; in minor units.

    `due_minor` is what a refused recurring charge asks for, `due_of` the subscription whose cycle it is.
    `transaction_id` is the ledger's, None where it booked nothing.
    """

    account_id: AccountId
    cause: CrossingCause
    measured_before: int
    measured_after: int
    balance_after: int
    account_version: int
    occurred_at: datetime
    due_minor: int = 0
    transaction_id: TransactionId | None = None
    due_of: SubscriptionId | None = None

    @property
    def measure(self) -> int:
        """Balance and credit limit together after the step, with what is due still there."""
        return self.measured_after + self.due_minor

    @property
    def credit_limit(self) -> int:
        """The credit limit after the step."""
        return self.measure - self.balance_after


class Turned(NamedTuple):
    """A step and what the machine made of it; `met_minor` is the threshold crossed or come back to."""

    step: Step
    turn: Turn
    crossing: Crossing | None
    met_minor: int = 0


def take(crossing: Crossing | None, threshold_minor: int | None, step: Step) -> Turned:
    """Take the machine over one step, as it was booked under the account's lock; `threshold_minor` is the one in force
    at the step's business time, None without a plan."""
    if crossing is not None:
        if step.measure < crossing.threshold_minor:
            return Turned(step, Turn.NONE, crossing)
        return Turned(step, Turn.RESTORED, None, crossing.threshold_minor)
    if threshold_minor is None or step.measured_after >= threshold_minor:
        return Turned(step, Turn.NONE, None)
    crosses = (
        step.account_version > 0 if step.cause is CrossingCause.PLAN else step.measured_after < step.measured_before
    )
    if not crosses:
        return Turned(step, Turn.NONE, None)
    met = threshold_minor + step.due_minor
    due = Due(step.due_minor, step.due_of) if step.due_of is not None else None
    crossed = Crossing(met, step.account_version, step.cause, step.occurred_at, due=due)
    return Turned(step, Turn.CROSSED, crossed, met)
