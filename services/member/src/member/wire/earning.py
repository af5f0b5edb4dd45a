"""Earning rules, occasions and what they give between protobuf and the domain, and events that are rewarded."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from chassis import times
from chassis.auth import current_caller
from chassis.errors import InvalidArgument
from chassis.ids import check_id
from chassis.money import Money
from google.protobuf.timestamp_pb2 import Timestamp
from touchstone.member.v1 import earning_pb2
from touchstone.member.v1 import earning_service_pb2 as pb

from member.domain.earning import Considered, Occasion, Part, Verdict
from member.domain.earning_rule import (
    PAID,
    STATED,
    Amount,
    AsStated,
    Caps,
    Conditions,
    EarningPolicy,
    EarningRule,
    Fixed,
    Multiplier,
    Rate,
    Rounding,
    RuleId,
    RuleVersion,
    Stacking,
    Trigger,
)
from member.domain.pending import PendingPoints
from member.domain.points import check_points
from member.domain.program import GENERAL, ProgramId, TierId
from member.use_cases.anniversaries import Anniversaries
from member.use_cases.earning_rules import EndRule, Preview, PutPolicy, PutRule, RulesAsked
from member.use_cases.occasions import ReportedOccasion, Rewarded
from member.use_cases.ripening import Ripened
from member.wire.earned import earn_class_from_proto, name_from_proto, name_to_proto
from member.wire.memberships import holder_from_proto, program_id_from_proto
from member.wire.points import transaction_id_of


def put_rule_from_proto(request: pb.PutEarningRuleRequest) -> PutRule:
    """The rule to put, or InvalidArgument naming every field that is wrong."""
    rule = request.rule
    return PutRule(
        EarningRule(
            rule_id=rule_id_from_proto("rule.rule_id", rule.rule_id),
            program_id=_under_rule(rule.program_id),
            display_name=rule.display_name,
            earn_class=earn_class_from_proto("rule.earn_class", rule.earn_class),
            trigger=trigger_from_proto("rule.trigger", rule.trigger),
            amount=_amount_from_proto(rule),
            conditions=_conditions_from_proto(rule.conditions),
            caps=Caps(rule.caps.member_day or None, rule.caps.member_month or None, rule.caps.total or None),
            cooling_days=rule.cooling_days,
            lifetime_days=rule.lifetime_days if rule.HasField("lifetime_days") else None,
            campaign_id=check_id("rule.campaign_id", rule.campaign_id) if rule.campaign_id else "",
        ),
        acts_from=times.from_proto(request.acts_from, "acts_from"),
        put_by=current_caller().subject,
    )


def end_rule_from_proto(request: pb.EndEarningRuleRequest) -> EndRule:
    """The rule to end, or InvalidArgument."""
    return EndRule(
        rule_id_from_proto("rule_id", request.rule_id),
        times.from_proto(request.ends_at, "ends_at"),
        put_by=current_caller().subject,
    )


def version_asked_from_proto(request: pb.GetEarningRuleRequest) -> tuple[RuleId, int | None]:
    """The rule and the version asked for, None for the last, or InvalidArgument."""
    if request.version < 0:
        raise InvalidArgument("version", "must be 0 or more")
    return rule_id_from_proto("rule_id", request.rule_id), request.version or None


def rules_asked_from_proto(request: pb.ListEarningRulesRequest) -> RulesAsked:
    """Which rules are asked for, or InvalidArgument."""
    return RulesAsked(
        program_id_from_proto(request.program_id),
        trigger_from_proto("trigger", request.trigger) if request.trigger else None,
        times.from_proto(request.in_force_at, "in_force_at") if request.HasField("in_force_at") else None,
    )


def put_policy_from_proto(request: pb.PutEarningPolicyRequest) -> PutPolicy:
    """The policy to set, or InvalidArgument."""
    policy = request.policy
    currency = Money(0, policy.currency).checked("policy").currency if policy.currency else ""
    return PutPolicy(
        EarningPolicy(
            program_id_from_proto(policy.program_id),
            times.from_proto(policy.acts_from, "policy.acts_from"),
            currency=currency,
            most_basis_points=policy.most_basis_points,
            put_by=current_caller().subject,
        )
    )


def occasion_from_proto(occasion: earning_pb2.EarningOccasion) -> Occasion:
    """Something that may earn points, or InvalidArgument naming the field under `occasion` that is wrong."""
    trigger = trigger_from_proto("occasion.trigger", occasion.trigger)
    if trigger in PAID:
        Money(occasion.amount_minor, occasion.currency).positive("occasion")
    elif occasion.amount_minor or occasion.currency:
        raise InvalidArgument("occasion.amount_minor", "is for recharges and orders")
    if trigger in STATED:
        check_points("occasion.stated_points", occasion.stated_points)
    elif occasion.stated_points:
        raise InvalidArgument("occasion.stated_points", "is for tasks, activities and campaigns")
    if occasion.years < 0:
        raise InvalidArgument("occasion.years", "must be 0 or more")
    return Occasion(
        trigger,
        times.from_proto(occasion.occurred_at, "occasion.occurred_at"),
        amount_minor=occasion.amount_minor,
        currency=occasion.currency,
        stated_points=occasion.stated_points,
        product=_optional_id("occasion.product", occasion.product),
        product_family=_optional_id("occasion.product_family", occasion.product_family),
        channel=_optional_id("occasion.channel", occasion.channel),
        subject=_optional_id("occasion.subject", occasion.subject),
        campaign_id=_optional_id("occasion.campaign_id", occasion.campaign_id),
        years=occasion.years,
    )


def reported_from_proto(request: pb.RewardOccasionRequest) -> ReportedOccasion:
    """An occasion to reward, or InvalidArgument."""
    occasion = occasion_from_proto(request.occasion)
    if occasion.trigger not in PAID | {Trigger.OCCASION}:
        raise InvalidArgument("occasion.trigger", "must be a recharge, an order or an occasion of care")
    return ReportedOccasion(
        transaction_id_of("reward_occasion", request.request_id), holder_from_proto(request), occasion
    )


def as_of_from_proto(request: pb.RipenPointsRequest | pb.RewardAnniversariesRequest) -> datetime:
    """Until when to work, or InvalidArgument."""
    return times.from_proto(request.as_of, "as_of")


def version_to_proto(version: RuleVersion) -> earning_pb2.EarningRuleVersion:
    """A version of a rule."""
    return earning_pb2.EarningRuleVersion(
        rule=_rule_to_proto(version.rule),
        version=version.version,
        acts_from=times.to_proto(version.acts_from),
        acts_to=times.to_proto(version.acts_to) if version.acts_to else None,
        ended=version.ended,
        put_by=version.put_by,
        recorded_at=times.to_proto(version.recorded_at),
    )


def policy_to_proto(policy: EarningPolicy) -> earning_pb2.EarningPolicy:
    """A policy; one that nobody put has no instant."""
    return earning_pb2.EarningPolicy(
        program_id=policy.program_id,
        acts_from=times.to_proto(policy.acts_from) if policy.version else None,
        currency=policy.currency,
        most_basis_points=policy.most_basis_points,
        version=policy.version,
        put_by=policy.put_by,
    )


def preview_to_proto(preview: Preview, occasion: Occasion) -> pb.PreviewEarningResponse:
    """What an occasion would give."""
    left = iter(preview.parts)
    considered = [_considered_to_proto(each, left, occasion) for each in preview.considered]
    return pb.PreviewEarningResponse(
        tier_id=preview.tier_id,
        points=sum(each.points for each in considered if not each.HasField("ripens_at")),
        pending_points=sum(each.points for each in considered if each.HasField("ripens_at")),
        considered=considered,
    )


def rewarded_to_proto(rewarded: Rewarded) -> pb.RewardOccasionResponse:
    """What an occasion gave."""
    return pb.RewardOccasionResponse(
        points=rewarded.points,
        transaction_ids=[posted.source for posted in rewarded.posted],
        parts=[part_to_proto(part) for part in rewarded.plan.parts],
        pending=[pending_to_proto(pending) for pending in rewarded.pending],
    )


def ripened_to_proto(ripened: Ripened) -> pb.RipenPointsResponse:
    """What one round booked."""
    return pb.RipenPointsResponse(entries=ripened.entries, points=ripened.points)


def anniversaries_to_proto(done: Anniversaries) -> pb.RewardAnniversariesResponse:
    """What one round gave."""
    return pb.RewardAnniversariesResponse(members=done.members, points=done.points, days=done.days)


def part_to_proto(part: Part) -> earning_pb2.EarnedPart:
    """What one rule gave."""
    return earning_pb2.EarnedPart(rule_id=part.name, version=part.version, points=part.points, cut=part.cut)


def pending_to_proto(pending: PendingPoints) -> earning_pb2.PendingPoints:
    """Points that ripen."""
    rule_id, _, version = pending.rule_id.partition("@")
    return earning_pb2.PendingPoints(
        transaction_id=pending.transaction_id,
        points=pending.left,
        earned_at=times.to_proto(pending.earned_at),
        ripens_at=times.to_proto(pending.ripens_at),
        reason=pending.reason,
        rule_id=rule_id,
        version=int(version or 0),
    )


def trigger_from_proto(field: str, trigger: int) -> Trigger:
    """What makes a member earn, or InvalidArgument naming the field."""
    return Trigger(name_from_proto(field, earning_pb2.EarnTrigger, trigger))


def rule_id_from_proto(field: str, rule_id: str) -> RuleId:
    """A rule's id, or InvalidArgument naming the field."""
    return RuleId(check_id(field, rule_id))


