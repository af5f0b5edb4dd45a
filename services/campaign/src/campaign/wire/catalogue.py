"""Event types and tags."""

from enum import StrEnum
from typing import TypeVar

from chassis.errors import InvalidArgument
from chassis.ids import check_text
from touchstone.campaign.v1 import campaign_pb2 as proto

from campaign.domain.catalogue import (
    Attribute,
    AttributeId,
    AttributeType,
    EventType,
    EventTypeId,
    Freshness,
    Names,
    Origin,
    Tag,
    TagId,
    TagSource,
)

E = TypeVar("E", bound=StrEnum)
_NAME_LENGTH_MAX = 200
_TYPES = {
    AttributeType.STRING: proto.VALUE_TYPE_STRING,
    AttributeType.INT: proto.VALUE_TYPE_INT,
    AttributeType.DOUBLE: proto.VALUE_TYPE_DOUBLE,
    AttributeType.BOOL: proto.VALUE_TYPE_BOOL,
}
_TYPES_BACK: dict[int, AttributeType] = {number: attribute_type for attribute_type, number in _TYPES.items()}


def event_type_to_proto(event_type: EventType) -> proto.EventType:
    """The event type with its attributes."""
    return proto.EventType(
        event_type=event_type.id,
        code=event_type.code if event_type.origin is Origin.READY_MADE else "",
        group=event_type.group,
        name_en=event_type.names.en,
        name_zh=event_type.names.zh,
        attributes=[_attribute_to_proto(attribute) for attribute in event_type.attributes.values()],
    )


def _attribute_to_proto(attribute: Attribute) -> proto.AttributeType:
    return proto.AttributeType(
        name=attribute.id,
        type=_TYPES[attribute.type],
        description=attribute.names.en,
        required=attribute.required,
        allowed_values=sorted(attribute.values),
    )


def event_type_from_proto(message: proto.EventType) -> EventType:
    """An event type of the operator's own."""
    found = [_attribute_from_proto(attribute) for attribute in message.attributes]
    attributes = {attribute.id: attribute for attribute in found}
    if len(attributes) < len(found):
        raise InvalidArgument("event_type.attributes", "each name once")
    return EventType(
        id=EventTypeId(message.event_type),
        code="",
        group=check_text("event_type.group", message.group, length_max=_NAME_LENGTH_MAX, required=True),
        origin=Origin.OPERATOR,
        names=_names("event_type", message.name_en, message.name_zh),
        attributes=attributes,
    )


def _attribute_from_proto(message: proto.AttributeType) -> Attribute:
    description = check_text("event_type.attributes.description", message.description, length_max=_NAME_LENGTH_MAX)
    return Attribute(
        id=AttributeId(message.name),
        type=_type_from_proto(message.type, "event_type.attributes.type"),
        required=message.required,
        names=Names(description, description),
        values=frozenset(message.allowed_values),
    )


def tag_to_proto(tag: Tag) -> proto.Tag:
    """The tag; source and freshness in small letters."""
    return proto.Tag(
        tag_id=tag.id,
        category=tag.category,
        type=_TYPES[tag.type],
        allowed_values=sorted(tag.values),
        source=tag.source.value.lower(),
        freshness=tag.freshness.value.lower(),
        name_en=tag.names.en,
        name_zh=tag.names.zh,
    )


def tag_from_proto(message: proto.Tag) -> Tag:
    """A tag of the operator's own."""
    return Tag(
        id=TagId(message.tag_id),
        category=check_text("tag.category", message.category, length_max=_NAME_LENGTH_MAX, required=True),
        theme="",
        type=_type_from_proto(message.type, "tag.type"),
        source=_member(TagSource, message.source, "tag.source"),
        freshness=_member(Freshness, message.freshness, "tag.freshness"),
        origin=Origin.OPERATOR,
        names=_names("tag", message.name_en, message.name_zh),
        values=frozenset(message.allowed_values),
    )


def _names(field: str, en: str, zh: str) -> Names:
    return Names(
        check_text(f"{field}.name_en", en, length_max=_NAME_LENGTH_MAX, required=True),
        check_text(f"{field}.name_zh", zh, length_max=_NAME_LENGTH_MAX) or en,
    )


def _type_from_proto(number: int, field: str) -> AttributeType:
    found = _TYPES_BACK.get(number)
    if found is None:
        raise InvalidArgument(field, "must be STRING, INT, DOUBLE or BOOL")
    return found


def _member(enum: type[E], written: str, field: str) -> E:
    known = {member.value.lower(): member for member in enum}
    if written.lower() not in known:
        raise InvalidArgument(field, f"must be one of {', '.join(sorted(known))}")
    return known[written.lower()]
