"""The ready-made catalogue that ships with the service: event types and tags, in two files of data.

`event_types.json` holds the types that the operator's systems know (each with its code) and those that the platform
adds; an attribute's identifier has one type wherever it occurs, and `!` marks it as required. `tags.json` holds tags by
category. Identifiers are promises: rules that operators saved read them, so they are added and never renamed.
"""

import json
from functools import cache
from importlib.resources import files
from typing import Any

from campaign.domain.catalogue import (
    Attribute,
    AttributeId,
    AttributeType,
    Catalogue,
    EventType,
    EventTypeId,
    Freshness,
    Names,
    Origin,
    Tag,
    TagId,
    TagSource,
)


@cache
def ready_made() -> Catalogue:
    """The catalogue as shipped."""
    events, tags = _read("event_types.json"), _read("tags.json")
    attributes = events["attributes"]
    event_types = [_event_type(row, attributes) for row in events["event_types"]]
    return Catalogue(
        tags={tag.id: tag for tag in map(_tag, tags["tags"])},
        event_types={event_type.id: event_type for event_type in event_types},
    )


def _read(name: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((files(__name__) / name).read_text(encoding="utf-8"))
    return content


def _names(row: dict[str, Any]) -> Names:
    return Names(en=row["en"], zh=row["zh"])


def _event_type(row: dict[str, Any], attributes: dict[str, Any]) -> EventType:
    found = [_attribute(written, attributes) for written in row["attributes"]]
    return EventType(
        id=EventTypeId(row["id"]),
        code=row["code"],
        group=row["group"],
        origin=Origin(row["origin"]),
        names=_names(row),
        attributes={attribute.id: attribute for attribute in found},
    )


def _attribute(written: str, attributes: dict[str, Any]) -> Attribute:
    identifier = written.removesuffix("!")
    row = attributes[identifier]
    return Attribute(
        id=AttributeId(identifier),
        type=AttributeType(row["type"]),
        required=written.endswith("!"),
        names=_names(row),
        values=frozenset(row.get("values", ())),
    )


def _tag(row: dict[str, Any]) -> Tag:
    return Tag(
        id=TagId(row["id"]),
        category=row["category"],
        theme=row["theme"],
        type=AttributeType(row["type"]),
        source=TagSource(row["source"]),
        freshness=Freshness(row["freshness"]),
        origin=Origin.READY_MADE,
        names=_names(row),
        values=frozenset(row.get("values", ())),
    )
