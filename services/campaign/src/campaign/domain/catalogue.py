"""What rules may speak of: typed tags of customers and typed attributes of customer events.

A value is checked against the catalogue where it enters, so that a rule accepted by the type check never meets a
value of another type. The four types are those of CEL's scalars; money is an INT of minor units named `..._minor`.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import NewType, TypeAlias

from chassis.errors import AlreadyExists, FieldViolation, InvalidArgument, NotFound

TagId = NewType("TagId", str)
EventTypeId = NewType("EventTypeId", str)
AttributeId = NewType("AttributeId", str)
Scalar: TypeAlias = str | int | float | bool

INT64_MIN, INT64_MAX = -(2**63), 2**63 - 1
MAX_STRING_LENGTH = 1_000
"""Characters of one string value; a longer one is a document, not an attribute."""
MAX_ALLOWED_VALUES = 200
_IDENTIFIER = re.compile(r"[a-z][a-z0-9_]{0,62}")
_CEL_RESERVED = frozenset(
    {
        "as",
        "break",
        "const",
        "continue",
        "else",
        "false",
        "for",
        "function",
        "has",
        "if",
        "import",
        "in",
        "let",
        "loop",
        "namespace",
        "null",
        "package",
        "return",
        "true",
        "var",
        "void",
        "while",
    }
)


class AttributeType(StrEnum):
    """The closed set of types of tags and attributes."""

    STRING = "STRING"
    INT = "INT"
    DOUBLE = "DOUBLE"
    BOOL = "BOOL"


class Origin(StrEnum):
    """Where a catalogue entry comes from."""

    READY_MADE = "READY_MADE"
    PLATFORM = "PLATFORM"
    """Made by the platform's own services, beyond the ready-made list."""
    OPERATOR = "OPERATOR"


class TagSource(StrEnum):
    """Who fills a tag."""

    BOSS = "BOSS"
    MEMBER = "MEMBER"
    BILLING = "BILLING"
    CAMPAIGN = "CAMPAIGN"
    TOUCHPOINT = "TOUCHPOINT"
    SCORING = "SCORING"


class Freshness(StrEnum):
    """How far a tag may lie behind what it describes."""

    LIVE = "LIVE"
    DAILY = "DAILY"
    WEEKLY = "WEEKLY"
    MONTHLY = "MONTHLY"
    PER_RUN = "PER_RUN"
    """As fresh as the last published scoring run."""


class UnknownEventType(NotFound):
    """No event type of this identifier is in the catalogue."""


class UnknownTag(NotFound):
    """No tag of this identifier is in the catalogue."""


class EventTypeExists(AlreadyExists):
    """An event type of this identifier is in the catalogue already."""


class TagExists(AlreadyExists):
    """A tag of this identifier is in the catalogue already."""


@dataclass(frozen=True, slots=True)
class Names:
    """What people read, in both languages of the operator."""

    en: str
    zh: str


@dataclass(frozen=True, slots=True)
class Attribute:
    """One typed attribute of an event type; `values` closes the set of a STRING."""

    id: AttributeId
    type: AttributeType
    required: bool
    names: Names
    values: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class EventType:
    """A kind of customer event; `code` is its short number in the operator's lists."""

    id: EventTypeId
    code: str
    group: str
    origin: Origin
    names: Names
    attributes: Mapping[AttributeId, Attribute]


@dataclass(frozen=True, slots=True)
class Tag:
    """A typed property of a customer; `theme` is the finer heading within its category."""

    id: TagId
    category: str
    theme: str
    type: AttributeType
    source: TagSource
    freshness: Freshness
    origin: Origin
    names: Names
    values: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Catalogue:
    """All tags and event types known at one moment."""

    tags: Mapping[TagId, Tag]
    event_types: Mapping[EventTypeId, EventType]

    def event_type(self, event_type_id: str) -> EventType:
        """Refuse `UnknownEventType`."""
        found = self.event_types.get(EventTypeId(event_type_id))
        if found is None:
            raise UnknownEventType(f"the catalogue has no event type {event_type_id!r}", event_type=event_type_id)
        return found

    def tag(self, tag_id: str) -> Tag:
        """Refuse `UnknownTag`."""
        found = self.tags.get(TagId(tag_id))
        if found is None:
            raise UnknownTag(f"the catalogue has no tag {tag_id!r}", tag=tag_id)
        return found

    def merged(self, tags: Mapping[TagId, Tag], event_types: Mapping[EventTypeId, EventType]) -> "Catalogue":
        """The same with more entries; what is there already keeps its meaning."""
        return Catalogue(tags={**tags, **self.tags}, event_types={**event_types, **self.event_types})


def check_identifier(field: str, identifier: str) -> str:
    """Refuse what could not be written after `tags.` or `event.` in a rule."""
    if not _IDENTIFIER.fullmatch(identifier):
        raise InvalidArgument(
            field, "must be lower-case letters, digits and underscores, beginning with a letter, at most 63"
        )
    if identifier in _CEL_RESERVED:
        raise InvalidArgument(field, f"{identifier!r} is a reserved word of the rule language")
    return identifier


