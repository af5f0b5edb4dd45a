"""Tiers that customers hold in the database. The newest state that the member service told counts, in any order."""

from collections.abc import Collection, Sequence

from chassis.arrays import array_of_numbers, array_of_texts
from chassis.driver import fetch
from sqlalchemy.ext.asyncio import AsyncConnection

from billing.domain.discount import HeldTier, TiersHeld
from billing.domain.ids import CustomerId

# Between two texts of an array: no id has it.
_BETWEEN = "/"

_KEEP = """
INSERT INTO held_tiers (customer_id, program_ids, tier_ids, revision)
SELECT n.customer_id, string_to_array(n.programs, '/'), string_to_array(n.tiers, '/'), n.revision
FROM unnest($1::text::text[], $2::text::text[], $3::text::text[], $4::text::bigint[])
     AS n(customer_id, programs, tiers, revision)
ORDER BY n.customer_id
ON CONFLICT (customer_id) DO UPDATE
SET program_ids = excluded.program_ids, tier_ids = excluded.tier_ids, revision = excluded.revision
WHERE held_tiers.revision < excluded.revision"""
_FIND = """
SELECT customer_id, program_ids, tier_ids FROM held_tiers WHERE customer_id = ANY($1::text::text[])"""


async def keep_tiers(connection: AsyncConnection, states: Sequence[TiersHeld]) -> None:
    """Stores states that are newer than what is known, at most one of each customer."""
    if states:
        await fetch(
            connection,
            _KEEP,
            array_of_texts([state.customer_id for state in states]),
            array_of_texts([_BETWEEN.join(tier.program_id for tier in state.tiers) for state in states]),
            array_of_texts([_BETWEEN.join(tier.tier_id for tier in state.tiers) for state in states]),
            array_of_numbers([state.revision for state in states]),
        )


async def held_tiers(
    connection: AsyncConnection, customer_ids: Collection[CustomerId]
) -> dict[CustomerId, set[HeldTier]]:
    """What the customers hold; one that holds nothing is not among them."""
    rows = await fetch(connection, _FIND, array_of_texts(sorted(set(customer_ids))))
    return {
        CustomerId(row["customer_id"]): set(map(HeldTier, row["program_ids"], row["tier_ids"]))
        for row in rows
        if row["tier_ids"]
    }
