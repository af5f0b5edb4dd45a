"""Facts about orders and subscriptions, as events."""

from collections.abc import Callable
from typing import Any

from chassis.times import to_proto
from google.protobuf.message import Message
from touchstone.billing.v1 import order_events_pb2

from billing.domain import order_facts as facts
from billing.wire.order import SUBSCRIPTION_STATES
from billing.wire.value import money_to_proto


def _placed(fact: facts.OrderPlaced) -> Message:
    return order_events_pb2.OrderPlaced(
        order_id=fact.order_id,
        account_id=fact.account_id,
        customer_id=fact.customer_id,
        product_ids=fact.product_ids,
        total=money_to_proto(fact.total),
        coupon_ids=fact.coupon_ids,
        points_hold_id=fact.points_hold_id,
        occurred_at=to_proto(fact.occurred_at),
    )


def _rejected(fact: facts.OrderRejected) -> Message:
    return order_events_pb2.OrderRejected(
        order_id=fact.order_id,
        account_id=fact.account_id,
        customer_id=fact.customer_id,
        coupon_ids=fact.coupon_ids,
        points_hold_id=fact.points_hold_id,
        because=fact.because,
        occurred_at=to_proto(fact.occurred_at),
    )


def _subscription_changed(fact: facts.SubscriptionChanged) -> Message:
    subscription = fact.subscription
    return order_events_pb2.SubscriptionChanged(
        subscription_id=subscription.subscription_id,
        account_id=fact.account_id,
        customer_id=fact.customer_id,
        product_id=subscription.product_id,
        family=fact.family,
        quantity=subscription.quantity,
        state=SUBSCRIPTION_STATES[subscription.state],
        subscriber_id=subscription.subscriber_id,
        cycle_end=subscription.cycle_end.isoformat(),
        revision=subscription.revision,
        occurred_at=to_proto(fact.occurred_at),
    )


FACTS: dict[type[Any], Callable[[Any], Message]] = {
    facts.OrderPlaced: _placed,
    facts.OrderRejected: _rejected,
    facts.SubscriptionChanged: _subscription_changed,
}
