"""EarningService over real gRPC: rules administered, previewed, followed on events, and told in the statement."""

from datetime import UTC, datetime, timedelta
from typing import Any

from chassis.errors import Code
from chassis.ids import new_id
from chassis.testing.serving import Serving
from chassis.times import to_proto
from chassis.work import Transaction
from google.protobuf.timestamp_pb2 import Timestamp
from sqlalchemy import text
from touchstone.member.v1 import earning_pb2, membership_service_pb2
from touchstone.member.v1 import earning_service_pb2 as pb
from touchstone.member.v1 import points_service_pb2 as points_pb

from services.member.tests.billing import Billing
from services.member.tests.calls import Stubs, become_member, refused
from services.member.tests.factories import JANUARY, day, earn_request, rows, scalar
from services.member.tests.test_consumers import recharged

LONG_AGO = to_proto(datetime(2020, 1, 1, tzinfo=UTC))


def rule_message(rule_id: str = "spring", **changes: Any) -> earning_pb2.EarningRule:
    """A rule that gives ten points on top of every recharge."""
    values: dict[str, Any] = {
        "display_name": "Spring",
        "earn_class": earning_pb2.EARN_CLASS_SUBSCRIPTION,
        "trigger": earning_pb2.EARN_TRIGGER_RECHARGE,
    }
    amounts = {"rate", "multiplier", "fixed", "as_stated"}
    if not amounts & changes.keys():
        values["fixed"] = earning_pb2.EarnFixed(points=10)
    return earning_pb2.EarningRule(rule_id=rule_id, **values | changes)


def put_request(rule_id: str = "spring", *, since: Timestamp = LONG_AGO, **changes: Any) -> pb.PutEarningRuleRequest:
    """A request that puts a rule."""
    return pb.PutEarningRuleRequest(request_id=new_id(), rule=rule_message(rule_id, **changes), acts_from=since)


def occasion_message(**changes: Any) -> earning_pb2.EarningOccasion:
    """A recharge of a hundred yuan."""
    values: dict[str, Any] = {
        "trigger": earning_pb2.EARN_TRIGGER_RECHARGE,
        "occurred_at": to_proto(day(1)),
        "amount_minor": 100_00,
        "currency": "CNY",
    }
    return earning_pb2.EarningOccasion(**values | changes)


def order_request(customer_id: str = "c-1", **changes: Any) -> pb.RewardOccasionRequest:
    """A request that rewards an order of a hundred yuan."""
    occasion = occasion_message(**{"trigger": earning_pb2.EARN_TRIGGER_ORDER} | changes)
    return pb.RewardOccasionRequest(request_id=new_id(), customer_id=customer_id, occasion=occasion)


async def test_a_rule_is_put_read_listed_and_ended(boss: Stubs) -> None:
    where = earning_pb2.EarnConditions(
        tiers=["gold"],
        channels=["app"],
        days_of_week=[6, 7],
        from_hour=22,
        to_hour=6,
        minimum_minor=100,
        valid_from=to_proto(day(1)),
        valid_to=to_proto(day(30)),
    )
    double = earning_pb2.EarnMultiplier(basis_points=20_000, stacking=earning_pb2.EARN_STACKING_ADDITIVE)
    asked = put_request(
        "double",
        multiplier=double,
        conditions=where,
        caps=earning_pb2.EarnCaps(member_day=100, total=1000),
        cooling_days=14,
        lifetime_days=0,
        campaign_id="spring",
    )
    put = (await boss.earning.PutEarningRule(asked)).version
    expected = earning_pb2.EarningRule()
    expected.CopyFrom(asked.rule)
    expected.program_id = "general"
    assert (put.rule, put.version, put.put_by, put.ended) == (expected, 1, "boss", False)
    assert (await boss.earning.PutEarningRule(asked)).version == put
    ended = await boss.earning.EndEarningRule(
        pb.EndEarningRuleRequest(request_id=new_id(), rule_id="double", ends_at=to_proto(day(50)))
    )
    assert (ended.version.version, ended.version.ended) == (2, True)
    first = await boss.earning.GetEarningRule(pb.GetEarningRuleRequest(rule_id="double", version=1))
    assert (first.version.rule, first.version.acts_to) == (expected, to_proto(day(50)))


async def test_rules_are_listed_by_pages(boss: Stubs) -> None:
    await boss.earning.PutEarningRule(put_request("double"))
    for amount in (
        {"rate": earning_pb2.EarnRate(points=200, rounding=earning_pb2.EARN_ROUNDING_HALF_EVEN)},
        {"fixed": earning_pb2.EarnFixed(points=5)},
    ):
        name = next(iter(amount))
        found = (await boss.earning.PutEarningRule(put_request(name, **amount))).version
        assert getattr(found.rule, name) == amount[name]
        assert not found.rule.HasField("lifetime_days")
    page = await boss.earning.ListEarningRules(pb.ListEarningRulesRequest(page_size=2))
    assert [each.rule.rule_id for each in page.rules] == ["double", "fixed"]
    rest = await boss.earning.ListEarningRules(pb.ListEarningRulesRequest(page_size=2, page_token=page.next_page_token))
    assert ([each.rule.rule_id for each in rest.rules], rest.next_page_token) == (["rate"], "")


