"""Payments in the database: the row that says where each stands, and its steps, refunds and charge-backs."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from chassis.money import Money
from sqlalchemy import ARRAY, Row, Text, any_, bindparam, insert, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from billing.domain.bill import Bill
from billing.domain.ids import AccountId, BillId, CustomerId
from billing.domain.payment import (
    Chargeback,
    Payment,
    PaymentId,
    PaymentOrigin,
    PaymentState,
    Refund,
    RefundState,
    next_ask,
    refunds_by_payment,
)
from billing.store.payment_tables import PAYMENT_CHARGEBACKS, PAYMENT_REFUNDS, PAYMENTS

# What is on its way for an open bill is not counted: the bill itself asks for it already. Nor is a page left unpaid.
_PENDING_SUMS = text("""
SELECT p.account_id, sum(p.amount_minor)::bigint AS pending_minor
FROM payments p LEFT JOIN bill_payments paid USING (bill_id) LEFT JOIN bill_closures closed USING (bill_id)
WHERE p.account_id = ANY(CAST(:account_ids AS text[])) AND p.state IN ('requested', 'pending') AND p.counts
  AND (p.bill_id IS NULL OR paid.bill_id IS NOT NULL OR closed.bill_id IS NOT NULL)
GROUP BY p.account_id
""")
_PENDING_OF_BILLS = text("""
SELECT bill_id, sum(amount_minor)::bigint AS pending_minor FROM payments
WHERE account_id = ANY(CAST(:account_ids AS text[])) AND state IN ('requested', 'pending') AND counts
  AND bill_id = ANY(CAST(:bill_ids AS text[])) AND payment_id <> ALL(CAST(:coming_in AS text[]))
GROUP BY bill_id
""")
_SELECT = select(PAYMENTS)
_FIND = _SELECT.where(PAYMENTS.c.payment_id == any_(bindparam("payment_ids", type_=ARRAY(Text))))
_FOR_UPDATE = _FIND.order_by(PAYMENTS.c.account_id, PAYMENTS.c.payment_id).with_for_update(key_share=True)
_NEWEST_FIRST = _SELECT.order_by(PAYMENTS.c.payment_id.desc())
_REFUNDS = (
    select(PAYMENT_REFUNDS, PAYMENTS.c.currency)
    .join(PAYMENTS)
    .where(PAYMENT_REFUNDS.c.payment_id == any_(bindparam("payment_ids", type_=ARRAY(Text))))
    .order_by(PAYMENT_REFUNDS.c.refund_id)
)
_CHARGEBACKS = (
    select(PAYMENT_CHARGEBACKS.c.payment_id, PAYMENT_CHARGEBACKS.c.sequence, PAYMENT_CHARGEBACKS.c.amount_minor)
    .where(PAYMENT_CHARGEBACKS.c.payment_id == any_(bindparam("payment_ids", type_=ARRAY(Text))))
    .order_by(PAYMENT_CHARGEBACKS.c.payment_id, PAYMENT_CHARGEBACKS.c.sequence)
)
_ADD_STEP = text("""
INSERT INTO payment_steps (payment_id, step, state, because, occurred_at, recorded_at)
SELECT :payment_id, 1 + coalesce((SELECT max(step) FROM payment_steps WHERE payment_id = :payment_id), 0),
       :state, :because, :occurred_at, :recorded_at
""")
_UPDATE = text("""
UPDATE payments SET state = :state, provider_reference = :provider_reference, redirect_url = :redirect_url,
       decline_code = :decline_code, transaction_id = :transaction_id, bill_missed = :bill_missed,
       settled_at = :settled_at,
       next_ask_at = CASE WHEN :state IN ('requested', 'pending') THEN next_ask_at END
WHERE payment_id = :payment_id
""")
_REFERENCE_TAKEN = text("""
SELECT count(*) FROM payments
WHERE channel = :channel AND provider_reference = :reference AND payment_id <> :payment_id
""")
# From one channel of the index to the next, so many of each.
_DUE = text("""
WITH RECURSIVE waiting AS (
    (SELECT channel FROM payments WHERE next_ask_at IS NOT NULL ORDER BY channel LIMIT 1)
    UNION ALL
    SELECT (SELECT p.channel FROM payments p WHERE p.next_ask_at IS NOT NULL AND p.channel > waiting.channel
            ORDER BY p.channel LIMIT 1)
    FROM waiting WHERE waiting.channel IS NOT NULL)
SELECT due.payment_id, waiting.channel
FROM waiting CROSS JOIN LATERAL (
    SELECT p.payment_id FROM payments p WHERE p.channel = waiting.channel AND p.next_ask_at <= :as_of
    ORDER BY p.next_ask_at, p.payment_id LIMIT :limit) AS due
