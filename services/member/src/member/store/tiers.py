"""Points that count for a tier, and the judging of thousands of members by one statement."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import func, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from member.domain.membership import Member, MemberId
from member.domain.points import EARNED
from member.domain.program import Program, TierId
from member.store.members import member_from_row
from member.store.points import ACCOUNT_PREFIX, points_account
from member.store.tables import members

# What one account earned in the window, less what was taken back of it: a reversal counts where its earning counts, so
# that taking back an old earning never lowers what was earned since. Asked account by account through the indexes, so
# that the time it takes grows with the members asked for and not with what the planner makes of the ledger's size.
_EARNED = """
    SELECT coalesce(sum(earning.amount + coalesce((
        SELECT sum(leg.amount)
        FROM ledger_transactions AS reversal
        JOIN ledger_entries AS leg ON leg.source = reversal.source
            AND leg.account_id = earning.account_id AND leg.account_version IS NOT NULL
        WHERE reversal.reverses = earning.source AND reversal.occurred_at <= :as_of
    ), 0)), 0)::bigint AS points
    FROM ledger_entries AS earning
    JOIN ledger_transactions AS given ON given.source = earning.source AND given.kind = ANY(CAST(:earned AS text[]))
    WHERE earning.account_id = asked.account_id AND earning.account_version IS NOT NULL
        AND earning.occurred_at > :window_start AND earning.occurred_at <= :as_of
"""

_QUALIFYING = text(f"""
    SELECT asked.account_id, earned.points FROM unnest(CAST(:accounts AS text[])) AS asked(account_id)
    CROSS JOIN LATERAL ({_EARNED}) AS earned
""")  # noqa: S608 - made of constants

_NEXT_MEMBERS = text("""
    SELECT count(*) AS members, max(member_id) AS last FROM (
        SELECT member_id FROM members
        WHERE program_id = :program AND member_id > :after AND enrolled_at <= :as_of
        ORDER BY member_id LIMIT :most
    ) AS next
""")

_MOVE = text(f"""
    WITH asked AS MATERIALIZED (
        SELECT member_id, tier_id, CAST(:prefix AS text) || member_id AS account_id FROM members
        WHERE program_id = :program AND member_id > :after AND member_id <= :last AND enrolled_at <= :as_of
    ), judged AS MATERIALIZED (
        SELECT asked.member_id, asked.tier_id AS previous_tier_id, reached.tier_id AS reached_tier_id
        FROM asked
        CROSS JOIN LATERAL ({_EARNED}) AS earned
        CROSS JOIN LATERAL (
            SELECT tier.tier_id
            FROM unnest(CAST(:tiers AS text[]), CAST(:required AS bigint[])) AS tier(tier_id, points_required)
            WHERE tier.points_required <= greatest(earned.points, 0)
            ORDER BY tier.points_required DESC LIMIT 1
        ) AS reached
    ), moved AS (
        UPDATE members SET tier_id = judged.reached_tier_id, tier_since = :as_of, revision = members.revision + 1
        FROM judged
        WHERE members.member_id = judged.member_id AND judged.reached_tier_id <> judged.previous_tier_id
        RETURNING members.*, judged.previous_tier_id
    ), noted AS (
        INSERT INTO tier_history (member_id, revision, tier_id, held_from, recorded_at)
        SELECT member_id, revision, tier_id, tier_since, :recorded_at FROM moved
    )
    SELECT * FROM moved ORDER BY member_id
""")  # noqa: S608 - made of constants

_OFF_HISTORY = text("""
    SELECT members.member_id FROM members
    LEFT JOIN LATERAL (
        SELECT tier_history.* FROM tier_history WHERE tier_history.member_id = members.member_id
        ORDER BY tier_history.revision DESC LIMIT 1
    ) AS last ON true
    WHERE (last.revision, last.tier_id, last.held_from)
        IS DISTINCT FROM (members.revision, members.tier_id, members.tier_since)
    ORDER BY members.member_id LIMIT 10
""")


class NextMembers(NamedTuple):
    """Members behind the id `after` up to the id `last`, and how many they are."""

    after: str
    last: str
    size: int


class Moved(NamedTuple):
    """A member after a move, and the tier held before."""

    member: Member
    previous_tier_id: TierId


async def qualifying_points(
    connection: AsyncConnection, ids: Sequence[MemberId], *, window_start: datetime, as_of: datetime
) -> dict[MemberId, int]:
    """Points that count for the tier of each member, 0 where nothing was earned."""
    accounts = {str(points_account(member_id)): member_id for member_id in ids}
    found = await connection.execute(_QUALIFYING, {**_window(window_start, as_of), "accounts": list(accounts)})
    return {accounts[row.account_id]: row.points for row in found}


async def next_members(
    connection: AsyncConnection, program: Program, *, after: str, as_of: datetime, most: int
) -> NextMembers:
    """The next members of the program behind one, in the order of their ids, who were members at the instant."""
    asked = {"program": program.program_id, "after": after, "as_of": as_of, "most": most}
    row = (await connection.execute(_NEXT_MEMBERS, asked)).one()
    return NextMembers(after, row.last or after, row.members)


async def move_tiers(
    connection: AsyncConnection, program: Program, *, among: NextMembers, as_of: datetime, recorded_at: datetime
) -> list[Moved]:
    """Give each of these members the best tier whose requirement the points meet, as `Program.tier_reached` says it.

    Only members whose tier changed are written and returned.
    """
    asked: dict[str, Any] = {
        **_window(program.window_start(as_of), as_of),
        "program": program.program_id,
        "prefix": ACCOUNT_PREFIX,
        "after": among.after,
        "last": among.last,
        "tiers": [tier.tier_id for tier in program.tiers],
        "required": [tier.points_required for tier in program.tiers],
        "recorded_at": recorded_at,
    }
    found = await connection.execute(_MOVE, asked)
    return [Moved(member_from_row(row), TierId(row.previous_tier_id)) for row in found]


async def members_off_their_history(connection: AsyncConnection) -> tuple[int, tuple[str, ...]]:
    """How many members there are, and the first whose tier is not the last of its history."""
    examined = (await connection.execute(select(func.count()).select_from(members))).scalar_one()
    return examined, tuple(row.member_id for row in await connection.execute(_OFF_HISTORY))


def _window(window_start: datetime, as_of: datetime) -> dict[str, Any]:
    return {"earned": [kind.value for kind in EARNED], "window_start": window_start, "as_of": as_of}
