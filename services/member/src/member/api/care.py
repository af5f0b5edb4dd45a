"""CareService: dedicated managers, and the days on which customers are thought of."""

from typing import Any

from chassis.calendar import Calendar
from chassis.gathering import Gatherer
from chassis.paging import page_from_request
from chassis.rounds import answer_in_rounds
from chassis.rpc.errors import item_result
from chassis.work import Transaction, Work, ask
from grpc.aio import ServicerContext
from touchstone.member.v1 import care_service_pb2 as pb
from touchstone.member.v1 import care_service_pb2_grpc as pb_grpc

from member.api.rendering import many, one
from member.domain.care import Holiday, PutRule
from member.use_cases import care as use_cases
from member.use_cases import managers
from member.wire import care as wire
from member.wire import managers as managers_wire
from member.wire.customers import customer_id_from_proto, customer_to_proto

_ASSIGN = many(managers.assign_managers, managers_wire.assigned_to_proto)
_UNASSIGN = many(managers.assign_managers, managers_wire.unassigned_to_proto)


class CareApi(pb_grpc.CareServiceServicer):
    """The calls of CareService."""

    def __init__(self, work: Work, calendar: Calendar) -> None:
        self._work = work
        self._calendar = calendar
        self._assigning = Gatherer(work, "assign_managers", _ASSIGN, pb.AssignManagerResponse)
        self._unassigning = Gatherer(work, "unassign_managers", _UNASSIGN, pb.UnassignManagerResponse)

    async def AssignManager(
        self, request: pb.AssignManagerRequest, context: ServicerContext[Any, Any]
    ) -> pb.AssignManagerResponse:
        return await self._assigning.answer(ask(request, managers_wire.assign_from_proto(request)))

    async def BatchAssignManagers(
        self, request: pb.BatchAssignManagersRequest, context: ServicerContext[Any, Any]
    ) -> pb.BatchAssignManagersResponse:
        results = await self._assigning.answer_batch(
            request.requests, read=managers_wire.assign_from_proto, result=item_result(pb.AssignManagerResult)
        )
        return pb.BatchAssignManagersResponse(results=results)

    async def UnassignManager(
        self, request: pb.UnassignManagerRequest, context: ServicerContext[Any, Any]
    ) -> pb.UnassignManagerResponse:
        return await self._unassigning.answer(ask(request, managers_wire.unassign_from_proto(request)))

    async def ListManagedCustomers(
        self, request: pb.ListManagedCustomersRequest, context: ServicerContext[Any, Any]
    ) -> pb.ListManagedCustomersResponse:
        manager_id, page = managers_wire.manager_id_from_proto(request.manager_id), page_from_request(request)
        async with self._work.reading() as connection:
            found = await managers.list_managed(connection, manager_id, page)
        shown, token = page.cut(found, lambda each: each.customer_id)
        return pb.ListManagedCustomersResponse(
            customers=[customer_to_proto(each) for each in shown], next_page_token=token
        )

    async def ListManagerHistory(
        self, request: pb.ListManagerHistoryRequest, context: ServicerContext[Any, Any]
    ) -> pb.ListManagerHistoryResponse:
        customer_id, page = customer_id_from_proto(request.customer_id), page_from_request(request)
        async with self._work.reading() as connection:
            found = await managers.list_manager_history(connection, customer_id, page)
        shown, token = page.cut(found, lambda each: str(each.revision))
        assignments = [managers_wire.assignment_to_proto(each) for each in shown]
        return pb.ListManagerHistoryResponse(assignments=assignments, next_page_token=token)

    async def PutHoliday(
        self, request: pb.PutHolidayRequest, context: ServicerContext[Any, Any]
    ) -> pb.PutHolidayResponse:
        def render(holiday: Holiday) -> pb.PutHolidayResponse:
            return pb.PutHolidayResponse(holiday=wire.holiday_to_proto(holiday))

        asked = ask(request, wire.put_holiday_from_proto(request))
        return await self._work.answer("put_holiday", asked, one(use_cases.put_holiday, render), pb.PutHolidayResponse)

    async def ListHolidays(
        self, request: pb.ListHolidaysRequest, context: ServicerContext[Any, Any]
    ) -> pb.ListHolidaysResponse:
        page = page_from_request(request)
        async with self._work.reading() as connection:
            found = await use_cases.list_holidays(connection, page)
        shown, token = page.cut(found, lambda each: each.holiday_id)
        holidays = [wire.holiday_to_proto(each) for each in shown]
        return pb.ListHolidaysResponse(holidays=holidays, next_page_token=token)

    async def PutCareRule(
        self, request: pb.PutCareRuleRequest, context: ServicerContext[Any, Any]
    ) -> pb.PutCareRuleResponse:
        def render(put: PutRule) -> pb.PutCareRuleResponse:
            return pb.PutCareRuleResponse(rule=wire.rule_to_proto(put))

        asked = ask(request, wire.put_rule_from_proto(request))
        act = one(use_cases.put_care_rule, render)
        return await self._work.answer("put_care_rule", asked, act, pb.PutCareRuleResponse)

    async def ListCareRules(
        self, request: pb.ListCareRulesRequest, context: ServicerContext[Any, Any]
    ) -> pb.ListCareRulesResponse:
        page = page_from_request(request)
        async with self._work.reading() as connection:
            found = await use_cases.list_care_rules(connection, page)
        shown, token = page.cut(found, lambda each: each.rule.rule_id)
        return pb.ListCareRulesResponse(rules=[wire.rule_to_proto(each) for each in shown], next_page_token=token)

    async def TellCare(self, request: pb.TellCareRequest, context: ServicerContext[Any, Any]) -> pb.TellCareResponse:
        async def act(transaction: Transaction, command: use_cases.TellCare) -> pb.TellCareResponse:
            return wire.told_to_proto(await use_cases.tell_care(transaction, command, self._calendar))

        asked = ask(request, wire.tell_from_proto(request, self._calendar))
        total = pb.TellCareResponse()
        async for done in answer_in_rounds(
            self._work, "tell_care", asked=asked, act=act, reply_type=pb.TellCareResponse
        ):
            total.customers += done.customers
            total.told += done.told
            if done.customers < asked.command.most:
                break
        return total

    async def ListCare(self, request: pb.ListCareRequest, context: ServicerContext[Any, Any]) -> pb.ListCareResponse:
        page, only = page_from_request(request), wire.filter_from_proto(request)
        async with self._work.reading() as connection:
            found = await use_cases.list_care(connection, page, only)
        shown, token = page.cut(found, lambda each: f"{each.occurred_at.isoformat()} {each.care_id}")
        return pb.ListCareResponse(care=[wire.care_to_proto(each) for each in shown], next_page_token=token)
