"""What earning keeps beside the ledger: what caps count, points that ripen, which transactions a cause came to, what
was refunded, and how far anniversaries are rewarded."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Row, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from member.domain.kinds import PointsKind
from member.domain.membership import MemberId
from member.domain.pending import PendingPoints, Refund
from member.store.earning_tables import pending_points
from member.store.postings import member_of_account

_KNOWN = text("""
    SELECT source FROM ledger_transactions WHERE source = ANY(CAST(:names AS text[]))
    UNION SELECT transaction_id FROM pending_points WHERE transaction_id = ANY(CAST(:names AS text[]))
""")

_INSERT_LEGS = text("""
    INSERT INTO earning_legs (source, transaction_id, recorded_at)
    SELECT source, transaction_id, :recorded_at
    FROM unnest(CAST(:sources AS text[]), CAST(:names AS text[])) AS leg(source, transaction_id)
""")

# What a cause came to in the ledger: under its own name, or under one that was made of it.
_LEGS = text("""
    SELECT leg.source, leg.transaction_id, entry.account_id, entry.amount, coalesce(waited.cancelled, 0) AS cancelled
    FROM (
        SELECT source, source AS transaction_id FROM unnest(CAST(:sources AS text[])) AS asked(source)
        UNION SELECT source, transaction_id FROM earning_legs WHERE source = ANY(CAST(:sources AS text[]))
    ) AS leg
    JOIN ledger_entries AS entry ON entry.source = leg.transaction_id
        AND entry.account_version IS NOT NULL AND entry.amount > 0
    LEFT JOIN pending_points AS waited ON waited.transaction_id = leg.transaction_id
    ORDER BY leg.source, leg.transaction_id
""")

_REVERSED = text("""
    SELECT reverses, sum(reversed_amount)::bigint AS points FROM ledger_transactions
    WHERE reverses = ANY(CAST(:names AS text[])) GROUP BY reverses
""")

_INSERT_PENDING = text("""
    INSERT INTO pending_points (source, transaction_id, member_id, kind, reason, rule_id, parts, points, cancelled,
        earned_at, ripens_at, expires_at, ripened, recorded_at)
    SELECT source, transaction_id, member_id, kind, reason, rule_id, parts, points, 0, earned_at, ripens_at, expires_at,
        false, :recorded_at
    FROM unnest(CAST(:sources AS text[]), CAST(:names AS text[]), CAST(:members AS text[]), CAST(:kinds AS text[]),
                CAST(:reasons AS text[]), CAST(:rules AS text[]), CAST(:parts AS text[]), CAST(:points AS bigint[]),
                CAST(:earned AS timestamptz[]), CAST(:ripe AS timestamptz[]), CAST(:expiries AS timestamptz[]))
        AS new(source, transaction_id, member_id, kind, reason, rule_id, parts, points, earned_at, ripens_at,
               expires_at)
""")

_CANCEL_PENDING = text("""
    UPDATE pending_points SET cancelled = less.cancelled, ripened = (less.cancelled = pending_points.points)
    FROM unnest(CAST(:names AS text[]), CAST(:cancelled AS bigint[])) AS less(transaction_id, cancelled)
    WHERE pending_points.transaction_id = less.transaction_id
""")

# Refunds and merges are rare and payments are not: payments share the lock, the others have it alone. So of a payment
# and its refund the second always sees what the first has done, whichever comes first.
_LOCK_PAYMENTS = text("SELECT pg_advisory_xact_lock_shared(hashtext('payments and refunds'))")
_LOCK_REFUNDS = text("SELECT pg_advisory_xact_lock(hashtext('payments and refunds'))")

_NOTE_REFUNDS = text("""
    INSERT INTO payment_refunds (source, refund_id, paid_minor, refunded_minor, refunded_at, recorded_at)
    SELECT source, refund_id, paid_minor, refunded_minor, refunded_at, :recorded_at
    FROM unnest(CAST(:sources AS text[]), CAST(:refunds AS text[]), CAST(:paid AS bigint[]),
                CAST(:refunded AS bigint[]), CAST(:instants AS timestamptz[]))
        AS refund(source, refund_id, paid_minor, refunded_minor, refunded_at)
    ON CONFLICT DO NOTHING
""")

_REFUNDS = text("""
    SELECT source, max(paid_minor) AS paid_minor, sum(refunded_minor)::bigint AS refunded_minor,
        max(refunded_at) AS refunded_at
    FROM payment_refunds WHERE source = ANY(CAST(:sources AS text[])) GROUP BY source
