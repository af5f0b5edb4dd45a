"""Bills and what was appended after them: payments, closures, credit notes. Whether a bill is open follows from it."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from chassis.arrays import array_of_instants, array_of_numbers, array_of_texts
from chassis.driver import Row, fetch
from chassis.money import Money
from sqlalchemy.ext.asyncio import AsyncConnection

from billing.domain.bill import Bill, BillKind, BillState, PlanVersion
from billing.domain.effects import Closed, Paid
from billing.domain.ids import AccountId, BillId, CustomerId
from billing.domain.threshold import CrossingCause
from billing.store.tables import BOOK

_BILLS = """
SELECT b.bill_id, b.bill_number, b.account_id, b.customer_id, b.currency, b.amount_minor, b.balance_at_issue_minor,
       b.threshold_minor, b.transaction_id, b.issued_at, b.due_at, b.kind, b.corrects_bill_id, b.cause, b.plan_id,
       b.plan_revision, b.crossing_version, b.credit_limit_at_issue_minor, b.reason, p.paid_at,
       c.occurred_at AS closed_at, coalesce((
           SELECT sum(n.amount_minor) FROM bills n WHERE n.corrects_bill_id = b.bill_id AND n.kind = 'credit_note'
       ), 0)::bigint AS credited_minor
FROM bills b LEFT JOIN bill_payments p USING (bill_id) LEFT JOIN bill_closures c USING (bill_id)"""
_IS_OPEN = "p.bill_id IS NULL AND c.bill_id IS NULL AND b.kind <> 'credit_note'"
_FIND = _BILLS + " WHERE b.bill_id = ANY($1::text::text[])"
_OPEN = _BILLS + " WHERE b.account_id = ANY($1::text::text[]) AND " + _IS_OPEN + " ORDER BY b.bill_number"
_CORRECTIONS = _BILLS + " WHERE b.corrects_bill_id = $1 ORDER BY b.bill_number"
_LIST = f"""{_BILLS}
WHERE ($1::bigint IS NULL OR b.bill_number < $1) AND ($2::text IS NULL OR b.customer_id = $2)
  AND ($3::text IS NULL OR b.account_id = $3) AND ($4::text IS NULL OR b.kind = $4)
  AND ($5::text IS NULL OR $5 = CASE WHEN p.bill_id IS NOT NULL THEN 'paid' WHEN {_IS_OPEN} THEN 'open'
                                ELSE 'closed' END)
  AND ($6::timestamptz IS NULL OR ({_IS_OPEN} AND b.due_at < $6))
ORDER BY b.bill_number DESC LIMIT $7"""
_LAST_ORIGINALS = """
SELECT account_id, max(issued_at) AS issued_at FROM bills
WHERE account_id = ANY($1::text::text[]) AND kind = 'original' GROUP BY account_id"""
_ORIGINALS_OF_STAYS = """
SELECT a.account_id, b.bill_id FROM accounts a
JOIN bills b ON (b.account_id, b.crossing_version) = (a.account_id, a.crossed_version) AND b.kind = 'original'
WHERE a.account_id = ANY($1::text::text[])"""
_DRAW_NUMBERS = "UPDATE bill_books SET last_number = last_number + $1 WHERE book = $2 RETURNING last_number"
_ADD = """
INSERT INTO bills (bill_id, bill_number, account_id, customer_id, currency, amount_minor, balance_at_issue_minor,
  threshold_minor, transaction_id, issued_at, due_at, kind, corrects_bill_id, cause, plan_id, plan_revision,
  crossing_version, credit_limit_at_issue_minor, reason, recorded_at)
SELECT n.*, $20 FROM unnest($1::text::text[], $2::text::bigint[], $3::text::text[], $4::text::text[],
  $5::text::text[], $6::text::bigint[], $7::text::bigint[], $8::text::bigint[], $9::text::text[],
  $10::text::timestamptz[], $11::text::timestamptz[], $12::text::text[], $13::text::text[], $14::text::text[],
  $15::text::text[], $16::text::bigint[], $17::text::bigint[], $18::text::bigint[], $19::text::text[]) AS n"""
_ADD_PAYMENTS = """
INSERT INTO bill_payments (bill_id, transaction_id, amount_minor, paid_at, recorded_at)
SELECT n.*, $5 FROM unnest($1::text::text[], $2::text::text[], $3::text::bigint[], $4::text::timestamptz[]) AS n"""
_ADD_CLOSURES = """
INSERT INTO bill_closures (bill_id, because, account_version, occurred_at, recorded_at)
SELECT n.*, $5 FROM unnest($1::text::text[], $2::text::text[], $3::text::bigint[], $4::text::timestamptz[]) AS n"""


@dataclass(frozen=True, slots=True, kw_only=True)
class BillFilter:
    """Which bills to list; None does not restrict. `due_before` asks for open bills that were due then."""

    customer_id: CustomerId | None
    account_id: AccountId | None
    state: BillState | None
    kind: BillKind | None = None
    due_before: datetime | None = None


async def find_bills(connection: AsyncConnection, bill_ids: Iterable[BillId]) -> dict[BillId, Bill]:
    """Those of the bills that exist, with what was appended after them as committed last."""
    rows = await fetch(connection, _FIND, array_of_texts(sorted(set(bill_ids))))
    return {bill.bill_id: bill for bill in map(_bill, rows)}


async def list_bills(connection: AsyncConnection, wanted: BillFilter, *, before: int | None, limit: int) -> list[Bill]:
    """At most `limit` bills whose number lies below `before`, newest first."""
    rows = await fetch(
        connection,
        _LIST,
        before,
        wanted.customer_id,
        wanted.account_id,
        wanted.kind,
        wanted.state,
        wanted.due_before,
        limit,
    )
    return [_bill(row) for row in rows]


async def corrections_of(connection: AsyncConnection, bill_id: BillId) -> list[Bill]:
    """The supplements and credit notes of a bill, by number."""
    return [_bill(row) for row in await fetch(connection, _CORRECTIONS, bill_id)]


async def open_bills(connection: AsyncConnection, account_ids: Collection[AccountId]) -> dict[AccountId, list[Bill]]:
    """What is asked of accounts, each account's oldest first; without an account, without a query."""
    if not account_ids:
        return {}
    found: dict[AccountId, list[Bill]] = {}
    for row in await fetch(connection, _OPEN, array_of_texts(sorted(account_ids))):
        bill = _bill(row)
        found.setdefault(bill.account_id, []).append(bill)
    return found


