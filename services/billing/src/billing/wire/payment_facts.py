"""Facts about payments and automatic top-up as events."""

from collections.abc import Callable
from typing import Any

from chassis.times import to_proto
from google.protobuf.message import Message
from touchstone.billing.v1 import payment_events_pb2 as events

from billing.domain import payment_facts as facts
from billing.wire.payment import ORIGINS, STATES
from billing.wire.value import money_to_proto


def _settled(fact: facts.PaymentSettled) -> Message:
    return events.PaymentSettled(
        payment_id=fact.payment_id,
        account_id=fact.account_id,
        customer_id=fact.customer_id,
        amount=money_to_proto(fact.amount),
        channel=fact.channel,
        state=STATES[fact.state],
        origin=ORIGINS[fact.origin],
        bill_id=fact.bill_id or "",
        decline_code=fact.decline_code,
        bill_missed=fact.bill_missed,
        occurred_at=to_proto(fact.occurred_at),
    )


def _charged_back(fact: facts.PaymentChargedBack) -> Message:
    return events.PaymentChargedBack(
        payment_id=fact.payment_id,
        account_id=fact.account_id,
        customer_id=fact.customer_id,
        amount=money_to_proto(fact.amount),
        owed=money_to_proto(fact.owed),
        occurred_at=to_proto(fact.occurred_at),
    )


def _paused(fact: facts.TopUpPaused) -> Message:
    return events.TopUpPaused(
        account_id=fact.account_id,
        customer_id=fact.customer_id,
        because=fact.because,
        occurred_at=to_proto(fact.occurred_at),
    )


def _alarmed(fact: facts.TopUpAlarmed) -> Message:
    return events.TopUpAlarmed(
        account_id=fact.account_id,
        customer_id=fact.customer_id,
        payments=fact.payments,
        occurred_at=to_proto(fact.occurred_at),
    )


FACTS: dict[type[Any], Callable[[Any], Message]] = {
    facts.PaymentSettled: _settled,
    facts.PaymentChargedBack: _charged_back,
    facts.TopUpPaused: _paused,
    facts.TopUpAlarmed: _alarmed,
}
