"""Protobuf to domain and back: the only modules that know both."""

from member.wire.facts import FACTS

__all__ = ["FACTS"]