def _amount_from_proto(rule: earning_pb2.EarningRule) -> Amount:
    match rule.WhichOneof("amount"):
        case "rate":
            rounding = name_from_proto("rule.rate.rounding", earning_pb2.EarnRounding, rule.rate.rounding or 1)
            return Rate(rule.rate.points, Rounding(rounding))
        case "multiplier":
            stacking = rule.multiplier.stacking or 1
            name = name_from_proto("rule.multiplier.stacking", earning_pb2.EarnStacking, stacking)
            return Multiplier(rule.multiplier.basis_points, Stacking(name))
        case "fixed":
            return Fixed(rule.fixed.points)
        case "as_stated":
            return AsStated()
        case _:
            raise InvalidArgument("rule.amount", "is required: a rate, a multiplier, fixed points, or what is stated")


def _conditions_from_proto(where: earning_pb2.EarnConditions) -> Conditions:
    return Conditions(
        tiers=tuple(TierId(tier) for tier in where.tiers),
        products=tuple(where.products),
        product_families=tuple(where.product_families),
        channels=tuple(where.channels),
        subjects=tuple(where.subjects),
        days_of_week=tuple(where.days_of_week),
        from_hour=where.from_hour,
        to_hour=where.to_hour,
        minimum_minor=where.minimum_minor,
        every_years=where.every_years,
        valid_from=_optional_instant("rule.conditions.valid_from", where.valid_from),
        valid_to=_optional_instant("rule.conditions.valid_to", where.valid_to),
    )


