"""PointsService: points earned, held, spent and expired."""

from functools import partial
from typing import Any

from chassis import clock
from chassis.calendar import Calendar
from chassis.gathering import Gatherer
from chassis.paging import page_from_request
from chassis.rounds import answer_in_rounds
from chassis.rpc.errors import item_result
from chassis.work import Work, ask
from grpc.aio import ServicerContext
from touchstone.member.v1 import points_service_pb2 as pb
from touchstone.member.v1 import points_service_pb2_grpc as pb_grpc

from member.api.rendering import many, one
from member.use_cases import balances, earning, pending, points_rules, pools, reversing, spending, transfers
from member.wire import earning as earning_wire
from member.wire import points as wire
from member.wire import spending as spending_wire
from member.wire.customers import customer_id_from_proto
from member.wire.memberships import holder_from_proto, instant_from_proto, program_id_from_proto

_DAYS_SHOWN = 30
_PENDING_SHOWN = 10
_HOLD = many(spending.hold_many, wire.held_to_proto)
_CONFIRM = many(spending.confirm_many, wire.confirmed_to_proto)
_RELEASE = many(spending.release_many, wire.released_to_proto)
_REDEEM = many(spending.spend_many, spending_wire.spent_to_proto)
_REVERSE = many(reversing.reverse_many, spending_wire.reversed_to_proto)
_EXPIRE = one(spending.expire_points, wire.expired_to_proto)


