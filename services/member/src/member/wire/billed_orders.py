"""Billing's events about orders, as what is to be spent or freed for them."""

from chassis import times
from chassis.consumers import Delivery
from chassis.ids import check_id
from touchstone.billing.v1 import order_events_pb2

from member.domain.coupon import OrderId
from member.use_cases.billed_orders import BilledOrder
from member.wire.customers import customer_id_from_proto


def billed_order_from_delivery(
    delivery: Delivery[order_events_pb2.OrderPlaced] | Delivery[order_events_pb2.OrderRejected],
) -> BilledOrder:
    """The order, or InvalidArgument for an event that cannot say it."""
    message = delivery.message
    return BilledOrder(
        customer_id=customer_id_from_proto(message.customer_id),
        order_id=OrderId(check_id("order_id", message.order_id)),
        has_coupons=bool(message.coupon_ids),
        hold_id=message.points_hold_id,
        occurred_at=times.from_proto(message.occurred_at, "occurred_at"),
    )