def _rule_to_proto(rule: EarningRule) -> earning_pb2.EarningRule:
    message = earning_pb2.EarningRule(
        rule_id=rule.rule_id,
        program_id=rule.program_id,
        display_name=rule.display_name,
        earn_class=name_to_proto(earning_pb2.EarnClass, rule.earn_class),
        trigger=name_to_proto(earning_pb2.EarnTrigger, rule.trigger),
        conditions=_conditions_to_proto(rule.conditions),
        caps=earning_pb2.EarnCaps(
            member_day=rule.caps.member_day or 0, member_month=rule.caps.member_month or 0, total=rule.caps.total or 0
        ),
        cooling_days=rule.cooling_days,
        lifetime_days=rule.lifetime_days,
        campaign_id=rule.campaign_id,
    )
    _put_amount(message, rule.amount)
    return message


def _put_amount(message: earning_pb2.EarningRule, amount: Amount) -> None:
    match amount:
        case Rate(points, rounding):
            rate = earning_pb2.EarnRate(points=points, rounding=name_to_proto(earning_pb2.EarnRounding, rounding))
            message.rate.CopyFrom(rate)
        case Multiplier(basis_points, stacking):
            message.multiplier.CopyFrom(
                earning_pb2.EarnMultiplier(
                    basis_points=basis_points, stacking=name_to_proto(earning_pb2.EarnStacking, stacking)
                )
            )
        case Fixed(points):
            message.fixed.points = points
        case AsStated():
            message.as_stated.SetInParent()


def _conditions_to_proto(where: Conditions) -> earning_pb2.EarnConditions:
    return earning_pb2.EarnConditions(
        tiers=where.tiers,
        products=where.products,
        product_families=where.product_families,
        channels=where.channels,
        subjects=where.subjects,
        days_of_week=where.days_of_week,
        from_hour=where.from_hour,
        to_hour=where.to_hour,
        minimum_minor=where.minimum_minor,
        every_years=where.every_years,
        valid_from=times.to_proto(where.valid_from) if where.valid_from else None,
        valid_to=times.to_proto(where.valid_to) if where.valid_to else None,
    )


def _considered_to_proto(each: Considered, parts: Iterator[Part], occasion: Occasion) -> earning_pb2.ConsideredRule:
    """A rule that was looked at; `parts` come in the order of the rules that apply."""
    rule = each.rule.rule if each.rule else None
    part = next(parts) if each.verdict is Verdict.APPLIED else None
    verdict = Verdict.CAP_REACHED if part and not part.points else each.verdict
    cools = part is not None and rule is not None and rule.cooling_days > 0
    days = timedelta(days=rule.cooling_days if rule else 0)
    return earning_pb2.ConsideredRule(
        rule_id=rule.rule_id if rule else each.name,
        version=each.rule.version if each.rule else each.version,
        display_name=rule.display_name if rule else "",
        verdict=name_to_proto(earning_pb2.EarnVerdict, verdict),
        points=part.points if part else 0,
        cut=part.cut if part else 0,
        ripens_at=times.to_proto(occasion.occurred_at + days) if cools else None,
    )


def _under_rule(program_id: str) -> ProgramId:
    return ProgramId(check_id("rule.program_id", program_id)) if program_id else GENERAL


def _optional_id(field: str, value: str) -> str:
    return check_id(field, value) if value else ""


def _optional_instant(field: str, instant: Timestamp) -> datetime | None:
    return times.from_proto(instant, field) if instant.ByteSize() else None
