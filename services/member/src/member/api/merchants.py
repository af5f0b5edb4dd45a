"""MerchantService: alliance merchants, the codes by which they know members, their sales and settlements."""

from datetime import timedelta
from functools import partial
from typing import Any

from chassis.calendar import Calendar
from chassis.paging import page_from_request
from chassis.rounds import answer_in_rounds
from chassis.work import Work, ask
from grpc.aio import ServicerContext
from touchstone.member.v1 import merchant_service_pb2 as pb
from touchstone.member.v1 import merchant_service_pb2_grpc as pb_grpc

from member.api.rendering import one
from member.domain.merchant import CodeNotValid, CodeToldAlready, Merchant, new_code
from member.domain.settlement import MerchantLine
from member.use_cases import merchant_sales, merchants, settlements
from member.wire import merchants as wire

_ISSUE = one(merchants.issue_code, wire.issued_to_proto)
_VERIFY = one(merchants.verify_code, wire.verified_to_proto)


class MerchantApi(pb_grpc.MerchantServiceServicer):
    """The calls of MerchantService."""

    def __init__(self, work: Work, calendar: Calendar, *, back: timedelta, ahead: timedelta) -> None:
        self._work = work
        self._calendar = calendar
        self._record = partial(merchant_sales.record_sale, calendar=calendar, back=back, ahead=ahead)

    async def PutMerchant(
        self, request: pb.PutMerchantRequest, context: ServicerContext[Any, Any]
    ) -> pb.PutMerchantResponse:
        def render(merchant: Merchant) -> pb.PutMerchantResponse:
            return pb.PutMerchantResponse(merchant=wire.merchant_to_proto(merchant))

        act = one(merchants.put_merchant, render)
        asked = ask(request, wire.put_merchant_from_proto(request))
        return await self._work.answer("put_merchant", asked, act, pb.PutMerchantResponse)

    async def GetMerchant(
        self, request: pb.GetMerchantRequest, context: ServicerContext[Any, Any]
    ) -> pb.GetMerchantResponse:
        merchant_id = wire.merchant_id_from_proto(request.merchant_id)
        async with self._work.reading() as connection:
            merchant = await merchants.get_merchant(connection, merchant_id)
        return pb.GetMerchantResponse(merchant=wire.merchant_to_proto(merchant))

    async def ListMerchants(
        self, request: pb.ListMerchantsRequest, context: ServicerContext[Any, Any]
    ) -> pb.ListMerchantsResponse:
        page = page_from_request(request)
        async with self._work.reading() as connection:
            found = await merchants.list_merchants(connection, page)
        shown, token = page.cut(found, lambda one: one.merchant_id)
        return pb.ListMerchantsResponse(
            merchants=[wire.merchant_to_proto(merchant) for merchant in shown], next_page_token=token
        )

    async def IssueMemberCode(
        self, request: pb.IssueMemberCodeRequest, context: ServicerContext[Any, Any]
    ) -> pb.IssueMemberCodeResponse:
        code = new_code()
        command = wire.issue_from_proto(request, code)
        asked = ask(request, command)
        reply = await self._work.answer("issue_member_code", asked, _ISSUE, pb.IssueMemberCodeResponse)
        # A stored reply, that of an earlier call, is of another code, which is kept nowhere.
        if reply.code_id != command.code_id:
            raise CodeToldAlready
        return wire.told_to_proto(reply, code)

    async def VerifyMemberCode(
        self, request: pb.VerifyMemberCodeRequest, context: ServicerContext[Any, Any]
    ) -> pb.VerifyMemberCodeResponse:
        asked = ask(request, wire.verify_from_proto(request))
        reply = await self._work.answer("verify_member_code", asked, _VERIFY, pb.VerifyMemberCodeResponse)
        if not reply.verification_id:
            raise CodeNotValid
        return reply

    async def RecordMerchantSale(
        self, request: pb.RecordMerchantSaleRequest, context: ServicerContext[Any, Any]
    ) -> pb.RecordMerchantSaleResponse:
        def render(line: MerchantLine) -> pb.RecordMerchantSaleResponse:
            return pb.RecordMerchantSaleResponse(line=wire.line_to_proto(line))

        act = one(self._record, render)
        asked = ask(request, wire.sale_from_proto(request))
        return await self._work.answer("record_merchant_sale", asked, act, pb.RecordMerchantSaleResponse)

    async def ReverseMerchantSale(
        self, request: pb.ReverseMerchantSaleRequest, context: ServicerContext[Any, Any]
    ) -> pb.ReverseMerchantSaleResponse:
        def render(line: MerchantLine) -> pb.ReverseMerchantSaleResponse:
            return pb.ReverseMerchantSaleResponse(line=wire.line_to_proto(line))

        act = one(merchant_sales.reverse_sale, render)
        asked = ask(request, wire.reversal_from_proto(request))
        return await self._work.answer("reverse_merchant_sale", asked, act, pb.ReverseMerchantSaleResponse)

    async def GetSettlement(
        self, request: pb.GetSettlementRequest, context: ServicerContext[Any, Any]
    ) -> pb.GetSettlementResponse:
        asked = wire.settlement_from_proto(request)
        page = page_from_request(request)
        async with self._work.reading() as connection:
            found = await settlements.get_settlement(connection, asked, page, calendar=self._calendar)
        shown, token = page.cut(found.lines, lambda line: line.line_id)
        return wire.settlement_to_proto(found, shown, token)

    async def CloseSettlements(
        self, request: pb.CloseSettlementsRequest, context: ServicerContext[Any, Any]
    ) -> pb.CloseSettlementsResponse:
        act = one(partial(settlements.close_settlements, calendar=self._calendar), wire.closed_to_proto)
        asked = ask(request, wire.close_from_proto(request))
        total = pb.CloseSettlementsResponse()
        async for done in answer_in_rounds(
            self._work, "close_settlements", asked=asked, act=act, reply_type=pb.CloseSettlementsResponse
        ):
            if not done.looked_at:
                break
            total.periods += done.periods
            total.looked_at += done.looked_at
        return total
