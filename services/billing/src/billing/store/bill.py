"""Bills and their payments in the database, both only appended; whether a bill is open is read, never stored."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, assert_never

from chassis.money import Money
from sqlalchemy import ARRAY, Row, Text, any_, bindparam, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from billing.domain.bill import Bill, BillState
from billing.domain.ids import AccountId, BillId, CustomerId, TransactionId
from billing.store.tables import BILL_PAYMENTS, BILLS, BOOK

_SELECT = select(
    BILLS.c.bill_id,
    BILLS.c.bill_number,
    BILLS.c.account_id,
    BILLS.c.customer_id,
    BILLS.c.currency,
    BILLS.c.amount_minor,
    BILLS.c.balance_at_issue_minor,
    BILLS.c.threshold_minor,
    BILLS.c.transaction_id,
    BILLS.c.issued_at,
    BILLS.c.due_at,
    BILL_PAYMENTS.c.paid_at,
).select_from(BILLS.outerjoin(BILL_PAYMENTS))
_FIND = _SELECT.where(BILLS.c.bill_id == any_(bindparam("bill_ids", type_=ARRAY(Text))))
_NEWEST_FIRST = _SELECT.order_by(BILLS.c.bill_number.desc())
_OPEN_SUMS = text("""
SELECT b.account_id, sum(b.amount_minor)::bigint AS open_minor
FROM bills b LEFT JOIN bill_payments p USING (bill_id)
WHERE b.account_id = ANY(CAST(:account_ids AS text[])) AND p.bill_id IS NULL GROUP BY b.account_id
""")
_DRAW_NUMBERS = text("""
UPDATE bill_books SET last_number = last_number + :count WHERE book = :book RETURNING last_number
""")
_ADD = text("""
INSERT INTO bills (bill_id, bill_number, account_id, customer_id, currency, amount_minor, balance_at_issue_minor,
                   threshold_minor, transaction_id, issued_at, due_at, recorded_at)
SELECT n.bill_id, n.bill_number, n.account_id, n.customer_id, n.currency, n.amount_minor, n.balance_at_issue_minor,
       n.threshold_minor, n.transaction_id, n.issued_at, n.due_at, CAST(:recorded_at AS timestamptz)
FROM unnest(CAST(:bill_ids AS text[]), CAST(:bill_numbers AS bigint[]), CAST(:account_ids AS text[]),
            CAST(:customer_ids AS text[]), CAST(:currencies AS text[]), CAST(:amounts_minor AS bigint[]),
            CAST(:balances_minor AS bigint[]), CAST(:thresholds_minor AS bigint[]), CAST(:transaction_ids AS text[]),
            CAST(:issued_ats AS timestamptz[]), CAST(:due_ats AS timestamptz[]))
     AS n(bill_id, bill_number, account_id, customer_id, currency, amount_minor, balance_at_issue_minor,
          threshold_minor, transaction_id, issued_at, due_at)
""")
_ADD_PAYMENTS = text("""
INSERT INTO bill_payments (bill_id, transaction_id, paid_at, recorded_at)
SELECT n.bill_id, n.transaction_id, n.paid_at, CAST(:recorded_at AS timestamptz)
FROM unnest(CAST(:bill_ids AS text[]), CAST(:transaction_ids AS text[]), CAST(:paid_ats AS timestamptz[]))
     AS n(bill_id, transaction_id, paid_at)
""")


@dataclass(frozen=True, slots=True, kw_only=True)
class BillFilter:
    """Which bills to list; None does not restrict."""

    customer_id: CustomerId | None
    account_id: AccountId | None
    state: BillState | None


async def find_bills(connection: AsyncConnection, bill_ids: Iterable[BillId]) -> dict[BillId, Bill]:
    """Those of the bills that exist, with their payments as committed last."""
    rows = await connection.execute(_FIND, {"bill_ids": sorted(set(bill_ids))})
    return {bill.bill_id: bill for bill in map(_bill, rows)}


async def list_bills(connection: AsyncConnection, wanted: BillFilter, *, before: int | None, limit: int) -> list[Bill]:
    """At most `limit` bills whose number lies below `before`, newest first."""
    statement = _NEWEST_FIRST.limit(limit)
    if before is not None:
        statement = statement.where(BILLS.c.bill_number < before)
    if wanted.customer_id is not None:
        statement = statement.where(BILLS.c.customer_id == wanted.customer_id)
    if wanted.account_id is not None:
        statement = statement.where(BILLS.c.account_id == wanted.account_id)
    match wanted.state:
        case BillState.OPEN:
            statement = statement.where(BILL_PAYMENTS.c.bill_id.is_(None))
        case BillState.PAID:
            statement = statement.where(BILL_PAYMENTS.c.bill_id.is_not(None))
        case None:
            pass
        case _:
            assert_never(wanted.state)
    return [_bill(row) for row in await connection.execute(statement)]


async def open_bill_sums(connection: AsyncConnection, account_ids: Iterable[AccountId]) -> dict[AccountId, int]:
    """What the open bills of locked accounts ask for, in minor units."""
    wanted = sorted(set(account_ids))
    if not wanted:
        return {}
    rows = await connection.execute(_OPEN_SUMS, {"account_ids": wanted})
    return {AccountId(row.account_id): row.open_minor for row in rows}


async def draw_bill_numbers(connection: AsyncConnection, count: int) -> range:
    """The next numbers of the book. They have no gaps because the book stays locked until they are committed; so this
    comes last in a transaction, and only where there are bills to issue."""
    if not count:
        return range(0)
    last = (await connection.execute(_DRAW_NUMBERS, {"book": BOOK, "count": count})).scalar_one()
    return range(last - count + 1, last + 1)


async def add_bills(connection: AsyncConnection, bills: Sequence[Bill], recorded_at: datetime) -> None:
    """Appends bills."""
    if not bills:
        return
    await connection.execute(
        _ADD,
        {
            "bill_ids": [b.bill_id for b in bills],
            "bill_numbers": [b.bill_number for b in bills],
            "account_ids": [b.account_id for b in bills],
            "customer_ids": [b.customer_id for b in bills],
            "currencies": [b.amount.currency for b in bills],
            "amounts_minor": [b.amount.minor_units for b in bills],
            "balances_minor": [b.balance_at_issue.minor_units for b in bills],
            "thresholds_minor": [b.threshold.minor_units for b in bills],
            "transaction_ids": [b.transaction_id for b in bills],
            "issued_ats": [b.issued_at for b in bills],
            "due_ats": [b.due_at for b in bills],
            "recorded_at": recorded_at,
        },
    )


async def add_payments(connection: AsyncConnection, paid: Mapping[TransactionId, Bill], recorded_at: datetime) -> None:
    """Appends payments: the transaction that paid each bill."""
    if not paid:
        return
    await connection.execute(
        _ADD_PAYMENTS,
        {
            "bill_ids": [bill.bill_id for bill in paid.values()],
            "transaction_ids": list(paid),
            "paid_ats": [bill.paid_at for bill in paid.values()],
            "recorded_at": recorded_at,
        },
    )


def _bill(row: Row[*tuple[Any, ...]]) -> Bill:
    return Bill(
        bill_id=row.bill_id,
        bill_number=row.bill_number,
        account_id=row.account_id,
        customer_id=row.customer_id,
        amount=Money(row.amount_minor, row.currency),
        balance_at_issue=Money(row.balance_at_issue_minor, row.currency),
        threshold=Money(row.threshold_minor, row.currency),
        transaction_id=row.transaction_id,
        issued_at=row.issued_at,
        due_at=row.due_at,
        paid_at=row.paid_at,
    )
