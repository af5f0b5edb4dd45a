"""The calls of MembershipService about programs: versions, which of them is in force, and what one would change."""

from typing import Any

from chassis import times
from chassis.errors import InvalidArgument
from chassis.paging import encode_token, page_from_request
from chassis.work import Work, ask
from grpc.aio import ServicerContext
from touchstone.member.v1 import membership_service_pb2 as pb
from touchstone.member.v1 import membership_service_pb2_grpc as pb_grpc

from member.api.rendering import one
from member.domain.program import Program
from member.use_cases import outlook, programs
from member.wire import memberships as memberships_wire
from member.wire import programs as wire

_DRAFT = one(programs.draft_program, wire.drafted_to_proto)
_ACTIVATE = one(programs.activate_program, wire.activated_to_proto)
_BEGIN = one(programs.begin_activations, lambda begun: pb.BeginActivationsResponse(begun=begun))


class ProgramCalls(pb_grpc.MembershipServiceServicer):
    """Programs and their versions; `zone` is the operator's time zone, for programs that name none."""

    def __init__(self, work: Work, zone: str) -> None:
        self._work = work
        self._zone = zone

    async def PutProgram(
        self, request: pb.PutProgramRequest, context: ServicerContext[Any, Any]
    ) -> pb.PutProgramResponse:
        def render(program: Program) -> pb.PutProgramResponse:
            return pb.PutProgramResponse(program=wire.program_to_proto(program))

        asked = ask(request, wire.put_program_from_proto(request, self._zone))
        return await self._work.answer("put_program", asked, one(programs.put_program, render), pb.PutProgramResponse)

    async def DraftProgram(
        self, request: pb.DraftProgramRequest, context: ServicerContext[Any, Any]
    ) -> pb.DraftProgramResponse:
        asked = ask(request, wire.draft_from_proto(request, self._zone))
        return await self._work.answer("draft_program", asked, _DRAFT, pb.DraftProgramResponse)

    async def ValidateProgram(
        self, request: pb.ValidateProgramRequest, context: ServicerContext[Any, Any]
    ) -> pb.ValidateProgramResponse:
        try:
            program = wire.program_from_proto(request.program, self._zone)
        except InvalidArgument as refusal:
            return wire.violations_to_proto(refusal.violations)
        async with self._work.reading() as connection:
            return wire.violations_to_proto(await programs.validate_program(connection, program))

    async def ActivateProgram(
        self, request: pb.ActivateProgramRequest, context: ServicerContext[Any, Any]
    ) -> pb.ActivateProgramResponse:
        asked = ask(request, wire.activate_from_proto(request))
        return await self._work.answer("activate_program", asked, _ACTIVATE, pb.ActivateProgramResponse)

    async def GetProgram(
        self, request: pb.GetProgramRequest, context: ServicerContext[Any, Any]
    ) -> pb.GetProgramResponse:
        program_id = memberships_wire.program_id_from_proto(request.program_id)
        version = wire.version_or_active_from_proto("version", request.version)
        async with self._work.reading() as connection:
            program = await programs.get_program(connection, program_id, version)
        return pb.GetProgramResponse(program=wire.program_to_proto(program))

    async def DiffPrograms(
        self, request: pb.DiffProgramsRequest, context: ServicerContext[Any, Any]
    ) -> pb.DiffProgramsResponse:
        program_id = wire.named_program_from_proto(request.program_id)
        before = wire.version_or_active_from_proto("from_version", request.from_version)
        after = wire.version_or_active_from_proto("to_version", request.to_version)
        async with self._work.reading() as connection:
            changes = await programs.diff_programs(connection, program_id, before, after)
        return pb.DiffProgramsResponse(changes=changes)

    async def ListProgramVersions(
        self, request: pb.ListProgramVersionsRequest, context: ServicerContext[Any, Any]
    ) -> pb.ListProgramVersionsResponse:
        program_id, page = wire.named_program_from_proto(request.program_id), page_from_request(request)
        async with self._work.reading() as connection:
            found = await programs.list_versions(connection, program_id, page)
        shown, token = page.cut(found, lambda version: str(version.program.revision))
        return pb.ListProgramVersionsResponse(
            versions=[wire.version_to_proto(version) for version in shown], next_page_token=token
        )

    async def ListProgramActivations(
        self, request: pb.ListProgramActivationsRequest, context: ServicerContext[Any, Any]
    ) -> pb.ListProgramActivationsResponse:
        program_id, page = wire.named_program_from_proto(request.program_id), page_from_request(request)
        async with self._work.reading() as connection:
            found = await programs.list_activations(connection, program_id, page)
        shown, token = page.cut(found, lambda activation: str(activation.sequence))
        return pb.ListProgramActivationsResponse(
            activations=[wire.activation_to_proto(activation) for activation in shown], next_page_token=token
        )

    async def PreviewProgram(
        self, request: pb.PreviewProgramRequest, context: ServicerContext[Any, Any]
    ) -> pb.PreviewProgramResponse:
        page = page_from_request(request, size_max=memberships_wire.PREVIEWED_MAX)
        command = memberships_wire.preview_from_proto(request, page.after)
        async with self._work.reading() as connection:
            preview = await outlook.preview_program(connection, command)
        token = encode_token(preview.last) if preview.judged == command.most else ""
        return memberships_wire.preview_to_proto(preview, token)

    async def BeginActivations(
        self, request: pb.BeginActivationsRequest, context: ServicerContext[Any, Any]
    ) -> pb.BeginActivationsResponse:
        asked = ask(request, times.from_proto(request.as_of, "as_of"))
        return await self._work.answer("begin_activations", asked, _BEGIN, pb.BeginActivationsResponse)
