"""Protobuf and domain, translated: the only place that knows both. What comes in is checked field by field here."""

from billing.wire import account_facts, charging_facts, fact

FACTS = fact.FACTS | account_facts.FACTS | charging_facts.FACTS
"""Every fact that billing tells, with the event that it becomes."""

__all__ = ["FACTS"]
