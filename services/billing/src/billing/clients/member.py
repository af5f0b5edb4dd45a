"""Asks the member service to set coupons and points aside for an order.

Requests are named after the order, so that a repeat is answered as the first was. Of a service that does not answer in
time it is not known what it set aside: a repeat hears it, and an order that is given up has it freed all the same.
"""

from collections.abc import Iterator

import grpc
from chassis.errors import Code, Refusal
from chassis.rpc.client import time_left
from chassis.rpc.errors import RemoteRefusal, remote_refusal
from chassis.times import to_proto
from touchstone.member.v1 import coupon_pb2, points_pb2
from touchstone.member.v1 import coupon_service_pb2 as coupons_pb
from touchstone.member.v1 import coupon_service_pb2_grpc as coupons_grpc
from touchstone.member.v1 import points_service_pb2 as points_service_pb
from touchstone.member.v1 import points_service_pb2_grpc as points_grpc

from billing.domain.deduction import CouponPart
from billing.domain.reserving import MemberUnavailable, NotSetAside, Reservation, Reserved

# What the member service says of an order; everything else says that it cannot be asked.
_SAID = frozenset({Code.INVALID_ARGUMENT, Code.NOT_FOUND, Code.ALREADY_EXISTS, Code.FAILED_PRECONDITION})


class MemberClient:
    """The member service, as orders need it."""

    def __init__(self, channel: grpc.aio.Channel, timeout_seconds: float) -> None:
        self._coupons = coupons_grpc.CouponServiceStub(channel)
        self._points = points_grpc.PointsServiceStub(channel)
        self._timeout_seconds = timeout_seconds

    async def reserve(self, wanted: Reservation) -> Reserved:
        """Sets coupons, then points, aside until the order is placed or rejected."""
        try:
            parts = await self._reserve_coupons(wanted) if wanted.coupon_ids else ()
            if not wanted.points:
                return Reserved(parts)
            worth_minor = await self._worth(wanted)
            return Reserved(parts, await self._hold(wanted), worth_minor)
        except (grpc.aio.AioRpcError, RemoteRefusal) as error:
            raise _refusal(error) from error

    async def quote(self, wanted: Reservation) -> Reserved:
        """What it would come to, nothing is set aside. Coupons are priced as the member service would choose them: of
        those named one that it would not choose is refused."""
        try:
            parts = await self._quote_coupons(wanted) if wanted.coupon_ids else ()
            return Reserved(parts, "", await self._worth(wanted) if wanted.points else 0)
        except (grpc.aio.AioRpcError, RemoteRefusal) as error:
            raise _refusal(error) from error

    async def _reserve_coupons(self, wanted: Reservation) -> tuple[CouponPart, ...]:
        request = coupons_pb.ReserveCouponsRequest(
            request_id=f"order-coupons:{wanted.order_id}",
            customer_id=wanted.customer_id,
            order_id=wanted.order_id,
            order=_order(wanted),
            coupon_ids=wanted.coupon_ids,
            occurred_at=to_proto(wanted.occurred_at),
            expires_at=to_proto(wanted.until),
        )
        reply = await self._coupons.ReserveCoupons(request, timeout=self._left())
        return tuple(_parts(reply.pricing))

    async def _quote_coupons(self, wanted: Reservation) -> tuple[CouponPart, ...]:
        request = coupons_pb.QuoteCouponsRequest(
            customer_id=wanted.customer_id, order=_order(wanted), occurred_at=to_proto(wanted.occurred_at)
        )
        reply = await self._coupons.QuoteCoupons(request, timeout=self._left())
        chosen = {part.coupon_id for part in reply.pricing.parts}
        for coupon_id in wanted.coupon_ids:
            if coupon_id not in chosen:
                raise NotSetAside(f"coupon {coupon_id} is not among those of the best quote", because="NOT_QUOTED")
        return tuple(part for part in _parts(reply.pricing) if part.coupon_id in wanted.coupon_ids)

    async def _worth(self, wanted: Reservation) -> int:
        """What the points are worth in the order's currency, rounded down; points for nothing are not taken."""
        request = points_service_pb.GetPointsRulesRequest(as_of=to_proto(wanted.occurred_at))
        reply = await self._points.GetPointsRules(request, timeout=self._left())
        rules: points_pb2.PointsRules = reply.rules
        if not rules.cash_off_points or rules.cash_off.currency != wanted.currency:
            raise NotSetAside(f"points are not taken for {wanted.currency}", because="CASH_OFF_NOT_OFFERED")
        worth_minor = wanted.points * rules.cash_off.minor_units // rules.cash_off_points
        if not worth_minor:
            raise NotSetAside(f"{wanted.points} points come to nothing", because="CASH_OFF_NOT_OFFERED")
        return worth_minor

    async def _hold(self, wanted: Reservation) -> str:
        request = points_service_pb.HoldPointsRequest(
            # The member service finds the hold by this name where its answer was never heard.
            request_id=f"order-points:{wanted.order_id}",
            customer_id=wanted.customer_id,
            points=wanted.points,
            reason=f"order {wanted.order_id}",
            occurred_at=to_proto(wanted.occurred_at),
            expires_at=to_proto(wanted.until),
        )
        reply = await self._points.HoldPoints(request, timeout=self._left())
        return str(reply.hold_id)

    def _left(self) -> float:
        return time_left(self._timeout_seconds)


def _order(wanted: Reservation) -> coupon_pb2.CouponOrder:
    """Each item as one unit: what it comes to is not divided."""
    return coupon_pb2.CouponOrder(
        currency=wanted.currency,
        lines=[
            coupon_pb2.CouponOrderLine(
                product_id=line.product_id, family=line.family, unit_price_minor_units=line.amount_minor, quantity=1
            )
            for line in wanted.lines
        ],
    )


def _parts(pricing: coupon_pb2.CouponPricing) -> Iterator[CouponPart]:
    """What each coupon takes off each item, in the order in which they apply."""
    for part in pricing.parts:
        for item, amount_minor in enumerate(part.by_line_minor_units):
            if amount_minor:
                yield CouponPart(item, part.coupon_id, "", amount_minor)


def _refusal(error: grpc.aio.AioRpcError | RemoteRefusal) -> Refusal:
    said = error if isinstance(error, RemoteRefusal) else remote_refusal(error)
    if said.code in _SAID:
        return NotSetAside(said.message, because=said.reason or said.code)
    return MemberUnavailable("the member service does not answer: orders with coupons or points wait")
