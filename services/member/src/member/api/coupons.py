"""CouponService: templates, issuing, codes, quotes and redemptions of coupons."""

from functools import partial
from typing import Any

from chassis.calendar import Calendar
from chassis.errors import Refusal
from chassis.gathering import Gatherer
from chassis.paging import page_from_request
from chassis.rounds import answer_in_rounds
from chassis.rpc.errors import item_result
from chassis.work import Work, ask
from grpc.aio import ServicerContext
from touchstone.member.v1 import coupon_service_pb2 as pb
from touchstone.member.v1 import coupon_service_pb2_grpc as pb_grpc

from member.api.coupon_admin import CouponAdminApi
from member.api.rendering import many, one
from member.use_cases import coupon_codes, coupon_quotes, coupon_uses, coupons
from member.wire import coupon_uses as uses_wire
from member.wire import coupons as wire
from member.wire.customers import customer_id_from_proto


class CouponApi(CouponAdminApi, pb_grpc.CouponServiceServicer):
    """The calls of CouponService; those of operators are in `CouponAdminApi`."""

    def __init__(self, work: Work, calendar: Calendar) -> None:
        super().__init__(work, calendar)
        issue = many(partial(coupons.issue_coupons, calendar=calendar), wire.issued_to_proto)
        claim = many(partial(coupons.claim_codes, calendar=calendar), wire.claimed_to_proto)
        reserve = many(partial(coupon_uses.use_coupons, calendar=calendar), uses_wire.reserved_to_proto)
        spend = many(partial(coupon_uses.use_coupons, calendar=calendar), uses_wire.spent_to_proto)
        redeem = many(partial(coupon_uses.redeem_reserved, calendar=calendar), uses_wire.redeemed_to_proto)
        release = many(partial(coupon_uses.release_coupons, calendar=calendar), uses_wire.released_to_proto)
        undo = many(partial(coupon_uses.reverse_redemptions, calendar=calendar), uses_wire.reversed_to_proto)
        self._issuing = Gatherer(work, "issue_coupons", issue, pb.IssueCouponResponse)
        self._claiming = Gatherer(work, "claim_codes", claim, pb.ClaimCodeResponse)
        self._reserving = Gatherer(work, "reserve_coupons", reserve, pb.ReserveCouponsResponse)
        self._spending = Gatherer(work, "redeem_coupons", spend, pb.RedeemCouponsResponse)
        self._redeeming = Gatherer(work, "redeem_reserved_coupons", redeem, pb.RedeemReservedCouponsResponse)
        self._releasing = Gatherer(work, "release_coupons", release, pb.ReleaseCouponsResponse)
        self._reversing = Gatherer(work, "reverse_coupon_redemption", undo, pb.ReverseCouponRedemptionResponse)
        self._expire = one(partial(coupons.expire_coupons, calendar=calendar), wire.ended_to_proto)

    async def IssueCoupon(
        self, request: pb.IssueCouponRequest, context: ServicerContext[Any, Any]
    ) -> pb.IssueCouponResponse:
        return await self._issuing.answer(ask(request, wire.issue_from_proto(request)))

    async def BatchIssueCoupons(
        self, request: pb.BatchIssueCouponsRequest, context: ServicerContext[Any, Any]
    ) -> pb.BatchIssueCouponsResponse:
        results = await self._issuing.answer_batch(
            request.requests, read=wire.issue_from_proto, result=item_result(pb.IssueCouponResult)
        )
        return pb.BatchIssueCouponsResponse(results=results)

    async def ClaimCode(self, request: pb.ClaimCodeRequest, context: ServicerContext[Any, Any]) -> pb.ClaimCodeResponse:
        return await self._claiming.answer(ask(request, wire.claim_from_proto(request)))

    async def QuoteCoupons(
        self, request: pb.QuoteCouponsRequest, context: ServicerContext[Any, Any]
    ) -> pb.QuoteCouponsResponse:
        asked, caller = uses_wire.quote_from_proto(request), wire.guesser()
        if asked.codes:
            await self._work.run(partial(coupon_codes.refuse_guessers, caller=caller))
        async with self._work.reading() as connection:
            quote = await coupon_quotes.quote_coupons(connection, asked, calendar=self._calendar)
        if quote.unknown:
            count = partial(coupon_codes.count_unknown, caller=caller, unknown=quote.unknown)
            await self._work.run(count)
        return uses_wire.quote_to_proto(quote, asked.order)

    async def ReserveCoupons(
        self, request: pb.ReserveCouponsRequest, context: ServicerContext[Any, Any]
    ) -> pb.ReserveCouponsResponse:
        return await self._reserving.answer(ask(request, uses_wire.reserve_from_proto(request)))

    async def RedeemReservedCoupons(
        self, request: pb.RedeemReservedCouponsRequest, context: ServicerContext[Any, Any]
    ) -> pb.RedeemReservedCouponsResponse:
        return await self._redeeming.answer(ask(request, uses_wire.end_from_proto(request)))

    async def ReleaseCoupons(
        self, request: pb.ReleaseCouponsRequest, context: ServicerContext[Any, Any]
    ) -> pb.ReleaseCouponsResponse:
        return await self._releasing.answer(ask(request, uses_wire.end_from_proto(request)))

    async def RedeemCoupons(
        self, request: pb.RedeemCouponsRequest, context: ServicerContext[Any, Any]
    ) -> pb.RedeemCouponsResponse:
        return await self._spending.answer(ask(request, uses_wire.redeem_from_proto(request)))

    async def ReverseCouponRedemption(
        self, request: pb.ReverseCouponRedemptionRequest, context: ServicerContext[Any, Any]
    ) -> pb.ReverseCouponRedemptionResponse:
        return await self._reversing.answer(ask(request, uses_wire.reverse_from_proto(request)))

    async def VerifyCode(
        self, request: pb.VerifyCodeRequest, context: ServicerContext[Any, Any]
    ) -> pb.VerifyCodeResponse:
        asked = wire.verify_from_proto(request)
        outcome = await self._work.run(partial(coupon_codes.verify_code, command=asked))
        if isinstance(outcome, Refusal):
            raise outcome
        return wire.verified_to_proto(outcome)

    async def GetCoupon(self, request: pb.GetCouponRequest, context: ServicerContext[Any, Any]) -> pb.GetCouponResponse:
        customer_id = customer_id_from_proto(request.customer_id)
        coupon_id = wire.coupon_id_from_proto("coupon_id", request.coupon_id)
        as_of = wire.instant_or_now(request.as_of, "as_of")
        async with self._work.reading() as connection:
            shown, steps = await coupon_quotes.get_coupon(connection, customer_id, coupon_id, as_of)
        return pb.GetCouponResponse(
            coupon=wire.shown_to_proto(shown), steps=[wire.step_to_proto(each) for each in steps]
        )

    async def ListCoupons(
        self, request: pb.ListCouponsRequest, context: ServicerContext[Any, Any]
    ) -> pb.ListCouponsResponse:
        wanted, page = wire.filter_from_proto(request), page_from_request(request)
        async with self._work.reading() as connection:
            found = await coupon_quotes.list_coupons(connection, wanted, page)
        shown, token = page.cut(found, lambda each: coupon_quotes.page_key(each.coupon))
        return pb.ListCouponsResponse(coupons=[wire.shown_to_proto(each) for each in shown], next_page_token=token)

    async def ExpireCoupons(
        self, request: pb.ExpireCouponsRequest, context: ServicerContext[Any, Any]
    ) -> pb.ExpireCouponsResponse:
        asked = ask(request, wire.expire_from_proto(request))
        total = pb.ExpireCouponsResponse()
        async for done in answer_in_rounds(
            self._work, "expire_coupons", asked=asked, act=self._expire, reply_type=pb.ExpireCouponsResponse
        ):
            total.coupons += done.coupons
            total.expired += done.expired
            if done.coupons < asked.command.most:
                break
        return total
