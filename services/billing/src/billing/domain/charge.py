"""Charges as they are kept, and what is given back of them."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from chassis.errors import InvalidArgument, NotFound, Refusal
from chassis.money import Money

from billing.domain.charge_refund import ChargeTaken, Refunding
from billing.domain.ids import AccountId, ChargeId, CustomerId, OrderId, ProductId, TransactionId
from billing.domain.movement import MovementKind, check_occurred_at
from billing.domain.reckoning import Line, LineKind, Reckoning

CHARGES = frozenset({MovementKind.CHARGE, MovementKind.RESERVATION_COMMIT})
"""The kinds of movements that are charges."""


class ChargeNotFound(NotFound):
    """No such charge, or not one of the customer named: the answer is the same."""


class ChargeFullyRefunded(Refusal):
    """Nothing is left of the charge to give back."""


class RefundExceedsCharge(Refusal):
    """All that is given back of a charge is at most the charge; metadata `left_minor` says what is left."""


class ChargeCategory(StrEnum):
    """What sort of charge it is."""

    RATED = "rated"
    ORDER = "order"
    RECURRING = "recurring"
    USAGE = "usage"
    RESERVATION = "reservation"


def category_of(about: Mapping[str, str]) -> ChargeCategory:
    """By what a charge's movement says that it belongs to."""
    if not about:
        return ChargeCategory.RATED
    for name, category in _CATEGORIES.items():
        if name in about:
            return category
    return ChargeCategory.RATED


_CATEGORIES = {
    "reservation_id": ChargeCategory.RESERVATION,
    "usage_id": ChargeCategory.USAGE,
    "order_id": ChargeCategory.ORDER,
    "subscription_id": ChargeCategory.RECURRING,
}


class PaidShare(NamedTuple):
    """What one account paid of a charge."""

    account_id: AccountId
    amount: Money
    balance_after: Money
    account_version: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ChargeRecord:
    """A charge with what became of it. `transaction_id` is None for a charge of zero."""

    charge_id: ChargeId
    account_id: AccountId
    customer_id: CustomerId
    amount: Money
    gift: Money
    payer: Money
    refunded: Money
    description: str
    category: ChargeCategory
    transaction_id: TransactionId | None
    external_id: str
    product_id: ProductId
    order_id: OrderId
    late: bool
    occurred_at: datetime
    recorded_at: datetime

    @property
    def own_reckoning(self) -> Reckoning:
        """That of a charge that came with an amount: its one line."""
        amount_minor = self.amount.minor_units
        line = Line(LineKind.LIST, self.product_id, self.description, amount_minor, quantity=1)
        return Reckoning(self.amount.currency, (line,), amount_minor, 0)

    def check_owner(self, customer_id: CustomerId | None) -> None:
        """Refuses ChargeNotFound for another customer's."""
        if customer_id is not None and customer_id != self.customer_id:
            raise charge_not_found(self.charge_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class RefundCharge:
    """Wish to turn a charge back into balance: an amount of it, or all that is left."""

    charge_id: ChargeId
    amount: Money | None
    reason: str
    occurred_at: datetime

    def __post_init__(self) -> None:
        if self.amount is not None:
            self.amount.positive("amount")
        check_occurred_at(self.occurred_at)

    def refunding(self, charge: ChargeTaken, refund_id: str) -> Refunding:
        """What is given back. Refuses another currency, ChargeFullyRefunded, RefundExceedsCharge."""
        left_minor = charge.left_minor
        amount = self.amount or Money(left_minor, charge.amount.currency)
        if amount.currency != charge.amount.currency:
            raise InvalidArgument("amount.currency", f"must be {charge.amount.currency}, that of the charge")
        if not left_minor:
            raise ChargeFullyRefunded(f"nothing is left of charge {self.charge_id}", charge_id=self.charge_id)
        if amount.minor_units > left_minor:
            raise RefundExceedsCharge(
                f"{left_minor} in minor units are left of charge {self.charge_id}",
                charge_id=self.charge_id,
                left_minor=str(left_minor),
            )
        return Refunding(refund_id, charge, amount, self.reason, self.occurred_at)


def charge_not_found(charge_id: ChargeId) -> ChargeNotFound:
    """The one answer for a charge that is missing or another's."""
    return ChargeNotFound(f"there is no charge {charge_id}", charge_id=charge_id)
