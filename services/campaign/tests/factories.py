"""Things to test with: plans, events, tags, and the ways to put them into the service."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from campaign.domain.campaigns import Campaign, CampaignPlan, CampaignState, Offer
from campaign.domain.catalogue import EventTypeId, Scalar, TagId
from campaign.domain.decisions import Decision
from campaign.domain.intake import CustomerEvent, CustomerId, TagValue
from campaign.domain.matching import CampaignId
from campaign.store.decisions import DecisionFilter, list_decisions
from campaign.use_cases.campaigns import PutCampaign, SetCampaignState, put_campaign, set_campaign_state
from campaign.use_cases.live import LiveRules
from campaign.wire.campaigns import campaign_to_proto
from chassis.ids import new_id
from chassis.paging import Page
from chassis.testing.serving import Serving
from chassis.times import to_proto
from chassis.work import Work
from google.protobuf.message import Message
from touchstone.campaign.v1 import campaign_pb2
from touchstone.common.v1.common_pb2 import Money
from touchstone.common.v1.intake_pb2 import CustomerEvent as EventProto
from touchstone.common.v1.intake_pb2 import TagValue as TagProto
from touchstone.common.v1.intake_pb2 import Value

RECORDED_AT = datetime(2026, 3, 1, 8, tzinfo=UTC)
NOON = datetime(1997, 5, 1, 12, tzinfo=UTC)
ANN = CustomerId("ann")
TOP_UP = EventTypeId("top_up_succeeded")
WELCOME = CampaignId("welcome")


def plan(rule: str = "true", **changes: Any) -> CampaignPlan:
    """A plan that is in order, with what a test changes of it."""
    made = CampaignPlan(
        display_name="Welcome",
        event_type=TOP_UP,
        rule=rule,
        offer=Offer("gift-1", "A gift", "Ten yuan for you", 1_000),
        touchpoints=("TP09", "TP13"),
        opportunity_hours=48,
        priority=5,
    )
    return replace(made, **changes)


def top_up(number: int = 1, customer_id: str = ANN, **changes: Any) -> CustomerEvent:
    """A top-up of 100 yuan at noon."""
    made = CustomerEvent(
        source="boss",
        event_id=f"{customer_id}-{number}",
        event_type=TOP_UP,
        customer_id=CustomerId(customer_id),
        occurred_at=NOON,
        attributes={"amount_minor": 10_000},
        fingerprint=b"as it came",
    )
    return replace(made, **changes)


def tag(
    tag_id: str, value: Scalar | None, *, customer_id: str = ANN, at: datetime = NOON, sequence: int = 0
) -> TagValue:
    """A tag value of Ann's from noon on."""
    return TagValue(ANN, TagId(tag_id), value, at)


async def launched(work: Work, live: LiveRules, made: CampaignPlan, campaign_id: CampaignId = WELCOME) -> Campaign:
    """A campaign that is live with this plan."""
    await work.run(lambda t: put_campaign(t, live, PutCampaign(campaign_id, made)))
    return await work.run(lambda t: set_campaign_state(t, SetCampaignState(campaign_id, CampaignState.LIVE)))


async def decided(work: Work, customer_id: str = "") -> list[Decision]:
    """Decisions in the order they were made."""
    async with work.reading() as connection:
        found = await list_decisions(connection, DecisionFilter(customer_id=customer_id), Page(500, None))
    return found[::-1]


def days(number: float) -> timedelta:
    """A length of time."""
    return timedelta(days=number)


def plan_message(rule: str = "true", **changes: Any) -> campaign_pb2.CampaignPlan:
    """The plan of `plan` as a message."""
    campaign = Campaign(WELCOME, plan(rule, **changes), None, CampaignState.DRAFT, 1, 1)  # type: ignore[arg-type]
    return campaign_to_proto(campaign).plan


def value_message(value: Scalar) -> Value:
    """A value in the member that its Python type names."""
    members = {bool: "bool_value", int: "int_value", float: "double_value", str: "string_value"}
    return Value(**{members[type(value)]: value})  # type: ignore[arg-type]


def event_message(event_id: str, event_type: str = TOP_UP, customer_id: str = ANN, **attributes: Scalar) -> EventProto:
    """An event at noon."""
    return EventProto(
        event_id=event_id,
        event_type=event_type,
        customer_id=customer_id,
        occurred_at=to_proto(NOON),
        attributes={name: value_message(value) for name, value in attributes.items()},
    )


def tag_message(tag_id: str, value: Scalar | None, customer_id: str = ANN, at: datetime = NOON) -> TagProto:
    """A tag value from an instant on; None takes the tag away."""
    made = None if value is None else value_message(value)
    return TagProto(customer_id=customer_id, tag_id=tag_id, value=made, valid_from=to_proto(at))


def yuan(amount: float) -> Money:
    """An amount of money."""
    return Money(minor_units=round(amount * 100), currency="CNY")


async def tell(
    served: Serving, source: str, messages: Sequence[Message], event_ids: Sequence[str] = (), at: datetime = NOON
) -> list[str]:
    """Publish messages as a service would have told them; the identities they were told under."""
    names = list(event_ids) or [new_id() for _ in messages]
    for message, event_id in zip(messages, names, strict=True):
        full_name = message.DESCRIPTOR.full_name
        occurred = message.occurred_at.ToDatetime(UTC) if message.HasField("occurred_at") else at  # type: ignore[attr-defined]
        headers = {
            "Nats-Msg-Id": new_id(),
            "ce-specversion": "1.0",
            "ce-id": event_id,
            "ce-type": full_name,
            "ce-source": source,
            "ce-time": occurred.isoformat(),
            "ce-recordedtime": RECORDED_AT.isoformat(),
        }
        await (await served.running.broker.publish(f"events.{full_name}", message.SerializeToString(), headers))
    return names