async def test_a_preview_says_what_would_be_given_and_the_reward_gives_it(served: Serving, boss: Stubs) -> None:
    await become_member(boss)
    order: dict[str, Any] = {"trigger": earning_pb2.EARN_TRIGGER_ORDER}
    await boss.earning.PutEarningRule(put_request("later", cooling_days=7, **order))
    film = earning_pb2.EarnConditions(products=["film"])
    await boss.earning.PutEarningRule(
        put_request("film", conditions=film, caps=earning_pb2.EarnCaps(member_day=4), **order)
    )
    request = order_request(product="film")
    preview = await boss.earning.PreviewEarning(pb.PreviewEarningRequest(customer_id="c-1", occasion=request.occasion))
    assert (preview.tier_id, preview.points, preview.pending_points) == ("standard", 104, 10)
    assert [(each.rule_id, each.version, each.points, each.cut) for each in preview.considered] == [
        ("tier-rate", 1, 100, 0),
        ("film", 1, 4, 6),
        ("later", 1, 10, 0),
    ]
    assert preview.considered[2].ripens_at == to_proto(day(8))
    reply = await boss.earning.RewardOccasion(request)
    assert (reply.points, len(reply.transaction_ids), [each.cut for each in reply.parts]) == (104, 1, [0, 6, 0])
    assert [each.points for each in reply.pending] == [10]
    assert await boss.earning.RewardOccasion(request) == reply
    again = await boss.earning.PreviewEarning(pb.PreviewEarningRequest(customer_id="c-1", occasion=request.occasion))
    assert again.considered[1].verdict == earning_pb2.EARN_VERDICT_CAP_REACHED
    balance = await boss.points.GetPointsBalance(points_pb.GetPointsBalanceRequest(customer_id="c-1"))
    assert (balance.balance.balance, balance.pending_points) == (104, 10)
    assert [(each.points, each.rule_id, each.version) for each in balance.pending] == [(10, "later", 1)]
    waiting = await boss.earning.ListPendingPoints(pb.ListPendingPointsRequest(customer_id="c-1", page_size=1))
    assert list(waiting.pending) == list(balance.pending)
    (entry,) = (await boss.points.ListPointsEntries(points_pb.ListPointsEntriesRequest(customer_id="c-1"))).entries
    assert entry.rule_id == "tier-rate@1"
    assert [(each.rule_id, each.version, each.points, each.cut) for each in entry.parts] == [
        ("tier-rate", 1, 100, 0),
        ("film", 1, 4, 6),
    ]
    ripe = pb.RipenPointsRequest(request_id=new_id(), as_of=to_proto(day(8)))
    assert [(await boss.earning.RipenPoints(ripe)).points for _ in range(2)] == [10, 10]
    assert await scalar(served.work, "SELECT balance FROM ledger_accounts") == 114


async def test_a_batch_of_occasions_has_an_outcome_for_each(boss: Stubs) -> None:
    await become_member(boss)
    requests = [order_request(), order_request("nobody"), order_request(amount_minor=-1)]
    reply = await boss.earning.BatchRewardOccasions(pb.BatchRewardOccasionsRequest(requests=requests))
    assert reply.results[0].response.points == 100
    assert [each.WhichOneof("result") for each in reply.results] == ["response", "error", "error"]


async def test_a_campaigns_award_is_cut_to_its_cap_and_then_refused(boss: Stubs) -> None:
    await become_member(boss)
    campaign: dict[str, Any] = {
        "trigger": earning_pb2.EARN_TRIGGER_CAMPAIGN,
        "earn_class": earning_pb2.EARN_CLASS_ACTIVITY,
        "campaign_id": "autumn",
    }
    caps = earning_pb2.EarnCaps(member_month=70)
    await boss.earning.PutEarningRule(
        put_request("autumn", as_stated=earning_pb2.EarnAsStated(), caps=caps, **campaign)
    )
    given = [(await boss.points.EarnPoints(earn_request(50, campaign_id="autumn"))).points for _ in range(2)]
    assert given == [50, 20]
    refusal = await refused(boss, "EarnPoints", earn_request(50, campaign_id="autumn"))
    assert (refusal.code, refusal.reason) == (Code.FAILED_PRECONDITION, "EARNING_CAP_REACHED")
    assert (await boss.points.EarnPoints(earn_request(50, campaign_id="winter"))).points == 50
    assert (await boss.points.EarnPoints(earn_request(50, earn_class=3))).points == 50
    entries = (await boss.points.ListPointsEntries(points_pb.ListPointsEntriesRequest(customer_id="c-1"))).entries
    assert [(each.kind, each.rule_id) for each in entries] == [
        ("earn_exclusive", ""),
        ("earn_campaign", "winter"),
        ("earn_campaign", "autumn@1"),
        ("earn_campaign", "autumn@1"),
    ]


