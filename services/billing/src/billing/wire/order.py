"""Orders and subscriptions on the wire."""

from collections.abc import Sequence
from datetime import datetime

from chassis.errors import InvalidArgument
from chassis.ids import check_id
from chassis.times import from_proto, from_proto_or, to_proto
from chassis.violations import range_violations, refuse_any
from touchstone.billing.v1 import order_pb2
from touchstone.billing.v1 import order_service_pb2 as pb

from billing.domain.ids import OrderId, SubscriptionId
from billing.domain.movement import check_occurred_at
from billing.domain.order import QUANTITY_MAX, Basket, OrderItem, OrderState, PlaceOrder
from billing.domain.subscription import CancelSubscription, ChangeSubscription, Subscription, SubscriptionState
from billing.store.order import OrderFilter
from billing.store.subscription import SubscriptionFilter
from billing.use_cases.order import Ordered, Shown
from billing.use_cases.quote import Quote
from billing.use_cases.subscription import Done
from billing.wire.bill import bill_to_proto
from billing.wire.catalog import product_id_from_proto
from billing.wire.reckoning import reckoning_to_proto
from billing.wire.value import (
    account_id_from_proto,
    minor_to_proto,
    money_from_proto,
    money_to_proto,
    owner_from_proto,
    text_from_proto,
)

ORDER_STATES = {
    OrderState.RESERVING: order_pb2.ORDER_STATE_RESERVING,
    OrderState.PLACED: order_pb2.ORDER_STATE_PLACED,
    OrderState.REJECTED: order_pb2.ORDER_STATE_REJECTED,
}
SUBSCRIPTION_STATES = {
    SubscriptionState.ACTIVE: order_pb2.SUBSCRIPTION_STATE_ACTIVE,
    SubscriptionState.PAST_DUE: order_pb2.SUBSCRIPTION_STATE_PAST_DUE,
    SubscriptionState.RESTING: order_pb2.SUBSCRIPTION_STATE_RESTING,
    SubscriptionState.CANCELLING: order_pb2.SUBSCRIPTION_STATE_CANCELLING,
    SubscriptionState.ENDED: order_pb2.SUBSCRIPTION_STATE_ENDED,
}


def quote_from_proto(request: pb.QuoteOrderRequest, now: datetime) -> Basket:
    """What would be ordered."""
    return Basket(
        account_id=account_id_from_proto(request.account_id),
        customer_id=owner_from_proto(request.customer_id),
        items=_items_from_proto(request.items),
        coupon_ids=_coupon_ids_from_proto(request.coupon_ids),
        points=request.points,
        at=from_proto_or(request.as_of, "as_of", now),
    )


def quote_to_proto(quote: Quote) -> pb.QuoteOrderResponse:
    """The answer to QuoteOrder."""
    return pb.QuoteOrderResponse(
        reckoning=reckoning_to_proto(quote.reckoned),
        spendable=money_to_proto(quote.spendable),
        affordable=quote.affordable,
    )


def batch_order_from_proto(request: pb.PlaceOrderRequest) -> PlaceOrder:
    """The wish to order as one of many: the member service is not asked for those."""
    if request.coupon_ids:
        raise InvalidArgument("coupon_ids", "must be empty in a batch")
    if request.points:
        raise InvalidArgument("points", "must be 0 in a batch")
    return place_order_from_proto(request)


def place_order_from_proto(request: pb.PlaceOrderRequest) -> PlaceOrder:
    """The wish to order."""
    basket = Basket(
        account_id=account_id_from_proto(request.account_id),
        customer_id=owner_from_proto(request.customer_id),
        items=_items_from_proto(request.items),
        coupon_ids=_coupon_ids_from_proto(request.coupon_ids),
        points=request.points,
        at=from_proto(request.occurred_at, "occurred_at"),
    )
    expected = request.expected_total if request.HasField("expected_total") else None
    return PlaceOrder(
        order_id=order_id_from_proto(request.order_id),
        basket=basket,
        expected_total=money_from_proto(expected).not_negative("expected_total") if expected is not None else None,
    )


def ordered_to_proto(ordered: Ordered) -> pb.PlaceOrderResponse:
    """The answer to PlaceOrder."""
    return pb.PlaceOrderResponse(
        order=order_to_proto(ordered.shown),
        balance_after=money_to_proto(ordered.balance_after),
        subscriptions=map(subscription_to_proto, ordered.subscriptions),
        bill=bill_to_proto(ordered.bill) if ordered.bill else None,
    )


def order_to_proto(shown: Shown) -> order_pb2.Order:
    """The order, with how its charges came about."""
    order = shown.order
    return order_pb2.Order(
        order_id=order.order_id,
        account_id=order.account_id,
        customer_id=order.customer_id,
        items=[_item_to_proto(item) for item in order.items],
        coupon_ids=order.coupon_ids,
        points=order.points,
        state=ORDER_STATES[order.state],
        reckoning=reckoning_to_proto(shown.reckoned) if shown.reckoned else None,
        charge_ids=order.charge_ids,
        rejected_because=order.rejected_because,
        placed_at=to_proto(order.placed_at),
    )


