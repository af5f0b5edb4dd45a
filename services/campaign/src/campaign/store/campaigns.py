"""Campaigns, and the one counter that says whether anything a rule depends on has changed."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import orjson
from chassis.paging import Page
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from campaign.domain.campaigns import Campaign, CampaignPlan, CampaignState, Offer, UnknownCampaign
from campaign.domain.catalogue import AttributeId, EventTypeId, TagId
from campaign.domain.matching import CampaignId
from campaign.domain.rules import Rule

_COLUMNS = "campaign_id, state, version, revision, plan::text AS plan, reads_tags, reads_attributes"
_BY_ID = f"SELECT {_COLUMNS} FROM campaigns WHERE campaign_id = CAST(:campaign_id AS text)"  # noqa: S608 - constants
_GET = text(_BY_ID)
_GET_FOR_UPDATE = text(f"{_BY_ID} FOR UPDATE")
_LIST = text(
    f"SELECT {_COLUMNS} FROM campaigns "  # noqa: S608 - constants
    "WHERE campaign_id > CAST(:after AS text) AND (CAST(:state AS text) IS NULL OR state = CAST(:state AS text)) "
    "ORDER BY campaign_id LIMIT :limit"
)
_CHANGED = text(
    f"SELECT {_COLUMNS} FROM campaigns WHERE revision > CAST(:revision AS bigint) ORDER BY revision"  # noqa: S608
)
_NEWEST = text("SELECT revision FROM rule_changes")
_LOCK = text("SELECT revision FROM rule_changes FOR UPDATE")
_NEXT = text("UPDATE rule_changes SET revision = revision + 1 RETURNING revision")
_SAVE = text("""
INSERT INTO campaigns (campaign_id, state, version, revision, plan, reads_tags, reads_attributes, recorded_at)
VALUES (:campaign_id, :state, :version, :revision, CAST(:plan AS jsonb), CAST(:reads_tags AS text[]),
        CAST(:reads_attributes AS text[]), CAST(:recorded_at AS timestamptz))
ON CONFLICT (campaign_id) DO UPDATE SET state = excluded.state, version = excluded.version,
    revision = excluded.revision, plan = excluded.plan, reads_tags = excluded.reads_tags,
    reads_attributes = excluded.reads_attributes, recorded_at = excluded.recorded_at
""")
_SAVE_VERSION = text("""
INSERT INTO campaign_versions (campaign_id, version, plan, recorded_at)
VALUES (:campaign_id, :version, CAST(:plan AS jsonb), CAST(:recorded_at AS timestamptz))
ON CONFLICT DO NOTHING
""")


async def lock_changes(connection: AsyncConnection) -> None:
    """Put writers of campaigns and catalogue in line until the commit: numbers become visible in their order."""
    await connection.execute(_LOCK)


async def next_revision(connection: AsyncConnection) -> int:
    """Number a change, after `lock_changes` and after everything was read: before the commit it is nobody's news."""
    return int((await connection.execute(_NEXT)).scalar_one())


async def newest_revision(connection: AsyncConnection) -> int:
    """The number of the last committed change of campaigns or catalogue."""
    return int((await connection.execute(_NEWEST)).scalar_one())


async def find_campaign(connection: AsyncConnection, campaign_id: str) -> Campaign:
    """Refuse `UnknownCampaign`."""
    row = (await connection.execute(_GET, {"campaign_id": campaign_id})).one_or_none()
    if row is None:
        raise UnknownCampaign(f"there is no campaign {campaign_id!r}", campaign_id=campaign_id)
    return _campaign(row)


async def campaign_for_update(connection: AsyncConnection, campaign_id: str) -> Campaign | None:
    """The campaign, locked; None when there is none."""
    row = (await connection.execute(_GET_FOR_UPDATE, {"campaign_id": campaign_id})).one_or_none()
    return None if row is None else _campaign(row)


async def list_campaigns(connection: AsyncConnection, page: Page, state: CampaignState | None) -> list[Campaign]:
    """Campaigns by identifier."""
    rows = await connection.execute(
        _LIST, {"after": page.after or "", "state": state.value if state else None, "limit": page.wanted}
    )
    return [_campaign(row) for row in rows]


async def campaigns_since(connection: AsyncConnection, revision: int) -> list[Campaign]:
    """Campaigns that changed after this revision, in the order of their changes."""
    return [_campaign(row) for row in await connection.execute(_CHANGED, {"revision": revision})]


async def save_campaign(connection: AsyncConnection, campaign: Campaign, recorded_at: datetime) -> None:
    """Store the campaign as it is now, and its plan under its version."""
    parameters = {
        "campaign_id": campaign.id,
        "version": campaign.version,
        "plan": orjson.dumps(_plan_to_json(campaign.plan)).decode(),
        "recorded_at": recorded_at,
    }
    changing: dict[str, Any] = {
        "state": campaign.state.value,
        "revision": campaign.revision,
        "reads_tags": sorted(campaign.rule.tags),
        "reads_attributes": sorted(campaign.rule.attributes),
    }
    await connection.execute(_SAVE, parameters | changing)
    await connection.execute(_SAVE_VERSION, parameters)


def _campaign(row: Any) -> Campaign:
    plan = _plan_from_json(orjson.loads(row.plan))
    return Campaign(
        id=CampaignId(row.campaign_id),
        plan=plan,
        rule=Rule(plan.rule, _tags(row.reads_tags), frozenset(AttributeId(name) for name in row.reads_attributes)),
        state=CampaignState(row.state),
        version=row.version,
        revision=row.revision,
    )


def _tags(names: Sequence[str]) -> frozenset[TagId]:
    return frozenset(TagId(name) for name in names)


def _plan_to_json(plan: CampaignPlan) -> dict[str, Any]:
    return {
        "display_name": plan.display_name,
        "event_type": plan.event_type,
        "rule": plan.rule,
        "offer": offer_to_json(plan.offer),
        "touchpoints": list(plan.touchpoints),
        "opportunity_hours": plan.opportunity_hours,
        "priority": plan.priority,
        "once_in_days": plan.once_in_days,
        "starts_at": plan.starts_at and plan.starts_at.isoformat(),
        "ends_at": plan.ends_at and plan.ends_at.isoformat(),
    }


def _plan_from_json(body: dict[str, Any]) -> CampaignPlan:
    return CampaignPlan(
        display_name=body["display_name"],
        event_type=EventTypeId(body["event_type"]),
        rule=body["rule"],
        offer=offer_from_json(body["offer"]),
        touchpoints=tuple(body["touchpoints"]),
        opportunity_hours=body["opportunity_hours"],
        priority=body["priority"],
        once_in_days=body["once_in_days"],
        starts_at=_instant(body["starts_at"]),
        ends_at=_instant(body["ends_at"]),
    )


def _instant(written: str | None) -> datetime | None:
    return None if written is None else datetime.fromisoformat(written)


def offer_to_json(offer: Offer) -> dict[str, Any]:
    """An offer as a jsonb column holds it."""
    return {"offer_id": offer.offer_id, "title": offer.title, "body": offer.body, "value_minor": offer.value_minor}


def offer_from_json(body: dict[str, Any]) -> Offer:
    """The offer in a jsonb column."""
    return Offer(**body)
