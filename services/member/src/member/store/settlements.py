"""Lines of settlement, which are only ever added, and the periods that are closed."""

from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from typing import Any, NamedTuple

from chassis.calendar import EARLIEST, LATEST, Period, Span
from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    DateTime,
    ForeignKey,
    Index,
    Row,
    Table,
    Text,
    UniqueConstraint,
    func,
    insert,
    select,
    text,
    update,
)
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from member.domain.membership import MemberId
from member.domain.merchant import MerchantId, ShopId, VerificationId
from member.domain.settlement import LineId, LineKind, MerchantLine, Totals
from member.store.merchants import merchants
from member.store.tables import METADATA

merchant_lines = Table(
    "merchant_lines",
    METADATA,
    Column("line_id", Text, primary_key=True),
    Column("merchant_id", Text, ForeignKey("merchants.merchant_id"), nullable=False),
    Column("kind", Text, nullable=False),
    Column("receipt_number", Text, nullable=False),
    Column("verification_id", Text, ForeignKey("merchant_verifications.verification_id"), nullable=False),
    Column("member_id", Text, ForeignKey("members.member_id"), nullable=False),
    Column("shop_id", Text, nullable=False),
    Column("product_family", Text, nullable=False),
    Column("currency", Text, nullable=False),
    Column("amount_minor", BigInteger, nullable=False),
    Column("discount_minor", BigInteger, nullable=False),
    Column("share_minor", BigInteger, nullable=False),
    Column("points", BigInteger, nullable=False),
    Column("reverses", Text, ForeignKey("merchant_lines.line_id")),
    Column("occurred_at", DateTime(timezone=True), nullable=False),
    Column("settled_at", DateTime(timezone=True), nullable=False),
    Column("recorded_at", DateTime(timezone=True), nullable=False),
    UniqueConstraint("merchant_id", "receipt_number", "kind", name="merchant_lines_receipt_once"),
    UniqueConstraint("verification_id", "kind", name="merchant_lines_verification_once"),
    UniqueConstraint("reverses", name="merchant_lines_reversed_once"),
    CheckConstraint("kind IN ('sale', 'reversal')", name="merchant_lines_kind_known"),
    Index("merchant_lines_by_period", "merchant_id", "settled_at", "line_id"),
    Index("merchant_lines_by_member", "member_id", "merchant_id", "occurred_at"),
)

merchant_closings = Table(
    "merchant_closings",
    METADATA,
    Column("merchant_id", Text, ForeignKey("merchants.merchant_id"), primary_key=True),
    Column("period_start", DateTime(timezone=True), primary_key=True),
    Column("period_end", DateTime(timezone=True), nullable=False),
    Column("sales", BigInteger, nullable=False),
    Column("reversals", BigInteger, nullable=False),
    Column("amount_minor", BigInteger, nullable=False),
    Column("discount_minor", BigInteger, nullable=False),
    Column("share_minor", BigInteger, nullable=False),
    Column("recorded_at", DateTime(timezone=True), nullable=False),
)

_TOTALS = """
    count(*) FILTER (WHERE kind = 'sale') AS sales, count(*) FILTER (WHERE kind = 'reversal') AS reversals,
    coalesce(sum(amount_minor), 0)::bigint AS amount_minor, coalesce(sum(discount_minor), 0)::bigint AS discount_minor,
    coalesce(sum(share_minor), 0)::bigint AS share_minor
"""

_TOTALS_OF = text(f"""
    SELECT {_TOTALS} FROM merchant_lines
    WHERE merchant_id = :merchant AND settled_at >= :period_start AND settled_at < :period_end
""")  # noqa: S608 - made of constants

# Each merchant with the end of what can be closed of its kind of period; whoever stands there is done.
_NEXT_TO_CLOSE = text("""
    SELECT merchants.merchant_id, horizon.until
    FROM merchants
    JOIN unnest(CAST(:periods AS text[]), CAST(:horizons AS timestamptz[])) AS horizon(period, until)
        ON horizon.period = merchants.document->>'settlement_period'
    WHERE merchants.closed_until < horizon.until
    ORDER BY merchants.merchant_id LIMIT :most FOR NO KEY UPDATE OF merchants
""")

