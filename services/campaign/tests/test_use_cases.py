"""Use cases on a real database: taking, matching, deciding; each once, within limits, in any order."""

import asyncio
import random
from dataclasses import replace
from datetime import timedelta

import pytest
from campaign.catalogue import ready_made
from campaign.domain.campaigns import CampaignEnded, CampaignNotLive, CampaignState, UnknownCampaign
from campaign.domain.catalogue import (
    Attribute,
    AttributeId,
    AttributeType,
    EventType,
    EventTypeExists,
    EventTypeId,
    Freshness,
    Names,
    Origin,
    Scalar,
    Tag,
    TagExists,
    TagId,
    TagSource,
    UnknownEventType,
    UnknownTag,
)
from campaign.domain.intake import CustomerId, EventIdReused
from campaign.domain.matching import CampaignId
from campaign.domain.purchases import ChargeId, Purchase
from campaign.store.campaigns import find_campaign
from campaign.store.customers import add_purchases
from campaign.use_cases.campaigns import PutCampaign, SetCampaignState, put_campaign, set_campaign_state
from campaign.use_cases.catalogue import put_event_type, put_tag
from campaign.use_cases.facts import take_customers
from campaign.use_cases.intake import customer_tags, submit_events, submit_tags
from campaign.use_cases.live import LiveRules
from campaign.use_cases.matching import take_facts
from chassis.errors import InvalidArgument
from chassis.work import Work
from sqlalchemy import text

from services.campaign.tests.factories import ANN, NOON, TOP_UP, WELCOME, days, decided, launched, plan, tag, top_up


@pytest.fixture
def live() -> LiveRules:
    return LiveRules(ready_made())


async def count(work: Work, table: str) -> int:
    async with work.reading() as connection:
        return int((await connection.execute(text(f"SELECT count(*) FROM {table}"))).scalar_one())


async def test_an_event_that_meets_a_rule_is_decided(work: Work, live: LiveRules) -> None:
    await launched(work, live, plan("event.amount_minor >= 10000 && tags.tier == 'gold'"))
    await work.run(lambda t: take_facts(t, live, [top_up()], [tag("tier", "gold")]))
    (made,) = await decided(work)
    assert (made.campaign_id, made.campaign_version, made.customer_id) == (WELCOME, 1, ANN)
    assert (made.event_id, made.event_type, made.occurred_at) == ("ann-1", TOP_UP, NOON)
    assert made.expires_at == NOON + timedelta(hours=48)
    assert made.touchpoints == ("TP09", "TP13")
    assert made.offer == plan().offer


async def test_an_event_taken_twice_is_matched_once(work: Work, live: LiveRules) -> None:
    await launched(work, live, plan())
    for _ in range(3):
        await work.run(lambda t: take_facts(t, live, [top_up(), top_up()]))
    assert len(await decided(work)) == 1
    assert await count(work, "customer_events") == 1


async def test_a_decision_and_its_telling_are_stored_together(work: Work, live: LiveRules) -> None:
    await launched(work, live, plan())

    async def fail(transaction: object) -> None:
        await take_facts(transaction, live, [top_up()])  # type: ignore[arg-type]
        raise RuntimeError("after the decision")

    with pytest.raises(RuntimeError):
        await work.run(fail)
    assert await decided(work) == []
    await work.run(lambda t: take_facts(t, live, [top_up()]))
    async with work.reading() as connection:
        told = list((await connection.execute(text("SELECT event_type FROM outbox ORDER BY id"))).scalars())
    assert told[-1] == "touchstone.campaign.v1.DecisionMade"
    assert told.count("touchstone.campaign.v1.DecisionMade") == 1


@pytest.mark.parametrize("state", [CampaignState.PAUSED, CampaignState.ENDED])
async def test_only_a_live_campaign_is_matched(work: Work, live: LiveRules, state: CampaignState) -> None:
    await launched(work, live, plan())
    await work.run(lambda t: take_facts(t, live, [top_up(1)]))
    await work.run(lambda t: set_campaign_state(t, SetCampaignState(WELCOME, state)))
    await work.run(lambda t: take_facts(t, live, [top_up(2)]))
    assert [each.event_id for each in await decided(work)] == ["ann-1"]


async def test_a_changed_rule_acts_on_the_next_batch_of_another_replica(work: Work) -> None:
    one, other = LiveRules(ready_made()), LiveRules(ready_made())
    await launched(work, one, plan("event.amount_minor > 99999"))
    await work.run(lambda t: take_facts(t, other, [top_up(1)]))
    await work.run(lambda t: put_campaign(t, one, PutCampaign(WELCOME, plan("event.amount_minor > 9999"))))
    await work.run(lambda t: take_facts(t, other, [top_up(2)]))
    (made,) = await decided(work)
    assert (made.event_id, made.campaign_version) == ("ann-2", 2)


