"""Facts about orders and subscriptions."""

from dataclasses import dataclass
from datetime import datetime

from chassis.money import Money

from billing.domain.facts import OfAccount
from billing.domain.ids import OrderId, ProductId
from billing.domain.order import Order
from billing.domain.product import Product
from billing.domain.subscription import Subscription


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderPlaced(OfAccount):
    """An order was charged; the member service confirms what it had set aside."""

    order_id: OrderId
    product_ids: tuple[ProductId, ...]
    total: Money
    coupon_ids: tuple[str, ...]
    points_hold_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderRejected(OfAccount):
    """An order was not charged; the member service frees what it had set aside."""

    order_id: OrderId
    coupon_ids: tuple[str, ...]
    points_hold_id: str
    because: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SubscriptionChanged(OfAccount):
    """A subscription as it stands; `revision` rises with every change."""

    subscription: Subscription
    family: str

    @property
    def revision(self) -> int:
        """Which of its states this is."""
        return self.subscription.revision


def subscription_changed(subscription: Subscription, product: Product, occurred_at: datetime) -> SubscriptionChanged:
    """The fact of a subscription that stands otherwise than before."""
    return SubscriptionChanged(
        account_id=subscription.account_id,
        customer_id=subscription.customer_id,
        occurred_at=occurred_at,
        subscription=subscription,
        family=product.family,
    )


def order_placed(order: Order, total: Money) -> OrderPlaced:
    """The fact of an order that was charged."""
    return OrderPlaced(
        account_id=order.account_id,
        customer_id=order.customer_id,
        occurred_at=order.placed_at,
        order_id=order.order_id,
        product_ids=tuple(item.product_id for item in order.items),
        total=total,
        coupon_ids=order.coupon_ids,
        points_hold_id=order.points_hold_id,
    )


def order_rejected(order: Order) -> OrderRejected:
    """The fact of an order that was given up."""
    return OrderRejected(
        account_id=order.account_id,
        customer_id=order.customer_id,
        occurred_at=order.placed_at,
        order_id=order.order_id,
        coupon_ids=order.coupon_ids,
        points_hold_id=order.points_hold_id,
        because=order.rejected_because,
    )