async def last_originals(connection: AsyncConnection, account_ids: Collection[AccountId]) -> dict[AccountId, datetime]:
    """When accounts had their newest original; without an account, without a query."""
    if not account_ids:
        return {}
    rows = await fetch(connection, _LAST_ORIGINALS, array_of_texts(sorted(account_ids)))
    return {AccountId(row["account_id"]): row["issued_at"] for row in rows}


async def originals_of_stays(
    connection: AsyncConnection, account_ids: Collection[AccountId]
) -> dict[AccountId, BillId]:
    """The originals that accounts had in the stays that they are in, whatever became of these bills."""
    rows = await fetch(connection, _ORIGINALS_OF_STAYS, array_of_texts(sorted(account_ids)))
    return {AccountId(row["account_id"]): BillId(row["bill_id"]) for row in rows}


async def draw_bill_numbers(connection: AsyncConnection, count: int) -> range:
    """The next numbers of the book. They have no gaps because the book stays locked until they are committed; so this
    comes last in a transaction, and only where there are bills to issue."""
    if not count:
        return range(0)
    (row,) = await fetch(connection, _DRAW_NUMBERS, count, BOOK)
    last = row["last_number"]
    return range(last - count + 1, last + 1)


async def add_bills(connection: AsyncConnection, bills: Sequence[Bill], recorded_at: datetime) -> None:
    """Appends documents; one that corrects another of the batch follows it."""
    if not bills:
        return
    await fetch(
        connection,
        _ADD,
        array_of_texts([b.bill_id for b in bills]),
        array_of_numbers([b.bill_number for b in bills]),
        array_of_texts([b.account_id for b in bills]),
        array_of_texts([b.customer_id for b in bills]),
        array_of_texts([b.amount.currency for b in bills]),
        array_of_numbers([b.amount.minor_units for b in bills]),
        array_of_numbers([b.balance_at_issue.minor_units for b in bills]),
        array_of_numbers([b.threshold.minor_units for b in bills]),
        array_of_texts([b.transaction_id for b in bills]),
        array_of_instants([b.issued_at for b in bills]),
        array_of_instants([b.due_at for b in bills]),
        array_of_texts([b.kind for b in bills]),
        array_of_texts([b.corrects for b in bills]),
        array_of_texts([b.cause for b in bills]),
        array_of_texts([b.plan and b.plan.plan_id for b in bills]),
        array_of_numbers([b.plan and b.plan.revision for b in bills]),
        array_of_numbers([b.crossing_version for b in bills]),
        array_of_numbers([b.credit_limit_minor for b in bills]),
        array_of_texts([b.reason for b in bills]),
        recorded_at,
    )


async def add_payments(connection: AsyncConnection, paid: Sequence[Paid], recorded_at: datetime) -> None:
    """Appends payments: the transaction that paid each bill, and how much it was."""
    if paid:
        await fetch(
            connection,
            _ADD_PAYMENTS,
            array_of_texts([each.bill.bill_id for each in paid]),
            array_of_texts([each.transaction_id for each in paid]),
            array_of_numbers([each.amount.minor_units for each in paid]),
            array_of_instants([each.bill.paid_at for each in paid]),
            recorded_at,
        )


async def add_closures(connection: AsyncConnection, closed: Sequence[Closed], recorded_at: datetime) -> None:
    """Appends closures: bills that are no longer asked for."""
    if closed:
        await fetch(
            connection,
            _ADD_CLOSURES,
            array_of_texts([each.bill.bill_id for each in closed]),
            array_of_texts([each.because for each in closed]),
            array_of_numbers([each.account_version for each in closed]),
            array_of_instants([each.bill.closed_at for each in closed]),
            recorded_at,
        )


def _bill(row: Row) -> Bill:
    currency, cause, plan_id = row["currency"], row["cause"], row["plan_id"]
    return Bill(
        bill_id=row["bill_id"],
        bill_number=row["bill_number"],
        account_id=row["account_id"],
        customer_id=row["customer_id"],
        amount=Money(row["amount_minor"], currency),
        balance_at_issue=Money(row["balance_at_issue_minor"], currency),
        threshold=Money(row["threshold_minor"], currency),
        transaction_id=row["transaction_id"],
        issued_at=row["issued_at"],
        due_at=row["due_at"],
        kind=BillKind(row["kind"]),
        corrects=row["corrects_bill_id"],
        cause=CrossingCause(cause) if cause else None,
        plan=PlanVersion(plan_id, row["plan_revision"]) if plan_id else None,
        crossing_version=row["crossing_version"],
        credit_limit_minor=row["credit_limit_at_issue_minor"],
        reason=row["reason"],
        credited_minor=row["credited_minor"],
        paid_at=row["paid_at"],
        closed_at=row["closed_at"],
    )
