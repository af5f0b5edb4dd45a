"""Over real gRPC: what callers get, and what bad input is answered with."""

from typing import Any

import grpc
import pytest
from campaign.domain.rule_syntax import MAX_RULE_LENGTH
from chassis.errors import Code
from chassis.rpc.errors import RemoteRefusal, from_status, remote_refusal
from chassis.testing.serving import Serving
from chassis.times import to_proto
from google.protobuf.timestamp_pb2 import Timestamp
from sqlalchemy import text
from touchstone.campaign.v1 import campaign_pb2 as messages
from touchstone.campaign.v1 import campaign_service_pb2 as proto
from touchstone.campaign.v1 import campaign_service_pb2_grpc as grpc_proto

from services.campaign.tests.factories import NOON, TOP_UP, days, event_message, plan_message, tag_message

EVERY_SCOPE = (
    "campaign.read",
    "campaign.write",
    "campaign.launch",
    "campaign.admin",
    "campaign.decide",
    "intake.write",
)


class Client:
    """The four stubs, with every scope."""

    def __init__(self, served: Serving, *scopes: str) -> None:
        channel = served.channel(*(scopes or EVERY_SCOPE))
        self.catalogue = grpc_proto.CatalogueServiceStub(channel)
        self.intake = grpc_proto.IntakeServiceStub(channel)
        self.campaigns = grpc_proto.CampaignServiceStub(channel)
        self.decisions = grpc_proto.DecisionServiceStub(channel)

    async def put(self, rule: str = "true", campaign_id: str = "welcome", request_id: str = "", **changes: Any) -> Any:
        request = proto.PutCampaignRequest(
            request_id=request_id or f"put-{campaign_id}-{rule}"[:128].replace(" ", "_"),
            campaign_id=campaign_id,
            plan=plan_message(rule, **changes),
        )
        return (await self.campaigns.PutCampaign(request)).campaign

    async def set_state(self, state: Any, campaign_id: str = "welcome") -> Any:
        request = proto.SetCampaignStateRequest(
            request_id=f"{campaign_id}-{state}", campaign_id=campaign_id, state=state
        )
        return (await self.campaigns.SetCampaignState(request)).campaign

    async def submit(self, *events: Any) -> list[Any]:
        return list((await self.intake.SubmitEvents(proto.SubmitEventsRequest(events=events))).results)


@pytest.fixture
def client(served: Serving) -> Client:
    return Client(served)


async def refused(call: Any) -> RemoteRefusal:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return remote_refusal(caught.value)


async def rows(served: Serving, table: str) -> int:
    async with served.work.reading() as connection:
        return int((await connection.execute(text(f"SELECT count(*) FROM {table}"))).scalar_one())


async def test_an_event_submitted_becomes_a_decision(served: Serving, client: Client) -> None:
    await client.put("event.amount_minor >= 10000 && tags.tier == 'gold'")
    assert (await client.set_state(messages.CAMPAIGN_STATE_LIVE)).state == messages.CAMPAIGN_STATE_LIVE
    tags = proto.SubmitTagsRequest(request_id="t", values=[tag_message("tier", "gold"), tag_message("p_alive", 1.0)])
    assert not any(each.HasField("error") for each in (await client.intake.SubmitTags(tags)).results)
    events = [event_message("e-1", amount_minor=10_000), event_message("e-2", amount_minor=9_999)]
    assert not any(each.HasField("error") for each in await client.submit(*events, events[0]))
    await served.settle()
    assert not any(each.HasField("error") for each in await client.submit(*events))
    await served.settle()
    listed = await client.decisions.ListDecisions(proto.ListDecisionsRequest(customer_id="ann"))
    (decision,) = listed.decisions
    assert (decision.campaign_id, decision.event_id, decision.event_type) == ("welcome", "e-1", TOP_UP)
    assert decision.offer.offer_id == "gift-1"
    assert list(decision.touchpoints) == ["TP09", "TP13"]
    assert decision.expires_at == to_proto(NOON + days(2))
    counted = await client.decisions.CountDecisions(proto.CountDecisionsRequest())
    assert [(each.campaign_id, each.decisions) for each in counted.counts] == [("welcome", 1)]
    carried = await client.intake.GetCustomerTags(proto.GetCustomerTagsRequest(customer_id="ann"))
    assert [(each.tag_id, each.value.WhichOneof("kind")) for each in carried.tags] == [
        ("p_alive", "double_value"),
        ("tier", "string_value"),
    ]


