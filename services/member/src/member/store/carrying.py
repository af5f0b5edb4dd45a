"""What is counted for memberships that end in others goes over to those: caps, tasks, streaks, orders of the shop."""

from collections.abc import Collection, Sequence

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from member.domain.membership import Member, MemberId
from member.domain.task import TaskId
from member.store import progress

# By the programs of the memberships, so that the keys of the tables are found by their indexes.
_LOCK_BOOKS = text("""
    SELECT book.task_id, book.member_id FROM members
    JOIN tasks ON tasks.program_id = members.program_id
    JOIN task_books AS book ON book.task_id = tasks.task_id AND book.member_id = members.member_id
    WHERE members.member_id = ANY(CAST(:members AS text[]))
    ORDER BY book.member_id, book.task_id FOR UPDATE OF book
""")

_LOCK_COUNTERS = text("""
    SELECT counter.points FROM members
    JOIN (SELECT DISTINCT program_id, rule_id FROM earning_rules) AS rules ON rules.program_id = members.program_id
    JOIN earning_counters AS counter ON counter.rule_id = rules.rule_id AND counter.member_id = members.member_id
    WHERE members.member_id = ANY(CAST(:members AS text[]))
    ORDER BY counter.rule_id, counter.member_id, counter.period, counter.period_start FOR UPDATE OF counter
""")

_CARRY_COUNTERS = text("""
    INSERT INTO earning_counters AS known (rule_id, member_id, period, period_start, points)
    SELECT counter.rule_id, ended.into_member_id, counter.period, counter.period_start, sum(counter.points)
    FROM unnest(CAST(:members AS text[]), CAST(:intos AS text[])) AS ended(member_id, into_member_id)
    JOIN members USING (member_id)
    JOIN (SELECT DISTINCT program_id, rule_id FROM earning_rules) AS rules ON rules.program_id = members.program_id
    JOIN earning_counters AS counter ON counter.rule_id = rules.rule_id AND counter.member_id = ended.member_id
    GROUP BY counter.rule_id, ended.into_member_id, counter.period, counter.period_start
    ORDER BY counter.rule_id, ended.into_member_id, counter.period, counter.period_start
    ON CONFLICT (rule_id, member_id, period, period_start) DO UPDATE SET points = known.points + excluded.points
""")

_CARRY_DAYS = text("""
    INSERT INTO task_days AS known (task_id, member_id, day, times, completions)
    SELECT done.task_id, ended.into_member_id, done.day, sum(done.times), sum(done.completions)
    FROM unnest(CAST(:members AS text[]), CAST(:intos AS text[])) AS ended(member_id, into_member_id)
    JOIN members USING (member_id)
    JOIN tasks ON tasks.program_id = members.program_id
    JOIN task_days AS done ON done.task_id = tasks.task_id AND done.member_id = ended.member_id
    GROUP BY done.task_id, ended.into_member_id, done.day
    ORDER BY ended.into_member_id, done.task_id, done.day
    ON CONFLICT (task_id, member_id, day)
        DO UPDATE SET times = known.times + excluded.times, completions = known.completions + excluded.completions
""")

_CARRY_ORDERS = text("""
    UPDATE shop_orders SET member_id = ended.into_member_id
    FROM unnest(CAST(:members AS text[]), CAST(:intos AS text[])) AS ended(member_id, into_member_id)
    WHERE shop_orders.member_id = ended.member_id
""")


async def lock_counts(connection: AsyncConnection, ids: Collection[MemberId]) -> set[progress.BookKey]:
    """Keep what is counted for these memberships as it is, in the order in which those who count lock it too: task
    books, then caps, and only then points. Returns the books that there are."""
    found = await connection.execute(_LOCK_BOOKS, {"members": sorted(ids)})
    books = {(TaskId(row.task_id), MemberId(row.member_id)) for row in found}
    await connection.execute(_LOCK_COUNTERS, {"members": sorted(ids)})
    return books


async def carry_counts(connection: AsyncConnection, ending: Sequence[tuple[Member, Member]]) -> None:
    """Let memberships that go on have what those that end came to: what either has is added up, days signed in on are
    those of both, a milestone was rewarded when the later of the two was. Orders of the shop go over as they are."""
    if not ending:
        return
    asked = {"members": [each.member_id for each, _ in ending], "intos": [into.member_id for _, into in ending]}
    books = await lock_counts(connection, {member.member_id for pair in ending for member in pair})
    await progress.carry_books(
        connection,
        [
            ((task_id, member_id), (task_id, into.member_id))
            for each, into in ending
            for task_id, member_id in sorted(books)
            if member_id == each.member_id
        ],
    )
    for statement in (_CARRY_DAYS, _CARRY_COUNTERS, _CARRY_ORDERS):
        await connection.execute(statement, asked)