WHERE waiting.channel <> ALL(CAST(:but_for AS text[]))
""")
# Whoever is at a payment meanwhile is not waited for: its account is not locked here.
_COUNT_NO_LONGER = text("""
UPDATE payments SET counts = false WHERE payment_id IN (
    SELECT payment_id FROM payments
    WHERE counts AND state IN ('requested', 'pending') AND counted_until <= :as_of
    FOR NO KEY UPDATE SKIP LOCKED)
""")
_ASKED = text("""
UPDATE payments p SET next_ask_at = n.next_ask_at, asked = n.asked
FROM unnest(CAST(:payment_ids AS text[]), CAST(:next_ask_ats AS timestamptz[]), CAST(:askeds AS integer[]))
     AS n(payment_id, next_ask_at, asked)
WHERE p.payment_id = n.payment_id AND p.next_ask_at IS NOT NULL
""")


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentFilter:
    """Which payments to list; None does not restrict."""

    customer_id: CustomerId | None
    account_id: AccountId | None
    state: PaymentState | None


async def pending_sums(connection: AsyncConnection, account_ids: Iterable[AccountId]) -> dict[AccountId, int]:
    """What is on its way into accounts, in minor units, and is not asked for by an open bill already; accounts with
    nothing on its way are left out."""
    rows = await connection.execute(_PENDING_SUMS, {"account_ids": sorted(set(account_ids))})
    return {AccountId(account_id): pending_minor for account_id, pending_minor in rows}


async def pending_of_bills(
    connection: AsyncConnection, bills: Iterable[Bill], *, coming_in: Iterable[str]
) -> dict[BillId, int]:
    """What is on its way for bills, in minor units, but for payments that come in now; without a bill, without a
    query."""
    asked = {bill.bill_id: bill.account_id for bill in bills}
    if not asked:
        return {}
    names = {"account_ids": sorted(set(asked.values())), "bill_ids": sorted(asked), "coming_in": list(coming_in)}
    rows = await connection.execute(_PENDING_OF_BILLS, names)
    return {BillId(bill_id): pending_minor for bill_id, pending_minor in rows}


async def add_payments(
    connection: AsyncConnection, payments: Sequence[Payment], *, next_ask_at: datetime, recorded_at: datetime
) -> None:
    """Stores new payments, whose providers are to be called at `next_ask_at` unless they were by then."""
    if not payments:
        return
    rows = [{**_columns(each), "next_ask_at": next_ask_at, "recorded_at": recorded_at} for each in payments]
    await connection.execute(insert(PAYMENTS), rows)
    for each in payments:
        await _add_step(connection, each, at=each.requested_at, recorded_at=recorded_at)


async def find_payment(connection: AsyncConnection, payment_id: PaymentId) -> Payment | None:
    """The payment as committed last."""
    return (await find_payments(connection, [payment_id])).get(payment_id)


async def find_payments(connection: AsyncConnection, payment_ids: Iterable[PaymentId]) -> dict[PaymentId, Payment]:
    """Those of the payments that exist, as committed last."""
    return await _with_parts(connection, await connection.execute(_FIND, {"payment_ids": sorted(set(payment_ids))}))


async def payments_for_update(
    connection: AsyncConnection, payment_ids: Iterable[PaymentId]
) -> dict[PaymentId, Payment]:
    """The payments that exist, locked until the transaction ends; their accounts are locked before."""
    return await _with_parts(
        connection, await connection.execute(_FOR_UPDATE, {"payment_ids": sorted(set(payment_ids))})
    )


async def list_payments(
    connection: AsyncConnection, wanted: PaymentFilter, *, before: PaymentId | None, limit: int
) -> list[Payment]:
    """At most `limit` payments made before `before`, newest first."""
    statement = _NEWEST_FIRST.limit(limit)
    if before is not None:
        statement = statement.where(PAYMENTS.c.payment_id < before)
    if wanted.customer_id is not None:
        statement = statement.where(PAYMENTS.c.customer_id == wanted.customer_id)
    if wanted.account_id is not None:
        statement = statement.where(PAYMENTS.c.account_id == wanted.account_id)
    if wanted.state is not None:
        statement = statement.where(PAYMENTS.c.state == wanted.state)
    return list((await _with_parts(connection, await connection.execute(statement))).values())


async def save_payment(
    connection: AsyncConnection, payment: Payment, *, because: str, at: datetime, recorded_at: datetime
) -> None:
    """Stores where a locked payment stands now, and the step that brought it there."""
    await connection.execute(
        _UPDATE,
        {
            "payment_id": payment.payment_id,
            "state": payment.state,
            "provider_reference": payment.provider_reference,
            "redirect_url": payment.redirect_url,
            "decline_code": payment.decline_code,
            "transaction_id": payment.transaction_id,
            "bill_missed": payment.bill_missed,
            "settled_at": payment.settled_at,
        },
    )
    await _add_step(connection, payment, because=because, at=at, recorded_at=recorded_at)


async def reference_taken(connection: AsyncConnection, payment: Payment, reference: str) -> bool:
    """Whether another payment of the channel has this number of the provider."""
    asked = {"channel": payment.channel, "reference": reference, "payment_id": payment.payment_id}
    return bool((await connection.execute(_REFERENCE_TAKEN, asked)).scalar_one())


async def count_no_longer(connection: AsyncConnection, as_of: datetime) -> None:
    """Payments that were left unpaid on their providers' pages are not counted as on their way any more."""
    await connection.execute(_COUNT_NO_LONGER, {"as_of": as_of})