async def test_a_changed_rule_works_at_once_in_every_replica(
    served: Serving, client: Client, nats: Any, keys: Any, campaign_database: Any
) -> None:
    from campaign.__main__ import PROCESS
    from chassis.testing.serving import serving

    async with serving(PROCESS, campaign_database, nats, keys) as replica:
        await client.put("event.amount_minor > 5")
        await client.set_state(messages.CAMPAIGN_STATE_LIVE)
        clients = [client, Client(replica)]
        for round_number, least in enumerate([5, 50, 500]):
            await client.put(f"event.amount_minor > {least}")
            for number, each in enumerate(clients):
                events = [event_message(f"{round_number}-{number}-{a}", amount_minor=a) for a in (6, 51, 501)]
                await each.submit(*events)
            await served.settle()
    listed = await client.decisions.ListDecisions(proto.ListDecisionsRequest())
    by_round = [[each for each in listed.decisions if each.event_id.startswith(f"{n}-")] for n in range(3)]
    assert [len(each) for each in by_round] == [6, 4, 2]


async def test_decide_answers_with_what_the_touchpoint_may_offer(served: Serving, client: Client) -> None:
    differing: dict[str, dict[str, Any]] = {
        "low": {"priority": 1},
        "high": {"priority": 9},
        "elsewhere": {"touchpoints": ("TP01",)},
    }
    for name, changes in differing.items():
        await client.put("event.touchpoint == 'TP09'", name, event_type="touchpoint_visited", once_in_days=1, **changes)
        await client.set_state(messages.CAMPAIGN_STATE_LIVE, name)
    request = proto.DecideRequest(request_id="v-1", customer_id="ann", touchpoint="TP09", occurred_at=to_proto(NOON))
    reply = await client.decisions.Decide(request)
    assert [each.campaign_id for each in reply.decisions] == ["high", "low"]
    assert await client.decisions.Decide(request) == reply
    request.request_id = "v-2"
    assert not (await client.decisions.Decide(request)).decisions
    await served.settle()
    assert await rows(served, "decisions") == 2


@pytest.mark.parametrize(
    ("changes", "field", "what"),
    [
        ({"rule": "tags.tier =="}, "plan.rule", "line 1, column 13"),
        ({"rule": "tags.colour == 'red'"}, "plan.rule", "unknown tag 'colour'"),
        ({"rule": "event.colour == 'red'"}, "plan.rule", "no attribute 'colour'"),
        ({"rule": "tags.tier"}, "plan.rule", "must be boolean"),
        ({"rule": "true ||" * 600 + "true"}, "plan.rule", f"at most {MAX_RULE_LENGTH}"),
        ({"event_type": "sneezed"}, "plan.event_type", "no event type 'sneezed'"),
        ({"touchpoints": ()}, "plan.touchpoints", "at least one"),
        ({"touchpoints": ("TP 1",)}, "plan.touchpoints", "letters"),
        ({"opportunity_hours": 0}, "plan.opportunity_hours", "from 1"),
        ({"once_in_days": -1}, "plan.once_in_days", "from 0"),
        ({"display_name": " "}, "plan.display_name", "1 to"),
        ({"starts_at": NOON, "ends_at": NOON}, "plan.ends_at", "later"),
    ],
)
async def test_a_bad_plan_is_refused_with_its_field(
    served: Serving, client: Client, changes: dict[str, Any], field: str, what: str
) -> None:
    rule = changes.get("rule", "true")
    changes = {name: value for name, value in changes.items() if name != "rule"}
    refusal = await refused(client.put(rule, request_id="bad", **changes))
    assert refusal.code is Code.INVALID_ARGUMENT
    assert [(each.field, what in each.description) for each in refusal.violations] == [(field, True)]
    refusal = await refused(
        client.campaigns.ValidateCampaign(proto.ValidateCampaignRequest(plan=plan_message(rule, **changes)))
    )
    assert [each.field for each in refusal.violations] == [field]
    assert await rows(served, "campaigns") == 0


