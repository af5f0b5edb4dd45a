"""What judging all members of a program costs beside the sum that it rests on.

Baseline is the bare aggregate over the ledger: points earned in the window, grouped by member, by one statement that
returns their number and nothing else. The evaluation does it in rounds of some thousand members, each a transaction,
and moves, notes and tells those whose tier changes: some hundredths of the members, as a day brings with it.
"""

import os
from datetime import UTC, datetime, timedelta
from statistics import median
from typing import Any

import asyncpg
import uvloop
from chassis import clock
from chassis.database import open_engine
from chassis.process import run as run_process
from chassis.work import Work
from member.__main__ import PROCESS
from member.domain.kinds import EARNED
from member.domain.program import GENERAL
from member.settings import MemberSettings
from member.use_cases.tiers import EvaluateTiers, Evaluation, evaluate_tiers
from member.wire import FACTS

from benchmarks.member_loading import load_members
from benchmarks.serving import Servers, migrated, peak_memory_mb, servers

MEMBERS = 100_000
EARNINGS = 10
ROUNDS = 5
WINDOW = timedelta(days=365)
FIRST_DAY = datetime(2026, 1, 2, tzinfo=UTC)

_BARE = """
    SELECT count(*), sum(points) FROM (
        SELECT entry.account_id, sum(entry.amount) AS points
        FROM ledger_entries AS entry JOIN ledger_transactions AS given USING (source)
        WHERE given.kind = ANY($1) AND entry.account_version IS NOT NULL
            AND entry.occurred_at > $2 AND entry.occurred_at <= $3
        GROUP BY entry.account_id
    ) AS earned"""


def run() -> list[dict[str, object]]:
    """Measure on servers of their own."""
    with servers() as among:
        return [uvloop.run(_compare(among))]


async def _compare(among: Servers) -> dict[str, object]:
    database = await migrated(among, __file__, "member")
    await load_members(database.owner_url, MEMBERS, earnings=EARNINGS)
    values: Any = {"database_url": database.url, "nats_url": among.nats.url, "jwks": "unused", "database_pool_size": 2}
    engine = open_engine(MemberSettings(**values), "member")
    work = Work(engine, FACTS)
    bare = await asyncpg.connect(database.owner_url)
    await bare.execute("SET statement_timeout = 0")
    await evaluate(work, FIRST_DAY)
    await bare.execute("VACUUM ANALYZE")
    ours, theirs, moved = [], [], 0
    for number in range(1, ROUNDS + 1):
        as_of = FIRST_DAY + timedelta(days=number)
        theirs.append(await _seconds_bare(bare, as_of))
        seconds, done = await evaluate(work, as_of)
        ours.append(seconds)
        moved += done.upgraded + done.downgraded
    await bare.close()
    await engine.dispose()
    return {
        "name": "member.tier_evaluation",
        "value": round(MEMBERS / median(ours)),
        "unit": f"members/s, {moved / ROUNDS / MEMBERS:.1%} of them moved",
        "baseline": "sum of points in the window grouped by member, one statement",
        "baseline_value": round(MEMBERS / median(theirs)),
        "ratio": round(median(theirs) / median(ours), 3),
        "target": 0.333,
        "peak_memory_mb": peak_memory_mb(os.getpid()),
    }


async def evaluate(work: Work, as_of: datetime) -> tuple[float, Evaluation]:
    """One pass over the program, round by round; its seconds, and what it came to."""
    command, total, started = EvaluateTiers(GENERAL, as_of), Evaluation(0, 0, 0), clock.monotonic()
    while True:
        done = await work.run(lambda transaction: evaluate_tiers(transaction, command))
        total = Evaluation(
            total.evaluated + done.evaluated, total.upgraded + done.upgraded, total.downgraded + done.downgraded
        )
        if done.evaluated < command.most:
            return clock.monotonic() - started, total


async def _seconds_bare(connection: asyncpg.Connection, as_of: datetime) -> float:
    started = clock.monotonic()
    await connection.fetch(_BARE, [kind.value for kind in EARNED], as_of - WINDOW, as_of)
    return clock.monotonic() - started


if __name__ == "__main__":
    run_process(PROCESS)