async def test_a_refused_change_does_not_hide_the_next_one(work: Work, live: LiveRules) -> None:
    await launched(work, live, plan("false"))
    with pytest.raises(InvalidArgument):
        await work.run(lambda t: put_campaign(t, live, PutCampaign(WELCOME, plan("nonsense"))))
    await work.run(lambda t: take_facts(t, live, [top_up(1)]))
    await work.run(lambda t: put_campaign(t, live, PutCampaign(WELCOME, plan("true"))))
    await work.run(lambda t: take_facts(t, live, [top_up(2)]))
    assert [each.event_id for each in await decided(work)] == ["ann-2"]


async def test_changes_of_many_writers_are_all_seen(work: Work, live: LiveRules) -> None:
    names = [CampaignId(f"c{number:02}") for number in range(20)]
    writers = [LiveRules(ready_made()) for _ in names]
    await asyncio.gather(
        *(launched(work, writer, plan(), name) for writer, name in zip(writers, names, strict=True)),
        *(work.run(lambda t, n=n: take_facts(t, live, [top_up(n)])) for n in range(20)),  # type: ignore[misc]
    )
    await work.run(lambda t: take_facts(t, live, [top_up(99)]))
    assert sorted(each.campaign_id for each in await decided(work) if each.event_id == "ann-99") == names


async def test_a_campaign_keeps_to_its_time(work: Work, live: LiveRules) -> None:
    await launched(work, live, plan(starts_at=NOON, ends_at=NOON + days(2)))
    events = [top_up(n, occurred_at=NOON + days(n)) for n in (-1, 0, 1, 2)]
    await work.run(lambda t: take_facts(t, live, events))
    assert [each.event_id for each in await decided(work)] == ["ann-0", "ann-1"]


async def test_a_limit_holds_in_business_time_whatever_the_order(work: Work, live: LiveRules) -> None:
    await launched(work, live, plan(once_in_days=30))
    for day in (40, 0, 20, 69, 71, 70):
        await work.run(lambda t, day=day: take_facts(t, live, [top_up(day, occurred_at=NOON + days(day))]))  # type: ignore[misc]
    assert [each.event_id for each in await decided(work)] == ["ann-40", "ann-0", "ann-71"]


async def test_a_limit_holds_within_a_batch_and_for_each_customer(work: Work, live: LiveRules) -> None:
    await launched(work, live, plan(once_in_days=30))
    events = [top_up(n, who, occurred_at=NOON + days(n)) for n in range(40) for who in ("ann", "bob")]
    random.Random(3).shuffle(events)
    await work.run(lambda t: take_facts(t, live, events))
    assert sorted(each.event_id for each in await decided(work)) == ["ann-0", "ann-30", "bob-0", "bob-30"]


async def test_a_limit_holds_under_concurrency(work: Work, live: LiveRules) -> None:
    await launched(work, live, plan(once_in_days=30))
    await asyncio.gather(*(work.run(lambda t, n=n: take_facts(t, live, [top_up(n)])) for n in range(30)))  # type: ignore[misc]
    assert len(await decided(work)) == 1
    assert await count(work, "customer_events") == 30


async def test_tenure_is_counted_up_to_the_event(work: Work, live: LiveRules) -> None:
    await launched(work, live, plan("tags.tenure_days == 10"))
    for registered_at in (NOON + days(3), NOON, NOON + days(1)):
        await work.run(lambda t, at=registered_at: take_customers(t, {ANN: at}, []))  # type: ignore[misc]
    events = [top_up(number, occurred_at=NOON + days(day)) for number, day in enumerate([9.9, 10.5, 11.0])]
    await work.run(lambda t: take_facts(t, live, events))
    assert [each.event_id for each in await decided(work)] == ["ann-1"]


async def test_submitted_events_are_stored_with_what_is_told(work: Work, live: LiveRules) -> None:
    events = [top_up(1, f"customer-{n}") for n in range(200)]
    outcomes = await work.run(lambda t: submit_events(t, live, events))
    assert outcomes == [None] * 200
    async with work.reading() as connection:
        rows = (await connection.execute(text("SELECT subject, aggregate_id FROM outbox"))).all()
    assert len(rows) == len({row.subject for row in rows}) <= 64
    assert all(row.subject == row.aggregate_id and row.subject.startswith("intake.") for row in rows)
    assert await count(work, "customer_events") == 200


