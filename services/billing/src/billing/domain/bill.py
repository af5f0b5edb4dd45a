"""Bills: appended once and never changed. Where a bill stands follows from what was appended after it.

One book numbers them all: **originals**, which a crossing calls for, **supplements**, which ask for more while it
stands, and **credit notes**, which take back what a bill asks for. A bill is asked for until it is paid or closed.
"""

from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from chassis.errors import InvalidArgument, NotFound, Refusal
from chassis.money import Money

from billing.domain.ids import AccountId, BillId, CustomerId, PlanId, TransactionId
from billing.domain.threshold import CrossingCause


class BillNotFound(NotFound):
    """No such bill, or not one of the customer named: the answer is the same."""


class BillAlreadyPaid(Refusal):
    """A bill is paid once."""


class BillClosed(Refusal):
    """A bill that is no longer asked for is not paid: the balance is back, or credit notes took all of it."""


class CreditExceedsBill(Refusal):
    """A credit note takes back no more than the bill still asks for; metadata `remaining_minor` says how much."""


class BillKind(StrEnum):
    """What a document of the book is."""

    ORIGINAL = "original"
    SUPPLEMENT = "supplement"
    CREDIT_NOTE = "credit_note"


class BillState(StrEnum):
    """Where a bill stands."""

    OPEN = "open"
    PAID = "paid"
    CLOSED = "closed"


class CloseReason(StrEnum):
    """Why a bill is no longer asked for without having been paid."""

    RESTORED = "restored"
    CREDITED = "credited"


class PlanVersion(NamedTuple):
    """The version of the plan that a bill was issued under."""

    plan_id: PlanId
    revision: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Bill:
    """A document as issued, and what became of it. `bill_number` has no gaps within the operator's book.

    `threshold` is what the account had to come back to. `corrects` is the original that a supplement belongs to and the
    bill that a credit note takes from. `credited` is what credit notes took back so far.
    """

    bill_id: BillId
    bill_number: int
    account_id: AccountId
    customer_id: CustomerId
    amount: Money
    balance_at_issue: Money
    threshold: Money
    transaction_id: TransactionId | None
    issued_at: datetime
    due_at: datetime
    kind: BillKind = BillKind.ORIGINAL
    corrects: BillId | None = None
    cause: CrossingCause | None = None
    plan: PlanVersion | None = None
    crossing_version: int | None = None
    credit_limit_minor: int = 0
    reason: str = ""
    credited_minor: int = 0
    paid_at: datetime | None = None
    closed_at: datetime | None = None

    @property
    def state(self) -> BillState:
        """Derived, never stored. A credit note asks for nothing and is closed from the start."""
        if self.paid_at is not None:
            return BillState.PAID
        if self.closed_at is not None or self.kind is BillKind.CREDIT_NOTE:
            return BillState.CLOSED
        return BillState.OPEN

    @property
    def remaining(self) -> Money:
        """What is still asked for; 0 once it is paid or closed."""
        return self.uncredited if self.state is BillState.OPEN else self._less(self.amount.minor_units)

    @property
    def uncredited(self) -> Money:
        """The amount less what credit notes took back: what its payment brings, or brought."""
        return self._less(self.credited_minor)

    def paid(self, paid_at: datetime) -> "Bill":
        """The bill with its payment."""
        return replace(self, paid_at=paid_at)

    def closed(self, closed_at: datetime) -> "Bill":
        """The bill, no longer asked for."""
        return replace(self, closed_at=closed_at)

    def credited(self, amount_minor: int) -> "Bill":
        """The bill after a credit note took back so much of it."""
        return replace(self, credited_minor=self.credited_minor + amount_minor)

    def check_owner(self, customer_id: CustomerId | None) -> None:
        """Refuses BillNotFound for another customer's bill."""
        if customer_id is not None and customer_id != self.customer_id:
            raise bill_not_found(self.bill_id)

    def check_open(self) -> None:
        """Refuses BillAlreadyPaid and BillClosed."""
        match self.state:
            case BillState.OPEN:
                return
            case BillState.PAID:
                raise bill_already_paid(self.bill_id)
            case BillState.CLOSED:
                raise BillClosed(f"bill {self.bill_id} is no longer asked for", bill_id=self.bill_id)

    def check_payable_by(self, customer_id: CustomerId | None) -> None:
        """Refuses BillNotFound for another customer's bill, BillAlreadyPaid and BillClosed for one that is not open."""
        self.check_owner(customer_id)
        self.check_open()

    def to_credit(self, amount: Money | None) -> Money:
        """What a credit note takes back: all that remains where no amount is said. Refuses CreditExceedsBill."""
        self.check_open()
        if amount is None:
            return self.remaining
        if amount.positive("amount").currency != self.amount.currency:
            raise InvalidArgument("amount.currency", f"must be {self.amount.currency}, the currency of the bill")
        remaining = self.remaining.minor_units
        if amount.minor_units > remaining:
            raise CreditExceedsBill(
                f"bill {self.bill_id} still asks for {remaining} in minor units",
                bill_id=self.bill_id,
                remaining_minor=str(remaining),
            )
        return amount

    def _less(self, minor_units: int) -> Money:
        return Money(self.amount.minor_units - minor_units, self.amount.currency)


def bill_not_found(bill_id: BillId) -> BillNotFound:
    """The one answer for a bill that is missing or another's."""
    return BillNotFound(f"there is no bill {bill_id}", bill_id=bill_id)


def bill_already_paid(bill_id: BillId) -> BillAlreadyPaid:
    """The answer to a second payment."""
    return BillAlreadyPaid(f"bill {bill_id} is paid", bill_id=bill_id)