""")


class Leg(NamedTuple):
    """Points that a cause gave a member, booked under a transaction of the ledger; `cancelled` were not, as they were
    taken back before they ripened."""

    source: str
    transaction_id: str
    member_id: MemberId
    points: int
    cancelled: int

    @property
    def given(self) -> int:
        """What the cause gave by this."""
        return self.points + self.cancelled


class Refunded(NamedTuple):
    """How much of a payment was refunded by now, at `refunded_at` last (business time)."""

    paid_minor: int
    refunded_minor: int
    refunded_at: datetime

    def of(self, points: int) -> int:
        """What is to be taken back by now of points that the payment gave: their share of it, rounded down."""
        return points * min(self.refunded_minor, self.paid_minor) // self.paid_minor


async def known_names(connection: AsyncConnection, names: Collection[str]) -> set[str]:
    """Which of these transactions were booked before, or wait to ripen."""
    return {row.source for row in await connection.execute(_KNOWN, {"names": list(names)})}


async def insert_legs(connection: AsyncConnection, legs: Sequence[tuple[str, str]], *, recorded_at: datetime) -> None:
    """Remember which transactions a cause came to, where they do not bear its very name."""
    if legs:
        sources, names = zip(*legs, strict=True)
        await connection.execute(
            _INSERT_LEGS, {"sources": list(sources), "names": list(names), "recorded_at": recorded_at}
        )


async def find_legs(connection: AsyncConnection, sources: Collection[str]) -> list[Leg]:
    """What these causes gave, as booked in the ledger."""
    found = await connection.execute(_LEGS, {"sources": list(sources)})
    return [
        Leg(row.source, row.transaction_id, member_of_account(row.account_id), row.amount, row.cancelled)
        for row in found
    ]


async def reversed_points(connection: AsyncConnection, names: Collection[str]) -> dict[str, int]:
    """How many points of each transaction count as reversed."""
    found = await connection.execute(_REVERSED, {"names": list(names)})
    return {row.reverses: row.points for row in found}


async def insert_pending(connection: AsyncConnection, new: Sequence[PendingPoints], *, recorded_at: datetime) -> None:
    """Write points that will ripen."""
    if not new:
        return
    await connection.execute(
        _INSERT_PENDING,
        {
            "sources": [each.source for each in new],
            "names": [each.transaction_id for each in new],
            "members": [each.member_id for each in new],
            "kinds": [each.kind.value for each in new],
            "reasons": [each.reason for each in new],
            "rules": [each.rule_id for each in new],
            "parts": [each.parts for each in new],
            "points": [each.points for each in new],
            "earned": [each.earned_at for each in new],
            "ripe": [each.ripens_at for each in new],
            "expiries": [each.expires_at for each in new],
            "recorded_at": recorded_at,
        },
    )


async def due_pending_for_update(connection: AsyncConnection, as_of: datetime, *, most: int) -> list[PendingPoints]:
    """The points that are ripe by an instant, those that were first first, locked."""
    return await _pending_for_update(connection, pending_points.c.ripens_at <= as_of, most=most)


async def pending_of_for_update(connection: AsyncConnection, sources: Collection[str]) -> list[PendingPoints]:
    """The points of these causes that still wait, locked."""
    return await _pending_for_update(connection, pending_points.c.source.in_(sources))


async def list_pending(
    connection: AsyncConnection, member_id: MemberId, *, as_of: datetime | None
) -> list[PendingPoints]:
    """The member's points that wait, the next to ripen first. With an instant those that waited at it, and those that
    still do though they are ripe by then: they are not in the balance either."""
    kept = pending_points.c
    waiting = ~kept.ripened
    if as_of is not None:
        waiting = (kept.earned_at <= as_of) & ((kept.ripens_at > as_of) | ~kept.ripened)
    wanted = select(pending_points).where(kept.member_id == member_id, kept.cancelled < kept.points, waiting)
    found = await connection.execute(wanted.order_by(kept.ripens_at, kept.transaction_id))
    return [_pending(row) for row in found]


async def save_ripened(connection: AsyncConnection, names: Collection[str]) -> None:
    """These points have become the members'."""
    await connection.execute(
        update(pending_points).where(pending_points.c.transaction_id.in_(names)).values(ripened=True)
    )


async def save_cancelled(connection: AsyncConnection, cancelled: Mapping[str, int]) -> None:
    """So many of these points will never ripen."""
    if cancelled:
        asked = {"names": list(cancelled), "cancelled": list(cancelled.values())}
        await connection.execute(_CANCEL_PENDING, asked)


async def lock_payments(connection: AsyncConnection) -> None:
    """No refund is noted while this transaction rewards payments; other payments go on."""
    await connection.execute(_LOCK_PAYMENTS)


async def lock_refunds(connection: AsyncConnection) -> None:
    """No payment is rewarded, and no other refund noted, until this transaction ends."""
    await connection.execute(_LOCK_REFUNDS)


async def insert_refunds(connection: AsyncConnection, refunds: Sequence[Refund], *, recorded_at: datetime) -> None:
    """Note refunds, each once."""
    await connection.execute(
        _NOTE_REFUNDS,
        {
            "sources": [refund.source for refund in refunds],
            "refunds": [refund.refund_id for refund in refunds],
            "paid": [refund.paid_minor for refund in refunds],
            "refunded": [refund.refunded_minor for refund in refunds],
            "instants": [refund.occurred_at for refund in refunds],
            "recorded_at": recorded_at,
        },
    )


async def find_refunds(connection: AsyncConnection, sources: Collection[str]) -> dict[str, Refunded]:
    """What was refunded of these payments."""
    found = await connection.execute(_REFUNDS, {"sources": list(sources)})
    return {row.source: Refunded(row.paid_minor, row.refunded_minor, row.refunded_at) for row in found}


async def _pending_for_update(
    connection: AsyncConnection, condition: Any, *, most: int | None = None
) -> list[PendingPoints]:
    wanted = select(pending_points).where(condition, ~pending_points.c.ripened)
    ordered = wanted.order_by(pending_points.c.ripens_at, pending_points.c.transaction_id).limit(most)
    return [_pending(row) for row in await connection.execute(ordered.with_for_update())]


def _pending(row: Row[Any]) -> PendingPoints:
    return PendingPoints(
        row.source,
        row.transaction_id,
        MemberId(row.member_id),
        PointsKind(row.kind),
        row.reason,
        rule_id=row.rule_id,
        parts=row.parts,
        points=row.points,
        cancelled=row.cancelled,
        earned_at=row.earned_at,
        ripens_at=row.ripens_at,
        expires_at=row.expires_at,
    )
