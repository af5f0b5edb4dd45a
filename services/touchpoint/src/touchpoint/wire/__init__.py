"""Protobuf, and the partners' JSON, on one side and the domain on the other: the only modules that know both."""

from touchpoint.wire.events import FACTS

__all__ = ["FACTS"]
