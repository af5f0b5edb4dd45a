"""Scores: added with their run in large statements, read by customer, by place, and a stretch at a time."""

from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

from chassis.errors import InvalidArgument
from chassis.paging import Page
from sqlalchemy import Row, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from scoring.domain.band import ValueBand
from scoring.domain.history import CustomerId, Summary
from scoring.domain.run import RunId, Score
from scoring.store.tables import SCORES

ROWS_PER_STATEMENT = 5000
REASON_SEPARATOR = "\n"
LONGEST_POSITION = 9  # digits, so that a position made of a token still fits its column

# Column, its type, and where a score keeps it. Reasons travel as one text, because arrays of arrays do not unnest.
_COLUMNS: tuple[tuple[str, str, Callable[[Score], Any]], ...] = (
    ("position", "integer", lambda score: score.position),
    ("customer_id", "text", lambda score: score.summary.customer_id),
    ("repeats", "integer", lambda score: score.summary.repeats),
    ("recency_days", "integer", lambda score: score.summary.recency_days),
    ("age_days", "integer", lambda score: score.summary.age_days),
    ("repeat_minor", "bigint", lambda score: score.summary.repeat_minor),
    ("total_minor", "bigint", lambda score: score.summary.total_minor),
    ("p_alive", "double precision", lambda score: score.p_alive),
    ("expected_purchases", "double precision", lambda score: score.expected_purchases),
    ("lifetime_value_minor", "bigint", lambda score: score.lifetime_value_minor),
    ("recency_quintile", "smallint", lambda score: score.recency_quintile),
    ("frequency_quintile", "smallint", lambda score: score.frequency_quintile),
    ("monetary_quintile", "smallint", lambda score: score.monetary_quintile),
    ("percentile", "double precision", lambda score: score.percentile),
    ("decile", "smallint", lambda score: score.decile),
    ("band", "text", lambda score: score.band),
    ("lapsed", "boolean", lambda score: score.lapsed),
    ("reasons", "text", lambda score: REASON_SEPARATOR.join(score.reasons)),
)
_NAMES = ", ".join(name for name, _, _ in _COLUMNS)
_ARRAYS = ", ".join(f"CAST(:{name} AS {kind}[])" for name, kind, _ in _COLUMNS)
_VALUES = _NAMES.replace("reasons", "string_to_array(reasons, CAST(:separator AS text))")
_ADD = text(
    f"INSERT INTO scores (run_id, {_NAMES}) "  # noqa: S608 - made of the constants above
    f"SELECT CAST(:run_id AS text), {_VALUES} FROM unnest({_ARRAYS}) AS scored({_NAMES})"
)


async def save_scores(connection: AsyncConnection, run_id: RunId, scores: Sequence[Score]) -> None:
    """Adds all scores of a run; they are never changed."""
    for start in range(0, len(scores), ROWS_PER_STATEMENT):
        rows = scores[start : start + ROWS_PER_STATEMENT]
        columns = {name: [read(score) for score in rows] for name, _, read in _COLUMNS}
        await connection.execute(_ADD, {**columns, "run_id": run_id, "separator": REASON_SEPARATOR})


async def load_scores(
    connection: AsyncConnection, run_id: RunId, customer_ids: Sequence[CustomerId]
) -> dict[CustomerId, Score]:
    """The scores that a run has of these customers."""
    query = select(SCORES).where(SCORES.c.run_id == run_id, SCORES.c.customer_id == text("ANY(:customer_ids)"))
    rows = await connection.execute(query, {"customer_ids": list(customer_ids)})
    return {CustomerId(row.customer_id): _score(row) for row in rows}


async def list_scores(connection: AsyncConnection, run_id: RunId, band: ValueBand | None, page: Page) -> list[Score]:
    """A run's scores, best first, one more than the page holds where there are more.

    A page's key is the place of its last row; InvalidArgument names a token that holds none.
    """
    query = select(SCORES).where(SCORES.c.run_id == run_id).order_by(SCORES.c.position).limit(page.wanted)
    if band is not None:
        query = query.where(SCORES.c.band == band)
    if page.after is not None:
        query = query.where(SCORES.c.position > _position(page.after))
    return [_score(row) for row in await connection.execute(query)]


def _position(key: str) -> int:
    if not key.isascii() or not key.isdecimal() or len(key) > LONGEST_POSITION:
        raise InvalidArgument("page_token", "is not a token that a list call returned")
    return int(key)


async def walk_scores(connection: AsyncConnection, run_id: RunId) -> AsyncIterator[list[Score]]:
    """All scores of a run, best first, a stretch at a time: other requests get their turn in between."""
    after = 0
    while True:
        query = select(SCORES).where(SCORES.c.run_id == run_id, SCORES.c.position > after)
        rows = (await connection.execute(query.order_by(SCORES.c.position).limit(ROWS_PER_STATEMENT))).all()
        if not rows:
            return
        yield [_score(row) for row in rows]
        after = rows[-1].position


def _score(row: Row[Any]) -> Score:
    return Score(
        summary=Summary(
            customer_id=CustomerId(row.customer_id),
            repeats=row.repeats,
            recency_days=row.recency_days,
            age_days=row.age_days,
            repeat_minor=row.repeat_minor,
            total_minor=row.total_minor,
        ),
        position=row.position,
        p_alive=row.p_alive,
        expected_purchases=row.expected_purchases,
        lifetime_value_minor=row.lifetime_value_minor,
        recency_quintile=row.recency_quintile,
        frequency_quintile=row.frequency_quintile,
        monetary_quintile=row.monetary_quintile,
        percentile=row.percentile,
        decile=row.decile,
        band=None if row.band is None else ValueBand(row.band),
        lapsed=row.lapsed,
        reasons=tuple(row.reasons),
    )