def order_filter_from_proto(request: pb.ListOrdersRequest) -> OrderFilter:
    """Which orders are asked for."""
    return OrderFilter(
        customer_id=owner_from_proto(request.customer_id),
        account_id=account_id_from_proto(request.account_id) if request.account_id else None,
    )


def subscription_filter_from_proto(request: pb.ListSubscriptionsRequest) -> SubscriptionFilter:
    """Which subscriptions are asked for."""
    return SubscriptionFilter(
        customer_id=owner_from_proto(request.customer_id),
        account_id=account_id_from_proto(request.account_id) if request.account_id else None,
        ended=request.include_ended,
    )


def subscription_to_proto(subscription: Subscription) -> order_pb2.Subscription:
    """The subscription as it stands."""
    ended_at = subscription.ended_at
    return order_pb2.Subscription(
        subscription_id=subscription.subscription_id,
        account_id=subscription.account_id,
        customer_id=subscription.customer_id,
        product_id=subscription.product_id,
        quantity=subscription.quantity,
        subscriber_id=subscription.subscriber_id,
        state=SUBSCRIPTION_STATES[subscription.state],
        anchor_day=subscription.anchor_day,
        cycle_start=subscription.cycle_start.isoformat(),
        cycle_end=subscription.cycle_end.isoformat(),
        cycle_charged=minor_to_proto(subscription.cycle_charged_minor, subscription.currency),
        started_at=to_proto(subscription.started_at),
        ended_at=to_proto(ended_at) if ended_at else None,
        revision=subscription.revision,
        order_id=subscription.order_id,
    )


def cancel_from_proto(request: pb.CancelSubscriptionRequest) -> CancelSubscription:
    """The wish to end a subscription."""
    return CancelSubscription(
        subscription_id=subscription_id_from_proto(request.subscription_id),
        customer_id=owner_from_proto(request.customer_id),
        at_cycle_end=request.at_cycle_end,
        reason=text_from_proto("reason", request.reason),
        occurred_at=_occurred_at(request),
    )


def cancelled_to_proto(done: Done) -> pb.CancelSubscriptionResponse:
    """The answer to CancelSubscription."""
    return pb.CancelSubscriptionResponse(
        subscription=subscription_to_proto(done.subscription),
        refunded=money_to_proto(done.refunded),
        reckoning=reckoning_to_proto(done.reckoned) if done.reckoned else None,
        balance_after=money_to_proto(done.balance_after),
        credit_note=bill_to_proto(done.bill) if done.bill else None,
    )


def change_from_proto(request: pb.ChangeSubscriptionRequest) -> ChangeSubscription:
    """The wish for another product or quantity."""
    refuse_any(range_violations("quantity", request.quantity, least=0, most=QUANTITY_MAX))
    return ChangeSubscription(
        subscription_id=subscription_id_from_proto(request.subscription_id),
        customer_id=owner_from_proto(request.customer_id),
        product_id=product_id_from_proto("product_id", request.product_id) if request.product_id else None,
        quantity=request.quantity or None,
        occurred_at=_occurred_at(request),
    )


def changed_to_proto(done: Done) -> pb.ChangeSubscriptionResponse:
    """The answer to ChangeSubscription."""
    return pb.ChangeSubscriptionResponse(
        subscription=subscription_to_proto(done.subscription),
        refunded=money_to_proto(done.refunded),
        charged=money_to_proto(done.charged),
        reckoning=reckoning_to_proto(done.reckoned) if done.reckoned else None,
        balance_after=money_to_proto(done.balance_after),
        bill=bill_to_proto(done.bill) if done.bill else None,
    )


def order_id_from_proto(value: str) -> OrderId:
    """Refuses a malformed identifier of an order."""
    return OrderId(check_id("order_id", value))


def subscription_id_from_proto(value: str, field: str = "subscription_id") -> SubscriptionId:
    """Refuses a malformed identifier of a subscription."""
    return SubscriptionId(check_id(field, value))


def _items_from_proto(items: Sequence[order_pb2.OrderItem]) -> tuple[OrderItem, ...]:
    return tuple(_item_from_proto(item, f"items[{place}]") for place, item in enumerate(items))


def _coupon_ids_from_proto(coupon_ids: Sequence[str]) -> tuple[str, ...]:
    return tuple(check_id(f"coupon_ids[{place}]", each) for place, each in enumerate(coupon_ids))


def _item_from_proto(item: order_pb2.OrderItem, field: str) -> OrderItem:
    becomes, line = item.subscription_id, item.subscriber_id
    return OrderItem(
        product_id_from_proto(f"{field}.product_id", item.product_id),
        item.quantity or 1,
        subscription_id_from_proto(becomes, f"{field}.subscription_id") if becomes else None,
        check_id(f"{field}.subscriber_id", line) if line else "",
    )


def _item_to_proto(item: OrderItem) -> order_pb2.OrderItem:
    return order_pb2.OrderItem(
        product_id=item.product_id,
        quantity=item.quantity,
        subscription_id=item.subscription_id or "",
        subscriber_id=item.subscriber_id,
    )


def _occurred_at(request: pb.CancelSubscriptionRequest | pb.ChangeSubscriptionRequest) -> datetime:
    occurred_at = from_proto(request.occurred_at, "occurred_at")
    check_occurred_at(occurred_at)
    return occurred_at
