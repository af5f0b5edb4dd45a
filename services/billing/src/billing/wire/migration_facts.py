"""Facts of migrated balances, as events."""

from collections.abc import Callable
from typing import Any

from chassis.times import to_proto
from google.protobuf.message import Message
from touchstone.billing.v1 import balance_migration_events_pb2 as events

from billing.domain import migration_facts as facts
from billing.wire.value import money_to_proto


def _migrated(fact: facts.BalanceMigrated) -> Message:
    return events.BalanceMigrated(
        run_id=fact.run_id,
        balance_id=fact.balance_id,
        account_id=fact.account_id,
        customer_id=fact.customer_id,
        earmark=fact.earmark,
        amount=money_to_proto(fact.amount),
        balance_after=money_to_proto(fact.balance_after),
        transaction_id=fact.transaction_id,
        occurred_at=to_proto(fact.occurred_at),
        account_version=fact.account_version,
        gift_amount=money_to_proto(fact.gift),
    )


FACTS: dict[type[Any], Callable[[Any], Message]] = {
    facts.BalanceMigrated: _migrated,
}
