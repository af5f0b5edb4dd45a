"""Codes of coupons: found, listed in batches, and how often a caller guessed."""

from collections import Counter
from collections.abc import Collection, Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from sqlalchemy import insert, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from member.domain.coupon import Coupon, CouponId
from member.domain.coupon_code import CodeOrigin
from member.domain.coupon_template import TemplateId
from member.store.coupon_books import coupon_from_row
from member.store.coupon_tables import coupon_batches, coupon_guesses, coupons

GUESSES_MAX = 20
GUESS_WINDOW = timedelta(minutes=15)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

_COUNT_GUESSES = text("""
    INSERT INTO coupon_guesses AS known (caller, window_start, failures)
    SELECT caller, :window_start, failures
    FROM unnest(CAST(:callers AS text[]), CAST(:failures AS integer[])) AS guessed(caller, failures)
    ORDER BY caller
    ON CONFLICT (caller, window_start) DO UPDATE SET failures = known.failures + excluded.failures
""")


_LIST_IN_TURN = text("SELECT pg_advisory_xact_lock(hashtextextended('lists of coupon codes', 0))")


class KnownCode(NamedTuple):
    """Which coupon has a code."""

    coupon_id: CouponId
    template_id: TemplateId


class Batch(NamedTuple):
    """Codes that were made or imported together."""

    batch_id: str
    template_id: TemplateId
    origin: CodeOrigin
    codes: int
    actor: str
    occurred_at: datetime


async def find_codes(connection: AsyncConnection, codes: Collection[str]) -> dict[str, KnownCode]:
    """The coupons of codes, as far as there are any; which coupon has a code never changes."""
    if not codes:
        return {}
    asked = select(coupons.c.code, coupons.c.coupon_id, coupons.c.template_id).where(coupons.c.code.in_(list(codes)))
    return {
        row.code: KnownCode(CouponId(row.coupon_id), TemplateId(row.template_id))
        for row in await connection.execute(asked)
    }


async def list_in_turn(connection: AsyncConnection) -> None:
    """From now until the transaction ends nobody else lists codes: two lists that share a code, or an id, are made one
    after the other, and the second one sees the first. No row stands for a code that is not there yet."""
    await connection.execute(_LIST_IN_TURN)


async def held_back(connection: AsyncConnection, callers: Collection[str], *, at: datetime) -> set[str]:
    """Those of the callers who have guessed too often in the window of an instant."""
    table = coupon_guesses.c
    found = await connection.execute(
        select(table.caller).where(
            table.caller.in_(list(callers)), table.window_start == _window(at), table.failures >= GUESSES_MAX
        )
    )
    return {row.caller for row in found}


async def count_guesses(connection: AsyncConnection, callers: Sequence[str], *, at: datetime) -> None:
    """Count a guess for each time a caller is named."""
    if callers:
        counted = Counter(callers)
        asked = {"callers": list(counted), "failures": list(counted.values()), "window_start": _window(at)}
        await connection.execute(_COUNT_GUESSES, asked)


async def insert_batch(connection: AsyncConnection, batch: Batch, *, recorded_at: datetime) -> None:
    """Write a batch of codes."""
    values = batch._asdict() | {"origin": batch.origin.value, "recorded_at": recorded_at}
    await connection.execute(insert(coupon_batches).values(values))


async def find_batch(connection: AsyncConnection, batch_id: str) -> Batch | None:
    """The batch, or None."""
    row = (await connection.execute(select(coupon_batches).where(coupon_batches.c.batch_id == batch_id))).one_or_none()
    if row is None:
        return None
    return Batch(
        row.batch_id, TemplateId(row.template_id), CodeOrigin(row.origin), row.codes, row.actor, row.occurred_at
    )


async def list_codes(connection: AsyncConnection, batch_id: str, *, after: str, limit: int) -> list[Coupon]:
    """Coupons of a batch in the order of their ids."""
    asked = select(coupons).where(coupons.c.batch_id == batch_id, coupons.c.coupon_id > after)
    found = await connection.execute(asked.order_by(coupons.c.coupon_id).limit(limit))
    return [coupon_from_row(row) for row in found]


def _window(at: datetime) -> datetime:
    return at - (at - _EPOCH) % GUESS_WINDOW
