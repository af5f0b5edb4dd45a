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


FACTS: dict[type[Any], Callable[[Any], Message]] = {
    facts.GiftExpired: _gift_expired,
}
