"""What the caps of earning rules count."""

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any

from chassis.calendar import Period
from sqlalchemy import Row, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from member.domain.earning import Counter
from member.domain.earning_rule import RuleId
from member.domain.membership import MemberId
from member.store.earning_tables import earning_counters

# Locks what it finds and what it adds, in the order of the keys, and brings what stands behind the lock.
_LOCK_COUNTERS = text("""
    INSERT INTO earning_counters AS counter (rule_id, member_id, period, period_start, points)
    SELECT rule_id, member_id, period, period_start, 0
    FROM unnest(CAST(:rules AS text[]), CAST(:members AS text[]), CAST(:periods AS text[]),
                CAST(:starts AS timestamptz[])) AS asked(rule_id, member_id, period, period_start)
    ORDER BY rule_id, member_id, period, period_start
    ON CONFLICT (rule_id, member_id, period, period_start) DO UPDATE SET points = counter.points
    RETURNING rule_id, member_id, period, period_start, points
""")

_SAVE_COUNTERS = text("""
    UPDATE earning_counters SET points = counted.points
    FROM unnest(CAST(:rules AS text[]), CAST(:members AS text[]), CAST(:periods AS text[]),
                CAST(:starts AS timestamptz[]), CAST(:points AS bigint[]))
        AS counted(rule_id, member_id, period, period_start, points)
    WHERE earning_counters.rule_id = counted.rule_id AND earning_counters.member_id = counted.member_id
        AND earning_counters.period = counted.period AND earning_counters.period_start = counted.period_start
""")


async def counters_for_update(connection: AsyncConnection, wanted: Collection[Counter]) -> dict[Counter, int]:
    """What the counters stand at, locked in the order of their keys until the transaction ends."""
    found = await connection.execute(_LOCK_COUNTERS, _counter_columns(wanted))
    return {_counter(row): row.points for row in found}


async def read_counters(
    connection: AsyncConnection, member_id: MemberId, rules: Collection[RuleId], *, since: datetime
) -> dict[Counter, int]:
    """What the counters of these rules stand at, unlocked: those of all members, and this member's of periods that
    begin at an instant or later."""
    of_member = (earning_counters.c.member_id == member_id) & (earning_counters.c.period_start >= since)
    found = await connection.execute(
        select(earning_counters).where(
            earning_counters.c.rule_id.in_(rules), of_member | (earning_counters.c.member_id == "")
        )
    )
    return {_counter(row): row.points for row in found}


async def save_counters(connection: AsyncConnection, counted: Mapping[Counter, int]) -> None:
    """Write what the counters stand at."""
    await connection.execute(_SAVE_COUNTERS, {**_counter_columns(counted), "points": list(counted.values())})


def _counter(row: Row[Any]) -> Counter:
    return Counter(RuleId(row.rule_id), row.member_id, Period(row.period), row.period_start)


def _counter_columns(counters: Collection[Counter]) -> dict[str, list[Any]]:
    return {
        "rules": [counter.rule_id for counter in counters],
        "members": [counter.member_id for counter in counters],
        "periods": [counter.period.value for counter in counters],
        "starts": [counter.start for counter in counters],
    }
