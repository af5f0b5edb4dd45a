"""Orders that coupons are used for, and what they take off, between protobuf and the domain."""

from collections.abc import Sequence

from chassis import times
from chassis.auth import current_caller
from chassis.errors import InvalidArgument
from chassis.ids import check_id
from touchstone.common.v1 import common_pb2
from touchstone.member.v1 import coupon_pb2
from touchstone.member.v1 import coupon_service_pb2 as pb

from member.domain.coupon import Coupon, CouponId, OrderId
from member.domain.coupon_acts import Reserved
from member.domain.coupon_code import shown
from member.domain.coupon_judging import NotUsed, Obstacle
from member.domain.coupon_order import Order, OrderLine, Priced
from member.use_cases.coupon_quotes import AskQuote, Quote
from member.use_cases.coupon_uses import EndReservation, ReverseRedemption, UseCoupons
from member.wire.coupons import (
    codes_from_proto,
    coupon_id_from_proto,
    coupon_to_proto,
    guesser,
    instant_or_now,
)
from member.wire.customers import customer_id_from_proto

_NAMED_MAX = 100
_OBSTACLES = {
    Obstacle.UNKNOWN_CODE: coupon_pb2.COUPON_OBSTACLE_UNKNOWN_CODE,
    Obstacle.NOT_OPEN: coupon_pb2.COUPON_OBSTACLE_NOT_OPEN,
    Obstacle.NOT_YET_VALID: coupon_pb2.COUPON_OBSTACLE_NOT_YET_VALID,
    Obstacle.OTHER_CURRENCY: coupon_pb2.COUPON_OBSTACLE_OTHER_CURRENCY,
    Obstacle.OTHER_CHANNEL: coupon_pb2.COUPON_OBSTACLE_OTHER_CHANNEL,
    Obstacle.NOT_ELIGIBLE: coupon_pb2.COUPON_OBSTACLE_NOT_ELIGIBLE,
    Obstacle.NOTHING_COVERED: coupon_pb2.COUPON_OBSTACLE_NOTHING_COVERED,
    Obstacle.SPEND_MORE: coupon_pb2.COUPON_OBSTACLE_SPEND_MORE,
    Obstacle.MEMBER_LIMIT: coupon_pb2.COUPON_OBSTACLE_MEMBER_LIMIT,
    Obstacle.STOCK_EXHAUSTED: coupon_pb2.COUPON_OBSTACLE_STOCK_EXHAUSTED,
    Obstacle.NOT_COMBINABLE: coupon_pb2.COUPON_OBSTACLE_NOT_COMBINABLE,
    Obstacle.NO_GAIN: coupon_pb2.COUPON_OBSTACLE_NO_GAIN,
    Obstacle.NOT_CLAIMABLE: coupon_pb2.COUPON_OBSTACLE_NOT_CLAIMABLE,
}


def quote_from_proto(request: pb.QuoteCouponsRequest) -> AskQuote:
    """What is asked, or InvalidArgument."""
    return AskQuote(
        customer_id_from_proto(request.customer_id),
        _order_from_proto(request.order),
        codes_from_proto(request.codes),
        instant_or_now(request.occurred_at, "occurred_at"),
    )


def quote_to_proto(quote: Quote, order: Order) -> pb.QuoteCouponsResponse:
    """The best combination, and why each other coupon is not used; codes nobody knows among these."""
    unknown = [
        coupon_pb2.CouponNotUsed(
            code=shown(code),
            obstacle=coupon_pb2.COUPON_OBSTACLE_UNKNOWN_CODE,
            words="no coupon can be had for this code",
        )
        for code in quote.unknown
    ]
    return pb.QuoteCouponsResponse(
        pricing=pricing_to_proto(quote.best.priced, order),
        exact=quote.best.exact,
        at_most=common_pb2.Money(minor_units=quote.best.at_most_minor, currency=order.currency),
        not_used=[*(_not_used_to_proto(each, quote, order) for each in quote.not_used), *unknown],
        codes_to_claim=[shown(code) for code in quote.to_claim],
    )


def pricing_to_proto(priced: Priced, order: Order) -> coupon_pb2.CouponPricing:
    """An order with coupons applied."""
    return coupon_pb2.CouponPricing(
        parts=[
            coupon_pb2.CouponPart(
                coupon_id=part.coupon_id, discount_minor_units=part.total_minor, by_line_minor_units=part.by_line
            )
            for part in priced.parts
        ],
        discount=common_pb2.Money(minor_units=priced.discount_minor, currency=order.currency),
        payable=common_pb2.Money(minor_units=order.price_minor - priced.discount_minor, currency=order.currency),
    )


