"""The catalogue, campaigns and decisions, for operators."""

from gateway.routing import get, post, put, router_of

_CAMPAIGN = "/campaigns/{campaign_id}"

router = router_of(
    "campaign",
    [
        get("/event-types", "campaign.v1.CatalogueService.ListEventTypes"),
        get("/tags", "campaign.v1.CatalogueService.ListTags"),
        post("/campaign-validations", "campaign.v1.CampaignService.ValidateCampaign", into="plan"),
        get("/campaigns", "campaign.v1.CampaignService.ListCampaigns"),
        put(_CAMPAIGN, "campaign.v1.CampaignService.PutCampaign", into="plan", part="campaign"),
        get(_CAMPAIGN, "campaign.v1.CampaignService.GetCampaign", part="campaign"),
        put(f"{_CAMPAIGN}/state", "campaign.v1.CampaignService.SetCampaignState", part="campaign"),
        get("/decisions", "campaign.v1.DecisionService.ListDecisions"),
    ],
)