class PointsApi(pb_grpc.PointsServiceServicer):
    """The calls of PointsService."""

    def __init__(self, work: Work, calendar: Calendar) -> None:
        self._work = work
        self._calendar = calendar
        self._holding = Gatherer(work, "hold_points", _HOLD, pb.HoldPointsResponse)
        self._confirming = Gatherer(work, "confirm_hold", _CONFIRM, pb.ConfirmHoldResponse)
        self._releasing = Gatherer(work, "release_hold", _RELEASE, pb.ReleaseHoldResponse)
        self._redeeming = Gatherer(work, "redeem_points", _REDEEM, pb.RedeemPointsResponse)
        self._reversing = Gatherer(work, "reverse_points", _REVERSE, pb.ReversePointsResponse)
        earn = many(partial(earning.award_points, calendar=calendar), wire.awarded_to_proto)
        self._earning = Gatherer(work, "earn_points", earn, pb.EarnPointsResponse)

    async def EarnPoints(
        self, request: pb.EarnPointsRequest, context: ServicerContext[Any, Any]
    ) -> pb.EarnPointsResponse:
        return await self._earning.answer(ask(request, wire.award_from_proto(request)))

    async def BatchEarnPoints(
        self, request: pb.BatchEarnPointsRequest, context: ServicerContext[Any, Any]
    ) -> pb.BatchEarnPointsResponse:
        results = await self._earning.answer_batch(
            request.requests, read=wire.award_from_proto, result=item_result(pb.EarnPointsResult)
        )
        return pb.BatchEarnPointsResponse(results=results)

    async def HoldPoints(
        self, request: pb.HoldPointsRequest, context: ServicerContext[Any, Any]
    ) -> pb.HoldPointsResponse:
        return await self._holding.answer(ask(request, wire.hold_from_proto(request)))

    async def ConfirmHold(
        self, request: pb.ConfirmHoldRequest, context: ServicerContext[Any, Any]
    ) -> pb.ConfirmHoldResponse:
        return await self._confirming.answer(ask(request, wire.confirm_from_proto(request)))

    async def ReleaseHold(
        self, request: pb.ReleaseHoldRequest, context: ServicerContext[Any, Any]
    ) -> pb.ReleaseHoldResponse:
        return await self._releasing.answer(ask(request, wire.release_from_proto(request)))

    async def RedeemPoints(
        self, request: pb.RedeemPointsRequest, context: ServicerContext[Any, Any]
    ) -> pb.RedeemPointsResponse:
        return await self._redeeming.answer(ask(request, spending_wire.spend_from_proto(request)))

    async def BatchRedeemPoints(
        self, request: pb.BatchRedeemPointsRequest, context: ServicerContext[Any, Any]
    ) -> pb.BatchRedeemPointsResponse:
        results = await self._redeeming.answer_batch(
            request.requests, read=spending_wire.spend_from_proto, result=item_result(pb.RedeemPointsResult)
        )
        return pb.BatchRedeemPointsResponse(results=results)

    async def ReversePoints(
        self, request: pb.ReversePointsRequest, context: ServicerContext[Any, Any]
    ) -> pb.ReversePointsResponse:
        return await self._reversing.answer(ask(request, spending_wire.reversal_from_proto(request)))

    async def BatchReversePoints(
        self, request: pb.BatchReversePointsRequest, context: ServicerContext[Any, Any]
    ) -> pb.BatchReversePointsResponse:
        results = await self._reversing.answer_batch(
            request.requests, read=spending_wire.reversal_from_proto, result=item_result(pb.ReversePointsResult)
        )
        return pb.BatchReversePointsResponse(results=results)

    async def TransferPoints(
        self, request: pb.TransferPointsRequest, context: ServicerContext[Any, Any]
    ) -> pb.TransferPointsResponse:
        asked = ask(request, spending_wire.transfer_from_proto(request))
        transfer = partial(transfers.transfer_points, calendar=self._calendar)
        act = one(transfer, spending_wire.transferred_to_proto)
        return await self._work.answer("transfer_points", asked, act, pb.TransferPointsResponse)

    async def PutPool(self, request: pb.PutPoolRequest, context: ServicerContext[Any, Any]) -> pb.PutPoolResponse:
        asked = ask(request, spending_wire.put_pool_from_proto(request))
        act = one(pools.put_pool, spending_wire.pool_put_to_proto)
        return await self._work.answer("put_pool", asked, act, pb.PutPoolResponse)

    async def GetPool(self, request: pb.GetPoolRequest, context: ServicerContext[Any, Any]) -> pb.GetPoolResponse:
        customer_id, program_id = customer_id_from_proto(request.customer_id), program_id_from_proto(request.program_id)
        as_of = spending_wire.as_of_from_proto(request)
        async with self._work.reading() as connection:
            found = await pools.get_pool(connection, customer_id, program_id, as_of=as_of)
        return spending_wire.pool_answer_to_proto(*found)

    async def PutPointsRules(
        self, request: pb.PutPointsRulesRequest, context: ServicerContext[Any, Any]
    ) -> pb.PutPointsRulesResponse:
        asked = ask(request, spending_wire.put_rules_from_proto(request))
        act = one(points_rules.put_rules, spending_wire.rules_put_to_proto)
        return await self._work.answer("put_points_rules", asked, act, pb.PutPointsRulesResponse)

    async def GetPointsRules(
        self, request: pb.GetPointsRulesRequest, context: ServicerContext[Any, Any]
    ) -> pb.GetPointsRulesResponse:
        program_id = program_id_from_proto(request.program_id)
        as_of = spending_wire.as_of_from_proto(request) or clock.now()
        async with self._work.reading() as connection:
            rules = await points_rules.get_rules(connection, program_id, as_of=as_of)
        return pb.GetPointsRulesResponse(rules=spending_wire.rules_to_proto(rules))

    async def GetPointsStatement(
        self, request: pb.GetPointsStatementRequest, context: ServicerContext[Any, Any]
    ) -> pb.GetPointsStatementResponse:
        asked = spending_wire.month_from_proto(request, self._calendar)
        async with self._work.reading() as connection:
            statement = await balances.get_statement(connection, asked.holder, asked.month)
        return spending_wire.statement_to_proto(statement, self._calendar)

    async def GetPointsBalance(
        self, request: pb.GetPointsBalanceRequest, context: ServicerContext[Any, Any]
    ) -> pb.GetPointsBalanceResponse:
        holder = holder_from_proto(request)
        as_of = instant_from_proto(request)
        async with self._work.reading() as connection:
            balance, expiries = await balances.get_balance(connection, holder, as_of=as_of)
            waiting = await pending.pending_at(connection, holder, as_of=as_of)
        days = spending_wire.expiry_days_to_proto(expiries, self._calendar, most=_DAYS_SHOWN)
        reply = wire.balance_answer_to_proto(balance, expiries, days)
        reply.pending.extend(earning_wire.pending_to_proto(each) for each in waiting[:_PENDING_SHOWN])
        reply.pending_points = sum(each.left for each in waiting)
        return reply

    async def ListPointsEntries(
        self, request: pb.ListPointsEntriesRequest, context: ServicerContext[Any, Any]
    ) -> pb.ListPointsEntriesResponse:
        holder = holder_from_proto(request)
        page, among = page_from_request(request), spending_wire.entries_from_proto(request)
        async with self._work.reading() as connection:
            found = await balances.list_entries(connection, holder, page, among=among)
        shown, token = page.cut(found, lambda one: str(one.account_version))
        return pb.ListPointsEntriesResponse(
            entries=[wire.entry_to_proto(entry) for entry in shown],
            next_page_token=token,
        )

    async def ExpirePoints(
        self, request: pb.ExpirePointsRequest, context: ServicerContext[Any, Any]
    ) -> pb.ExpirePointsResponse:
        asked = ask(request, wire.expire_from_proto(request))
        total = pb.ExpirePointsResponse()
        async for done in answer_in_rounds(
            self._work, "expire_points", asked=asked, act=_EXPIRE, reply_type=pb.ExpirePointsResponse
        ):
            if done.accounts == 0:
                break
            total.accounts += done.accounts
            total.points += done.points
        return total
