"""BillService: bill plans, bills and their payment."""

from functools import partial
from typing import Any

import grpc
from chassis import clock
from chassis.calendar import Calendar
from chassis.gathering import Gatherer
from chassis.ids import check_id
from chassis.paging import page_from_request
from chassis.rpc.errors import item_result
from chassis.work import Transaction, Work, ask
from touchstone.billing.v1 import bill_service_pb2 as pb
from touchstone.billing.v1.bill_service_pb2_grpc import BillServiceServicer

from billing.api.acting import replying
from billing.domain.ids import PlanId
from billing.domain.plan import BillPlan
from billing.use_cases.bill import bills_page, pay_bills
from billing.use_cases.plan import get_bill_plan, put_bill_plan, set_account_plans
from billing.wire import bill as wire
from billing.wire.account import plan_set_to_proto, set_account_plan_from_proto
from billing.wire.value import number_after

Context = grpc.aio.ServicerContext[Any, Any]


async def _put_plan(transaction: Transaction, wanted: BillPlan) -> pb.PutBillPlanResponse:
    return pb.PutBillPlanResponse(plan=wire.plan_to_proto(await put_bill_plan(transaction, wanted)))


class BillApi(BillServiceServicer):
    """A payment and a batch of them are one use case and share their claims."""

    def __init__(self, work: Work, calendar: Calendar) -> None:
        self._work = work
        pay = replying(partial(pay_bills, calendar=calendar), wire.bill_paid_to_proto)
        hang = replying(partial(set_account_plans, calendar=calendar), plan_set_to_proto)
        self._setting = Gatherer(work, "set_account_plan", hang, pb.SetAccountPlanResponse)
        self._paying = Gatherer(work, "pay_bill", pay, pb.PayBillResponse)

    async def PutBillPlan(self, request: pb.PutBillPlanRequest, context: Context) -> pb.PutBillPlanResponse:
        wanted = ask(request, wire.plan_from_proto(request.plan))
        return await self._work.answer("put_bill_plan", wanted, _put_plan, pb.PutBillPlanResponse)

    async def GetBillPlan(self, request: pb.GetBillPlanRequest, context: Context) -> pb.GetBillPlanResponse:
        plan_id = PlanId(check_id("plan_id", request.plan_id))
        async with self._work.reading() as connection:
            plan = await get_bill_plan(connection, plan_id, revision=0, as_of=clock.now())
        return pb.GetBillPlanResponse(plan=wire.plan_to_proto(plan))

    async def SetAccountPlan(self, request: pb.SetAccountPlanRequest, context: Context) -> pb.SetAccountPlanResponse:
        return await self._setting.answer(ask(request, set_account_plan_from_proto(request)))

    async def ListBills(self, request: pb.ListBillsRequest, context: Context) -> pb.ListBillsResponse:
        page, wanted = page_from_request(request), wire.bill_filter_from_proto(request)
        before = number_after(page)
        async with self._work.reading() as connection:
            found = await bills_page(connection, wanted, before=before, limit=page.wanted)
        shown, token = page.cut(found, lambda one: str(one.bill_number))
        return pb.ListBillsResponse(
            bills=map(wire.bill_to_proto, shown),
            next_page_token=token,
        )

    async def PayBill(self, request: pb.PayBillRequest, context: Context) -> pb.PayBillResponse:
        return await self._paying.answer(ask(request, wire.pay_bill_from_proto(request)))

    async def BatchPayBills(self, request: pb.BatchPayBillsRequest, context: Context) -> pb.BatchPayBillsResponse:
        results = await self._paying.answer_batch(
            request.requests, read=wire.pay_bill_from_proto, result=item_result(pb.PayBillResult)
        )
        return pb.BatchPayBillsResponse(results=results)
