"""ConsentService: what persons agreed to, purpose by purpose."""

from typing import Any

from chassis.gathering import Gatherer
from chassis.paging import page_from_request
from chassis.rpc.errors import item_result
from chassis.work import Work, ask
from grpc.aio import ServicerContext
from touchstone.member.v1 import consent_service_pb2 as pb
from touchstone.member.v1 import consent_service_pb2_grpc as pb_grpc

from member.api.rendering import many
from member.use_cases import consents as use_cases
from member.wire import consents as wire
from member.wire.customers import customer_id_from_proto

_GIVE = many(use_cases.say_consents, wire.given_to_proto)
_WITHDRAW = many(use_cases.say_consents, wire.withdrawn_to_proto)


class ConsentApi(pb_grpc.ConsentServiceServicer):
    """The calls of ConsentService."""

    def __init__(self, work: Work) -> None:
        self._work = work
        self._giving = Gatherer(work, "give_consents", _GIVE, pb.GiveConsentResponse)
        self._withdrawing = Gatherer(work, "withdraw_consents", _WITHDRAW, pb.WithdrawConsentResponse)

    async def GiveConsent(
        self, request: pb.GiveConsentRequest, context: ServicerContext[Any, Any]
    ) -> pb.GiveConsentResponse:
        return await self._giving.answer(ask(request, wire.give_from_proto(request)))

    async def BatchGiveConsents(
        self, request: pb.BatchGiveConsentsRequest, context: ServicerContext[Any, Any]
    ) -> pb.BatchGiveConsentsResponse:
        results = await self._giving.answer_batch(
            request.requests, read=wire.give_from_proto, result=item_result(pb.GiveConsentResult)
        )
        return pb.BatchGiveConsentsResponse(results=results)

    async def WithdrawConsent(
        self, request: pb.WithdrawConsentRequest, context: ServicerContext[Any, Any]
    ) -> pb.WithdrawConsentResponse:
        return await self._withdrawing.answer(ask(request, wire.withdraw_from_proto(request)))

    async def BatchWithdrawConsents(
        self, request: pb.BatchWithdrawConsentsRequest, context: ServicerContext[Any, Any]
    ) -> pb.BatchWithdrawConsentsResponse:
        results = await self._withdrawing.answer_batch(
            request.requests, read=wire.withdraw_from_proto, result=item_result(pb.WithdrawConsentResult)
        )
        return pb.BatchWithdrawConsentsResponse(results=results)

    async def ListConsents(
        self, request: pb.ListConsentsRequest, context: ServicerContext[Any, Any]
    ) -> pb.ListConsentsResponse:
        customer_id, page = customer_id_from_proto(request.customer_id), page_from_request(request)
        async with self._work.reading() as connection:
            found = await use_cases.list_consents(connection, customer_id, page)
        shown, token = page.cut(found, lambda one: f"{one.said.subject.person_id} {one.said.subject.purpose}")
        consents = [wire.consent_to_proto(each) for each in shown]
        return pb.ListConsentsResponse(consents=consents, next_page_token=token)

    async def ListConsentHistory(
        self, request: pb.ListConsentHistoryRequest, context: ServicerContext[Any, Any]
    ) -> pb.ListConsentHistoryResponse:
        customer_id, page = customer_id_from_proto(request.customer_id), page_from_request(request)
        async with self._work.reading() as connection:
            found = await use_cases.list_consent_history(connection, customer_id, page)
        shown, token = page.cut(found, lambda one: str(one[0]))
        statements = [wire.consent_to_proto(each) for _, each in shown]
        return pb.ListConsentHistoryResponse(statements=statements, next_page_token=token)

    async def CheckConsents(
        self, request: pb.CheckConsentsRequest, context: ServicerContext[Any, Any]
    ) -> pb.CheckConsentsResponse:
        subjects, as_of = wire.checks_from_proto(request)
        async with self._work.reading() as connection:
            versions = await use_cases.check_consents(connection, subjects, as_of=as_of)
        return pb.CheckConsentsResponse(answers=[wire.answer_to_proto(each) for each in versions])
