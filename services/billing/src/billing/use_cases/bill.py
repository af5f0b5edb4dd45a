"""Bills: pay them, once each, and list them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from chassis.calendar import Calendar
from chassis.errors import Refusal
from chassis.work import Transaction

from billing.domain.bill import Bill, bill_already_paid, bill_not_found
from billing.domain.ids import BillId, CustomerId
from billing.domain.movement import Moved, Movement, check_occurred_at
from billing.domain.wish import bill_payment
from billing.store import Connection
from billing.store.account import accounts_for_update
from billing.store.bill import BillFilter, find_bills, list_bills
from billing.use_cases.movement import apply_movements


@dataclass(frozen=True, slots=True, kw_only=True)
class PayBill:
    """Wish to close a bill by a recharge of its amount."""

    bill_id: BillId
    customer_id: CustomerId | None
    channel: str
    occurred_at: datetime

    def __post_init__(self) -> None:
        check_occurred_at(self.occurred_at)


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
