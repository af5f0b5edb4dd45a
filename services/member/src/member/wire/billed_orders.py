"""Billing's events about orders, as what is to be spent or freed for them."""

from chassis import times
from chassis.consumers import Delivery
from chassis.ids import check_id
from touchstone.billing.v1 import order_events_pb2

from member.domain.coupon import OrderId
from member.use_cases.billed_orders import BilledOrder
from member.wire.customers import customer_id_from_proto
from member.wire.points import transaction_id_by


def placed_order_from_delivery(delivery: Delivery[order_events_pb2.OrderPlaced]) -> BilledOrder:
    """The order, or InvalidArgument for an event that cannot say it."""
    return _order(delivery, delivery.message.points_hold_id)


def rejected_order_from_delivery(delivery: Delivery[order_events_pb2.OrderRejected]) -> BilledOrder:
    """The order, or InvalidArgument for an event that cannot say it.

    Billing may not have heard of the hold that it asked for. Its request is named after the order, and so is the hold.
    """
    order_id = delivery.message.order_id
    unheard = transaction_id_by(delivery.source, "hold_points", f"order-points:{order_id}")
    return _order(delivery, delivery.message.points_hold_id or unheard)


def _order(
    delivery: Delivery[order_events_pb2.OrderPlaced] | Delivery[order_events_pb2.OrderRejected], hold_id: str
) -> BilledOrder:
    message = delivery.message
    return BilledOrder(
        customer_id=customer_id_from_proto(message.customer_id),
        order_id=OrderId(check_id("order_id", message.order_id)),
        has_coupons=bool(message.coupon_ids),
        hold_id=hold_id,
        occurred_at=times.from_proto(message.occurred_at, "occurred_at"),
    )