async def test_a_value_outside_a_long_closed_set_is_refused_with_its_field(client: Client) -> None:
    values = [f"{n}-{'x' * 900}" for n in range(200)]
    own = messages.Tag(
        tag_id="own", category="own", type=messages.VALUE_TYPE_STRING, allowed_values=values, source="boss"
    )
    own.freshness, own.name_en, own.name_zh = "daily", "Own", "Own"
    await client.catalogue.PutTag(proto.PutTagRequest(request_id="own", tag=own))
    refusal = await refused(client.put("tags.own == 'none of them'"))
    assert (refusal.code, [each.field for each in refusal.violations]) == (Code.INVALID_ARGUMENT, ["plan.rule"])


async def test_every_bad_field_is_named_at_once(client: Client) -> None:
    refusal = await refused(
        client.put("tags.a && tags.b", event_type="bill_issued", opportunity_hours=-1, priority=10**7)
    )
    assert sorted(each.field for each in refusal.violations) == [
        "plan.opportunity_hours",
        "plan.priority",
        "plan.rule",
        "plan.rule",
    ]


async def test_validate_says_what_a_rule_reads(client: Client) -> None:
    rule = "tags.tier == 'gold' || event.amount_minor > 3 && has(tags.lapsed)"
    reply = await client.campaigns.ValidateCampaign(proto.ValidateCampaignRequest(plan=plan_message(rule)))
    assert (list(reply.tags), list(reply.attributes)) == (["lapsed", "tier"], ["amount_minor"])


async def test_each_bad_event_is_refused_and_the_others_are_taken(served: Serving, client: Client) -> None:
    timeless = event_message("e-4", amount_minor=1)
    timeless.occurred_at.CopyFrom(Timestamp())
    endless = event_message("e-10", amount_minor=1)
    endless.occurred_at.CopyFrom(Timestamp(seconds=253402300799))
    valueless = event_message("e-6")
    valueless.attributes["amount_minor"].SetInParent()
    results = await client.submit(
        event_message("e-1", "sneezed"),
        event_message("e-2", amount_minor="ten"),
        event_message("bad id", amount_minor=1),
        timeless,
        event_message("e-5", amount_minor=1, colour="red"),
        valueless,
        event_message("e-7", customer_id="", amount_minor=1),
        event_message("e-8"),
        endless,
        event_message("e-9", amount_minor=1),
    )
    refusals = [from_status(each.error) for each in results[:-1]]
    assert refusals[0].code is Code.NOT_FOUND
    assert "sneezed" in refusals[0].message
    assert [[each.field for each in refusal.violations] for refusal in refusals[1:]] == [
        ["attributes.amount_minor"],
        ["event_id"],
        ["occurred_at"],
        ["attributes.colour"],
        ["attributes.amount_minor"],
        ["customer_id"],
        ["attributes.amount_minor"],
        ["occurred_at"],
    ]
    assert not results[-1].HasField("error")
    assert await rows(served, "customer_events") == 1


async def test_a_batch_longer_than_a_message_of_the_broker_arrives(served: Serving, client: Client) -> None:
    await client.put("event.payment_channel != ''")
    await client.set_state(messages.CAMPAIGN_STATE_LIVE)
    long = "银" * 1000
    events = [event_message(f"e-{n}", amount_minor=1, payment_channel=long, account_id=long) for n in range(300)]
    assert sum(event.ByteSize() for event in events) > 1024 * 1024
    assert not any(each.HasField("error") for each in await client.submit(*events))
    await served.settle()
    assert await rows(served, "decisions") == 300


