"""Campaigns, their plans and states."""

from datetime import datetime

from chassis.errors import InvalidArgument
from chassis.ids import check_id
from chassis.times import from_proto, to_proto
from google.protobuf.timestamp_pb2 import Timestamp
from touchstone.campaign.v1 import campaign_pb2 as proto
from touchstone.campaign.v1 import campaign_service_pb2 as service

from campaign.domain.campaigns import Campaign, CampaignPlan, CampaignState, Offer
from campaign.domain.catalogue import EventTypeId
from campaign.domain.matching import CampaignId
from campaign.use_cases.campaigns import PutCampaign, SetCampaignState

_STATES = {
    CampaignState.DRAFT: proto.CAMPAIGN_STATE_DRAFT,
    CampaignState.LIVE: proto.CAMPAIGN_STATE_LIVE,
    CampaignState.PAUSED: proto.CAMPAIGN_STATE_PAUSED,
    CampaignState.ENDED: proto.CAMPAIGN_STATE_ENDED,
}
_STATES_BACK: dict[int, CampaignState] = {number: state for state, number in _STATES.items()}


def campaign_to_proto(campaign: Campaign) -> proto.Campaign:
    """The campaign as it is now."""
    return proto.Campaign(
        campaign_id=campaign.id,
        plan=_plan_to_proto(campaign.plan),
        state=_STATES[campaign.state],
        version=campaign.version,
        revision=campaign.revision,
    )


def _plan_to_proto(plan: CampaignPlan) -> proto.CampaignPlan:
    return proto.CampaignPlan(
        display_name=plan.display_name,
        event_type=plan.event_type,
        rule=plan.rule,
        offer=offer_to_proto(plan.offer),
        touchpoints=plan.touchpoints,
        opportunity_hours=plan.opportunity_hours,
        priority=plan.priority,
        once_in_days=plan.once_in_days,
        starts_at=None if plan.starts_at is None else to_proto(plan.starts_at),
        ends_at=None if plan.ends_at is None else to_proto(plan.ends_at),
    )


def offer_to_proto(offer: Offer) -> proto.Offer:
    """What is offered."""
    return proto.Offer(offer_id=offer.offer_id, title=offer.title, body=offer.body, value_minor=offer.value_minor)


def plan_from_proto(message: proto.CampaignPlan) -> CampaignPlan:
    """A plan as it was sent; whether it can run is the domain's to say."""
    offer = message.offer
    return CampaignPlan(
        display_name=message.display_name,
        event_type=EventTypeId(message.event_type),
        rule=message.rule.strip(),
        offer=Offer(check_id("plan.offer.offer_id", offer.offer_id), offer.title, offer.body, offer.value_minor),
        touchpoints=tuple(check_id("plan.touchpoints", code) for code in message.touchpoints),
        opportunity_hours=message.opportunity_hours,
        priority=message.priority,
        once_in_days=message.once_in_days,
        starts_at=_instant(message.HasField("starts_at"), message.starts_at, "plan.starts_at"),
        ends_at=_instant(message.HasField("ends_at"), message.ends_at, "plan.ends_at"),
    )


def _instant(given: bool, timestamp: Timestamp, field: str) -> datetime | None:
    return from_proto(timestamp, field) if given else None


def put_campaign_from_proto(request: service.PutCampaignRequest) -> PutCampaign:
    """The command of a request."""
    return PutCampaign(campaign_id_from_proto(request.campaign_id), plan_from_proto(request.plan))


def set_state_from_proto(request: service.SetCampaignStateRequest) -> SetCampaignState:
    """The command of a request; refuse a state that is not said."""
    state = state_from_proto(request.state)
    if state is None:
        raise InvalidArgument("state", "must be LIVE, PAUSED or ENDED")
    return SetCampaignState(campaign_id_from_proto(request.campaign_id), state)


def state_from_proto(number: int) -> CampaignState | None:
    """The state, None where it is not said. Refuse a number that is no state."""
    if number == proto.CAMPAIGN_STATE_UNSPECIFIED:
        return None
    found = _STATES_BACK.get(number)
    if found is None:
        raise InvalidArgument("state", "is no state of a campaign")
    return found


def campaign_id_from_proto(campaign_id: str) -> CampaignId:
    """Refuse a malformed identifier."""
    return CampaignId(check_id("campaign_id", campaign_id))
