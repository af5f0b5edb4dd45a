"""Refunds to payers and charge-backs in the database."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import NamedTuple

from chassis.driver import fetch
from sqlalchemy import insert, text
from sqlalchemy.ext.asyncio import AsyncConnection

from billing.domain.ids import AccountId, TransactionId
from billing.domain.payment import PaymentId, Refund, RefundId, next_ask
from billing.store.payment_tables import PAYMENT_CHARGEBACKS, PAYMENT_REFUNDS
from billing.store.posting import balance_of

_END_REFUND = text("""
UPDATE payment_refunds SET state = :state, settled_at = :settled_at, transaction_id = :transaction_id,
       next_ask_at = NULL
WHERE refund_id = :refund_id
""")
_ASKED = text("""
UPDATE payment_refunds r SET next_ask_at = n.next_ask_at, asked = n.asked
FROM unnest(CAST(:refund_ids AS text[]), CAST(:next_ask_ats AS timestamptz[]), CAST(:askeds AS integer[]))
     AS n(refund_id, next_ask_at, asked)
WHERE r.refund_id = n.refund_id AND r.next_ask_at IS NOT NULL
""")
# Cash is what is neither in lots nor set aside; what an expired hold will give back to it does not count before it did.
_SPENDABLE = """
SELECT a.balance - a.held - a.in_lots AS loose, (coalesce((
    SELECT sum(l.remaining) FROM ledger_lots l
    WHERE l.account_id = a.id AND (l.expires_at IS NULL OR l.expires_at > $2)
), 0) + coalesce((
    SELECT -sum(m.amount) FROM ledger_holds h
    JOIN ledger_lot_moves m ON m.account_id = h.account_id AND m.account_version = h.account_version
    JOIN ledger_lots l ON l.account_id = m.account_id AND l.account_version = m.lot
    WHERE h.account_id = a.id AND h.state = 'open' AND h.expires_at <= $2
      AND (l.expires_at IS NULL OR l.expires_at > $2)
), 0))::bigint AS gift
FROM ledger_accounts a WHERE a.id = $1"""
_DUE_REFUNDS = text("""
SELECT due.refund_id, due.payment_id, due.channel
FROM (SELECT r.refund_id, r.payment_id, p.channel,
             row_number() OVER (PARTITION BY p.channel ORDER BY r.next_ask_at, r.refund_id) AS place
      FROM payment_refunds r JOIN payments p USING (payment_id)
      WHERE r.next_ask_at <= :as_of AND p.channel <> ALL(CAST(:but_for AS text[]))) AS due
WHERE due.place <= :limit
""")


class DueRefund(NamedTuple):
    """A refund whose provider is to be called: what it is of, and through which channel."""

    payment_id: PaymentId
    channel: str


async def due_refunds(
    connection: AsyncConnection, as_of: datetime, limit: int, *, but_for: Iterable[str] = ()
) -> dict[RefundId, DueRefund]:
    """Refunds whose providers are to be called by now: of each channel, but for some, at most `limit`."""
    rows = await connection.execute(_DUE_REFUNDS, {"as_of": as_of, "limit": limit, "but_for": sorted(but_for)})
    return {RefundId(refund_id): DueRefund(PaymentId(payment_id), channel) for refund_id, payment_id, channel in rows}


async def note_refunds_asked(connection: AsyncConnection, refunds: Sequence[Refund], as_of: datetime) -> None:
    """Refunds whose providers are called now; the next call is due later than the last one was."""
    await connection.execute(
        _ASKED,
        {
            "refund_ids": [each.refund_id for each in refunds],
            "next_ask_ats": [next_ask(each.asked, as_of) for each in refunds],
            "askeds": [each.asked + 1 for each in refunds],
        },
    )


async def add_refund(
    connection: AsyncConnection, refund: Refund, *, next_ask_at: datetime, recorded_at: datetime
) -> None:
    """Stores a refund that was asked for."""
    await connection.execute(
        insert(PAYMENT_REFUNDS),
        {
            "refund_id": refund.refund_id,
            "payment_id": refund.payment_id,
            "amount_minor": refund.amount.minor_units,
            "reason": refund.reason,
            "state": refund.state,
            "hold_id": refund.hold_id,
            "requested_at": refund.requested_at,
            "next_ask_at": next_ask_at,
            "recorded_at": recorded_at,
        },
    )


async def end_refund(connection: AsyncConnection, refund: Refund, transaction_id: TransactionId | None) -> None:
    """Stores how a refund ended; `transaction_id` is what took its money out of the balance."""
    await connection.execute(
        _END_REFUND,
        {
            "refund_id": refund.refund_id,
            "state": refund.state,
            "settled_at": refund.settled_at,
            "transaction_id": transaction_id,
        },
    )


class Spendable(NamedTuple):
    """What an account has to spend, by what it is; both without what is set aside and without a credit limit."""

    cash_minor: int
    gift_minor: int


async def spendable(connection: AsyncConnection, account_id: AccountId, as_of: datetime) -> Spendable:
    """Cash and gift credit of a locked account, with everything that is booked, whatever its business time. Gift credit
    is what a movement at the instant finds: without lots that expired by then, with what lapsed holds give back."""
    (row,) = await fetch(connection, _SPENDABLE, balance_of(account_id), as_of)
    return Spendable(max(row["loose"], 0), row["gift"])


class BookedChargeback(NamedTuple):
    """A charge-back as it was booked."""

    payment_id: PaymentId
    sequence: int
    amount_minor: int
    owed_minor: int
    transaction_id: TransactionId
    occurred_at: datetime


async def add_chargeback(connection: AsyncConnection, booked: BookedChargeback, recorded_at: datetime) -> None:
    """Appends a charge-back."""
    await connection.execute(insert(PAYMENT_CHARGEBACKS), {**booked._asdict(), "recorded_at": recorded_at})