async def test_an_event_identity_with_another_body_is_refused(client: Client) -> None:
    (first,) = await client.submit(event_message("e-1", amount_minor=1))
    (second,) = await client.submit(event_message("e-1", amount_minor=2))
    assert not first.HasField("error")
    assert from_status(second.error).reason == "EVENT_ID_REUSED"


async def test_an_oversized_batch_is_refused_as_a_whole(served: Serving, client: Client) -> None:
    events = [event_message(f"e-{n}", amount_minor=1) for n in range(1001)]
    refusal = await refused(client.submit(*events))
    assert (refusal.code, refusal.violations[0].field) == (Code.INVALID_ARGUMENT, "events")
    tags = proto.SubmitTagsRequest(request_id="t", values=[tag_message("tier", "a", f"c-{n}") for n in range(1001)])
    assert (await refused(client.intake.SubmitTags(tags))).violations[0].field == "values"
    assert await rows(served, "customer_events") == await rows(served, "customer_tags") == 0


async def test_each_bad_tag_value_is_refused_and_the_others_are_taken(served: Serving, client: Client) -> None:
    values = [tag_message("shoe_size", 43), tag_message("tier", 4), tag_message("p_alive", float("nan"))]
    request = proto.SubmitTagsRequest(request_id="t", values=[*values, tag_message("tier", "gold")])
    reply = await client.intake.SubmitTags(request)
    refusals = [from_status(each.error) for each in reply.results[:-1]]
    assert [each.reason for each in refusals] == ["UNKNOWN_TAG", "INVALID_ARGUMENT", "INVALID_ARGUMENT"]
    assert not reply.results[-1].HasField("error")
    assert await client.intake.SubmitTags(request) == reply
    request.values[-1].value.string_value = "silver"
    assert (await refused(client.intake.SubmitTags(request))).reason == "REQUEST_ID_REUSED"


async def test_the_catalogue_is_listed_page_by_page(client: Client) -> None:
    found: list[Any] = []
    token = ""
    while True:
        page = await client.catalogue.ListEventTypes(proto.ListEventTypesRequest(page_size=50, page_token=token))
        found += page.event_types
        token = page.next_page_token
        if not token:
            break
    names = [each.event_type for each in found]
    assert len(names) == 114
    assert names == sorted(set(names))
    tags = await client.catalogue.ListTags(proto.ListTagsRequest(page_size=500))
    assert len(tags.tags) >= 60
    assert not tags.next_page_token
    refusal = await refused(client.catalogue.ListTags(proto.ListTagsRequest(page_size=501)))
    assert refusal.violations[0].field == "page_size"


