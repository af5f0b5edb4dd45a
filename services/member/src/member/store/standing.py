"""Memberships that ended in others when their customers became one: where they stand now, and what went over there."""

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from member.domain.customer import CustomerId
from member.domain.membership import MemberId
from member.store.postings import ACCOUNT_PREFIX, member_of_account, points_account

_CHAINS = text("""
    WITH RECURSIVE chain AS (
        SELECT member_id AS ended, into_member_id, 1 AS step
        FROM carried_memberships WHERE member_id = ANY(CAST(:members AS text[]))
        UNION ALL
        SELECT chain.ended, carried.into_member_id, chain.step + 1
        FROM chain JOIN carried_memberships AS carried ON carried.member_id = chain.into_member_id
    )
    SELECT ended, into_member_id FROM chain ORDER BY ended, step
""")

_CUSTOMERS = text("""
    SELECT customer_id, coalesce(merged_into, customer_id) AS standing FROM customers
    WHERE customer_id = ANY(CAST(:customers AS text[]))
""")

_CREDITED = text("""
    SELECT source, account_id, sum(amount)::bigint AS points FROM ledger_entries
    JOIN ledger_transactions USING (source)
    WHERE source = ANY(CAST(:sources AS text[])) AND reverses IS NULL AND account_version IS NOT NULL AND amount > 0
    GROUP BY source, account_id ORDER BY source, account_id
""")

_FREE = text("""
    SELECT id, balance - held AS free FROM ledger_accounts WHERE id = ANY(CAST(:accounts AS text[]))
""")

# The merge's own transfer, and those of points that came late.
_PASSED_ON = text("""
    SELECT ended.member_id, given.source,
        given.points - coalesce((
            SELECT sum(undone.reversed_amount) FROM ledger_transactions AS undone WHERE undone.reverses = given.source
        ), 0)::bigint AS points
    FROM unnest(CAST(:members AS text[])) AS ended(member_id)
    CROSS JOIN LATERAL (
        SELECT entry.source, sum(-entry.amount)::bigint AS points, max(entry.account_version) AS version
        FROM ledger_entries AS entry
        WHERE entry.account_id = :prefix || ended.member_id AND entry.account_version IS NOT NULL AND entry.amount < 0
            AND (entry.source = 'merge:' || ended.member_id
                OR starts_with(entry.source, 'merge:' || ended.member_id || ':'))
        GROUP BY entry.source
    ) AS given
    ORDER BY ended.member_id, given.version DESC
""")

# As the trigger on the ledger's transactions counts them for who was given the points.
_COUNT_REVERSALS = text("""
    INSERT INTO tier_points (member_id, earned_at, kind, points, known_from)
    SELECT ended.into_member_id, given.occurred_at, given.kind,
        -(share.amount::numeric * undone.reversed_amount / share.total)::bigint, undone.occurred_at
    FROM ledger_transactions AS undone
    JOIN ledger_transactions AS given ON given.source = undone.reverses AND starts_with(given.kind, 'earn_')
    CROSS JOIN LATERAL (
        SELECT account_id, amount, sum(amount) OVER () AS total FROM ledger_entries
        WHERE source = given.source AND account_version IS NOT NULL AND amount > 0
    ) AS share
    JOIN unnest(CAST(:members AS text[]), CAST(:intos AS text[])) AS ended(member_id, into_member_id)
        ON share.account_id = :prefix || ended.member_id
    WHERE undone.source = ANY(CAST(:sources AS text[]))
""")


class PassedOn(NamedTuple):
    """Points that went over by one transfer and were not brought back since."""

    source: str
    points: int


async def find_chains(connection: AsyncConnection, ids: Collection[MemberId]) -> dict[MemberId, tuple[MemberId, ...]]:
    """The memberships that each of these ended in, the last one stands. Nothing for who ended in none."""
    found: dict[MemberId, tuple[MemberId, ...]] = {}
    for row in await connection.execute(_CHAINS, {"members": list(ids)}):
        ended = MemberId(row.ended)
        found[ended] = (*found.get(ended, ()), MemberId(row.into_member_id))
    return found


async def standing_customers(connection: AsyncConnection, ids: Collection[CustomerId]) -> dict[CustomerId, CustomerId]:
    """Whom each of these customers is a part of now: itself where it was merged into nobody."""
    found = await connection.execute(_CUSTOMERS, {"customers": list(ids)})
    return {CustomerId(row.customer_id): CustomerId(row.standing) for row in found}


async def credited(connection: AsyncConnection, sources: Collection[str]) -> dict[str, dict[MemberId, int]]:
    """How many points each transaction brought to each of its members; nothing for a reversal, which stands."""
    found: dict[str, dict[MemberId, int]] = {}
    for row in await connection.execute(_CREDITED, {"sources": list(sources)}):
        found.setdefault(row.source, {})[member_of_account(row.account_id)] = row.points
    return found


async def free_points(connection: AsyncConnection, ids: Collection[MemberId]) -> dict[MemberId, int]:
    """What is free of each, as last booked; less than 0 where points are owed."""
    found = await connection.execute(_FREE, {"accounts": [points_account(each) for each in ids]})
    return {member_of_account(row.id): row.free for row in found}


async def passed_on(connection: AsyncConnection, ended: Collection[MemberId]) -> dict[MemberId, list[PassedOn]]:
    """The transfers by which the points of memberships that ended went over, the last first."""
    found: dict[MemberId, list[PassedOn]] = {each: [] for each in ended}
    for row in await connection.execute(_PASSED_ON, {"members": list(ended), "prefix": ACCOUNT_PREFIX}):
        if row.points > 0:
            found[MemberId(row.member_id)].append(PassedOn(row.source, row.points))
    return found


async def count_reversals(
    connection: AsyncConnection, chains: Mapping[MemberId, Sequence[MemberId]], sources: Collection[str]
) -> None:
    """Let reversals of what memberships earned that ended count for the tiers of those that stand."""
    if chains and sources:
        ended = {"members": list(chains), "intos": [chain[-1] for chain in chains.values()]}
        await connection.execute(_COUNT_REVERSALS, {**ended, "sources": list(sources), "prefix": ACCOUNT_PREFIX})
