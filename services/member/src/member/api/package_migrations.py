"""PackageMigrationService: plans that make members of package customers, and runs that apply them."""

from typing import Any

from chassis.calendar import Calendar
from chassis.errors import InvalidArgument
from chassis.paging import page_from_request
from chassis.rounds import answer_in_rounds
from chassis.times import from_proto
from chassis.work import Transaction, Work, ask
from grpc.aio import ServicerContext
from touchstone.member.v1 import package_migration_service_pb2 as pb
from touchstone.member.v1 import package_migration_service_pb2_grpc as pb_grpc

from member.api.rendering import one
from member.use_cases import package_migrations as runs
from member.use_cases import package_plans as plans
from member.wire import package_migrations as wire

_PUT = one(plans.put_plan, wire.put_plan_to_proto)
_START = one(runs.start_run, wire.started_to_proto)
_UNDO = one(runs.undo_run, wire.undoing_to_proto)


class PackageMigrationApi(pb_grpc.PackageMigrationServiceServicer):
    """The calls of PackageMigrationService."""

    def __init__(self, work: Work, calendar: Calendar) -> None:
        self._work = work
        self._calendar = calendar

    async def PutMigrationPlan(
        self, request: pb.PutMigrationPlanRequest, context: ServicerContext[Any, Any]
    ) -> pb.PutMigrationPlanResponse:
        asked = ask(request, wire.put_plan_from_proto(request))
        return await self._work.answer("put_migration_plan", asked, _PUT, pb.PutMigrationPlanResponse)

    async def GetMigrationPlan(
        self, request: pb.GetMigrationPlanRequest, context: ServicerContext[Any, Any]
    ) -> pb.GetMigrationPlanResponse:
        plan_id, version = wire.plan_id_from_proto(request.plan_id), wire.version_from_proto(request.version)
        async with self._work.reading() as connection:
            plan = await plans.get_plan(connection, plan_id, version)
        return pb.GetMigrationPlanResponse(plan=wire.plan_to_proto(plan))

    async def ListMigrationPlans(
        self, request: pb.ListMigrationPlansRequest, context: ServicerContext[Any, Any]
    ) -> pb.ListMigrationPlansResponse:
        page = page_from_request(request)
        async with self._work.reading() as connection:
            found = await plans.list_plans(connection, page)
        shown, token = page.cut(found, lambda one: one.plan_id)
        return pb.ListMigrationPlansResponse(plans=[wire.plan_to_proto(plan) for plan in shown], next_page_token=token)

    async def ValidateMigrationPlan(
        self, request: pb.ValidateMigrationPlanRequest, context: ServicerContext[Any, Any]
    ) -> pb.ValidateMigrationPlanResponse:
        try:
            plan = wire.plan_from_proto(request.plan)
        except InvalidArgument as refusal:
            return wire.problems_to_proto(list(refusal.violations))
        async with self._work.reading() as connection:
            return wire.problems_to_proto(await plans.validate_plan(connection, plan))

    async def DryRunMigration(
        self, request: pb.DryRunMigrationRequest, context: ServicerContext[Any, Any]
    ) -> pb.DryRunMigrationResponse:
        as_of = from_proto(request.as_of, "as_of")
        async with self._work.reading() as connection:
            if request.HasField("plan"):
                plan = wire.plan_from_proto(request.plan)
            else:
                plan_id, version = wire.plan_id_from_proto(request.plan_id), wire.version_from_proto(request.version)
                plan = await plans.get_plan(connection, plan_id, version)
            command = plans.DryRun(plan, as_of, request.samples)
            return wire.tried_to_proto(await plans.dry_run(connection, command, self._calendar))

    async def StartMigration(
        self, request: pb.StartMigrationRequest, context: ServicerContext[Any, Any]
    ) -> pb.StartMigrationResponse:
        asked = ask(request, wire.start_from_proto(request))
        return await self._work.answer("start_migration", asked, _START, pb.StartMigrationResponse)

    async def AdvanceMigration(
        self, request: pb.AdvanceMigrationRequest, context: ServicerContext[Any, Any]
    ) -> pb.AdvanceMigrationResponse:
        advance = wire.advance_from_proto(request)

        async def act(transaction: Transaction, command: runs.AdvanceRun) -> pb.AdvanceMigrationResponse:
            return wire.advanced_to_proto(await runs.advance_run(transaction, command, self._calendar))

        total, rounds = pb.AdvanceMigrationResponse(), 0
        async for done in answer_in_rounds(
            self._work,
            "advance_migration",
            asked=ask(request, runs.AdvanceRun(advance.run_id)),
            act=act,
            reply_type=pb.AdvanceMigrationResponse,
        ):
            rounds += 1
            total.done += done.done
            total.state = done.state
            if rounds == advance.rounds or done.done < runs.CUSTOMERS_PER_ROUND:
                break
        return total

    async def GetMigrationRun(
        self, request: pb.GetMigrationRunRequest, context: ServicerContext[Any, Any]
    ) -> pb.GetMigrationRunResponse:
        run_id = wire.run_id_from_proto(request.run_id)
        async with self._work.reading() as connection:
            progress = await runs.get_run(connection, run_id)
        return pb.GetMigrationRunResponse(run=wire.progress_to_proto(progress))

    async def ListMigrationRuns(
        self, request: pb.ListMigrationRunsRequest, context: ServicerContext[Any, Any]
    ) -> pb.ListMigrationRunsResponse:
        page = page_from_request(request)
        async with self._work.reading() as connection:
            found = await runs.list_runs(connection, page)
        shown, token = page.cut(found, lambda one: one.run_id)
        return pb.ListMigrationRunsResponse(runs=[wire.run_to_proto(run) for run in shown], next_page_token=token)

    async def ListMigrationMoves(
        self, request: pb.ListMigrationMovesRequest, context: ServicerContext[Any, Any]
    ) -> pb.ListMigrationMovesResponse:
        run_id, only = wire.run_id_from_proto(request.run_id), wire.move_filter_from_proto(request)
        page = page_from_request(request)
        async with self._work.reading() as connection:
            found = await runs.list_moves(connection, run_id, only, page)
        shown, token = page.cut(found, lambda one: one.customer_id)
        return pb.ListMigrationMovesResponse(moves=[wire.move_to_proto(move) for move in shown], next_page_token=token)

    async def UndoMigration(
        self, request: pb.UndoMigrationRequest, context: ServicerContext[Any, Any]
    ) -> pb.UndoMigrationResponse:
        asked = ask(request, wire.undo_from_proto(request))
        return await self._work.answer("undo_migration", asked, _UNDO, pb.UndoMigrationResponse)
