"""Opportunities, and the customers' rows that contacts lock."""

from collections.abc import Iterable, Sequence
from datetime import datetime

from sqlalchemy import Row, func, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from touchpoint.domain.identity import CampaignId, CustomerId, OpportunityId, TouchpointCode
from touchpoint.domain.opportunity import OfferContent, Opportunity, OpportunityState
from touchpoint.store.tables import customers, opportunities

# Sorted, so that two batches that bring the same new customers wait for each other instead of deadlocking.
_ADD_CUSTOMERS = text("""
INSERT INTO customers (customer_id)
SELECT DISTINCT customer_id FROM unnest(CAST(:customer_ids AS text[])) AS named(customer_id) ORDER BY customer_id
ON CONFLICT DO NOTHING
""")

# Arrays of arrays would have to be of one length, so each list of codes travels as one text; a code holds no comma.
_ADD_OPPORTUNITIES = text("""
INSERT INTO opportunities (opportunity_id, customer_id, campaign_id, campaign_version, offer_id, offer_title,
                           offer_body, offer_value_minor, touchpoints, priority, occurred_at, expires_at, recorded_at)
SELECT o.opportunity_id, o.customer_id, o.campaign_id, o.campaign_version, o.offer_id, o.offer_title, o.offer_body,
       o.offer_value_minor, string_to_array(o.touchpoints, ','), o.priority, o.occurred_at, o.expires_at,
       CAST(:recorded_at AS timestamptz)
FROM unnest(CAST(:opportunity_ids AS text[]), CAST(:customer_ids AS text[]), CAST(:campaign_ids AS text[]),
            CAST(:campaign_versions AS int[]), CAST(:offer_ids AS text[]), CAST(:offer_titles AS text[]),
            CAST(:offer_bodies AS text[]), CAST(:offer_values_minor AS bigint[]), CAST(:touchpoints AS text[]),
            CAST(:priorities AS int[]), CAST(:occurred_ats AS timestamptz[]), CAST(:expires_ats AS timestamptz[]))
     AS o(opportunity_id, customer_id, campaign_id, campaign_version, offer_id, offer_title, offer_body,
          offer_value_minor, touchpoints, priority, occurred_at, expires_at)
ORDER BY o.opportunity_id
ON CONFLICT DO NOTHING
""")

# Rows that somebody holds are left for the next batch: whoever takes one at this moment decides it, not the clock.
# The portion is an array, chosen once; as a plain subquery it may be chosen anew for every row.
_EXPIRE = text("""
UPDATE opportunities SET state = 'expired'
WHERE state = 'open' AND opportunity_id = ANY(ARRAY(
    SELECT opportunity_id FROM opportunities WHERE state = 'open' AND expires_at <= CAST(:as_of AS timestamptz)
    ORDER BY expires_at LIMIT :limit FOR UPDATE SKIP LOCKED))
""")


async def add_opportunities(connection: AsyncConnection, added: Sequence[Opportunity], recorded_at: datetime) -> int:
    """Stores those not stored before, with their customers; how many were new."""
    await connection.execute(_ADD_CUSTOMERS, {"customer_ids": [one.customer_id for one in added]})
    stored = await connection.execute(
        _ADD_OPPORTUNITIES,
        {
            "opportunity_ids": [one.opportunity_id for one in added],
            "customer_ids": [one.customer_id for one in added],
            "campaign_ids": [one.campaign_id for one in added],
            "campaign_versions": [one.campaign_version for one in added],
            "offer_ids": [one.offer.offer_id for one in added],
            "offer_titles": [one.offer.title for one in added],
            "offer_bodies": [one.offer.body for one in added],
            "offer_values_minor": [one.offer.value_minor for one in added],
            "touchpoints": [",".join(one.touchpoints) for one in added],
            "priorities": [one.priority for one in added],
            "occurred_ats": [one.occurred_at for one in added],
            "expires_ats": [one.expires_at for one in added],
            "recorded_at": recorded_at,
        },
    )
    return stored.rowcount


