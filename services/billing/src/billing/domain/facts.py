"""Facts: what billing tells the other services. All are effects: each is to be counted once, in whatever order.

`aggregate_id` is the account, so that the facts of one account keep their order; `occurred_at` is business time.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import assert_never

from chassis.money import Money

from billing.domain.account import Account
from billing.domain.bill import Bill
from billing.domain.ids import AccountId, BillId, ChargeId, CustomerId, TransactionId
from billing.domain.movement import Moved, MovementKind
from billing.domain.threshold import Turn


@dataclass(frozen=True, slots=True, kw_only=True)
class OfAccount:
    """What every fact of billing tells: of which account, whose, and when."""

    account_id: AccountId
    customer_id: CustomerId
    occurred_at: datetime

    @property
    def aggregate_id(self) -> str:
        """The account."""
        return self.account_id


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountOpened(OfAccount):
    """An account was opened."""

    currency: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountRecharged(OfAccount):
    """Money came in, the payment of a bill included."""

    amount: Money
    balance_after: Money
    transaction_id: TransactionId
    account_version: int
    channel: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountCharged(OfAccount):
    """A charge was taken. A charge of zero is told as well; it has no transaction and the version of the one before."""

    charge_id: ChargeId
    amount: Money
    balance_after: Money
    transaction_id: TransactionId | None
    account_version: int
    description: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BalanceAdjusted(OfAccount):
    """A balance was corrected; a negative amount took away."""

    amount: Money
    balance_after: Money
    transaction_id: TransactionId
    account_version: int


@dataclass(frozen=True, slots=True, kw_only=True)
class BalanceFellBelowThreshold(OfAccount):
    """A debit crossed the threshold. `bill_id` is None when open bills already ask for the whole gap."""

    balance: Money
    threshold: Money
    bill_id: BillId | None
    account_version: int


@dataclass(frozen=True, slots=True, kw_only=True)
class BalanceRestored(OfAccount):
    """The balance is back at or above the threshold; the next crossing is billed again."""

    balance: Money
    threshold: Money
    account_version: int


@dataclass(frozen=True, slots=True, kw_only=True)
class BillIssued(OfAccount):
    """A bill was issued."""

    bill_id: BillId
    bill_number: int
    amount: Money
    due_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class BillPaid(OfAccount):
    """A bill was paid; its money is told by AccountRecharged."""

    bill_id: BillId
    amount: Money


Fact = (
    AccountOpened
    | AccountRecharged
    | AccountCharged
    | BalanceAdjusted
    | BalanceFellBelowThreshold
    | BalanceRestored
    | BillIssued
    | BillPaid
)


def account_opened(account: Account) -> AccountOpened:
    """The fact of a new account."""
    return AccountOpened(
        account_id=account.account_id,
        customer_id=account.customer_id,
        occurred_at=account.opened_at,
        currency=account.currency,
    )


def facts_of(moved: Moved) -> Iterator[Fact]:
    """What a movement tells, in order: the movement, then what it meant for bills."""
    yield _movement_fact(moved)
    if moved.movement.settles is not None:
        yield _bill_paid(moved, moved.movement.settles)
    match moved.turn:
        case Turn.NONE:
            pass
        case Turn.RESTORED:
            yield _balance_restored(moved)
        case Turn.CROSSED:
            yield _balance_fell(moved)
            if moved.bill is not None:
                yield _bill_issued(moved.bill)
        case _:
            assert_never(moved.turn)


def _movement_fact(moved: Moved) -> Fact:
    match moved.movement.kind:
        case MovementKind.RECHARGE | MovementKind.BILL_PAYMENT:
            return _recharged(moved)
        case MovementKind.CHARGE:
            return _charged(moved)
        case MovementKind.ADJUSTMENT:
            return _adjusted(moved)
        case _:
            assert_never(moved.movement.kind)


def _recharged(moved: Moved) -> AccountRecharged:
    return AccountRecharged(
        account_id=moved.account.account_id,
        customer_id=moved.account.customer_id,
        occurred_at=moved.movement.occurred_at,
        amount=moved.movement.amount,
        balance_after=moved.balance_after,
        transaction_id=moved.movement.transaction_id,
        account_version=moved.account_version,
        channel=moved.movement.note,
    )


def _charged(moved: Moved) -> AccountCharged:
    return AccountCharged(
        account_id=moved.account.account_id,
        customer_id=moved.account.customer_id,
        occurred_at=moved.movement.occurred_at,
        charge_id=ChargeId(moved.movement.identity),
        amount=moved.movement.amount,
        balance_after=moved.balance_after,
        transaction_id=moved.transaction_id,
        account_version=moved.account_version,
        description=moved.movement.note,
    )


def _adjusted(moved: Moved) -> BalanceAdjusted:
    return BalanceAdjusted(
        account_id=moved.account.account_id,
        customer_id=moved.account.customer_id,
        occurred_at=moved.movement.occurred_at,
        amount=moved.movement.change,
        balance_after=moved.balance_after,
        transaction_id=moved.movement.transaction_id,
        account_version=moved.account_version,
    )


def _bill_paid(moved: Moved, bill: Bill) -> BillPaid:
    return BillPaid(
        account_id=bill.account_id,
        customer_id=bill.customer_id,
        occurred_at=moved.movement.occurred_at,
        bill_id=bill.bill_id,
        amount=bill.amount,
    )


def _balance_fell(moved: Moved) -> BalanceFellBelowThreshold:
    return BalanceFellBelowThreshold(
        account_id=moved.account.account_id,
        customer_id=moved.account.customer_id,
        occurred_at=moved.movement.occurred_at,
        balance=moved.balance_after,
        threshold=moved.met,
        bill_id=moved.bill.bill_id if moved.bill else None,
        account_version=moved.account_version,
    )


def _balance_restored(moved: Moved) -> BalanceRestored:
    return BalanceRestored(
        account_id=moved.account.account_id,
        customer_id=moved.account.customer_id,
        occurred_at=moved.movement.occurred_at,
        balance=moved.balance_after,
        threshold=moved.met,
        account_version=moved.account_version,
    )


def _bill_issued(bill: Bill) -> BillIssued:
    return BillIssued(
        account_id=bill.account_id,
        customer_id=bill.customer_id,
        occurred_at=bill.issued_at,
        bill_id=bill.bill_id,
        bill_number=bill.bill_number,
        amount=bill.amount,
        due_at=bill.due_at,
    )
