"""Facts of charging as events."""

from collections.abc import Callable
from typing import Any

from chassis.times import to_proto
from google.protobuf.message import Message
from touchstone.billing.v1 import account_events_pb2 as events
from touchstone.billing.v1 import charging_events_pb2

from billing.domain.charge_refund import ChargeRefunded
from billing.domain.recurring import RecurringChargeRefused
from billing.wire.value import money_to_proto


def _refunded(fact: ChargeRefunded) -> Message:
    return events.ChargeRefunded(
        refund_id=fact.refund_id,
        charge_id=fact.charge_id,
        account_id=fact.account_id,
        customer_id=fact.customer_id,
        amount=money_to_proto(fact.amount),
        charge_amount=money_to_proto(fact.charge_amount),
        refunded_before=money_to_proto(fact.refunded_before),
        balance_after=money_to_proto(fact.balance_after),
        transaction_id=fact.transaction_id,
        order_id=fact.order_id,
        charged_at=to_proto(fact.charged_at),
        occurred_at=to_proto(fact.occurred_at),
        account_version=fact.account_version,
    )


def _cycle_refused(fact: RecurringChargeRefused) -> Message:
    return charging_events_pb2.RecurringChargeRefused(
        subscription_id=fact.subscription_id,
        account_id=fact.account_id,
        customer_id=fact.customer_id,
        product_id=fact.product_id,
        amount=money_to_proto(fact.amount),
        spendable=money_to_proto(fact.spendable),
        cycle_start=fact.cycle_start.isoformat(),
        occurred_at=to_proto(fact.occurred_at),
    )


FACTS: dict[type[Any], Callable[[Any], Message]] = {
    ChargeRefunded: _refunded,
    RecurringChargeRefused: _cycle_refused,
}
"""Every fact of charging's own."""
