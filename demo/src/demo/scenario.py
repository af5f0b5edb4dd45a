"""What an operator sets up before the first purchase: a bill plan, the contact policy, campaigns, a partner."""

from touchstone.billing.v1 import bill_service_pb2, billing_pb2
from touchstone.campaign.v1 import campaign_pb2, campaign_service_pb2
from touchstone.common.v1.common_pb2 import Money
from touchstone.touchpoint.v1 import touchpoint_pb2, touchpoint_service_pb2

from demo.partner import Partner
from demo.platform import Touchstone

CURRENCY = "USD"
PLAN_ID = "standard"
CONTACTS_MAX, WINDOW_DAYS = 4, 30
PARTNER_TOUCHPOINT = "TP16"
HALL, APP, STB = "TP01", "TP09", "TP15"
_TWO_WEEKS_HOURS = 14 * 24

CAMPAIGNS = {
    "welcome": campaign_pb2.CampaignPlan(
        display_name="Welcome to the club",
        event_type="enrolled",
        offer=campaign_pb2.Offer(offer_id="welcome-film", title="A film on us", body="Welcome.", value_minor=300),
        touchpoints=[APP, STB, HALL],
        opportunity_hours=_TWO_WEEKS_HOURS,
        priority=10,
    ),
    "second-purchase": campaign_pb2.CampaignPlan(
        display_name="A second purchase within 30 days",
        event_type="purchase_made",
        rule="event.purchase_number == 2 && event.days_since_previous_purchase <= 30.0 && tags.tier != 'gold'",
        offer=campaign_pb2.Offer(offer_id="double-points", title="Double points", body="Keep on.", value_minor=500),
        touchpoints=[APP, HALL],
        opportunity_hours=_TWO_WEEKS_HOURS,
        priority=20,
    ),
    "low-balance": campaign_pb2.CampaignPlan(
        display_name="Low balance: top up and get a bonus",
        event_type="balance_below_l1",
        rule="event.balance_minor < event.threshold_minor",
        offer=campaign_pb2.Offer(offer_id="top-up-bonus", title="Top up, get 5 %", body="", value_minor=250),
        touchpoints=[STB, APP, PARTNER_TOUCHPOINT],
        opportunity_hours=_TWO_WEEKS_HOURS,
        priority=5,
        once_in_days=30,
    ),
    "lapsed": campaign_pb2.CampaignPlan(
        display_name="Win back buyers who lapsed",
        event_type="value_grade_changed",
        rule="event.lapsed && tags.value_band in ['A', 'B', 'C']",
        offer=campaign_pb2.Offer(offer_id="come-back", title="Come back: 20 % off", body="", value_minor=2000),
        touchpoints=[PARTNER_TOUCHPOINT, APP],
        opportunity_hours=2 * _TWO_WEEKS_HOURS,
        priority=30,
    ),
}


async def set_up(touchstone: Touchstone, partner: Partner) -> None:
    """Puts everything in place; the partner learns its signing secret."""
    plan = billing_pb2.BillPlan(
        plan_id=PLAN_ID,
        display_name="Standard",
        threshold=Money(minor_units=1000, currency=CURRENCY),
        target_balance=Money(minor_units=3000, currency=CURRENCY),
        due_days=15,
    )
    await touchstone.bills.PutBillPlan(bill_service_pb2.PutBillPlanRequest(request_id="plan", plan=plan))
    policy = touchpoint_pb2.ContactPolicy(contacts_max=CONTACTS_MAX, window_days=WINDOW_DAYS, cool_off_days=14)
    put = touchpoint_service_pb2.PutContactPolicyRequest(request_id="policy", policy=policy)
    await touchstone.touchpoints.PutContactPolicy(put)
    await _register(touchstone, partner)
    for campaign_id, campaign in CAMPAIGNS.items():
        await touchstone.campaigns.PutCampaign(
            campaign_service_pb2.PutCampaignRequest(
                request_id=f"put-{campaign_id}", campaign_id=campaign_id, plan=campaign
            )
        )
        await touchstone.campaigns.SetCampaignState(
            campaign_service_pb2.SetCampaignStateRequest(
                request_id=f"launch-{campaign_id}",
                campaign_id=campaign_id,
                state=campaign_pb2.CAMPAIGN_STATE_LIVE,
            )
        )


async def _register(touchstone: Touchstone, partner: Partner) -> None:
    request = touchpoint_service_pb2.CreateEndpointRequest(
        request_id="endpoint", partner_id="partner-1", url=partner.url, touchpoints=[PARTNER_TOUCHPOINT]
    )
    partner.secret = (await touchstone.partners.CreateEndpoint(request)).secret