async def lock_customers_for_update(
    connection: AsyncConnection, customer_ids: Iterable[CustomerId], *, skip_held: bool = False
) -> set[CustomerId]:
    """Locks the customers' rows in the order of their ids; those nothing ever waited for have none and are absent.

    `skip_held` leaves out customers whom another transaction holds, instead of waiting for it. The lock is not the
    one that foreign keys ask about, so opportunities may arrive meanwhile.
    """
    rows = await connection.execute(
        select(customers.c.customer_id)
        .where(customers.c.customer_id == func.any(sorted(set(customer_ids))))
        .order_by(customers.c.customer_id)
        .with_for_update(key_share=True, skip_locked=skip_held)
    )
    return {CustomerId(row.customer_id) for row in rows}


async def load_waiting(connection: AsyncConnection, customer_ids: Iterable[CustomerId]) -> list[Opportunity]:
    """The open opportunities of these customers, whether or not their time has come or gone."""
    rows = await connection.execute(
        select(opportunities).where(
            opportunities.c.customer_id == func.any(list(customer_ids)),
            opportunities.c.state == OpportunityState.OPEN,
        )
    )
    return [opportunity_from_row(row) for row in rows]


async def list_waiting(
    connection: AsyncConnection,
    customer_id: CustomerId,
    touchpoint: TouchpointCode | None,
    *,
    as_of: datetime,
    limit: int,
) -> list[Opportunity]:
    """What waits for a customer at an instant, at one touchpoint or at any, the best first."""
    waiting = [
        one
        for one in await load_waiting(connection, [customer_id])
        if one.waits_at(as_of) and (touchpoint is None or one.allowed_at(touchpoint))
    ]
    return sorted(waiting, key=lambda one: one.rank)[:limit]


async def load_waiting_at(
    connection: AsyncConnection,
    touchpoint: TouchpointCode,
    as_of: datetime,
    *,
    besides: Sequence[OpportunityId],
    limit: int,
) -> list[Opportunity]:
    """The best opportunities that wait at a touchpoint at an instant, besides those already looked at."""
    columns = opportunities.c
    rows = await connection.execute(
        select(opportunities)
        .where(
            columns.state == OpportunityState.OPEN,
            columns.touchpoints.contains([touchpoint]),
            columns.occurred_at <= as_of,
            columns.expires_at > as_of,
            columns.opportunity_id != func.all(list(besides)),
        )
        .order_by(
            columns.priority.desc(), columns.offer_value_minor.desc(), columns.occurred_at, columns.opportunity_id
        )
        .limit(limit)
    )
    return [opportunity_from_row(row) for row in rows]


async def expire_opportunities(connection: AsyncConnection, as_of: datetime, limit: int) -> int:
    """Expires at most `limit` that ended at or before `as_of`; how many."""
    return (await connection.execute(_EXPIRE, {"as_of": as_of, "limit": limit})).rowcount


async def count_opportunities(connection: AsyncConnection) -> dict[OpportunityState, int]:
    """How many there are in each state."""
    rows = await connection.execute(select(opportunities.c.state, func.count()).group_by(opportunities.c.state))
    return {OpportunityState(state): count for state, count in rows}


def opportunity_from_row(row: Row[tuple[object, ...]]) -> Opportunity:
    """The opportunity of a full row."""
    return Opportunity(
        opportunity_id=OpportunityId(row.opportunity_id),
        customer_id=CustomerId(row.customer_id),
        campaign_id=CampaignId(row.campaign_id),
        campaign_version=row.campaign_version,
        offer=offer_from_row(row),
        touchpoints=tuple(TouchpointCode(code) for code in row.touchpoints),
        priority=row.priority,
        occurred_at=row.occurred_at,
        expires_at=row.expires_at,
    )


def offer_from_row(row: Row[tuple[object, ...]]) -> OfferContent:
    """The offer of a row that has the opportunity's columns of it."""
    return OfferContent(row.offer_id, row.offer_title, row.offer_body, row.offer_value_minor)