def check_allowed_values(field: str, attribute_type: AttributeType, values: frozenset[str]) -> None:
    """Only a STRING has a closed set of values, and a bounded one."""
    if values and attribute_type is not AttributeType.STRING:
        raise InvalidArgument(field, "only a STRING may list its values")
    if len(values) > MAX_ALLOWED_VALUES:
        raise InvalidArgument(field, f"at most {MAX_ALLOWED_VALUES} values")
    if any(not value or len(value) > MAX_STRING_LENGTH for value in values):
        raise InvalidArgument(field, f"each value has 1 to {MAX_STRING_LENGTH} characters")


def value_problem(attribute_type: AttributeType, values: frozenset[str], value: object) -> str | None:
    """What is wrong with a value of this type, or None. A bool is no INT, an INT no DOUBLE: nothing is converted."""
    match attribute_type:
        case AttributeType.STRING if isinstance(value, str):
            return _string_problem(values, value)
        case AttributeType.BOOL if isinstance(value, bool):
            return None
        case AttributeType.INT if isinstance(value, int) and not isinstance(value, bool):
            return None if INT64_MIN <= value <= INT64_MAX else "must fit 64 bits"
        case AttributeType.DOUBLE if isinstance(value, float):
            return None if math.isfinite(value) else "must be a finite number"
    return f"must be of type {attribute_type.value}"


def _string_problem(values: frozenset[str], value: str) -> str | None:
    if len(value) > MAX_STRING_LENGTH:
        return f"at most {MAX_STRING_LENGTH} characters"
    if "\x00" in value:
        return "must not contain the character U+0000"
    if values and value not in values:
        return f"must be one of {', '.join(sorted(values))}"
    return None


def check_attributes(event_type: EventType, attributes: Mapping[str, object], field: str = "attributes") -> None:
    """Refuse unknown, wrongly typed and missing attributes, every one of them named in one refusal."""
    problems = [
        FieldViolation(f"{field}.{name}", problem)
        for name, value in attributes.items()
        if (problem := _attribute_problem(event_type, name, value)) is not None
    ]
    problems += [
        FieldViolation(f"{field}.{attribute.id}", f"is required by {event_type.id}")
        for attribute in event_type.attributes.values()
        if attribute.required and attribute.id not in attributes
    ]
    if problems:
        raise InvalidArgument.many(problems)


def _attribute_problem(event_type: EventType, name: str, value: object) -> str | None:
    attribute = event_type.attributes.get(AttributeId(name))
    if attribute is None:
        return f"{event_type.id} has no such attribute"
    return value_problem(attribute.type, attribute.values, value)


def check_tag_value(tag: Tag, value: object, field: str = "value") -> None:
    """Refuse a value of another type or outside the tag's closed set."""
    problem = value_problem(tag.type, tag.values, value)
    if problem is not None:
        raise InvalidArgument(field, f"{tag.id} {problem}")


def extended_event_type(known: EventType | None, wanted: EventType) -> EventType:
    """An own event type after it was put. Refuse a name that is taken, and a change of what rules may read already."""
    check_identifier("event_type.event_type", wanted.id)
    for attribute in wanted.attributes.values():
        check_identifier("event_type.attributes.name", attribute.id)
        check_allowed_values("event_type.attributes.allowed_values", attribute.type, attribute.values)
    if known is None:
        return wanted
    if known.origin is not Origin.OPERATOR:
        raise EventTypeExists(f"{wanted.id} is in the ready-made catalogue", event_type=wanted.id)
    for attribute in known.attributes.values():
        again = wanted.attributes.get(attribute.id)
        if again is not None and again.type is not attribute.type:
            raise InvalidArgument("event_type.attributes.type", f"{attribute.id} is {_a(attribute.type)} and stays so")
    return replace(wanted, attributes={**known.attributes, **wanted.attributes})


def extended_tag(known: Tag | None, wanted: Tag) -> Tag:
    """An own tag after it was put. Refuse a name that is taken, another type, and values taken away."""
    check_identifier("tag.tag_id", wanted.id)
    check_allowed_values("tag.allowed_values", wanted.type, wanted.values)
    if known is None:
        return wanted
    if known.origin is not Origin.OPERATOR:
        raise TagExists(f"{wanted.id} is in the ready-made catalogue", tag=wanted.id)
    if wanted.type is not known.type:
        raise InvalidArgument("tag.type", f"{wanted.id} is {_a(known.type)} and stays so")
    if wanted.values and not known.values <= wanted.values:
        raise InvalidArgument("tag.allowed_values", "values can be added, not taken away")
    return wanted


def _a(kind: AttributeType) -> str:
    return f"an {kind.value}" if kind is AttributeType.INT else f"a {kind.value}"