async def test_each_submitted_event_has_its_own_outcome(work: Work, live: LiveRules) -> None:
    again = replace(top_up(1), fingerprint=b"another body")
    unknown = replace(top_up(2), event_type=EventTypeId("sneezed"))
    wrong = replace(top_up(3), attributes={"amount_minor": "ten", "colour": "red"})
    outcomes = await work.run(
        lambda t: submit_events(t, live, [top_up(1), top_up(1), again, unknown, wrong, top_up(4)])
    )
    assert [type(each) for each in outcomes] == [
        type(None),
        type(None),
        EventIdReused,
        UnknownEventType,
        InvalidArgument,
        type(None),
    ]
    assert {v.field for v in outcomes[4].violations} == {"attributes.amount_minor", "attributes.colour"}  # type: ignore[union-attr]
    assert await count(work, "customer_events") == 2
    assert await work.run(lambda t: submit_events(t, live, [top_up(1)])) == [None]
    (refused,) = await work.run(lambda t: submit_events(t, live, [again]))
    assert isinstance(refused, EventIdReused)


async def test_one_source_does_not_take_anothers_identities(work: Work, live: LiveRules) -> None:
    other = replace(top_up(1), source="crm", fingerprint=b"another body")
    assert await work.run(lambda t: submit_events(t, live, [top_up(1), other])) == [None, None]


async def test_an_older_tag_value_never_replaces_a_newer(work: Work, live: LiveRules) -> None:
    values = [tag("tier", name, at=NOON + days(n)) for n, name in enumerate(["a", "b", "c"])]
    for value in [values[1], values[2], values[0], values[1]]:
        await work.run(lambda t, value=value: submit_tags(t, live, [value]))  # type: ignore[misc]
    async with work.reading() as connection:
        (now,) = await customer_tags(connection, live, ANN)
        periods = (
            await connection.execute(
                text("SELECT value::text, valid_from, valid_to FROM tag_periods ORDER BY valid_from")
            )
        ).all()
    assert now.value == "c"
    assert [tuple(row) for row in periods] == [
        ('"a"', NOON, NOON + days(1)),
        ('"b"', NOON + days(1), NOON + days(2)),
        ('"c"', NOON + days(2), None),
    ]


async def test_a_tag_can_be_taken_away_and_does_not_come_back(work: Work, live: LiveRules) -> None:
    submitted = [tag("tier", "gold"), tag("tier", None, at=NOON + days(2)), tag("tier", "old", at=NOON + days(1))]
    assert await work.run(lambda t: submit_tags(t, live, submitted)) == [None, None, None]
    await work.run(lambda t: submit_tags(t, live, [tag("tier", "older", at=NOON + days(1))]))
    async with work.reading() as connection:
        assert await customer_tags(connection, live, ANN) == []


async def test_tag_values_keep_their_types(work: Work, live: LiveRules) -> None:
    values: dict[str, Scalar] = {"p_alive": 1.0, "arpu_minor": 7, "lapsed": False, "tier": "1"}
    await work.run(lambda t: submit_tags(t, live, [tag(name, value) for name, value in values.items()]))
    async with work.reading() as connection:
        found = {each.tag_id: each.value for each in await customer_tags(connection, live, ANN)}
    assert found == values
    assert {name: type(value) for name, value in found.items()} == {name: type(value) for name, value in values.items()}


async def test_each_tag_value_has_its_own_outcome(work: Work, live: LiveRules) -> None:
    submitted = [tag("tier", 3), tag("shoe_size", 43), tag("payment_mode", "barter"), tag("lapsed", True)]
    outcomes = await work.run(lambda t: submit_tags(t, live, submitted))
    assert [type(each) for each in outcomes] == [InvalidArgument, UnknownTag, InvalidArgument, type(None)]


def purchase(number: int, day: float, amount_minor: int = 100, customer_id: str = ANN) -> Purchase:
    return Purchase(
        source="billing",
        event_id=f"e-{customer_id}-{number}",
        charge_id=ChargeId(f"{customer_id}-{number:03}"),
        account_id="account",
        customer_id=CustomerId(customer_id),
        amount_minor=amount_minor,
        balance_minor=0,
        account_version=number,
        description="",
        occurred_at=NOON + days(day),
    )


async def test_purchases_are_counted_in_business_order(work: Work) -> None:
    first = await work.run(
        lambda t: add_purchases(t.connection, [purchase(1, 10), purchase(2, 20, 0), purchase(3, 10)])
    )
    assert {key[-1]: (s.number, s.total_minor, s.previous_at) for key, s in first.items()} == {
        "1": (1, 100, None),
        "3": (2, 200, NOON + days(10)),
        "2": (3, 200, NOON + days(10)),
    }
    late = await work.run(lambda t: add_purchases(t.connection, [purchase(4, 15)]))
    assert [(s.number, s.previous_at) for s in late.values()] == [(3, NOON + days(10))]
    again = await work.run(lambda t: add_purchases(t.connection, [purchase(4, 15)]))
    assert again == late


