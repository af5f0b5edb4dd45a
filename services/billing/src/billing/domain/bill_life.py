"""The life of a bill, step by step, as it follows from what was appended after it."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from chassis.money import Money

from billing.domain.bill import Bill, BillKind
from billing.domain.ids import BillId


class BillStepKind(StrEnum):
    """What happened to a bill."""

    ISSUED = "issued"
    REMINDED = "reminded"
    SUSPENDED = "suspended"
    CREDITED = "credited"
    SUPPLEMENTED = "supplemented"
    PAID = "paid"
    CLOSED = "closed"


class BillStep(NamedTuple):
    """One thing that happened; `document` is the supplement or credit note that did it."""

    kind: BillStepKind
    occurred_at: datetime
    amount: Money | None = None
    document: BillId | None = None


def life_of(
    bill: Bill, documents: Iterable[Bill], reminded: Iterable[datetime], suspended: Iterable[datetime]
) -> Sequence[BillStep]:
    """What happened to a bill, by business time; what has the same comes in the order of this list."""
    return sorted(_steps(bill, documents, reminded, suspended), key=lambda step: step.occurred_at)


def _steps(
    bill: Bill, documents: Iterable[Bill], reminded: Iterable[datetime], suspended: Iterable[datetime]
) -> Iterator[BillStep]:
    yield BillStep(BillStepKind.ISSUED, bill.issued_at, bill.amount)
    for document in documents:
        is_note = document.kind is BillKind.CREDIT_NOTE
        kind = BillStepKind.CREDITED if is_note else BillStepKind.SUPPLEMENTED
        yield BillStep(kind, document.issued_at, document.amount, document.bill_id)
    for occurred_at in reminded:
        yield BillStep(BillStepKind.REMINDED, occurred_at)
    for occurred_at in suspended:
        yield BillStep(BillStepKind.SUSPENDED, occurred_at)
    if bill.paid_at is not None:
        yield BillStep(BillStepKind.PAID, bill.paid_at, bill.uncredited)
    if bill.closed_at is not None:
        yield BillStep(BillStepKind.CLOSED, bill.closed_at)