def reserve_from_proto(request: pb.ReserveCouponsRequest) -> UseCoupons:
    """The coupons to set aside, or InvalidArgument."""
    return UseCoupons(
        guesser(),
        customer_id_from_proto(request.customer_id),
        order_id_from_proto(request.order_id),
        _order_from_proto(request.order),
        coupon_ids_from_proto(request.coupon_ids),
        codes_from_proto(request.codes),
        times.from_proto(request.occurred_at, "occurred_at"),
        times.from_proto(request.expires_at, "expires_at"),
    )


def redeem_from_proto(request: pb.RedeemCouponsRequest) -> UseCoupons:
    """The coupons to spend at once, or InvalidArgument."""
    return UseCoupons(
        guesser(),
        customer_id_from_proto(request.customer_id),
        order_id_from_proto(request.order_id),
        _order_from_proto(request.order),
        coupon_ids_from_proto(request.coupon_ids),
        codes_from_proto(request.codes),
        times.from_proto(request.occurred_at, "occurred_at"),
        None,
    )


def reserved_to_proto(reserved: Reserved) -> pb.ReserveCouponsResponse:
    """What was set aside."""
    return pb.ReserveCouponsResponse(
        pricing=pricing_to_proto(reserved.priced, reserved.order),
        coupons=[coupon_to_proto(each) for each in reserved.coupons],
    )


def spent_to_proto(reserved: Reserved) -> pb.RedeemCouponsResponse:
    """What was spent at once."""
    return pb.RedeemCouponsResponse(
        pricing=pricing_to_proto(reserved.priced, reserved.order),
        coupons=[coupon_to_proto(each) for each in reserved.coupons],
    )


def end_from_proto(request: pb.RedeemReservedCouponsRequest | pb.ReleaseCouponsRequest) -> EndReservation:
    """The reservation to end, or InvalidArgument."""
    return EndReservation(
        customer_id_from_proto(request.customer_id),
        order_id_from_proto(request.order_id),
        times.from_proto(request.occurred_at, "occurred_at"),
    )


def redeemed_to_proto(coupons: Sequence[Coupon]) -> pb.RedeemReservedCouponsResponse:
    """What was spent; it is of one order, so of one currency."""
    uses = [each.use for each in coupons if each.use]
    minor = sum(use.discount.minor_units for use in uses)
    return pb.RedeemReservedCouponsResponse(
        coupons=[coupon_to_proto(each) for each in coupons],
        discount=common_pb2.Money(minor_units=minor, currency=uses[0].discount.currency),
    )


def released_to_proto(coupons: Sequence[Coupon]) -> pb.ReleaseCouponsResponse:
    """What was freed."""
    return pb.ReleaseCouponsResponse(coupons=[coupon_to_proto(each) for each in coupons])


def reverse_from_proto(request: pb.ReverseCouponRedemptionRequest) -> ReverseRedemption:
    """The redemption to undo, or InvalidArgument."""
    return ReverseRedemption(
        customer_id_from_proto(request.customer_id),
        order_id_from_proto(request.order_id),
        coupon_ids_from_proto(request.coupon_ids),
        times.from_proto(request.occurred_at, "occurred_at"),
        reason=request.reason,
        actor=current_caller().subject,
    )


def reversed_to_proto(coupons: Sequence[Coupon]) -> pb.ReverseCouponRedemptionResponse:
    """Coupons whose redemption was undone."""
    return pb.ReverseCouponRedemptionResponse(coupons=[coupon_to_proto(each) for each in coupons])


def order_id_from_proto(order_id: str) -> OrderId:
    """An order's id, or InvalidArgument naming order_id."""
    return OrderId(check_id("order_id", order_id))


def coupon_ids_from_proto(ids: Sequence[str]) -> tuple[CouponId, ...]:
    """Coupons by their ids, or InvalidArgument naming the first that is none."""
    if len(ids) > _NAMED_MAX:
        raise InvalidArgument("coupon_ids", f"must have at most {_NAMED_MAX} items")
    return tuple(coupon_id_from_proto(f"coupon_ids[{index}]", each) for index, each in enumerate(ids))


def _order_from_proto(order: coupon_pb2.CouponOrder) -> Order:
    lines = (
        OrderLine(line.product_id, line.family, line.unit_price_minor_units, line.quantity) for line in order.lines
    )
    return Order(order.currency, tuple(lines), order.channel)


def _not_used_to_proto(not_used: NotUsed, quote: Quote, order: Order) -> coupon_pb2.CouponNotUsed:
    missing = common_pb2.Money(minor_units=not_used.missing_minor, currency=order.currency)
    return coupon_pb2.CouponNotUsed(
        coupon_id=not_used.coupon_id,
        code=shown(quote.codes.get(not_used.coupon_id, "")),
        obstacle=_OBSTACLES[not_used.obstacle],
        words=not_used.words,
        missing=missing if not_used.missing_minor else None,
        valid_from=times.to_proto(not_used.valid_from) if not_used.valid_from else None,
    )