async def test_a_campaign_lives_from_draft_to_end(work: Work, live: LiveRules) -> None:
    async def set_state(state: CampaignState) -> CampaignState:
        return (await work.run(lambda t: set_campaign_state(t, SetCampaignState(WELCOME, state)))).state

    with pytest.raises(UnknownCampaign):
        await set_state(CampaignState.LIVE)
    await work.run(lambda t: put_campaign(t, live, PutCampaign(WELCOME, plan())))
    with pytest.raises(CampaignNotLive):
        await set_state(CampaignState.PAUSED)
    assert await set_state(CampaignState.LIVE) is CampaignState.LIVE
    with pytest.raises(InvalidArgument, match="draft"):
        await set_state(CampaignState.DRAFT)
    assert await set_state(CampaignState.PAUSED) is CampaignState.PAUSED
    assert await set_state(CampaignState.LIVE) is CampaignState.LIVE
    changed = await work.run(lambda t: put_campaign(t, live, PutCampaign(WELCOME, plan("event.amount_minor > 1"))))
    assert (changed.version, changed.state) == (2, CampaignState.LIVE)
    assert await set_state(CampaignState.ENDED) is CampaignState.ENDED
    with pytest.raises(CampaignEnded):
        await set_state(CampaignState.LIVE)
    with pytest.raises(CampaignEnded):
        await work.run(lambda t: put_campaign(t, live, PutCampaign(WELCOME, plan())))
    assert await count(work, "campaign_versions") == 2


async def test_a_stored_plan_is_read_as_it_was(work: Work, live: LiveRules) -> None:
    made = plan("tags.tier == 'gold'", starts_at=NOON, ends_at=NOON + days(1), once_in_days=7, priority=-3)
    await work.run(lambda t: put_campaign(t, live, PutCampaign(WELCOME, made)))
    async with work.reading() as connection:
        stored = await find_campaign(connection, WELCOME)
    assert stored.plan == made
    assert stored.rule.tags == {"tier"}


async def test_an_empty_rule_matches_every_event(work: Work, live: LiveRules) -> None:
    await launched(work, live, plan(""))
    await work.run(lambda t: take_facts(t, live, [top_up()]))
    assert len(await decided(work)) == 1


SNEEZE = EventType(
    id=EventTypeId("sneezed"),
    code="",
    group="health",
    origin=Origin.OPERATOR,
    names=Names("sneezed", "打喷嚏"),
    attributes={
        AttributeId("loudness"): Attribute(AttributeId("loudness"), AttributeType.INT, True, Names("dB", "分贝")),
    },
)
SHOE = Tag(
    id=TagId("shoe_size"),
    category="identity",
    theme="",
    type=AttributeType.INT,
    source=TagSource.BOSS,
    freshness=Freshness.MONTHLY,
    origin=Origin.OPERATOR,
    names=Names("shoe size", "鞋码"),
)


async def test_the_operators_own_entries_can_be_used_at_once(work: Work) -> None:
    one, other = LiveRules(ready_made()), LiveRules(ready_made())
    await work.run(lambda t: put_event_type(t, one, SNEEZE))
    await work.run(lambda t: put_tag(t, one, SHOE))
    await launched(work, other, plan("event.loudness > 90 && tags.shoe_size > 40", event_type=SNEEZE.id))
    event = top_up(1, event_type=SNEEZE.id, attributes={"loudness": 100})
    await work.run(lambda t: take_facts(t, other, [event], [tag("shoe_size", 43)]))
    assert len(await decided(work)) == 1


async def test_what_rules_read_keeps_its_meaning(work: Work, live: LiveRules) -> None:
    await work.run(lambda t: put_event_type(t, live, SNEEZE))
    await work.run(lambda t: put_tag(t, live, SHOE))
    louder = Attribute(AttributeId("loudness"), AttributeType.STRING, False, Names("x", "x"))
    with pytest.raises(InvalidArgument, match="stays so"):
        await work.run(lambda t: put_event_type(t, live, replace(SNEEZE, attributes={louder.id: louder})))
    with pytest.raises(InvalidArgument, match="stays so"):
        await work.run(lambda t: put_tag(t, live, replace(SHOE, type=AttributeType.DOUBLE)))
    with pytest.raises(EventTypeExists):
        await work.run(lambda t: put_event_type(t, live, replace(SNEEZE, id=TOP_UP)))
    with pytest.raises(TagExists):
        await work.run(lambda t: put_tag(t, live, replace(SHOE, id=TagId("tier"))))
    with pytest.raises(InvalidArgument, match="tag_id"):
        await work.run(lambda t: put_tag(t, live, replace(SHOE, id=TagId("Shoe-Size"))))
    wet = Attribute(AttributeId("wet"), AttributeType.BOOL, False, Names("wet", "湿"))
    stored = await work.run(lambda t: put_event_type(t, live, replace(SNEEZE, attributes={wet.id: wet})))
    assert set(stored.attributes) == {"loudness", "wet"}
