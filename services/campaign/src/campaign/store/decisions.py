"""Decisions: one for each campaign and event, whatever comes twice."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import orjson
from chassis.paging import Page
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from campaign.domain.catalogue import EventTypeId
from campaign.domain.decisions import Decision, DecisionId, Pair
from campaign.domain.intake import CustomerId
from campaign.domain.matching import CampaignId
from campaign.store.campaigns import offer_from_json, offer_to_json

_LIMIT = text("""
INSERT INTO decision_limits (campaign_id, customer_id)
SELECT * FROM unnest(CAST(:campaign_ids AS text[]), CAST(:customer_ids AS text[]))
ON CONFLICT (campaign_id, customer_id) DO UPDATE SET customer_id = excluded.customer_id
""")
_TIMES = text("""
SELECT d.campaign_id, d.customer_id, d.occurred_at FROM decisions AS d
JOIN unnest(CAST(:campaign_ids AS text[]), CAST(:customer_ids AS text[])) AS asked(campaign_id, customer_id)
  ON d.campaign_id = asked.campaign_id AND d.customer_id = asked.customer_id
WHERE d.occurred_at > CAST(:after AS timestamptz) AND d.occurred_at < CAST(:before AS timestamptz)
""")
_ADD = text("""
INSERT INTO decisions (decision_id, campaign_id, campaign_version, customer_id, source, event_id, event_type, offer,
                       touchpoints, priority, occurred_at, expires_at, recorded_at)
SELECT d.decision_id, d.campaign_id, d.campaign_version, d.customer_id, d.source, d.event_id, d.event_type,
       d.offer::jsonb, string_to_array(d.touchpoints, ' '), d.priority, d.occurred_at, d.expires_at,
       CAST(:recorded_at AS timestamptz)
FROM unnest(CAST(:decision_ids AS text[]), CAST(:campaign_ids AS text[]), CAST(:campaign_versions AS integer[]),
            CAST(:customer_ids AS text[]), CAST(:sources AS text[]), CAST(:event_ids AS text[]),
            CAST(:event_types AS text[]), CAST(:offers AS text[]), CAST(:touchpoints AS text[]),
            CAST(:priorities AS integer[]), CAST(:occurred_ats AS timestamptz[]), CAST(:expires_ats AS timestamptz[]))
     AS d(decision_id, campaign_id, campaign_version, customer_id, source, event_id, event_type, offer, touchpoints,
          priority, occurred_at, expires_at)
ON CONFLICT ON CONSTRAINT decisions_once_per_event DO NOTHING RETURNING decision_id
""")
_LIST = text("""
SELECT decision_id, campaign_id, campaign_version, customer_id, source, event_id, event_type, offer::text AS offer,
       touchpoints, priority, occurred_at, expires_at
FROM decisions
WHERE (CAST(:customer_id AS text) = '' OR customer_id = CAST(:customer_id AS text))
  AND (CAST(:campaign_id AS text) = '' OR campaign_id = CAST(:campaign_id AS text))
  AND (CAST(:after AS text) IS NULL OR decision_id < CAST(:after AS text))
ORDER BY decision_id DESC LIMIT :limit
""")
_COUNT = text("SELECT campaign_id, count(*) AS decisions FROM decisions GROUP BY campaign_id ORDER BY campaign_id")


@dataclass(frozen=True, slots=True)
class DecisionFilter:
    """Which decisions to list; empty means all."""

    customer_id: str = ""
    campaign_id: str = ""


async def lock_limits(connection: AsyncConnection, pairs: Collection[Pair]) -> None:
    """Hold these campaigns' limits of these customers, so that two events cannot pass one limit. Pairs come sorted."""
    if pairs:
        await connection.execute(_LIMIT, _pairs(pairs))


async def decided_times(
    connection: AsyncConnection, pairs: Collection[Pair], instants: Collection[datetime], distance: timedelta
) -> dict[Pair, list[datetime]]:
    """When these campaigns decided for these customers, no further from the instants than `distance`."""
    found: dict[Pair, list[datetime]] = {}
    if not pairs:
        return found
    window = {"after": min(instants) - distance, "before": max(instants) + distance}
    for campaign_id, customer_id, instant in await connection.execute(_TIMES, _pairs(pairs) | window):
        found.setdefault((CampaignId(campaign_id), CustomerId(customer_id)), []).append(instant)
    return found


async def add_decisions(
    connection: AsyncConnection, decisions: Sequence[Decision], recorded_at: datetime
) -> list[Decision]:
    """Store decisions; those that were new, in the order given."""
    if not decisions:
        return []
    columns = {
        "decision_ids": [each.id for each in decisions],
        "campaign_ids": [each.campaign_id for each in decisions],
        "campaign_versions": [each.campaign_version for each in decisions],
        "customer_ids": [each.customer_id for each in decisions],
        "sources": [each.source for each in decisions],
        "event_ids": [each.event_id for each in decisions],
        "event_types": [each.event_type for each in decisions],
        "offers": [orjson.dumps(offer_to_json(each.offer)).decode() for each in decisions],
        "touchpoints": [" ".join(each.touchpoints) for each in decisions],
        "priorities": [each.priority for each in decisions],
        "occurred_ats": [each.occurred_at for each in decisions],
        "expires_ats": [each.expires_at for each in decisions],
    }
    added = set((await connection.execute(_ADD, columns | {"recorded_at": recorded_at})).scalars())
    return [each for each in decisions if each.id in added]


async def list_decisions(connection: AsyncConnection, wanted: DecisionFilter, page: Page) -> list[Decision]:
    """Decisions, newest first."""
    rows = await connection.execute(
        _LIST,
        {
            "customer_id": wanted.customer_id,
            "campaign_id": wanted.campaign_id,
            "after": page.after,
            "limit": page.wanted,
        },
    )
    return [_decision(row) for row in rows]


async def count_decisions(connection: AsyncConnection) -> dict[CampaignId, int]:
    """How many decisions each campaign made."""
    return {CampaignId(campaign_id): count for campaign_id, count in await connection.execute(_COUNT)}


def _pairs(pairs: Collection[Pair]) -> dict[str, Any]:
    return {
        "campaign_ids": [campaign_id for campaign_id, _ in pairs],
        "customer_ids": [customer_id for _, customer_id in pairs],
    }


def _decision(row: Any) -> Decision:
    return Decision(
        id=DecisionId(row.decision_id),
        campaign_id=CampaignId(row.campaign_id),
        campaign_version=row.campaign_version,
        customer_id=CustomerId(row.customer_id),
        source=row.source,
        event_id=row.event_id,
        event_type=EventTypeId(row.event_type),
        offer=offer_from_json(orjson.loads(row.offer)),
        touchpoints=tuple(row.touchpoints),
        priority=row.priority,
        occurred_at=row.occurred_at,
        expires_at=row.expires_at,
    )
