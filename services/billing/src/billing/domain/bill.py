"""Bills: appended once and never changed. Where a bill stands follows from whether a payment was appended to it."""

from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from chassis.errors import NotFound, Refusal
from chassis.money import Money

from billing.domain.ids import AccountId, BillId, CustomerId, TransactionId


class BillNotFound(NotFound):
    """No such bill, or not one of the customer named: the answer is the same."""


class BillAlreadyPaid(Refusal):
    """A bill is closed once."""


class BillState(StrEnum):
    """Where a bill stands."""

    OPEN = "open"
    PAID = "paid"


@dataclass(frozen=True, slots=True, kw_only=True)
class Bill:
    """A bill as issued, and when it was paid. `bill_number` has no gaps within the operator's book."""

    bill_id: BillId
    bill_number: int
    account_id: AccountId
    customer_id: CustomerId
    amount: Money
    balance_at_issue: Money
    threshold: Money
    transaction_id: TransactionId
    issued_at: datetime
    due_at: datetime
    paid_at: datetime | None = None

    @property
    def state(self) -> BillState:
        """Derived, never stored."""
        return BillState.OPEN if self.paid_at is None else BillState.PAID

    def paid(self, paid_at: datetime) -> "Bill":
        """The bill with its payment."""
        return replace(self, paid_at=paid_at)

    def check_payable_by(self, customer_id: CustomerId | None) -> None:
        """Refuses BillNotFound for another customer's bill, BillAlreadyPaid for one that is closed."""
        if customer_id is not None and customer_id != self.customer_id:
            raise bill_not_found(self.bill_id)
        if self.state is BillState.PAID:
            raise bill_already_paid(self.bill_id)


def bill_not_found(bill_id: BillId) -> BillNotFound:
    """The one answer for a bill that is missing or another's."""
    return BillNotFound(f"there is no bill {bill_id}", bill_id=bill_id)


def bill_already_paid(bill_id: BillId) -> BillAlreadyPaid:
    """The answer to a second payment."""
    return BillAlreadyPaid(f"bill {bill_id} is paid", bill_id=bill_id)