_CLOSINGS_OFF = text(f"""
    SELECT closing.merchant_id || ' ' || closing.period_start AS offender
    FROM merchant_closings AS closing
    CROSS JOIN LATERAL (
        SELECT {_TOTALS} FROM merchant_lines
        WHERE merchant_id = closing.merchant_id
            AND settled_at >= closing.period_start AND settled_at < closing.period_end
    ) AS found
    WHERE (closing.sales, closing.reversals, closing.amount_minor, closing.discount_minor, closing.share_minor)
        IS DISTINCT FROM
          (found.sales, found.reversals, found.amount_minor, found.discount_minor, found.share_minor)
    ORDER BY 1 LIMIT 10
""")  # noqa: S608 - made of constants


# The member, and all that ended in it.
_MERGED_INTO = (
    text("""
    WITH RECURSIVE merged AS (
        SELECT CAST(:member AS text) AS member_id
        UNION
        SELECT carried.member_id FROM merged JOIN carried_memberships AS carried
            ON carried.into_member_id = merged.member_id
    )
    SELECT member_id FROM merged
""")
    .columns(merchant_lines.c.member_id)
    .scalar_subquery()
)

_LOCK_GIVEN = text("SELECT pg_advisory_xact_lock(hashtextextended(:pair, 0))")


class ToClose(NamedTuple):
    """A merchant whose periods up to an instant can be closed."""

    merchant_id: MerchantId
    until: datetime


async def closed_until(connection: AsyncConnection, merchant_id: MerchantId, *, lock: bool = False) -> datetime:
    """Up to when the merchant's periods are closed; with `lock` nobody closes another until the transaction ends."""
    asked = select(merchants.c.closed_until).where(merchants.c.merchant_id == merchant_id)
    found = await connection.execute(asked.with_for_update(read=True) if lock else asked)
    until: datetime = found.scalar_one()
    return until


async def find_line(
    connection: AsyncConnection, merchant_id: MerchantId, receipt_number: str, kind: LineKind
) -> MerchantLine | None:
    """The sale with this receipt number, or its reversal; None where there is none."""
    asked = select(merchant_lines).where(
        merchant_lines.c.merchant_id == merchant_id,
        merchant_lines.c.receipt_number == receipt_number,
        merchant_lines.c.kind == kind.value,
    )
    row = (await connection.execute(asked)).one_or_none()
    return None if row is None else _line(row)


async def lock_given(connection: AsyncConnection, member_id: MemberId, merchant_id: MerchantId) -> None:
    """From now until the transaction ends nobody else gives this member a discount at this merchant that is bounded
    for a month: two sales at once would both find room. No row stands for the pair that could be locked."""
    await connection.execute(_LOCK_GIVEN, {"pair": f"given {member_id} {merchant_id}"})


async def given_in(connection: AsyncConnection, member_id: MemberId, merchant_id: MerchantId, month: Span) -> int:
    """What a member was given in a month by a merchant, in minor units, with what was taken back taken off: a
    reversal counts in the month of its sale. What memberships were given that ended in the member's counts too."""
    sale, reversal = merchant_lines.alias("sale"), merchant_lines.alias("reversal")
    asked = (
        select(func.coalesce(func.sum(sale.c.discount_minor + func.coalesce(reversal.c.discount_minor, 0)), 0))
        .select_from(sale)
        .outerjoin(reversal, reversal.c.reverses == sale.c.line_id)
        .where(
            sale.c.member_id.in_(_MERGED_INTO),
            sale.c.merchant_id == merchant_id,
            sale.c.kind == LineKind.SALE.value,
            sale.c.occurred_at >= month.start,
            sale.c.occurred_at < month.end,
        )
    )
    return int((await connection.execute(asked, {"member": member_id})).scalar_one())


async def insert_line(connection: AsyncConnection, line: MerchantLine, *, recorded_at: datetime) -> bool:
    """Add a line; False where its receipt or verification has one of its kind, or what it takes back is taken back."""
    put = upsert(merchant_lines).values({**asdict(line), "recorded_at": recorded_at})
    written = await connection.execute(put.on_conflict_do_nothing().returning(merchant_lines.c.line_id))
    return written.one_or_none() is not None


async def totals_of(connection: AsyncConnection, merchant_id: MerchantId, period: Span) -> Totals:
    """What the lines of a period come to."""
    asked = {"merchant": merchant_id, "period_start": period.start, "period_end": period.end}
    return _totals((await connection.execute(_TOTALS_OF, asked)).one())


