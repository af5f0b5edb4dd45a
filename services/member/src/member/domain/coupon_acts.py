"""What is asked of a book of coupons."""

from dataclasses import dataclass
from datetime import datetime

from member.domain.coupon import By, Coupon, CouponId, OrderId
from member.domain.coupon_order import Order, Priced
from member.domain.coupon_template import TemplateId
from member.domain.customer import CustomerId
from member.domain.membership import Holder


@dataclass(frozen=True, slots=True)
class Issue:
    """Give a coupon of the template's active version to a holder."""

    coupon_id: CouponId
    template_id: TemplateId
    code: str
    holder: Holder
    occurred_at: datetime
    by: By


@dataclass(frozen=True, slots=True)
class Reserve:
    """Set coupons aside for an order until `ends_at` (exclusive), or spend them at once where it is None."""

    order_id: OrderId
    customer_id: CustomerId
    coupon_ids: tuple[CouponId, ...]
    order: Order
    occurred_at: datetime
    ends_at: datetime | None


@dataclass(frozen=True, slots=True)
class Reverse:
    """Undo the redemption of coupons of an order, of all of them where none is named."""

    customer_id: CustomerId
    order_id: OrderId
    coupon_ids: tuple[CouponId, ...]
    occurred_at: datetime
    by: By


@dataclass(frozen=True, slots=True)
class Void:
    """Withdraw a coupon."""

    coupon_id: CouponId
    occurred_at: datetime
    by: By


@dataclass(frozen=True, slots=True)
class Reserved:
    """An order with the coupons set aside for it, or spent on it."""

    order: Order
    coupons: tuple[Coupon, ...]
    priced: Priced
