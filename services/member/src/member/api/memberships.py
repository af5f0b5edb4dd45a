"""MembershipService: programs, tiers and memberships."""

from typing import Any

from chassis import clock
from chassis.gathering import Gatherer
from chassis.rpc.errors import item_result
from chassis.work import Work, ask
from grpc.aio import ServicerContext
from touchstone.member.v1 import membership_service_pb2 as pb
from touchstone.member.v1 import membership_service_pb2_grpc as pb_grpc

from member.api.rendering import many, one
from member.api.rounds import answer_in_rounds
from member.domain.program import Program
from member.use_cases import memberships, programs, tiers
from member.wire import memberships as wire

_ENROL = many(memberships.enrol_customers, wire.enrolled_to_proto)
_EVALUATE = one(tiers.evaluate_tiers, wire.evaluation_to_proto)


class MembershipApi(pb_grpc.MembershipServiceServicer):
    """The calls of MembershipService."""

    def __init__(self, work: Work) -> None:
        self._work = work
        self._enrolling = Gatherer(work, "enrol_customers", _ENROL, pb.EnrolResponse)

    async def PutProgram(
        self, request: pb.PutProgramRequest, context: ServicerContext[Any, Any]
    ) -> pb.PutProgramResponse:
        def render(program: Program) -> pb.PutProgramResponse:
            return pb.PutProgramResponse(program=wire.program_to_proto(program))

        asked = ask(request, wire.put_program_from_proto(request))
        return await self._work.answer("put_program", asked, one(programs.put_program, render), pb.PutProgramResponse)

    async def GetProgram(
        self, request: pb.GetProgramRequest, context: ServicerContext[Any, Any]
    ) -> pb.GetProgramResponse:
        program_id = wire.program_id_from_proto(request.program_id)
        async with self._work.reading() as connection:
            program = await programs.get_program(connection, program_id)
        return pb.GetProgramResponse(program=wire.program_to_proto(program))

    async def Enrol(self, request: pb.EnrolRequest, context: ServicerContext[Any, Any]) -> pb.EnrolResponse:
        return await self._enrolling.answer(ask(request, wire.enrol_from_proto(request)))

    async def BatchEnrol(
        self, request: pb.BatchEnrolRequest, context: ServicerContext[Any, Any]
    ) -> pb.BatchEnrolResponse:
        results = await self._enrolling.answer_batch(
            request.requests, read=wire.enrol_from_proto, result=item_result(pb.EnrolResult)
        )
        return pb.BatchEnrolResponse(results=results)

    async def GetMember(self, request: pb.GetMemberRequest, context: ServicerContext[Any, Any]) -> pb.GetMemberResponse:
        holder = wire.holder_from_proto(request)
        as_of = wire.instant_from_proto(request) or clock.now()
        async with self._work.reading() as connection:
            standing = await memberships.get_standing(connection, holder, as_of=as_of)
        return pb.GetMemberResponse(member=wire.member_to_proto(standing))

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
