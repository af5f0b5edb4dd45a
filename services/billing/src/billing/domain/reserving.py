"""What an order asks the member service to set aside, and what that answers: coupons by item, points by worth."""

from datetime import datetime, timedelta
from typing import NamedTuple, Protocol

from chassis.errors import Refusal, Unavailable

from billing.domain.deduction import CouponPart
from billing.domain.ids import CustomerId, OrderId, ProductId

SET_ASIDE_FOR = timedelta(days=1)
"""How long coupons and points are kept for an order from when it is stored. The order is charged or given up within the
minute; the rest is for the event that tells so, which may have to wait for its way."""


class MemberUnavailable(Unavailable):
    """The member service does not answer: orders with coupons or points wait, others do not need it."""


class NotSetAside(Refusal):
    """The member service sets coupons or points not aside for the order; metadata `because` is its reason."""


class ReservedLine(NamedTuple):
    """An item as coupons see it: what it comes to after proration and the tier's discount, before any coupon."""

    product_id: ProductId
    family: str
    quantity: int
    amount_minor: int


class Reservation(NamedTuple):
    """What is to be set aside for an order, `until` when; `points` 0 is none."""

    order_id: OrderId
    customer_id: CustomerId
    currency: str
    lines: tuple[ReservedLine, ...]
    coupon_ids: tuple[str, ...]
    points: int
    occurred_at: datetime
    until: datetime


class Reserved(NamedTuple):
    """What is set aside: what coupons take off each item in the order in which they apply, and what the points are
    worth under which hold."""

    coupons: tuple[CouponPart, ...] = ()
    points_hold_id: str = ""
    points_worth_minor: int = 0


class Reserves(Protocol):
    """The member service, as orders need it. Both raise the member service's refusal, or MemberUnavailable."""

    async def reserve(self, wanted: Reservation) -> Reserved:
        """Sets it aside until the order is placed or rejected; a repeat changes nothing."""

    async def quote(self, wanted: Reservation) -> Reserved:
        """What it would come to; nothing is set aside."""
