"""Touchpoints: the places where a customer is met, and the ways in which an offer can be put there."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from chassis.errors import AlreadyExists, FieldViolation, InvalidArgument, NotFound, Refusal

from touchpoint.domain.identity import TouchpointCode

NAME_LENGTH_MAX = 200
DELIVERY_WAYS_MAX = 32
_IDENTIFIER = re.compile(r"[a-z][a-z0-9_]{0,63}")


class TouchpointNotFound(NotFound):
    """No touchpoint is registered under the code."""


class TouchpointNotOutbound(Refusal):
    """The touchpoint only serves customers who come to it; nothing can be sent through it."""


class TouchpointIdTaken(AlreadyExists):
    """The stable identifier belongs to another touchpoint."""


class TouchpointIdFixed(Refusal):
    """The touchpoint is stored under another stable identifier, which never changes."""


class TouchpointClass(StrEnum):
    """Who acts when the customer is met: staff, the customer himself, the operator, or a scene or partner."""

    ASSISTED = "assisted"
    SELF_SERVICE = "self_service"
    OUTBOUND = "outbound"
    SCENE = "scene"


@dataclass(frozen=True, slots=True)
class Touchpoint:
    """One place where customers are met. Refuses (InvalidArgument) what could not be addressed later."""

    code: TouchpointCode
    touchpoint_id: str
    touchpoint_class: TouchpointClass
    name_en: str
    name_zh: str
    inbound: bool
    outbound: bool
    delivery_ways: tuple[str, ...]
    preferred_way: str

    def __post_init__(self) -> None:
        violations = list(self._violations())
        if violations:
            raise InvalidArgument.many(violations)

    def _violations(self) -> Iterator[FieldViolation]:
        if not _IDENTIFIER.fullmatch(self.touchpoint_id):
            yield FieldViolation("touchpoint.touchpoint_id", "must be lower-case letters, digits and underscores")
        for field, name in (("name_en", self.name_en), ("name_zh", self.name_zh)):
            if not 0 < len(name) <= NAME_LENGTH_MAX or not name.isprintable():
                yield FieldViolation(f"touchpoint.{field}", f"must be 1 to {NAME_LENGTH_MAX} printable characters")
        if not (self.inbound or self.outbound):
            yield FieldViolation("touchpoint.inbound", "a touchpoint is inbound, outbound or both")
        if not 0 < len(self.delivery_ways) <= DELIVERY_WAYS_MAX or len(set(self.delivery_ways)) < len(
            self.delivery_ways
        ):
            yield FieldViolation("touchpoint.delivery_ways", f"must be 1 to {DELIVERY_WAYS_MAX} different ways")
        if not all(_IDENTIFIER.fullmatch(way) for way in self.delivery_ways):
            yield FieldViolation("touchpoint.delivery_ways", "must be lower-case letters, digits and underscores")
        if self.preferred_way not in self.delivery_ways:
            yield FieldViolation("touchpoint.preferred_way", "must be one of the delivery ways")

    def way(self, asked: str) -> str:
        """The delivery way to use: the one asked for, or the preferred one. Refuses a way unknown here."""
        if asked and asked not in self.delivery_ways:
            raise InvalidArgument("delivery_way", f"must be one of {', '.join(self.delivery_ways)} at {self.code}")
        return asked or self.preferred_way
