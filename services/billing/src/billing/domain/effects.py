"""What settling a batch does to bills: each effect is appended to the tables and told, in this order.

The documents among them are numbered last, so that only as many numbers are drawn from the book as there are documents.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import NamedTuple

from chassis.money import Money

from billing.domain.account import Account
from billing.domain.bill import Bill, CloseReason
from billing.domain.ids import AccountId, BillId, TransactionId
from billing.domain.threshold import Due, Turned


class Fell(NamedTuple):
    """An account crossed; `bill_id` is None where its bill waits."""

    account: Account
    turned: Turned
    bill_id: BillId | None


class Restored(NamedTuple):
    """An account is back at the threshold that it crossed."""

    account: Account
    turned: Turned


class Issued(NamedTuple):
    """An original or a supplement was issued."""

    bill: Bill


class Credited(NamedTuple):
    """A credit note took back a part of a bill, or all of it."""

    note: Bill
    bill: Bill


class Paid(NamedTuple):
    """A bill was paid by what it still asked for."""

    bill: Bill
    amount: Money
    transaction_id: TransactionId | None


class Closed(NamedTuple):
    """A bill is no longer asked for, though it was not paid; the version is that of the movement that did it."""

    bill: Bill
    because: CloseReason
    account_version: int | None


class StateChanged(NamedTuple):
    """An account is served again, or no more; `bill` is the one that was not paid."""

    account: Account
    occurred_at: datetime
    bill: Bill | None = None
    reason: str = ""


class DueOver(NamedTuple):
    """What a stay had on top is not due any more, from a version of its account on. Nothing tells it."""

    account_id: AccountId
    crossing_version: int
    due: Due
    account_version: int
    occurred_at: datetime


Told = Fell | Restored | Issued | Credited | Paid | Closed | StateChanged
Effect = Told | DueOver


def documents(effects: Iterable[Effect]) -> list[Bill]:
    """The documents that effects append to the book, in their order."""
    return [bill for effect in effects if (bill := _document(effect)) is not None]


def numbered(effect: Effect, numbers: Mapping[BillId, int]) -> Effect:
    """The effect with its document under the number that was drawn for it."""
    match effect:
        case Issued(bill):
            return Issued(replace(bill, bill_number=numbers[bill.bill_id]))
        case Credited(note, bill):
            return Credited(replace(note, bill_number=numbers[note.bill_id]), bill)
        case _:
            return effect


def _document(effect: Effect) -> Bill | None:
    match effect:
        case Issued(bill):
            return bill
        case Credited(note, _):
            return note
        case _:
            return None
