"""Bad input of every method of EarningService over real gRPC: each refusal names its field, and nothing is stored."""

from typing import Any

from chassis.ids import new_id
from chassis.testing.serving import Serving
from chassis.times import to_proto
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from touchstone.member.v1 import earning_pb2
from touchstone.member.v1 import earning_service_pb2 as pb

from services.member.tests.calls import Stubs, become_member, methods_of, refused, refuses_bad_input
from services.member.tests.factories import JANUARY, day, earn_request
from services.member.tests.test_earning_api import LONG_AGO, occasion_message, order_request, put_request

OUT_OF_RANGE = Timestamp(seconds=-1)
LARGEST = 2**63 - 1
NO_SUCH: Any = 77
STATED = earning_pb2.EARN_TRIGGER_TASK


def end_request(**changes: Any) -> pb.EndEarningRuleRequest:
    """A request that ends a rule."""
    values: dict[str, Any] = {"request_id": new_id(), "rule_id": "spring", "ends_at": LONG_AGO}
    return pb.EndEarningRuleRequest(**values | changes)


def policy_request(**changes: Any) -> pb.PutEarningPolicyRequest:
    """A request that sets a policy."""
    values: dict[str, Any] = {"acts_from": LONG_AGO, "most_basis_points": 20_000}
    return pb.PutEarningPolicyRequest(request_id=new_id(), policy=earning_pb2.EarningPolicy(**values | changes))


def preview_request(customer_id: str = "c-1", **changes: Any) -> pb.PreviewEarningRequest:
    """A request that asks what a recharge would give."""
    return pb.PreviewEarningRequest(customer_id=customer_id, occasion=occasion_message(**changes))


BAD: list[tuple[str, Message, list[str]]] = [
    ("PutEarningRule", put_request("a b"), ["rule.rule_id"]),
    ("PutEarningRule", put_request(""), ["rule.rule_id"]),
    ("PutEarningRule", put_request("tier-rate"), ["rule.rule_id"]),
    ("PutEarningRule", put_request(program_id="a b"), ["rule.program_id"]),
    ("PutEarningRule", put_request(display_name="a\x00b"), ["rule.display_name"]),
    ("PutEarningRule", put_request(display_name="x" * 201), ["rule.display_name"]),
    ("PutEarningRule", put_request(earn_class=0), ["rule.earn_class"]),
    ("PutEarningRule", put_request(earn_class=77), ["rule.earn_class"]),
    ("PutEarningRule", put_request(trigger=0), ["rule.trigger"]),
    ("PutEarningRule", put_request(trigger=77), ["rule.trigger"]),
    ("PutEarningRule", put_request(fixed=None), ["rule.amount"]),
    ("PutEarningRule", put_request(rate=earning_pb2.EarnRate(points=-1)), ["rule.rate.points"]),
    ("PutEarningRule", put_request(rate=earning_pb2.EarnRate(points=LARGEST)), ["rule.rate.points"]),
    ("PutEarningRule", put_request(rate=earning_pb2.EarnRate(points=1, rounding=NO_SUCH)), ["rule.rate.rounding"]),
    (
        "PutEarningRule",
        put_request(multiplier=earning_pb2.EarnMultiplier(basis_points=0)),
        ["rule.multiplier.basis_points"],
    ),
    (
        "PutEarningRule",
        put_request(multiplier=earning_pb2.EarnMultiplier(basis_points=20_000, stacking=NO_SUCH)),
        ["rule.multiplier.stacking"],
    ),
    ("PutEarningRule", put_request(fixed=earning_pb2.EarnFixed(points=-1)), ["rule.fixed.points"]),
    (
        "PutEarningRule",
        put_request(conditions=earning_pb2.EarnConditions(valid_from=OUT_OF_RANGE)),
        ["rule.conditions.valid_from"],
    ),
    ("PutEarningRule", put_request(conditions=earning_pb2.EarnConditions(tiers=[""])), ["rule.conditions.tiers[0]"]),
    ("PutEarningRule", put_request(caps=earning_pb2.EarnCaps(member_day=-1)), ["rule.caps.member_day"]),
    ("PutEarningRule", put_request(cooling_days=-1), ["rule.cooling_days"]),
    ("PutEarningRule", put_request(lifetime_days=-1), ["rule.lifetime_days"]),
    ("PutEarningRule", put_request(campaign_id="a b"), ["rule.campaign_id"]),
    ("PutEarningRule", put_request(since=OUT_OF_RANGE), ["acts_from"]),
    ("PutEarningRule", pb.PutEarningRuleRequest(request_id="r", rule=put_request().rule), ["acts_from"]),
    ("PutEarningRule", pb.PutEarningRuleRequest(rule=put_request().rule, acts_from=LONG_AGO), ["request_id"]),
    ("EndEarningRule", end_request(rule_id="'; DROP TABLE earning_rules"), ["rule_id"]),
    ("EndEarningRule", end_request(ends_at=None), ["ends_at"]),
    ("EndEarningRule", end_request(request_id=""), ["request_id"]),
    ("GetEarningRule", pb.GetEarningRuleRequest(rule_id=""), ["rule_id"]),
    ("GetEarningRule", pb.GetEarningRuleRequest(rule_id="r", version=-1), ["version"]),
    ("ListEarningRules", pb.ListEarningRulesRequest(program_id="/"), ["program_id"]),
    ("ListEarningRules", pb.ListEarningRulesRequest(trigger=NO_SUCH), ["trigger"]),
    ("ListEarningRules", pb.ListEarningRulesRequest(in_force_at=OUT_OF_RANGE), ["in_force_at"]),
    ("ListEarningRules", pb.ListEarningRulesRequest(page_size=501), ["page_size"]),
    ("ListEarningRules", pb.ListEarningRulesRequest(page_token="§"), ["page_token"]),
    ("PutEarningPolicy", policy_request(most_basis_points=9_999), ["policy.most_basis_points"]),
    ("PutEarningPolicy", policy_request(most_basis_points=LARGEST), ["policy.most_basis_points"]),
    ("PutEarningPolicy", policy_request(currency="yuan"), ["policy.currency"]),
    ("PutEarningPolicy", policy_request(acts_from=None), ["policy.acts_from"]),
    ("PutEarningPolicy", policy_request(program_id="a b"), ["program_id"]),
    ("GetEarningPolicy", pb.GetEarningPolicyRequest(as_of=OUT_OF_RANGE), ["as_of"]),
    ("PreviewEarning", preview_request("c 1"), ["customer_id"]),
    ("PreviewEarning", preview_request(trigger=0), ["occasion.trigger"]),
    ("PreviewEarning", preview_request(amount_minor=0), ["occasion.minor_units"]),
    ("PreviewEarning", preview_request(amount_minor=LARGEST), ["occasion.minor_units"]),
    ("PreviewEarning", preview_request(currency=""), ["occasion.currency"]),
    ("PreviewEarning", preview_request(stated_points=5), ["occasion.stated_points"]),
    ("PreviewEarning", preview_request(trigger=STATED), ["occasion.amount_minor"]),
    ("PreviewEarning", preview_request(trigger=STATED, amount_minor=0, currency=""), ["occasion.stated_points"]),
    ("PreviewEarning", preview_request(years=-1), ["occasion.years"]),
    ("PreviewEarning", preview_request(product="a\nb"), ["occasion.product"]),
    ("PreviewEarning", preview_request(occurred_at=None), ["occasion.occurred_at"]),
    ("RewardOccasion", order_request("c/1"), ["customer_id"]),
    ("RewardOccasion", order_request(amount_minor=-1), ["occasion.minor_units"]),
    ("RewardOccasion", order_request(occurred_at=OUT_OF_RANGE), ["occasion.occurred_at"]),
    (
        "RewardOccasion",
        order_request(trigger=STATED, amount_minor=0, currency="", stated_points=5),
        ["occasion.trigger"],
    ),
    ("BatchRewardOccasions", pb.BatchRewardOccasionsRequest(requests=[order_request()] * 1001), ["requests"]),
    ("ListPendingPoints", pb.ListPendingPointsRequest(customer_id=""), ["customer_id"]),
    ("ListPendingPoints", pb.ListPendingPointsRequest(customer_id="c-1", page_size=-1), ["page_size"]),
    ("RipenPoints", pb.RipenPointsRequest(request_id="r"), ["as_of"]),
    ("RipenPoints", pb.RipenPointsRequest(as_of=to_proto(JANUARY)), ["request_id"]),
    ("RewardAnniversaries", pb.RewardAnniversariesRequest(request_id="r"), ["as_of"]),
    ("RewardAnniversaries", pb.RewardAnniversariesRequest(request_id="a b", as_of=to_proto(JANUARY)), ["request_id"]),
    ("EarnPoints", earn_request(5, earn_class=77), ["earn_class"]),
    ("EarnPoints", earn_request(5, campaign_id="a b"), ["campaign_id"]),
    ("EarnPoints", earn_request(5, campaign_id="c", earn_class=1), ["earn_class"]),
]

