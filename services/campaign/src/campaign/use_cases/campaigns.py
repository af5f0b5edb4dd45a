"""Campaigns from draft to end."""

from dataclasses import dataclass, replace

from chassis.errors import InvalidArgument
from chassis.work import Transaction

from campaign.domain.campaigns import (
    Campaign,
    CampaignChanged,
    CampaignPlan,
    CampaignState,
    UnknownCampaign,
    check_plan,
    with_plan,
    with_state,
)
from campaign.domain.matching import CampaignId
from campaign.domain.rules import Rule
from campaign.store import Connection
from campaign.store import campaigns as store
from campaign.use_cases.live import LiveRules


@dataclass(frozen=True, slots=True)
class PutCampaign:
    """A plan under a campaign's identifier."""

    campaign_id: CampaignId
    plan: CampaignPlan


@dataclass(frozen=True, slots=True)
class SetCampaignState:
    """A campaign and the state it is to have."""

    campaign_id: CampaignId
    state: CampaignState


async def validate_plan(connection: Connection, live: LiveRules, plan: CampaignPlan) -> Rule:
    """What a plan's rule reads; refuse a plan that could not be stored."""
    await live.refresh(connection)
    return _understood(plan, live)


async def put_campaign(transaction: Transaction, live: LiveRules, command: PutCampaign) -> Campaign:
    """Store a draft, or the next version of a campaign's plan, which acts at once where the campaign is live.

    Writers stand in line from the start, also two that create one campaign.
    """
    await store.lock_changes(transaction.connection)
    await live.refresh(transaction.connection)
    known = await store.campaign_for_update(transaction.connection, command.campaign_id)
    rule = _understood(command.plan, live)
    revision = await store.next_revision(transaction.connection)
    fresh = Campaign(command.campaign_id, command.plan, rule, CampaignState.DRAFT, version=1, revision=revision)
    return await _save(transaction, with_plan(known, fresh))


async def set_campaign_state(transaction: Transaction, command: SetCampaignState) -> Campaign:
    """Launch, pause or end a campaign; the state it has already is no change."""
    await store.lock_changes(transaction.connection)
    known = await store.campaign_for_update(transaction.connection, command.campaign_id)
    if known is None:
        raise UnknownCampaign(f"there is no campaign {command.campaign_id!r}", campaign_id=command.campaign_id)
    changed = with_state(known, command.state)
    if changed is known:
        return known
    revision = await store.next_revision(transaction.connection)
    return await _save(transaction, replace(changed, revision=revision))


def _understood(plan: CampaignPlan, live: LiveRules) -> Rule:
    """The plan's rule as it is kept; a refusal names fields as the request has them."""
    try:
        return replace(check_plan(plan, live.catalogue), text=plan.rule)
    except InvalidArgument as refusal:
        raise refusal.under("plan") from refusal


async def _save(transaction: Transaction, campaign: Campaign) -> Campaign:
    await store.save_campaign(transaction.connection, campaign, transaction.recorded_at)
    transaction.emit(CampaignChanged(campaign, transaction.recorded_at))
    return campaign
