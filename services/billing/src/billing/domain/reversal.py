"""Recharges taken back: what was put in by mistake."""

from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from chassis.errors import NotFound, Refusal
from chassis.money import Money

from billing.domain.ids import AccountId, TransactionId
from billing.domain.movement import Movement, MovementKind, Shortfall, Undo, check_occurred_at


class RechargeNotFound(NotFound):
    """No recharge has this transaction."""


class RechargeAlreadyReversed(Refusal):
    """All of the recharge was taken back before."""


class RechargeExceeded(Refusal):
    """No more is taken back than is left of the recharge; metadata `left_minor` says how much."""


class RechargeOfPayment(Refusal):
    """What a payment channel brought is refunded through its payment, so that the payer has it back."""


class Recharged(NamedTuple):
    """A recharge as the ledger has it, and how much of it was taken back."""

    transaction_id: TransactionId
    account_id: AccountId
    amount: Money
    reversed_minor: int
    payment_id: str
    recharged_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ReverseRecharge:
    """Wish to take back a recharge, all that is left of it where no amount is said. With `owe` the account may be left
    owing what it has spent."""

    transaction_id: TransactionId
    amount: Money | None
    reason: str
    owe: bool
    occurred_at: datetime

    def __post_init__(self) -> None:
        check_occurred_at(self.occurred_at)
        if self.amount is not None:
            self.amount.positive("amount")

    def movement(self, identity: str, recharged: Recharged) -> Movement:
        """The movement that does it. Refuses RechargeOfPayment, RechargeAlreadyReversed, RechargeExceeded."""
        if recharged.payment_id:
            raise RechargeOfPayment(
                f"{self.transaction_id} is refunded through its payment", payment_id=recharged.payment_id
            )
        left_minor = recharged.amount.minor_units - recharged.reversed_minor
        if not left_minor:
            raise RechargeAlreadyReversed(f"{self.transaction_id} was taken back", transaction_id=self.transaction_id)
        if self.amount is not None and self.amount.minor_units > left_minor:
            raise RechargeExceeded(f"{left_minor} of {self.transaction_id} is left", left_minor=str(left_minor))
        return Movement(
            identity=identity,
            account_id=recharged.account_id,
            kind=MovementKind.RECHARGE_REVERSAL,
            act=Undo(self.transaction_id, self.amount, Shortfall.OWE if self.owe else Shortfall.REFUSE),
            note=self.reason,
            occurred_at=self.occurred_at,
        )


def recharge_not_found(transaction_id: TransactionId) -> RechargeNotFound:
    """The answer for a recharge that is not there."""
    return RechargeNotFound(f"there is no recharge {transaction_id}", transaction_id=transaction_id)
