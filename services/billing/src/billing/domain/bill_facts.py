"""Facts about bills in their later life and about accounts that are suspended, and what the effects of a batch tell."""

from dataclasses import dataclass
from datetime import datetime
from typing import assert_never

from chassis.money import Money

from billing.domain.account import Account, AccountState, Because
from billing.domain.bill import Bill, BillKind, CloseReason
from billing.domain.effects import Closed, Credited, Fell, Issued, Paid, Restored, StateChanged, Told
from billing.domain.facts import BalanceFellBelowThreshold, BalanceRestored, BillIssued, BillPaid, OfAccount
from billing.domain.ids import BillId


@dataclass(frozen=True, slots=True, kw_only=True)
class BillClosed(OfAccount):
    """Effect: a bill is no longer asked for, without having been paid."""

    bill_id: BillId
    because: CloseReason


@dataclass(frozen=True, slots=True, kw_only=True)
class BillCredited(OfAccount):
    """Effect: a credit note took back a part of what a bill asks for, or all of it."""

    credit_note_id: BillId
    credit_note_number: int
    bill_id: BillId
    amount: Money
    remaining: Money
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BillReminded(OfAccount):
    """Effect: a bill was not paid in time, or is about to be due."""

    bill_id: BillId
    bill_number: int
    remaining: Money
    due_at: datetime
    step: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountStateChanged(OfAccount):
    """State: whether an account is served; `revision` rises with every change."""

    state: AccountState
    because: Because
    bill_id: BillId | None
    revision: int


BillFact = (
    BalanceFellBelowThreshold
    | BalanceRestored
    | BillIssued
    | BillPaid
    | BillClosed
    | BillCredited
    | AccountStateChanged
)


def fact_of(effect: Told) -> BillFact:
    """What an effect tells."""
    match effect:
        case Fell(account, turned, bill_id):
            return BalanceFellBelowThreshold(
                account_id=account.account_id,
                customer_id=account.customer_id,
                occurred_at=turned.step.occurred_at,
                balance=account.money(turned.step.balance_after),
                threshold=account.money(turned.met_minor),
                bill_id=bill_id,
                account_version=turned.step.account_version,
                cause=turned.step.cause,
                credit_limit=account.money(turned.step.credit_limit),
            )
        case Restored(account, turned):
            return BalanceRestored(
                account_id=account.account_id,
                customer_id=account.customer_id,
                occurred_at=turned.step.occurred_at,
                balance=account.money(turned.step.balance_after),
                threshold=account.money(turned.met_minor),
                account_version=turned.step.account_version,
            )
        case Issued(bill):
            return _issued(bill)
        case Credited(note, bill):
            return _credited(note, bill)
        case Paid(bill, amount, _):
            return _paid(bill, amount)
        case Closed(bill, because, _):
            return _closed(bill, because)
        case StateChanged(account, occurred_at, bill, _):
            return _state_changed(account, occurred_at, bill)
        case _:
            assert_never(effect)


def bill_reminded(bill: Bill, *, step: int, occurred_at: datetime) -> BillReminded:
    """The reminder of a bill, as a step of its plan."""
    return BillReminded(
        account_id=bill.account_id,
        customer_id=bill.customer_id,
        occurred_at=occurred_at,
        bill_id=bill.bill_id,
        bill_number=bill.bill_number,
        remaining=bill.remaining,
        due_at=bill.due_at,
        step=step,
    )


def _issued(bill: Bill) -> BillIssued:
    return BillIssued(
        account_id=bill.account_id,
        customer_id=bill.customer_id,
        occurred_at=bill.issued_at,
        bill_id=bill.bill_id,
        bill_number=bill.bill_number,
        amount=bill.amount,
        due_at=bill.due_at,
        kind=bill.kind,
        corrects=bill.corrects,
        cause=bill.cause if bill.kind is BillKind.ORIGINAL else None,
    )


def _credited(note: Bill, bill: Bill) -> BillCredited:
    return BillCredited(
        account_id=note.account_id,
        customer_id=note.customer_id,
        occurred_at=note.issued_at,
        credit_note_id=note.bill_id,
        credit_note_number=note.bill_number,
        bill_id=bill.bill_id,
        amount=note.amount,
        remaining=bill.remaining,
        reason=note.reason,
    )


def _paid(bill: Bill, amount: Money) -> BillPaid:
    assert bill.paid_at is not None, "a payment has its time"
    return BillPaid(
        account_id=bill.account_id,
        customer_id=bill.customer_id,
        occurred_at=bill.paid_at,
        bill_id=bill.bill_id,
        amount=amount,
    )


def _closed(bill: Bill, because: CloseReason) -> BillClosed:
    assert bill.closed_at is not None, "a closure has its time"
    return BillClosed(
        account_id=bill.account_id,
        customer_id=bill.customer_id,
        occurred_at=bill.closed_at,
        bill_id=bill.bill_id,
        because=because,
    )


def _state_changed(account: Account, occurred_at: datetime, bill: Bill | None) -> AccountStateChanged:
    service = account.service
    assert service.because is not None, "a change has its reason"
    return AccountStateChanged(
        account_id=account.account_id,
        customer_id=account.customer_id,
        occurred_at=occurred_at,
        state=service.state,
        because=service.because,
        bill_id=bill.bill_id if bill else None,
        revision=service.revision,
    )
