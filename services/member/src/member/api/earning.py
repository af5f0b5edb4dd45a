"""EarningService: rules of earning, what they would give, what they gave, and what ripens."""

from functools import partial
from typing import Any

from chassis import clock
from chassis.calendar import Calendar
from chassis.gathering import Gatherer
from chassis.paging import page_from_request
from chassis.rounds import answer_in_rounds
from chassis.rpc.errors import item_result
from chassis.work import Work, ask
from grpc.aio import ServicerContext
from touchstone.member.v1 import earning_service_pb2 as pb
from touchstone.member.v1 import earning_service_pb2_grpc as pb_grpc

from member.api.rendering import many, one
from member.domain.earning_rule import EarningPolicy, RuleVersion
from member.use_cases import anniversaries, earning_rules, occasions, pending, ripening
from member.wire import earning as wire
from member.wire.memberships import holder_from_proto, instant_from_proto, program_id_from_proto

_RIPEN = one(ripening.ripen_points, wire.ripened_to_proto)


class EarningApi(pb_grpc.EarningServiceServicer):
    """The calls of EarningService."""

    def __init__(self, work: Work, calendar: Calendar) -> None:
        self._work = work
        self._calendar = calendar
        reward = many(partial(occasions.reward_reported, calendar=calendar), wire.rewarded_to_proto)
        self._rewarding = Gatherer(work, "reward_occasion", reward, pb.RewardOccasionResponse)

    async def PutEarningRule(
        self, request: pb.PutEarningRuleRequest, context: ServicerContext[Any, Any]
    ) -> pb.PutEarningRuleResponse:
        def render(version: RuleVersion) -> pb.PutEarningRuleResponse:
            return pb.PutEarningRuleResponse(version=wire.version_to_proto(version))

        asked = ask(request, wire.put_rule_from_proto(request))
        act = one(earning_rules.put_rule, render)
        return await self._work.answer("put_earning_rule", asked, act, pb.PutEarningRuleResponse)

    async def EndEarningRule(
        self, request: pb.EndEarningRuleRequest, context: ServicerContext[Any, Any]
    ) -> pb.EndEarningRuleResponse:
        def render(version: RuleVersion) -> pb.EndEarningRuleResponse:
            return pb.EndEarningRuleResponse(version=wire.version_to_proto(version))

        asked = ask(request, wire.end_rule_from_proto(request))
        act = one(earning_rules.end_rule, render)
        return await self._work.answer("end_earning_rule", asked, act, pb.EndEarningRuleResponse)

    async def GetEarningRule(
        self, request: pb.GetEarningRuleRequest, context: ServicerContext[Any, Any]
    ) -> pb.GetEarningRuleResponse:
        rule_id, version = wire.version_asked_from_proto(request)
        async with self._work.reading() as connection:
            found = await earning_rules.get_rule(connection, rule_id, version)
        return pb.GetEarningRuleResponse(version=wire.version_to_proto(found))

    async def ListEarningRules(
        self, request: pb.ListEarningRulesRequest, context: ServicerContext[Any, Any]
    ) -> pb.ListEarningRulesResponse:
        asked, page = wire.rules_asked_from_proto(request), page_from_request(request)
        async with self._work.reading() as connection:
            found = await earning_rules.list_rules(connection, asked, page)
        shown, token = page.cut(found, lambda version: version.rule.rule_id)
        return pb.ListEarningRulesResponse(rules=map(wire.version_to_proto, shown), next_page_token=token)

    async def PutEarningPolicy(
        self, request: pb.PutEarningPolicyRequest, context: ServicerContext[Any, Any]
    ) -> pb.PutEarningPolicyResponse:
        def render(policy: EarningPolicy) -> pb.PutEarningPolicyResponse:
            return pb.PutEarningPolicyResponse(policy=wire.policy_to_proto(policy))

        asked = ask(request, wire.put_policy_from_proto(request))
        act = one(earning_rules.put_policy, render)
        return await self._work.answer("put_earning_policy", asked, act, pb.PutEarningPolicyResponse)

    async def GetEarningPolicy(
        self, request: pb.GetEarningPolicyRequest, context: ServicerContext[Any, Any]
    ) -> pb.GetEarningPolicyResponse:
        program_id, as_of = program_id_from_proto(request.program_id), instant_from_proto(request) or clock.now()
        async with self._work.reading() as connection:
            found = await earning_rules.get_policy(connection, program_id, as_of)
        return pb.GetEarningPolicyResponse(policy=wire.policy_to_proto(found))

    async def PreviewEarning(
        self, request: pb.PreviewEarningRequest, context: ServicerContext[Any, Any]
    ) -> pb.PreviewEarningResponse:
        holder, occasion = holder_from_proto(request), wire.occasion_from_proto(request.occasion)
        async with self._work.reading() as connection:
            found = await earning_rules.preview_occasion(connection, holder, occasion, self._calendar)
        return wire.preview_to_proto(found, occasion)

    async def RewardOccasion(
        self, request: pb.RewardOccasionRequest, context: ServicerContext[Any, Any]
    ) -> pb.RewardOccasionResponse:
        return await self._rewarding.answer(ask(request, wire.reported_from_proto(request)))

    async def BatchRewardOccasions(
        self, request: pb.BatchRewardOccasionsRequest, context: ServicerContext[Any, Any]
    ) -> pb.BatchRewardOccasionsResponse:
        results = await self._rewarding.answer_batch(
            request.requests, read=wire.reported_from_proto, result=item_result(pb.RewardOccasionResult)
        )
        return pb.BatchRewardOccasionsResponse(results=results)

    async def ListPendingPoints(
        self, request: pb.ListPendingPointsRequest, context: ServicerContext[Any, Any]
    ) -> pb.ListPendingPointsResponse:
        holder, page = holder_from_proto(request), page_from_request(request)
        async with self._work.reading() as connection:
            found = await pending.list_pending(connection, holder, page)
        shown, token = page.cut(found, pending.page_key)
        return pb.ListPendingPointsResponse(pending=map(wire.pending_to_proto, shown), next_page_token=token)

    async def RipenPoints(
        self, request: pb.RipenPointsRequest, context: ServicerContext[Any, Any]
    ) -> pb.RipenPointsResponse:
        asked = ask(request, wire.as_of_from_proto(request))
        total = pb.RipenPointsResponse()
        async for done in answer_in_rounds(
            self._work, "ripen_points", asked=asked, act=_RIPEN, reply_type=pb.RipenPointsResponse
        ):
            if done.entries == 0:
                break
            total.entries += done.entries
            total.points += done.points
        return total

    async def RewardAnniversaries(
        self, request: pb.RewardAnniversariesRequest, context: ServicerContext[Any, Any]
    ) -> pb.RewardAnniversariesResponse:
        asked = ask(request, wire.as_of_from_proto(request))
        act = one(partial(anniversaries.reward_anniversaries, calendar=self._calendar), wire.anniversaries_to_proto)
        total = pb.RewardAnniversariesResponse()
        async for done in answer_in_rounds(
            self._work, "reward_anniversaries", asked=asked, act=act, reply_type=pb.RewardAnniversariesResponse
        ):
            if not done.members and not done.days:
                break
            total.members += done.members
            total.points += done.points
            total.days += done.days
        return total
