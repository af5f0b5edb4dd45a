"""BillService: bill plans, bills and their payment, and what is done when nobody pays."""

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
from billing.api.bill_rounds import BillRounds
from billing.domain.ids import PlanId
from billing.domain.plan import BillPlan
from billing.use_cases.bill import CreditBill, bills_page, get_bill, issue_credit_note, pay_bills
from billing.use_cases.plan import get_bill_plan, plans_page, put_bill_plan, set_account_plans, versions_page
from billing.use_cases.standing import ChangeState, get_standing, resume_account, suspend_account
from billing.wire import bill as wire
from billing.wire import plan as plan_wire
from billing.wire.standing import change_state_from_proto, standing_to_proto
from billing.wire.value import account_id_from_proto, number_after, owner_from_proto

Context = grpc.aio.ServicerContext[Any, Any]


async def _put_plan(transaction: Transaction, wanted: BillPlan) -> pb.PutBillPlanResponse:
    return pb.PutBillPlanResponse(plan=plan_wire.plan_to_proto(await put_bill_plan(transaction, wanted)))


async def _suspend(transaction: Transaction, wanted: ChangeState) -> pb.SuspendAccountResponse:
    return pb.SuspendAccountResponse(standing=standing_to_proto(await suspend_account(transaction, wanted)))


async def _resume(transaction: Transaction, wanted: ChangeState) -> pb.ResumeAccountResponse:
    return pb.ResumeAccountResponse(standing=standing_to_proto(await resume_account(transaction, wanted)))