async def test_the_operator_adds_to_the_catalogue(client: Client) -> None:
    attribute = messages.AttributeType(name="loudness", type=messages.VALUE_TYPE_INT, description="dB", required=True)
    event_type = messages.EventType(event_type="sneezed", group="health", name_en="sneezed", attributes=[attribute])
    request = proto.PutEventTypeRequest(request_id="p-1", event_type=event_type)
    assert (await client.catalogue.PutEventType(request)).event_type.attributes == [attribute]
    tag = messages.Tag(
        tag_id="shoe_size",
        category="identity",
        type=messages.VALUE_TYPE_INT,
        source="boss",
        freshness="monthly",
        name_en="shoe size",
    )
    assert (await client.catalogue.PutTag(proto.PutTagRequest(request_id="p-2", tag=tag))).tag.tag_id == "shoe_size"
    await client.put("event.loudness > 3 && tags.shoe_size > 40", event_type="sneezed")
    (taken, refusal) = await client.submit(event_message("e-1", "sneezed", loudness=9), event_message("e-2", "sneezed"))
    assert not taken.HasField("error")
    assert from_status(refusal.error).violations[0].field == "attributes.loudness"


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"tag_id": "Shoe"}, "tag.tag_id"),
        ({"type": messages.VALUE_TYPE_UNSPECIFIED}, "tag.type"),
        ({"source": "gossip"}, "tag.source"),
        ({"freshness": "stale"}, "tag.freshness"),
        ({"name_en": ""}, "tag.name_en"),
        ({"allowed_values": ["a"]}, "tag.allowed_values"),
    ],
)
async def test_a_bad_tag_is_refused_with_its_field(client: Client, changes: dict[str, Any], field: str) -> None:
    good = {
        "tag_id": "shoe_size",
        "category": "identity",
        "type": messages.VALUE_TYPE_INT,
        "source": "boss",
        "freshness": "daily",
        "name_en": "shoe size",
    }
    request = proto.PutTagRequest(request_id="p", tag=messages.Tag(**good | changes))  # type: ignore[arg-type]
    refusal = await refused(client.catalogue.PutTag(request))
    assert [each.field for each in refusal.violations] == [field]


async def test_campaigns_are_listed_by_state(client: Client) -> None:
    for name in ("a", "b", "c"):
        await client.put(campaign_id=name)
    await client.set_state(messages.CAMPAIGN_STATE_LIVE, "b")
    drafts = await client.campaigns.ListCampaigns(
        proto.ListCampaignsRequest(state=messages.CAMPAIGN_STATE_DRAFT, page_size=1)
    )
    assert [each.campaign_id for each in drafts.campaigns] == ["a"]
    rest = await client.campaigns.ListCampaigns(
        proto.ListCampaignsRequest(state=messages.CAMPAIGN_STATE_DRAFT, page_token=drafts.next_page_token)
    )
    assert [each.campaign_id for each in rest.campaigns] == ["c"]
    got = await client.campaigns.GetCampaign(proto.GetCampaignRequest(campaign_id="b"))
    assert got.campaign.state == messages.CAMPAIGN_STATE_LIVE
    refusal = await refused(client.campaigns.GetCampaign(proto.GetCampaignRequest(campaign_id="d")))
    assert (refusal.code, refusal.reason) == (Code.NOT_FOUND, "UNKNOWN_CAMPAIGN")


async def test_decisions_are_listed_newest_first_page_by_page(served: Serving, client: Client) -> None:
    await client.put()
    await client.set_state(messages.CAMPAIGN_STATE_LIVE)
    for number in range(3):
        await client.submit(event_message(f"e-{number}", amount_minor=1))
        await served.settle()
    first = await client.decisions.ListDecisions(proto.ListDecisionsRequest(campaign_id="welcome", page_size=2))
    rest = await client.decisions.ListDecisions(
        proto.ListDecisionsRequest(campaign_id="welcome", page_size=2, page_token=first.next_page_token)
    )
    assert [each.event_id for each in [*first.decisions, *rest.decisions]] == ["e-2", "e-1", "e-0"]
    assert not rest.next_page_token


@pytest.mark.parametrize(
    ("call", "scope"),
    [
        (lambda c: c.campaigns.PutCampaign(proto.PutCampaignRequest()), "campaign.launch"),
        (lambda c: c.campaigns.SetCampaignState(proto.SetCampaignStateRequest()), "campaign.write"),
        (lambda c: c.intake.SubmitEvents(proto.SubmitEventsRequest()), "campaign.read"),
        (lambda c: c.catalogue.PutTag(proto.PutTagRequest()), "campaign.write"),
        (lambda c: c.decisions.Decide(proto.DecideRequest()), "campaign.read"),
    ],
)
async def test_a_call_needs_its_scope(served: Serving, call: Any, scope: str) -> None:
    assert (await refused(call(Client(served, scope)))).code is Code.PERMISSION_DENIED
