"""Protobuf and domain, translated: the only place that knows both. What comes in is checked field by field here."""

from billing.wire import (
    account_facts,
    bill_facts,
    charging_facts,
    fact,
    migration_facts,
    notice_facts,
    order_facts,
    payment_facts,
)

FACTS = (
    fact.FACTS
    | account_facts.FACTS
    | bill_facts.FACTS
    | charging_facts.FACTS
    | migration_facts.FACTS
    | notice_facts.FACTS
    | payment_facts.FACTS
    | order_facts.FACTS
)
"""Every fact that billing tells, with the event that it becomes."""

__all__ = ["FACTS"]
