"""Call-backs in the database: each is taken in once, under the name its provider gave it."""

from datetime import datetime
from typing import Any

from chassis.money import Money
from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from billing.domain.callback import Callback
from billing.domain.payment import PaymentId, RefundId, Report, ReportType

# Of two at once the second waits here until the first has committed.
_ADD = text("""
INSERT INTO payment_callbacks (channel, webhook_id, payment_id, type, refund_id, reference, amount_minor, currency,
    provider_sequence, decline_code, body_sha256, occurred_at, recorded_at, applied)
VALUES (:channel, :webhook_id, :payment_id, :type, :refund_id, :reference, :amount_minor, :currency,
    :provider_sequence, :decline_code, :body_sha256, :occurred_at, :recorded_at, true)
ON CONFLICT DO NOTHING RETURNING webhook_id
""")
_KNOWN = text("""
SELECT body_sha256 FROM payment_callbacks WHERE channel = :channel AND webhook_id = :webhook_id
""")
_SET_APPLIED = text("""
UPDATE payment_callbacks SET applied = :applied WHERE channel = :channel AND webhook_id = :webhook_id
""")
_WAITING = text("""
SELECT * FROM payment_callbacks WHERE payment_id = :payment_id AND NOT applied ORDER BY provider_sequence, webhook_id
""")
# Bounded by what waits, which is next to nothing: the index holds nothing else.
_WAIT_NO_LONGER = text("""
SELECT DISTINCT c.payment_id FROM payment_callbacks c JOIN payments p USING (payment_id)
WHERE NOT c.applied AND p.state = 'succeeded' ORDER BY c.payment_id LIMIT :limit
""")


async def add_callback(connection: AsyncConnection, callback: Callback, recorded_at: datetime) -> bool:
    """Stores a call-back as taken in; False when its name is known."""
    report = callback.report
    added = await connection.execute(
        _ADD,
        {
            "channel": report.channel,
            "webhook_id": callback.webhook_id,
            "payment_id": report.payment_id,
            "type": report.type,
            "refund_id": report.refund_id or "",
            "reference": report.reference,
            "amount_minor": report.amount.minor_units,
            "currency": report.amount.currency,
            "provider_sequence": report.sequence,
            "decline_code": report.decline_code,
            "body_sha256": callback.body_sha256,
            "occurred_at": report.occurred_at,
            "recorded_at": recorded_at,
        },
    )
    return added.one_or_none() is not None


async def known_body(connection: AsyncConnection, callback: Callback) -> str:
    """The digest of the body that came first under the call-back's name."""
    return str((await connection.execute(_KNOWN, _key(callback))).scalar_one())


async def set_applied(connection: AsyncConnection, callback: Callback, *, applied: bool) -> None:
    """Whether a call-back has had its effect, or waits for what must come before it."""
    await connection.execute(_SET_APPLIED, {**_key(callback), "applied": applied})


async def waiting_callbacks(connection: AsyncConnection, payment_id: PaymentId) -> list[Callback]:
    """What waits for a payment to succeed, in the provider's order."""
    return [_callback(row) for row in await connection.execute(_WAITING, {"payment_id": payment_id})]


async def payments_waited_for(connection: AsyncConnection, limit: int) -> list[PaymentId]:
    """Payments that have succeeded since call-backs began to wait for that."""
    rows = await connection.execute(_WAIT_NO_LONGER, {"limit": limit})
    return [PaymentId(payment_id) for (payment_id,) in rows]


def _key(callback: Callback) -> dict[str, object]:
    return {"channel": callback.report.channel, "webhook_id": callback.webhook_id}


def _callback(row: Row[*tuple[Any, ...]]) -> Callback:
    return Callback(
        webhook_id=row.webhook_id,
        body_sha256=row.body_sha256,
        report=Report(
            type=ReportType(row.type),
            payment_id=row.payment_id,
            channel=row.channel,
            reference=row.reference,
            amount=Money(row.amount_minor, row.currency),
            sequence=row.provider_sequence,
            occurred_at=row.occurred_at,
            refund_id=RefundId(row.refund_id) if row.refund_id else None,
            decline_code=row.decline_code,
        ),
    )
