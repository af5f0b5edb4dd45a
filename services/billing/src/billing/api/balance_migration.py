"""BalanceMigrationService: plans, the balances loaded for them, and runs."""

from typing import Any

import grpc
from chassis.calendar import Calendar
from chassis.paging import page_from_request
from chassis.work import Transaction, Work, ask
from touchstone.billing.v1 import balance_migration_service_pb2 as pb
from touchstone.billing.v1.balance_migration_service_pb2_grpc import BalanceMigrationServiceServicer

from billing.api.acting import rendered
from billing.api.rounds import total_of_rounds
from billing.domain.balance_migration import MigrationRunId
from billing.use_cases import balance_migration as use_cases
from billing.wire import balance_migration as wire

Context = grpc.aio.ServicerContext[Any, Any]

_PUTTING = rendered(use_cases.put_plan, wire.put_to_proto)
_LOADING = rendered(use_cases.load_balances, wire.loaded_to_proto)
_STARTING = rendered(use_cases.start_run, wire.started_to_proto)
_UNDOING = rendered(use_cases.undo_run, wire.undoing_to_proto)


class BalanceMigrationApi(BalanceMigrationServiceServicer):
    """A run goes on by itself; AdvanceBalanceMigration only hurries it."""

    def __init__(self, work: Work, calendar: Calendar) -> None:
        self._work = work
        self._calendar = calendar

    async def PutBalanceMigrationPlan(
        self, request: pb.PutBalanceMigrationPlanRequest, context: Context
    ) -> pb.PutBalanceMigrationPlanResponse:
        asked = ask(request, wire.plan_from_proto(request.plan))
        return await self._work.answer(
            "put_balance_migration_plan", asked, _PUTTING, pb.PutBalanceMigrationPlanResponse
        )

    async def GetBalanceMigrationPlan(
        self, request: pb.GetBalanceMigrationPlanRequest, context: Context
    ) -> pb.GetBalanceMigrationPlanResponse:
        plan_id = wire.plan_id_from_proto(request.plan_id)
        async with self._work.reading() as connection:
            plan = await use_cases.get_plan(connection, plan_id)
        return pb.GetBalanceMigrationPlanResponse(plan=wire.plan_to_proto(plan))

    async def LoadEarmarkedBalances(
        self, request: pb.LoadEarmarkedBalancesRequest, context: Context
    ) -> pb.LoadEarmarkedBalancesResponse:
        asked = ask(request, wire.load_from_proto(request))
        return await self._work.answer("load_earmarked_balances", asked, _LOADING, pb.LoadEarmarkedBalancesResponse)

    async def StartBalanceMigration(
        self, request: pb.StartBalanceMigrationRequest, context: Context
    ) -> pb.StartBalanceMigrationResponse:
        asked = ask(request, wire.start_from_proto(request))
        return await self._work.answer("start_balance_migration", asked, _STARTING, pb.StartBalanceMigrationResponse)

    async def GetBalanceMigration(
        self, request: pb.GetBalanceMigrationRequest, context: Context
    ) -> pb.GetBalanceMigrationResponse:
        run_id = wire.run_id_from_proto(request.run_id)
        async with self._work.reading() as connection:
            progress = await use_cases.get_run(connection, run_id)
        return pb.GetBalanceMigrationResponse(run=wire.run_to_proto(progress))

    async def ListBalanceMigrationItems(
        self, request: pb.ListBalanceMigrationItemsRequest, context: Context
    ) -> pb.ListBalanceMigrationItemsResponse:
        page, run_id = page_from_request(request), wire.run_id_from_proto(request.run_id)
        async with self._work.reading() as connection:
            currency, lines = await use_cases.run_lines(connection, run_id, page, refused=request.refused)
        shown, token = page.cut(lines, lambda one: one.item.balance.balance_id)
        return pb.ListBalanceMigrationItemsResponse(
            items=[wire.item_to_proto(line, currency) for line in shown], next_page_token=token
        )

    async def UndoBalanceMigration(
        self, request: pb.UndoBalanceMigrationRequest, context: Context
    ) -> pb.UndoBalanceMigrationResponse:
        asked = ask(request, wire.undo_from_proto(request))
        return await self._work.answer("undo_balance_migration", asked, _UNDOING, pb.UndoBalanceMigrationResponse)

    async def AdvanceBalanceMigration(
        self, request: pb.AdvanceBalanceMigrationRequest, context: Context
    ) -> pb.AdvanceBalanceMigrationResponse:
        async def act(transaction: Transaction, run_id: MigrationRunId | None) -> pb.AdvanceBalanceMigrationResponse:
            done = await use_cases.advance_run(transaction, run_id, self._calendar)
            return pb.AdvanceBalanceMigrationResponse(balances=done)

        return await total_of_rounds(
            self._work,
            "advance_balance_migration",
            asked=ask(request, wire.any_run_id_from_proto(request.run_id)),
            act=act,
            reply_type=pb.AdvanceBalanceMigrationResponse,
        )
