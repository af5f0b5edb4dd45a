"""PointsService: points earned, held, spent and expired."""

from typing import Any

from chassis.gathering import Gatherer
from chassis.paging import page_from_request
from chassis.rpc.errors import item_result
from chassis.work import Work, ask
from grpc.aio import ServicerContext
from touchstone.member.v1 import points_service_pb2 as pb
from touchstone.member.v1 import points_service_pb2_grpc as pb_grpc

from member.api.rendering import many, one
from member.api.rounds import answer_in_rounds
from member.use_cases import balances, earning, spending
from member.wire import points as wire
from member.wire.memberships import holder_from_proto, instant_from_proto

_EARN = many(earning.award_points, wire.awarded_to_proto)
_EXPIRE = one(spending.expire_points, wire.expired_to_proto)


class PointsApi(pb_grpc.PointsServiceServicer):
    """The calls of PointsService."""

    def __init__(self, work: Work) -> None:
        self._work = work
        self._earning = Gatherer(work, "earn_points", _EARN, pb.EarnPointsResponse)

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
        asked = ask(request, wire.hold_from_proto(request))
        act = one(spending.hold_points, wire.held_to_proto)
        return await self._work.answer("hold_points", asked, act, pb.HoldPointsResponse)

    async def ConfirmHold(
        self, request: pb.ConfirmHoldRequest, context: ServicerContext[Any, Any]
    ) -> pb.ConfirmHoldResponse:
        asked = ask(request, wire.confirm_from_proto(request))
        act = one(spending.confirm_hold, wire.confirmed_to_proto)
        return await self._work.answer("confirm_hold", asked, act, pb.ConfirmHoldResponse)

    async def ReleaseHold(
        self, request: pb.ReleaseHoldRequest, context: ServicerContext[Any, Any]
    ) -> pb.ReleaseHoldResponse:
        asked = ask(request, wire.release_from_proto(request))
        act = one(spending.release_hold, wire.released_to_proto)
        return await self._work.answer("release_hold", asked, act, pb.ReleaseHoldResponse)

    async def GetPointsBalance(
        self, request: pb.GetPointsBalanceRequest, context: ServicerContext[Any, Any]
    ) -> pb.GetPointsBalanceResponse:
        holder = holder_from_proto(request)
        as_of = instant_from_proto(request)
        async with self._work.reading() as connection:
            balance, expiries = await balances.get_balance(connection, holder, as_of=as_of)
        return wire.balance_answer_to_proto(balance, expiries)

    async def ListPointsEntries(
        self, request: pb.ListPointsEntriesRequest, context: ServicerContext[Any, Any]
    ) -> pb.ListPointsEntriesResponse:
        holder = holder_from_proto(request)
        page = page_from_request(request)
        async with self._work.reading() as connection:
            found = await balances.list_entries(connection, holder, page)
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
