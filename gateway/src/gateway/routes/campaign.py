"""The catalogue, campaigns and decisions, for operators."""

from typing import Any, Literal

from fastapi import APIRouter
from touchstone.campaign.v1 import campaign_pb2 as resources
from touchstone.campaign.v1 import campaign_service_pb2 as pb

from gateway.admission import Key, To, admits
from gateway.bodies import PageSize, PageToken, PlanBody, StateBody, optional_time
from gateway.schema import enum_number, model_of, to_json

router = APIRouter(prefix="/v1", tags=["campaign"])


@router.get(
    "/event-types",
    dependencies=[admits("campaign.v1.CatalogueService.ListEventTypes")],
    response_model=model_of(pb.ListEventTypesResponse),
)
async def list_event_types(to: To, page_size: PageSize = 0, page_token: PageToken = "") -> Any:
    """Event types of the catalogue, with the attributes that rules may read."""
    request = pb.ListEventTypesRequest(page_size=page_size, page_token=page_token)
    return to_json(await to.catalogue.ListEventTypes(request))


@router.get(
    "/tags",
    dependencies=[admits("campaign.v1.CatalogueService.ListTags")],
    response_model=model_of(pb.ListTagsResponse),
)
async def list_tags(to: To, page_size: PageSize = 0, page_token: PageToken = "") -> Any:
    """Tags of the catalogue."""
    request = pb.ListTagsRequest(page_size=page_size, page_token=page_token)
    return to_json(await to.catalogue.ListTags(request))


@router.post(
    "/campaign-validations",
    dependencies=[admits("campaign.v1.CampaignService.ValidateCampaign")],
    response_model=model_of(pb.ValidateCampaignResponse),
)
async def validate_campaign(body: PlanBody, to: To) -> Any:
    """Validates a plan without storing it: what its rule reads, or the field that is wrong."""
    return to_json(await to.campaigns.ValidateCampaign(pb.ValidateCampaignRequest(plan=_plan(body))))


@router.get(
    "/campaigns",
    dependencies=[admits("campaign.v1.CampaignService.ListCampaigns")],
    response_model=model_of(pb.ListCampaignsResponse),
)
async def list_campaigns(
    to: To,
    state: Literal["DRAFT", "LIVE", "PAUSED", "ENDED"] | None = None,
    page_size: PageSize = 0,
    page_token: PageToken = "",
) -> Any:
    """Campaigns by identifier."""
    request = pb.ListCampaignsRequest(
        state=enum_number(resources.CampaignState.DESCRIPTOR, state or "UNSPECIFIED"),  # type: ignore[arg-type]
        page_size=page_size,
        page_token=page_token,
    )
    return to_json(await to.campaigns.ListCampaigns(request))


@router.put(
    "/campaigns/{campaign_id}",
    dependencies=[admits("campaign.v1.CampaignService.PutCampaign")],
    response_model=model_of(resources.Campaign),
)
async def put_campaign(campaign_id: str, body: PlanBody, key: Key, to: To) -> Any:
    """A new draft, or a new version of the plan, which acts at once if the campaign is live."""
    request = pb.PutCampaignRequest(request_id=key, campaign_id=campaign_id, plan=_plan(body))
    return to_json((await to.campaigns.PutCampaign(request)).campaign)


@router.get(
    "/campaigns/{campaign_id}",
    dependencies=[admits("campaign.v1.CampaignService.GetCampaign")],
    response_model=model_of(resources.Campaign),
)
async def get_campaign(campaign_id: str, to: To) -> Any:
    """A campaign."""
    reply = await to.campaigns.GetCampaign(pb.GetCampaignRequest(campaign_id=campaign_id))
    return to_json(reply.campaign)


@router.put(
    "/campaigns/{campaign_id}/state",
    dependencies=[admits("campaign.v1.CampaignService.SetCampaignState")],
    response_model=model_of(resources.Campaign),
)
async def set_campaign_state(campaign_id: str, body: StateBody, key: Key, to: To) -> Any:
    """Launches, pauses or ends a campaign."""
    state = enum_number(resources.CampaignState.DESCRIPTOR, body.state)
    request = pb.SetCampaignStateRequest(request_id=key, campaign_id=campaign_id, state=state)  # type: ignore[arg-type]
    return to_json((await to.campaigns.SetCampaignState(request)).campaign)


@router.get(
    "/decisions",
    dependencies=[admits("campaign.v1.DecisionService.ListDecisions")],
    response_model=model_of(pb.ListDecisionsResponse),
)
async def list_decisions(
    to: To, customer_id: str = "", campaign_id: str = "", page_size: PageSize = 0, page_token: PageToken = ""
) -> Any:
    """Decisions, newest first: all, of one customer or of one campaign."""
    request = pb.ListDecisionsRequest(
        customer_id=customer_id, campaign_id=campaign_id, page_size=page_size, page_token=page_token
    )
    return to_json(await to.decisions.ListDecisions(request))


def _plan(body: PlanBody) -> resources.CampaignPlan:
    return resources.CampaignPlan(
        **body.model_dump(exclude={"offer", "starts_at", "ends_at"}),
        offer=resources.Offer(**body.offer.model_dump()),
        starts_at=optional_time(body.starts_at),
        ends_at=optional_time(body.ends_at),
    )
