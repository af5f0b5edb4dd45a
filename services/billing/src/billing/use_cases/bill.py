"""Bills: pay them, once each, take back what they ask for, and look at what became of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from chassis.calendar import Calendar
from chassis.errors import Refusal
from chassis.money import Money
from chassis.work import Transaction

from billing.domain.bill import Bill, bill_already_paid, bill_not_found
from billing.domain.bill_life import BillStep, life_of
from billing.domain.effects import Closed, Credited
from billing.domain.entry import Entry
from billing.domain.ids import BillId, CustomerId
from billing.domain.movement import Moved, Movement, check_occurred_at
from billing.domain.settlement import Settlement
from billing.domain.wish import bill_payment
from billing.store import Connection
from billing.store.account import accounts_for_update
from billing.store.bill import BillFilter, corrections_of, find_bills, list_bills
from billing.store.standing import reminders_of, steps_done, suspended_for
from billing.use_cases.movement import apply_movements
from billing.use_cases.settlement import append_effects, new_bill_id, open_tabs, tell


@dataclass(frozen=True, slots=True, kw_only=True)
class PayBill:
    """Wish to close a bill by a recharge of its amount."""

    bill_id: BillId
    customer_id: CustomerId | None
    channel: str
    occurred_at: datetime

    def __post_init__(self) -> None:
        check_occurred_at(self.occurred_at)


@dataclass(frozen=True, slots=True, kw_only=True)
class CreditBill:
    """Wish of an operator to take back what a bill asks for, or a part of it. No money moves."""

    bill_id: BillId
    amount: Money | None
    reason: str
    occurred_at: datetime

    def __post_init__(self) -> None:
        check_occurred_at(self.occurred_at)


class BillLife(NamedTuple):
    """A bill, what happened to it, and the documents that correct it."""

    bill: Bill
    steps: Sequence[BillStep]
    documents: Sequence[Bill]


async def pay_bills(
    transaction: Transaction, wanted: Sequence[PayBill], *, calendar: Calendar
) -> list[Moved | Refusal]:
    """Each closes its bill once; what comes back carries it as `movement.settles`. Refuses BillNotFound, also for
    another customer's bill, and BillAlreadyPaid."""
    bills = await _bills_for_update(transaction, {each.bill_id for each in wanted})
    payments = _payments(wanted, bills)
    movements = [each for each in payments if isinstance(each, Movement)]
    moved = iter(await apply_movements(transaction, movements, calendar))
    return [next(moved) if isinstance(each, Movement) else each for each in payments]


async def bills_page(connection: Connection, wanted: BillFilter, *, before: int | None, limit: int) -> list[Bill]:
    """Bills whose number lies below `before`, newest first."""
    return await list_bills(connection, wanted, before=before, limit=limit)


async def get_bill(connection: Connection, bill_id: BillId, customer_id: CustomerId | None) -> BillLife:
    """A bill and its life. Refuses BillNotFound, also for another customer's bill."""
    bill = (await find_bills(connection, [bill_id])).get(bill_id)
    if bill is None:
        raise bill_not_found(bill_id)
    bill.check_owner(customer_id)
    documents = await corrections_of(connection, bill_id)
    done = (await steps_done(connection, {bill_id})).get(bill_id, [])
    suspended = await suspended_for(connection, bill.account_id, bill_id)
    return BillLife(bill, life_of(bill, documents, reminders_of(done), suspended), documents)


async def issue_credit_note(transaction: Transaction, wanted: CreditBill, *, calendar: Calendar) -> Credited:
    """Appends a credit note; the bill is closed when nothing is left of it. Refuses BillNotFound, BillAlreadyPaid,
    BillClosed, CreditExceedsBill."""
    bill = (await _bills_for_update(transaction, {wanted.bill_id})).get(wanted.bill_id)
    if bill is None:
        raise bill_not_found(wanted.bill_id)
    amount = bill.to_credit(wanted.amount)
    connection = transaction.connection
    accounts = await accounts_for_update(connection, {bill.account_id})
    tabs = await open_tabs(connection, list(accounts.values()), plans={}, calendar=calendar, asks=False)
    note = Entry(bill.account_id, wanted.occurred_at, (), note=wanted.reason)
    credited = Settlement(tabs, {}, calendar, new_bill_id).credit(tabs[bill.account_id], bill, amount, note)
    ((first, *rest),) = await append_effects(transaction, tabs, [tuple(credited)])
    tell(transaction, [first, *rest])
    assert isinstance(first, Credited), "a note comes first"
    closed = next((effect.bill for effect in rest if isinstance(effect, Closed)), first.bill)
    return Credited(first.note, closed)


async def _bills_for_update(transaction: Transaction, bill_ids: set[BillId]) -> Mapping[BillId, Bill]:
    """Bills as they stand once their accounts are locked: nobody else pays them before this transaction ends."""
    connection = transaction.connection
    seen = await find_bills(connection, bill_ids)
    await accounts_for_update(connection, {bill.account_id for bill in seen.values()})
    return await find_bills(connection, seen)


def _payments(wanted: Sequence[PayBill], bills: Mapping[BillId, Bill]) -> list[Movement | Refusal]:
    """A payment for each wish. Of two for one bill in a batch the first pays it."""
    taken: set[BillId] = set()
    payments: list[Movement | Refusal] = []
    for each in wanted:
        try:
            payment = _payment(each, bills.get(each.bill_id))
            if each.bill_id in taken:
                raise bill_already_paid(each.bill_id)
            taken.add(each.bill_id)
            payments.append(payment)
        except Refusal as refusal:
            payments.append(refusal)
    return payments


def _payment(wanted: PayBill, bill: Bill | None) -> Movement:
    if bill is None:
        raise bill_not_found(wanted.bill_id)
    bill.check_payable_by(wanted.customer_id)
    return bill_payment(bill, customer_id=wanted.customer_id, channel=wanted.channel, occurred_at=wanted.occurred_at)