async def due_payments(
    connection: AsyncConnection, as_of: datetime, limit: int, *, but_for: Iterable[str] = ()
) -> dict[PaymentId, str]:
    """Payments whose providers are to be called by now, with their channels: of each channel, but for some, at most
    `limit`, the longest waiting first."""
    rows = await connection.execute(_DUE, {"as_of": as_of, "limit": limit, "but_for": sorted(but_for)})
    return {PaymentId(payment_id): channel for payment_id, channel in rows}


async def note_asked(connection: AsyncConnection, payments: Sequence[Payment], as_of: datetime) -> None:
    """Payments whose providers are called now; the next call is due later than the last one was."""
    await connection.execute(
        _ASKED,
        {
            "payment_ids": [each.payment_id for each in payments],
            "next_ask_ats": [next_ask(each.asked, as_of) for each in payments],
            "askeds": [each.asked + 1 for each in payments],
        },
    )


async def _add_step(
    connection: AsyncConnection, payment: Payment, *, because: str = "", at: datetime, recorded_at: datetime
) -> None:
    step = {"payment_id": payment.payment_id, "state": payment.state, "because": because}
    await connection.execute(_ADD_STEP, {**step, "occurred_at": at, "recorded_at": recorded_at})


async def _with_parts(connection: AsyncConnection, rows: Iterable[Row[*tuple[Any, ...]]]) -> dict[PaymentId, Payment]:
    """Payments in the order of their rows, with what was given back of them."""
    found = {row.payment_id: row for row in rows}
    if not found:
        return {}
    asked = {"payment_ids": list(found)}
    refunds = refunds_by_payment([_refund(row) for row in await connection.execute(_REFUNDS, asked)])
    back: dict[str, tuple[Chargeback, ...]] = {}
    for payment_id, sequence, amount_minor in await connection.execute(_CHARGEBACKS, asked):
        back[payment_id] = (*back.get(payment_id, ()), Chargeback(sequence, amount_minor))
    return {
        key: _payment(row, refunds=refunds.get(key, ()), chargebacks=back.get(key, ())) for key, row in found.items()
    }


def _payment(
    row: Row[*tuple[Any, ...]], *, refunds: tuple[Refund, ...], chargebacks: tuple[Chargeback, ...]
) -> Payment:
    return Payment(
        payment_id=row.payment_id,
        account_id=row.account_id,
        customer_id=row.customer_id,
        amount=Money(row.amount_minor, row.currency),
        channel=row.channel,
        bill_id=row.bill_id,
        token_id=row.token_id,
        return_url=row.return_url,
        origin=PaymentOrigin(row.origin),
        state=PaymentState(row.state),
        provider_reference=row.provider_reference,
        redirect_url=row.redirect_url,
        decline_code=row.decline_code,
        transaction_id=row.transaction_id,
        bill_missed=row.bill_missed,
        requested_at=row.requested_at,
        settled_at=row.settled_at,
        expires_at=row.expires_at,
        counted_until=row.counted_until,
        asked=row.asked,
        chargebacks=chargebacks,
        refunds=refunds,
    )


def _refund(row: Row[*tuple[Any, ...]]) -> Refund:
    return Refund(
        refund_id=row.refund_id,
        payment_id=row.payment_id,
        amount=Money(row.amount_minor, row.currency),
        state=RefundState(row.state),
        reason=row.reason,
        hold_id=row.hold_id,
        requested_at=row.requested_at,
        settled_at=row.settled_at,
        asked=row.asked,
    )


def _columns(payment: Payment) -> dict[str, object]:
    return {
        "payment_id": payment.payment_id,
        "account_id": payment.account_id,
        "customer_id": payment.customer_id,
        "amount_minor": payment.amount.minor_units,
        "currency": payment.amount.currency,
        "channel": payment.channel,
        "bill_id": payment.bill_id,
        "token_id": payment.token_id,
        "return_url": payment.return_url,
        "origin": payment.origin,
        "state": payment.state,
        "requested_at": payment.requested_at,
        "expires_at": payment.expires_at,
        "counted_until": payment.counted_until,
    }
