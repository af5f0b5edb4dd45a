"""Charges turned back, all or in part. What is given back goes to the accounts and the gift credit that had paid."""

from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from chassis.money import Money

from billing.domain.facts import OfAccount
from billing.domain.ids import AccountId, ChargeId, CustomerId, TransactionId
from billing.domain.movement import Billing, Moved, Movement, MovementKind, Undo


class ChargeTaken(NamedTuple):
    """A charge with what was given back of it; a charge of zero has no transaction."""

    charge_id: ChargeId
    account_id: AccountId
    customer_id: CustomerId
    amount: Money
    refunded_minor: int
    transaction_id: TransactionId | None
    order_id: str
    occurred_at: datetime

    @property
    def left_minor(self) -> int:
        """What can still be given back."""
        return self.amount.minor_units - self.refunded_minor


class Refunding(NamedTuple):
    """A refund of a charge, more than 0 and not more than is left of it, under its own identity."""

    refund_id: str
    charge: ChargeTaken
    amount: Money
    reason: str
    occurred_at: datetime

    def movement(self, billing: Billing = Billing.CREDIT) -> Movement:
        """The movement that does it."""
        assert self.charge.transaction_id is not None, "a charge of zero has nothing to give back"
        about = {"charge_id": self.charge.charge_id}
        return Movement(
            identity=self.refund_id,
            account_id=self.charge.account_id,
            kind=MovementKind.CHARGE_REFUND,
            act=Undo(self.charge.transaction_id, self.amount),
            note=self.reason,
            occurred_at=self.occurred_at,
            billing=billing,
            about=about | {"order_id": self.charge.order_id} if self.charge.order_id else about,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ChargeRefunded(OfAccount):
    """A charge was turned back, or a part of it. What was given back before says how much of its points are gone."""

    refund_id: str
    charge_id: ChargeId
    amount: Money
    charge_amount: Money
    refunded_before: Money
    balance_after: Money
    transaction_id: TransactionId
    order_id: str
    charged_at: datetime
    account_version: int


def charge_refunded(refunding: Refunding, moved: Moved) -> ChargeRefunded:
    """The fact of a refund."""
    charge = refunding.charge
    return ChargeRefunded(
        account_id=charge.account_id,
        customer_id=charge.customer_id,
        occurred_at=refunding.occurred_at,
        refund_id=refunding.refund_id,
        charge_id=charge.charge_id,
        amount=refunding.amount,
        charge_amount=charge.amount,
        refunded_before=Money(charge.refunded_minor, charge.amount.currency),
        balance_after=moved.balance_after,
        transaction_id=moved.movement.transaction_id,
        order_id=charge.order_id,
        charged_at=charge.occurred_at,
        account_version=moved.account_version,
    )
