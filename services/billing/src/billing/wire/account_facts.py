"""Facts of gifts, credit limits and what is taken back, as events."""

from collections.abc import Callable
from typing import Any

from chassis.times import to_proto
from google.protobuf.message import Message
from touchstone.billing.v1 import account_events_pb2 as events

from billing.domain import account_facts as facts
from billing.wire.value import money_to_proto


def _gift_expired(fact: facts.GiftExpired) -> Message:
    return events.GiftExpired(
        transaction_id=fact.transaction_id,
        account_id=fact.account_id,
        customer_id=fact.customer_id,
        amount=money_to_proto(fact.amount),
        balance_after=money_to_proto(fact.balance_after),
        revoked=fact.revoked,
        occurred_at=to_proto(fact.occurred_at),
        account_version=fact.account_version,
    )


def _gift_granted(fact: facts.GiftGranted) -> Message:
    return events.GiftGranted(
        gift_id=fact.gift_id,
        account_id=fact.account_id,
        customer_id=fact.customer_id,
        amount=money_to_proto(fact.amount),
        balance_after=money_to_proto(fact.balance_after),
        expires_at=to_proto(fact.expires_at) if fact.expires_at else None,
        occurred_at=to_proto(fact.occurred_at),
        account_version=fact.account_version,
    )


def _credit_limit_set(fact: facts.CreditLimitSet) -> Message:
    return events.CreditLimitSet(
        account_id=fact.account_id,
        customer_id=fact.customer_id,
        credit_limit=money_to_proto(fact.credit_limit),
        revision=fact.revision,
        occurred_at=to_proto(fact.occurred_at),
    )


def _recharge_reversed(fact: facts.RechargeReversed) -> Message:
    return events.RechargeReversed(
        transaction_id=fact.transaction_id,
        recharge_transaction_id=fact.recharge_transaction_id,
        account_id=fact.account_id,
        customer_id=fact.customer_id,
        amount=money_to_proto(fact.amount),
        recharge_amount=money_to_proto(fact.recharge_amount),
        reversed_before=money_to_proto(fact.reversed_before),
        balance_after=money_to_proto(fact.balance_after),
        cause=fact.cause,
        recharged_at=to_proto(fact.recharged_at),
        occurred_at=to_proto(fact.occurred_at),
        account_version=fact.account_version,
    )


FACTS: dict[type[Any], Callable[[Any], Message]] = {
    facts.GiftExpired: _gift_expired,
    facts.GiftGranted: _gift_granted,
    facts.CreditLimitSet: _credit_limit_set,
    facts.RechargeReversed: _recharge_reversed,
}