UNKNOWN: list[tuple[str, Message, str]] = [
    ("PutEarningRule", put_request(program_id="none"), "PROGRAM_NOT_FOUND"),
    ("EndEarningRule", end_request(rule_id="none"), "EARNING_RULE_NOT_FOUND"),
    ("GetEarningRule", pb.GetEarningRuleRequest(rule_id="none"), "EARNING_RULE_NOT_FOUND"),
    ("PutEarningPolicy", policy_request(program_id="none"), "PROGRAM_NOT_FOUND"),
    ("GetEarningPolicy", pb.GetEarningPolicyRequest(program_id="none"), "PROGRAM_NOT_FOUND"),
    ("PreviewEarning", preview_request("nobody"), "MEMBER_NOT_FOUND"),
    ("PreviewEarning", preview_request(occurred_at=to_proto(JANUARY.replace(year=2025))), "MEMBER_NOT_FOUND"),
    ("RewardOccasion", order_request("nobody"), "MEMBER_NOT_FOUND"),
    ("ListPendingPoints", pb.ListPendingPointsRequest(customer_id="nobody"), "MEMBER_NOT_FOUND"),
]


async def test_bad_input_names_its_field_and_stores_nothing(served: Serving, boss: Stubs) -> None:
    await become_member(boss)
    await refuses_bad_input(served, boss, BAD, UNKNOWN)
    assert methods_of(pb) == {name for name, _, _ in BAD} - {"EarnPoints"}


async def test_a_request_id_that_comes_back_with_another_body_is_refused(boss: Stubs) -> None:
    await become_member(boss)
    first, other = put_request(), order_request()
    await boss.earning.PutEarningRule(first)
    await boss.earning.RewardOccasion(other)
    first.rule.display_name = "Autumn"
    other.occasion.occurred_at.CopyFrom(to_proto(day(3)))
    for name, request in (("PutEarningRule", first), ("RewardOccasion", other)):
        assert (await refused(boss, name, request)).reason == "REQUEST_ID_REUSED"
