"""CampaignService: campaigns from draft to end."""

from chassis.paging import page_from_request
from chassis.work import Transaction, Work, ask
from touchstone.campaign.v1 import campaign_service_pb2 as proto
from touchstone.campaign.v1.campaign_service_pb2_grpc import CampaignServiceServicer

from campaign.store.campaigns import find_campaign, list_campaigns
from campaign.use_cases.campaigns import PutCampaign, SetCampaignState, put_campaign, set_campaign_state, validate_plan
from campaign.use_cases.live import LiveRules
from campaign.wire.campaigns import (
    campaign_id_from_proto,
    campaign_to_proto,
    plan_from_proto,
    put_campaign_from_proto,
    set_state_from_proto,
    state_from_proto,
)


class CampaignApi(CampaignServiceServicer):
    """Campaigns from draft to end."""

    def __init__(self, work: Work, live: LiveRules) -> None:
        self._work = work
        self._live = live

    async def ValidateCampaign(
        self, request: proto.ValidateCampaignRequest, context: object
    ) -> proto.ValidateCampaignResponse:
        plan = plan_from_proto(request.plan)
        async with self._work.reading() as connection:
            rule = await validate_plan(connection, self._live, plan)
        return proto.ValidateCampaignResponse(tags=sorted(rule.tags), attributes=sorted(rule.attributes))

    async def PutCampaign(self, request: proto.PutCampaignRequest, context: object) -> proto.PutCampaignResponse:
        async def act(transaction: Transaction, command: PutCampaign) -> proto.PutCampaignResponse:
            campaign = await put_campaign(transaction, self._live, command)
            return proto.PutCampaignResponse(campaign=campaign_to_proto(campaign))

        asked = ask(request, put_campaign_from_proto(request))
        return await self._work.answer("put_campaign", asked, act, proto.PutCampaignResponse)

    async def SetCampaignState(
        self, request: proto.SetCampaignStateRequest, context: object
    ) -> proto.SetCampaignStateResponse:
        async def act(transaction: Transaction, command: SetCampaignState) -> proto.SetCampaignStateResponse:
            campaign = await set_campaign_state(transaction, command)
            return proto.SetCampaignStateResponse(campaign=campaign_to_proto(campaign))

        asked = ask(request, set_state_from_proto(request))
        return await self._work.answer("set_campaign_state", asked, act, proto.SetCampaignStateResponse)

    async def GetCampaign(self, request: proto.GetCampaignRequest, context: object) -> proto.GetCampaignResponse:
        campaign_id = campaign_id_from_proto(request.campaign_id)
        async with self._work.reading() as connection:
            campaign = await find_campaign(connection, campaign_id)
        return proto.GetCampaignResponse(campaign=campaign_to_proto(campaign))

    async def ListCampaigns(self, request: proto.ListCampaignsRequest, context: object) -> proto.ListCampaignsResponse:
        page, state = page_from_request(request), state_from_proto(request.state)
        async with self._work.reading() as connection:
            found = await list_campaigns(connection, page, state)
        found, token = page.cut(found, lambda one: one.id)
        return proto.ListCampaignsResponse(
            campaigns=[campaign_to_proto(campaign) for campaign in found], next_page_token=token
        )