class BillApi(BillRounds, BillServiceServicer):
    """A payment and a batch of them are one use case and share their claims."""

    def __init__(self, work: Work, calendar: Calendar) -> None:
        self._work = work
        self._calendar = calendar
        pay = replying(partial(pay_bills, calendar=calendar), wire.bill_paid_to_proto)
        hang = replying(partial(set_account_plans, calendar=calendar), plan_wire.plan_set_to_proto)
        self._paying = Gatherer(work, "pay_bill", pay, pb.PayBillResponse)
        self._setting = Gatherer(work, "set_account_plan", hang, pb.SetAccountPlanResponse)

    async def PutBillPlan(self, request: pb.PutBillPlanRequest, context: Context) -> pb.PutBillPlanResponse:
        wanted = ask(request, plan_wire.plan_from_proto(request.plan))
        return await self._work.answer("put_bill_plan", wanted, _put_plan, pb.PutBillPlanResponse)

    async def GetBillPlan(self, request: pb.GetBillPlanRequest, context: Context) -> pb.GetBillPlanResponse:
        plan_id = PlanId(check_id("plan_id", request.plan_id))
        revision = plan_wire.revision_from_proto(request.revision)
        async with self._work.reading() as connection:
            plan = await get_bill_plan(connection, plan_id, revision=revision, as_of=clock.now())
        return pb.GetBillPlanResponse(plan=plan_wire.plan_to_proto(plan))

    async def ListBillPlans(self, request: pb.ListBillPlansRequest, context: Context) -> pb.ListBillPlansResponse:
        page = page_from_request(request)
        after = PlanId(page.after) if page.after else None
        async with self._work.reading() as connection:
            found = await plans_page(connection, clock.now(), after=after, limit=page.wanted)
        shown, token = page.cut(found, lambda one: one.plan_id)
        return pb.ListBillPlansResponse(plans=map(plan_wire.plan_to_proto, shown), next_page_token=token)

    async def ListBillPlanVersions(
        self, request: pb.ListBillPlanVersionsRequest, context: Context
    ) -> pb.ListBillPlanVersionsResponse:
        page, plan_id = page_from_request(request), PlanId(check_id("plan_id", request.plan_id))
        before = number_after(page)
        async with self._work.reading() as connection:
            found = await versions_page(connection, plan_id, before=before, limit=page.wanted)
        shown, token = page.cut(found, lambda one: str(one.revision))
        return pb.ListBillPlanVersionsResponse(plans=map(plan_wire.plan_to_proto, shown), next_page_token=token)

    async def SetAccountPlan(self, request: pb.SetAccountPlanRequest, context: Context) -> pb.SetAccountPlanResponse:
        return await self._setting.answer(ask(request, plan_wire.set_account_plan_from_proto(request)))

    async def BatchSetAccountPlans(
        self, request: pb.BatchSetAccountPlansRequest, context: Context
    ) -> pb.BatchSetAccountPlansResponse:
        results = await self._setting.answer_batch(
            request.requests,
            read=plan_wire.set_account_plan_from_proto,
            result=item_result(pb.SetAccountPlanResult),
        )
        return pb.BatchSetAccountPlansResponse(results=results)

    async def GetAccountStanding(
        self, request: pb.GetAccountStandingRequest, context: Context
    ) -> pb.GetAccountStandingResponse:
        account_id, owner = account_id_from_proto(request.account_id), owner_from_proto(request.customer_id)
        async with self._work.reading() as connection:
            standing = await get_standing(connection, account_id, owner, clock.now())
        return pb.GetAccountStandingResponse(standing=standing_to_proto(standing))

    async def ListBills(self, request: pb.ListBillsRequest, context: Context) -> pb.ListBillsResponse:
        now, page = clock.now(), page_from_request(request)
        wanted = wire.bill_filter_from_proto(request, self._calendar.start_of(self._calendar.day_of(now)))
        before = number_after(page)
        async with self._work.reading() as connection:
            found = await bills_page(connection, wanted, before=before, limit=page.wanted)
        shown, token = page.cut(found, lambda one: str(one.bill_number))
        return pb.ListBillsResponse(
            bills=[wire.dated_bill_to_proto(bill, self._calendar, now) for bill in shown],
            next_page_token=token,
        )

    async def GetBill(self, request: pb.GetBillRequest, context: Context) -> pb.GetBillResponse:
        bill_id, owner = wire.bill_id_from_proto(request.bill_id), owner_from_proto(request.customer_id)
        async with self._work.reading() as connection:
            life = await get_bill(connection, bill_id, owner)
        return wire.bill_life_to_proto(life, self._calendar, clock.now())

    async def PayBill(self, request: pb.PayBillRequest, context: Context) -> pb.PayBillResponse:
        return await self._paying.answer(ask(request, wire.pay_bill_from_proto(request)))

    async def BatchPayBills(self, request: pb.BatchPayBillsRequest, context: Context) -> pb.BatchPayBillsResponse:
        results = await self._paying.answer_batch(
            request.requests, read=wire.pay_bill_from_proto, result=item_result(pb.PayBillResult)
        )
        return pb.BatchPayBillsResponse(results=results)

    async def IssueCreditNote(self, request: pb.IssueCreditNoteRequest, context: Context) -> pb.IssueCreditNoteResponse:
        async def act(transaction: Transaction, wanted: CreditBill) -> pb.IssueCreditNoteResponse:
            return wire.bill_credited_to_proto(await issue_credit_note(transaction, wanted, calendar=self._calendar))

        wanted = ask(request, wire.credit_bill_from_proto(request))
        return await self._work.answer("issue_credit_note", wanted, act, pb.IssueCreditNoteResponse)

    async def SuspendAccount(self, request: pb.SuspendAccountRequest, context: Context) -> pb.SuspendAccountResponse:
        wanted = ask(request, change_state_from_proto(request))
        return await self._work.answer("suspend_account", wanted, _suspend, pb.SuspendAccountResponse)

    async def ResumeAccount(self, request: pb.ResumeAccountRequest, context: Context) -> pb.ResumeAccountResponse:
        wanted = ask(request, change_state_from_proto(request))
        return await self._work.answer("resume_account", wanted, _resume, pb.ResumeAccountResponse)
