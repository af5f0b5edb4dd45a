"""MembershipService: memberships and their tiers; what concerns programs stands in `ProgramCalls`."""

from typing import Any

from chassis import clock
from chassis.gathering import Gatherer
from chassis.paging import page_from_request
from chassis.rounds import answer_in_rounds
from chassis.rpc.errors import item_result
from chassis.work import Work, ask
from grpc.aio import ServicerContext
from touchstone.member.v1 import membership_service_pb2 as pb

from member.api.programs import ProgramCalls
from member.api.rendering import many, one
from member.use_cases import memberships, outlook, programs, tiers
from member.wire import leaving
from member.wire import memberships as wire
from member.wire.customers import customer_id_from_proto

_ENROL = many(memberships.enrol_customers, wire.enrolled_to_proto)
_LEAVE = one(memberships.leave_program, leaving.left_to_proto)
_EVALUATE = one(tiers.evaluate_tiers, wire.evaluation_to_proto)
_WARN = one(outlook.warn_downgrades, wire.warnings_to_proto)


class MembershipApi(ProgramCalls):
    """The calls of MembershipService."""

    def __init__(self, work: Work, zone: str) -> None:
        super().__init__(work, zone)
        self._enrolling = Gatherer(work, "enrol_customers", _ENROL, pb.EnrolResponse)

    async def Enrol(self, request: pb.EnrolRequest, context: ServicerContext[Any, Any]) -> pb.EnrolResponse:
        return await self._enrolling.answer(ask(request, wire.enrol_from_proto(request)))

    async def BatchEnrol(
        self, request: pb.BatchEnrolRequest, context: ServicerContext[Any, Any]
    ) -> pb.BatchEnrolResponse:
        results = await self._enrolling.answer_batch(
            request.requests, read=wire.enrol_from_proto, result=item_result(pb.EnrolResult)
        )
        return pb.BatchEnrolResponse(results=results)

    async def Leave(self, request: pb.LeaveRequest, context: ServicerContext[Any, Any]) -> pb.LeaveResponse:
        asked = ask(request, leaving.leave_from_proto(request))
        return await self._work.answer("leave", asked, _LEAVE, pb.LeaveResponse)

    async def GetMember(self, request: pb.GetMemberRequest, context: ServicerContext[Any, Any]) -> pb.GetMemberResponse:
        holder = wire.holder_from_proto(request)
        as_of = wire.instant_from_proto(request) or clock.now()
        async with self._work.reading() as connection:
            standing = await memberships.get_standing(connection, holder, as_of=as_of)
        return pb.GetMemberResponse(member=wire.member_to_proto(standing))

    async def ListMemberships(
        self, request: pb.ListMembershipsRequest, context: ServicerContext[Any, Any]
    ) -> pb.ListMembershipsResponse:
        customer_id = customer_id_from_proto(request.customer_id)
        as_of = wire.instant_from_proto(request) or clock.now()
        async with self._work.reading() as connection:
            found = await memberships.list_memberships(connection, customer_id, as_of=as_of)
        return pb.ListMembershipsResponse(members=[wire.member_to_proto(standing) for standing in found])

    async def ListMembers(
        self, request: pb.ListMembersRequest, context: ServicerContext[Any, Any]
    ) -> pb.ListMembersResponse:
        program_id = wire.program_id_from_proto(request.program_id)
        tier_id, page = wire.tier_id_from_proto(request.tier_id), page_from_request(request)
        async with self._work.reading() as connection:
            found = await memberships.list_members(connection, program_id, tier_id, page)
        shown, token = page.cut(found, lambda member: member.member_id)
        return pb.ListMembersResponse(
            members=[wire.member_summary_to_proto(member) for member in shown], next_page_token=token
        )

    async def ListTierHistory(
        self, request: pb.ListTierHistoryRequest, context: ServicerContext[Any, Any]
    ) -> pb.ListTierHistoryResponse:
        holder, page = wire.holder_from_proto(request), page_from_request(request)
        async with self._work.reading() as connection:
            found = await memberships.list_history(connection, holder, page)
        shown, token = page.cut(found, lambda held: str(held.revision))
        return pb.ListTierHistoryResponse(
            tiers=[wire.tier_held_to_proto(held) for held in shown], next_page_token=token
        )

    async def ForecastTier(
        self, request: pb.ForecastTierRequest, context: ServicerContext[Any, Any]
    ) -> pb.ForecastTierResponse:
        holder = wire.holder_from_proto(request)
        as_of = wire.instant_from_proto(request) or clock.now()
        async with self._work.reading() as connection:
            return wire.forecast_to_proto(await outlook.forecast_tier(connection, holder, as_of=as_of))

    async def CountMembers(
        self, request: pb.CountMembersRequest, context: ServicerContext[Any, Any]
    ) -> pb.CountMembersResponse:
        program_id = wire.program_id_from_proto(request.program_id)
        async with self._work.reading() as connection:
            return wire.counts_to_proto(await programs.count_members(connection, program_id))

    async def EvaluateTiers(
        self, request: pb.EvaluateTiersRequest, context: ServicerContext[Any, Any]
    ) -> pb.EvaluateTiersResponse:
        asked = ask(request, wire.evaluate_from_proto(request))
        total = pb.EvaluateTiersResponse()
        async for done in answer_in_rounds(
            self._work, "evaluate_tiers", asked=asked, act=_EVALUATE, reply_type=pb.EvaluateTiersResponse
        ):
            total.evaluated += done.evaluated
            total.upgraded += done.upgraded
            total.downgraded += done.downgraded
            if done.evaluated < asked.command.most:
                break
        return total

    async def WarnDowngrades(
        self, request: pb.WarnDowngradesRequest, context: ServicerContext[Any, Any]
    ) -> pb.WarnDowngradesResponse:
        asked = ask(request, wire.warn_from_proto(request))
        total = pb.WarnDowngradesResponse()
        async for done in answer_in_rounds(
            self._work, "warn_downgrades", asked=asked, act=_WARN, reply_type=pb.WarnDowngradesResponse
        ):
            total.examined += done.examined
            total.warned += done.warned
            if done.examined < asked.command.most:
                break
        return total
