"""Members by the hundred thousand, with points, put into a database by a few statements.

They are as the service would have written them: customers, memberships with their history, accounts and balanced
postings. Payments of all members come in turns and in no order, as they do in life, so that what belongs to one member
lies scattered over the tables.
"""

import asyncpg

MEMBERS_PER_STATEMENT = 50_000

_NUMBERS = "generate_series($1::int, $2::int) AS number"
_MEMBER_ID = "'01900000-' || lpad(to_hex(number >> 16), 4, '0') || '-7000-8000-' || lpad(to_hex(number), 12, '0')"

_CUSTOMERS = f"""
    INSERT INTO customers (customer_id, kind, profile, subscribers, registered_at, revision, recorded_at)
    SELECT 'c-' || number, 'household',
        jsonb_build_object('display_name', 'Household ' || number, 'persons', '[]'::jsonb),
        jsonb_build_array(jsonb_build_object('subscriber_id', 's-' || number, 'kind', 'tv',
            'in_service_since', '2020-01-01T00:00:00+00:00')),
        timestamptz '2020-01-01', 1, timestamptz '2026-01-01'
    FROM {_NUMBERS}"""

_MEMBERS = f"""
    INSERT INTO members (member_id, customer_id, program_id, tier_id, tier_since, enrolled_at, revision)
    SELECT {_MEMBER_ID}, 'c-' || number, 'general', 'standard', timestamptz '2025-01-01', timestamptz '2025-01-01', 1
    FROM {_NUMBERS}"""

_HISTORY = f"""
    INSERT INTO tier_history (member_id, revision, tier_id, held_from, recorded_at, version, reason)
    SELECT {_MEMBER_ID}, 1, 'standard', timestamptz '2025-01-01', timestamptz '2026-01-01', 1, 'enrolment'
    FROM {_NUMBERS}"""

_ACCOUNTS = f"""
    INSERT INTO ledger_accounts (id, asset, balance, version, opened_at)
    SELECT 'points:' || {_MEMBER_ID}, 'points', $3::bigint * (10 + number % 140), $3::bigint, timestamptz '2025-01-01'
    FROM {_NUMBERS}"""

# The n-th payment of every member, somewhere in the n-th part of the year 2025.
_POSTINGS = f"""
    WITH paid AS (
        SELECT 'points:' || {_MEMBER_ID} AS account_id, 10 + number % 140 AS points,
            'load:' || md5(number || '/' || $3::int) AS source,
            timestamptz '2025-01-01' + (($3::int - 1 + random()) / $4::int) * interval '365 days' AS at
        FROM {_NUMBERS} ORDER BY random()
    ), noted AS (
        INSERT INTO ledger_transactions (source, kind, asset, occurred_at, recorded_at, metadata)
        SELECT source, 'earn_recharge', 'points', at, timestamptz '2026-01-01', '{{"reason": "loaded"}}' FROM paid
    )
    INSERT INTO ledger_entries (source, line, account_id, amount, held_change, account_version, balance_after,
        held_after, floor, occurred_at)
    SELECT source, 0, 'issued', -points, NULL, NULL, NULL, NULL, NULL, at FROM paid
    UNION ALL
    SELECT source, 1, account_id, points, 0, $3::bigint, points * $3::bigint, 0, 0, at FROM paid"""


async def load_members(database_url: str, count: int, *, first: int = 1, earnings: int = 10) -> None:
    """Load members of the program `general` with the numbers from `first` on, each with as many payments in 2025 of
    its own 10 to 149 points, and have the tables vacuumed and analysed. Their customers are `c-<number>`."""
    connection = await asyncpg.connect(database_url)
    try:
        await connection.execute("SET statement_timeout = 0")
        for low in range(first, first + count, MEMBERS_PER_STATEMENT):
            high = min(low + MEMBERS_PER_STATEMENT, first + count) - 1
            for statement in (_CUSTOMERS, _MEMBERS, _HISTORY):
                await connection.execute(statement, low, high)
            await connection.execute(_ACCOUNTS, low, high, earnings)
        for number in range(1, earnings + 1):
            for low in range(first, first + count, MEMBERS_PER_STATEMENT):
                high = min(low + MEMBERS_PER_STATEMENT, first + count) - 1
                await connection.execute(_POSTINGS, low, high, number, earnings)
        await connection.execute("VACUUM ANALYZE")
    finally:
        await connection.close()
