"""Protobuf and domain, translated: the only place that knows both. What comes in is checked field by field here."""

from billing.wire.fact import FACTS

__all__ = ["FACTS"]