async def list_lines(
    connection: AsyncConnection, merchant_id: MerchantId, period: Span, *, after: str | None, limit: int
) -> list[MerchantLine]:
    """The lines of a period in the order of their recording, from the one behind `after` on."""
    asked = select(merchant_lines).where(
        merchant_lines.c.merchant_id == merchant_id,
        merchant_lines.c.settled_at >= period.start,
        merchant_lines.c.settled_at < period.end,
    )
    if after is not None:
        asked = asked.where(merchant_lines.c.line_id > after)
    return [_line(row) for row in await connection.execute(asked.order_by(merchant_lines.c.line_id).limit(limit))]


async def gap_at(connection: AsyncConnection, merchant_id: MerchantId, at: datetime) -> Span:
    """The stretch without a closed period with lines around an instant."""
    closing = merchant_closings.c
    ours = closing.merchant_id == merchant_id
    ended = select(func.max(closing.period_end)).where(ours, closing.period_end <= at)
    begins = select(func.min(closing.period_start)).where(ours, closing.period_start > at)
    start = (await connection.execute(ended)).scalar_one()
    end = (await connection.execute(begins)).scalar_one()
    return Span(start or EARLIEST, end or LATEST)


async def closing_at(connection: AsyncConnection, merchant_id: MerchantId, at: datetime) -> Span | None:
    """The closed period with lines around an instant; None where that is open or had none."""
    asked = select(merchant_closings.c.period_start, merchant_closings.c.period_end).where(
        merchant_closings.c.merchant_id == merchant_id,
        merchant_closings.c.period_start <= at,
        merchant_closings.c.period_end > at,
    )
    row = (await connection.execute(asked)).one_or_none()
    return None if row is None else Span(row.period_start, row.period_end)


async def next_to_close(
    connection: AsyncConnection, horizons: Mapping[Period, datetime], *, most: int
) -> list[ToClose]:
    """Merchants whose periods are not closed as far as they could be, locked against sales."""
    asked = {
        "periods": [period.value for period in horizons],
        "horizons": list(horizons.values()),
        "most": most,
    }
    return [ToClose(row.merchant_id, row.until) for row in await connection.execute(_NEXT_TO_CLOSE, asked)]


async def first_open_line(connection: AsyncConnection, merchant_id: MerchantId) -> datetime | None:
    """The instant of the first line that is not closed; None where there is none."""
    asked = select(func.min(merchant_lines.c.settled_at)).join(
        merchants, merchants.c.merchant_id == merchant_lines.c.merchant_id
    )
    open_ = merchant_lines.c.settled_at >= merchants.c.closed_until
    found = await connection.execute(asked.where(merchant_lines.c.merchant_id == merchant_id, open_))
    first: datetime | None = found.scalar_one()
    return first


async def close_period(
    connection: AsyncConnection, merchant_id: MerchantId, period: Span, *, recorded_at: datetime
) -> None:
    """Close a period with what it came to."""
    totals = asdict(await totals_of(connection, merchant_id, period))
    values = {"merchant_id": merchant_id, "period_start": period.start, "period_end": period.end, **totals}
    await connection.execute(insert(merchant_closings).values({**values, "recorded_at": recorded_at}))


async def save_closed_until(connection: AsyncConnection, merchant_id: MerchantId, until: datetime) -> None:
    """Remember up to when the merchant's periods are closed."""
    await connection.execute(update(merchants).where(merchants.c.merchant_id == merchant_id).values(closed_until=until))


async def closings_off_their_lines(connection: AsyncConnection) -> tuple[int, tuple[str, ...]]:
    """How many closed periods there are, and the first whose lines come to something else than what was closed."""
    examined = (await connection.execute(select(func.count()).select_from(merchant_closings))).scalar_one()
    return examined, tuple(row.offender for row in await connection.execute(_CLOSINGS_OFF))


def _totals(row: Row[Any]) -> Totals:
    return Totals(row.sales, row.reversals, row.amount_minor, row.discount_minor, row.share_minor)


def _line(row: Row[Any]) -> MerchantLine:
    return MerchantLine(
        LineId(row.line_id),
        MerchantId(row.merchant_id),
        LineKind(row.kind),
        row.receipt_number,
        VerificationId(row.verification_id),
        MemberId(row.member_id),
        ShopId(row.shop_id),
        row.product_family,
        row.currency,
        amount_minor=row.amount_minor,
        discount_minor=row.discount_minor,
        share_minor=row.share_minor,
        points=row.points,
        reverses=None if row.reverses is None else LineId(row.reverses),
        occurred_at=row.occurred_at,
        settled_at=row.settled_at,
    )
