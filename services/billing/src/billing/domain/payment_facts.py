"""Facts about payments and automatic top-up. They name no means of payment."""

from dataclasses import dataclass
from datetime import datetime

from chassis.money import Money

from billing.domain.account import Account
from billing.domain.account_facts import RechargeReversed
from billing.domain.facts import OfAccount
from billing.domain.ids import AccountId, BillId, CustomerId
from billing.domain.movement import Moved
from billing.domain.payment import Payment, PaymentId, PaymentOrigin, PaymentState
from billing.domain.top_up import Pause


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentSettled(OfAccount):
    """A payment became final; the money of one that succeeded is told by AccountRecharged."""

    payment_id: PaymentId
    amount: Money
    channel: str
    state: PaymentState
    origin: PaymentOrigin
    bill_id: BillId | None
    decline_code: str
    bill_missed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentChargedBack(OfAccount):
    """The payer's bank took a payment back; `owed` is what had been spent already."""

    payment_id: PaymentId
    amount: Money
    owed: Money


@dataclass(frozen=True, slots=True, kw_only=True)
class TopUpPaused(OfAccount):
    """An automatic top-up was stopped."""

    because: Pause


@dataclass(frozen=True, slots=True, kw_only=True)
class TopUpAlarmed(OfAccount):
    """So many top-ups of one account in a short time: somebody should look."""

    payments: int


def payment_settled(payment: Payment, occurred_at: datetime) -> PaymentSettled:
    """The fact that a payment came to its end."""
    return PaymentSettled(
        account_id=payment.account_id,
        customer_id=payment.customer_id,
        occurred_at=occurred_at,
        payment_id=payment.payment_id,
        amount=payment.amount,
        channel=payment.channel,
        state=payment.state,
        origin=payment.origin,
        bill_id=payment.bill_id,
        decline_code=payment.decline_code,
        bill_missed=payment.bill_missed,
    )


def payment_charged_back(
    payment: Payment, amount: Money, *, owed_minor: int, occurred_at: datetime
) -> PaymentChargedBack:
    """The fact that the payer's bank took back an amount, of which so much had been spent."""
    return PaymentChargedBack(
        account_id=payment.account_id,
        customer_id=payment.customer_id,
        occurred_at=occurred_at,
        payment_id=payment.payment_id,
        amount=amount,
        owed=Money(owed_minor, amount.currency),
    )


def payment_taken_back(payment: Payment, moved: Moved, amount: Money, *, cause: str) -> RechargeReversed:
    """The fact that a payment went back to the payer, by refund or charge-back; `payment` is as it was before."""
    assert payment.transaction_id is not None, "only what was paid goes back"
    assert payment.settled_at is not None, "what was paid has its time"
    return RechargeReversed(
        account_id=payment.account_id,
        customer_id=payment.customer_id,
        occurred_at=moved.movement.occurred_at,
        transaction_id=moved.movement.transaction_id,
        recharge_transaction_id=payment.transaction_id,
        amount=amount,
        recharge_amount=payment.amount,
        reversed_before=Money(payment.refunded_minor + payment.charged_back_minor, amount.currency),
        balance_after=moved.balance_after,
        cause=cause,
        recharged_at=payment.settled_at,
        account_version=moved.account_version,
    )


def top_up_paused(account_id: AccountId, customer_id: CustomerId, because: Pause, occurred_at: datetime) -> TopUpPaused:
    """The fact that an account's automatic top-up was stopped."""
    return TopUpPaused(account_id=account_id, customer_id=customer_id, occurred_at=occurred_at, because=because)


def top_up_alarmed(account: Account, payments: int, occurred_at: datetime) -> TopUpAlarmed:
    """The fact that an account is topped up suspiciously often."""
    return TopUpAlarmed(
        account_id=account.account_id, customer_id=account.customer_id, occurred_at=occurred_at, payments=payments
    )