async def test_enrolments_and_better_tiers_award_by_themselves(
    served: Serving,
    boss: Stubs,
    billing: Billing,
) -> None:
    exclusive: dict[str, Any] = {"earn_class": earning_pb2.EARN_CLASS_EXCLUSIVE}
    await boss.earning.PutEarningRule(put_request("welcome", trigger=earning_pb2.EARN_TRIGGER_ENROLMENT, **exclusive))
    up = earning_pb2.EarnFixed(points=88)
    await boss.earning.PutEarningRule(
        put_request("up", trigger=earning_pb2.EARN_TRIGGER_UPGRADE, fixed=up, **exclusive)
    )
    app = earning_pb2.EarnConditions(channels=["app"])
    await boss.earning.PutEarningRule(put_request("app", conditions=app))
    await become_member(boss)
    await served.settle()
    event = recharged(300_00, at=day(1))
    event.channel = "app"
    await billing.tell(event, event_id="e-1")
    await served.settle()
    await boss.memberships.EvaluateTiers(evaluate_request(day(2)))
    await served.settle()
    await boss.memberships.EvaluateTiers(evaluate_request(day(400)))
    await served.settle()
    found = await rows(
        served.work,
        "SELECT kind, amount, metadata->>'rule' FROM ledger_transactions JOIN ledger_entries USING (source)"
        " WHERE account_version IS NOT NULL ORDER BY account_version",
    )
    assert found == [
        ("earn_enrolment", 10, "welcome@1"),
        ("earn_recharge", 310, "tier-rate@1"),
        ("earn_upgrade", 88, "up@1"),
    ]


def evaluate_request(at: datetime) -> Any:
    """A request that judges tiers."""
    return membership_service_pb2.EvaluateTiersRequest(request_id=new_id(), as_of=to_proto(at))


async def test_anniversaries_are_rewarded_by_the_call_once(boss: Stubs) -> None:
    await become_member(boss)
    year = earning_pb2.EarnConditions(every_years=1)
    tenure: dict[str, Any] = {
        "trigger": earning_pb2.EARN_TRIGGER_TENURE,
        "earn_class": earning_pb2.EARN_CLASS_EXCLUSIVE,
        "conditions": year,
    }
    await boss.earning.PutEarningRule(put_request("year", since=to_proto(JANUARY), **tenure))
    for expected in (0, 2, 0):
        request = pb.RewardAnniversariesRequest(request_id=new_id(), as_of=to_proto(day(0 if expected == 0 else 800)))
        assert (await boss.earning.RewardAnniversaries(request)).members == expected


async def test_a_member_previews_and_sees_what_ripens_of_itself_alone(served: Serving, boss: Stubs) -> None:
    await become_member(boss)
    await become_member(boss, "c-2")
    own = Stubs.of(served.channel("member.read", customer_id="c-1"))
    preview = pb.PreviewEarningRequest(customer_id="c-1", occasion=occasion_message())
    assert (await own.earning.PreviewEarning(preview)).points == 100
    preview.customer_id = "c-2"
    for name, request in (
        ("PreviewEarning", preview),
        ("ListPendingPoints", pb.ListPendingPointsRequest(customer_id="c-2")),
        ("GetEarningRule", pb.GetEarningRuleRequest(rule_id="spring")),
    ):
        assert (await refused(own, name, request)).code is Code.PERMISSION_DENIED


async def test_a_reward_is_not_repeated_when_its_request_is_forgotten(served: Serving, boss: Stubs) -> None:
    await become_member(boss)
    request = order_request()
    await boss.earning.RewardOccasion(request)
    await forget_requests(served)
    assert (await refused(boss, "RewardOccasion", request)).reason == "SOURCE_REUSED"
    await boss.earning.PutEarningRule(put_request("later", cooling_days=7, trigger=earning_pb2.EARN_TRIGGER_ORDER))
    request.occasion.amount_minor = 700_00
    assert (await refused(boss, "RewardOccasion", request)).reason == "SOURCE_REUSED"
    assert await scalar(served.work, "SELECT sum(amount_minor)::bigint FROM tier_spend") == 100_00
    assert await scalar(served.work, "SELECT count(*) FROM pending_points") == 0


async def test_an_occasion_that_is_refused_counts_as_no_money_spent(served: Serving, boss: Stubs) -> None:
    await become_member(boss)
    early = order_request(occurred_at=to_proto(JANUARY - timedelta(days=1)))
    assert (await refused(boss, "RewardOccasion", early)).reason == "MEMBER_NOT_FOUND"
    assert await rows(served.work, "SELECT source FROM tier_spend") == []


async def forget_requests(served: Serving) -> None:
    """The claims of all requests so far forgotten, as housekeeping does after weeks."""

    async def forget(transaction: Transaction) -> None:
        await transaction.connection.execute(text("DELETE FROM handled_requests"))

    await served.work.run(forget)
