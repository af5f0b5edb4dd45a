"""Wishes as they are asked for: recharges, charges, corrections, the payment of a bill, and what a payment brings."""

from dataclasses import dataclass
from datetime import datetime

from chassis.errors import InvalidArgument
from chassis.money import Money

from billing.domain.bill import Bill, BillState
from billing.domain.ids import AccountId, CustomerId
from billing.domain.movement import NOTHING_MORE, PAYMENT, Credit, Debit, Movement, MovementKind, check_occurred_at
from billing.domain.payment import Payment


@dataclass(frozen=True, slots=True, kw_only=True)
class Recharge:
    """Wish to put money in; more than zero. `external_id` is the payment channel's own number of it."""

    account_id: AccountId
    customer_id: CustomerId | None
    amount: Money
    channel: str
    occurred_at: datetime
    external_id: str = ""

    def __post_init__(self) -> None:
        self.amount.positive("amount")
        check_occurred_at(self.occurred_at)

    def movement(self, identity: str) -> Movement:
        """The movement that does it; `identity` is its own."""
        return Movement(
            identity=identity,
            account_id=self.account_id,
            customer_id=self.customer_id,
            kind=MovementKind.RECHARGE,
            act=Credit(self.amount),
            note=self.channel,
            occurred_at=self.occurred_at,
            about={"external_id": self.external_id} if self.external_id else NOTHING_MORE,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Charge:
    """Wish to take a rated charge; zero or more. `family` is the product's, where it is known: payers may pay for some
    alone. `external_id` is BOSS's own number of it."""

    account_id: AccountId
    amount: Money
    description: str
    occurred_at: datetime
    family: str = ""
    external_id: str = ""

    def __post_init__(self) -> None:
        self.amount.not_negative("amount")
        check_occurred_at(self.occurred_at)

    def movement(self, identity: str, payers: tuple[AccountId, ...] = ()) -> Movement:
        """The movement that does it; `identity` is the charge's id, `payers` are who pays before the account."""
        return Movement(
            identity=identity,
            account_id=self.account_id,
            kind=MovementKind.CHARGE,
            act=Debit(self.amount, payers),
            note=self.description,
            occurred_at=self.occurred_at,
            about={"external_id": self.external_id} if self.external_id else NOTHING_MORE,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Adjustment:
    """Wish to correct a balance by a new entry, up or down; not zero."""

    account_id: AccountId
    amount: Money
    reason: str
    occurred_at: datetime

    def __post_init__(self) -> None:
        if self.amount.checked("amount").minor_units == 0:
            raise InvalidArgument("amount.minor_units", "must not be 0")
        check_occurred_at(self.occurred_at)

    def movement(self, identity: str) -> Movement:
        """The movement that does it; `identity` is its own."""
        change = self.amount.minor_units
        return Movement(
            identity=identity,
            account_id=self.account_id,
            kind=MovementKind.ADJUSTMENT,
            act=Credit(self.amount) if change > 0 else Debit(Money(-change, self.amount.currency)),
            note=self.reason,
            occurred_at=self.occurred_at,
        )


def bill_payment(bill: Bill, *, customer_id: CustomerId | None, channel: str, occurred_at: datetime) -> Movement:
    """The recharge that pays what a bill still asks for. Its transaction is named after the bill, so that the ledger
    too has room for one."""
    check_occurred_at(occurred_at)
    return Movement(
        identity=bill.bill_id,
        account_id=bill.account_id,
        customer_id=customer_id,
        kind=MovementKind.BILL_PAYMENT,
        act=Credit(bill.remaining),
        note=channel,
        occurred_at=occurred_at,
        settles=bill.paid(occurred_at),
    )


def payment_in(payment: Payment, bill: Bill | None, *, occurred_at: datetime) -> Movement:
    """What puts the money of a payment in: the payment of its bill while that is open and asks for so much, else a
    recharge. Nothing is refused to a provider that has the customer's money."""
    about = {PAYMENT: payment.payment_id}
    if bill is not None and bill.state is BillState.OPEN and bill.remaining == payment.amount:
        paid = bill_payment(bill, customer_id=None, channel=payment.channel, occurred_at=occurred_at)
        return paid._replace(about=about)
    return Movement(
        identity=payment.payment_id,
        account_id=payment.account_id,
        kind=MovementKind.RECHARGE,
        act=Credit(payment.amount),
        note=payment.channel,
        occurred_at=occurred_at,
        about=about,
    )
