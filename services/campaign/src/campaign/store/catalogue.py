"""The operator's own tags and event types; the ready-made ones ship with the code and need no rows."""

from typing import Any

import orjson
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

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

_EVENT_TYPES = text("SELECT body::text AS body FROM own_event_types WHERE revision > CAST(:revision AS bigint)")
_TAGS = text("SELECT body::text AS body FROM own_tags WHERE revision > CAST(:revision AS bigint)")
_SAVE_EVENT_TYPE = text("""
INSERT INTO own_event_types (event_type_id, body, revision) VALUES (:id, CAST(:body AS jsonb), :revision)
ON CONFLICT (event_type_id) DO UPDATE SET body = excluded.body, revision = excluded.revision
""")
_SAVE_TAG = text("""
INSERT INTO own_tags (tag_id, body, revision) VALUES (:id, CAST(:body AS jsonb), :revision)
ON CONFLICT (tag_id) DO UPDATE SET body = excluded.body, revision = excluded.revision
""")


async def event_types_since(connection: AsyncConnection, revision: int) -> dict[EventTypeId, EventType]:
    """Own event types that changed after this revision."""
    rows = await connection.execute(_EVENT_TYPES, {"revision": revision})
    found = [_event_type(orjson.loads(row.body)) for row in rows]
    return {event_type.id: event_type for event_type in found}


async def tags_since(connection: AsyncConnection, revision: int) -> dict[TagId, Tag]:
    """Own tags that changed after this revision."""
    rows = await connection.execute(_TAGS, {"revision": revision})
    found = [_tag(orjson.loads(row.body)) for row in rows]
    return {tag.id: tag for tag in found}


async def save_event_type(connection: AsyncConnection, event_type: EventType, revision: int) -> None:
    """Store an own event type."""
    attributes = [_attribute_to_json(attribute) for attribute in event_type.attributes.values()]
    body = {
        "id": event_type.id,
        "code": event_type.code,
        "group": event_type.group,
        "en": event_type.names.en,
        "zh": event_type.names.zh,
        "attributes": attributes,
    }
    await connection.execute(_SAVE_EVENT_TYPE, _row(event_type.id, body, revision))


async def save_tag(connection: AsyncConnection, tag: Tag, revision: int) -> None:
    """Store an own tag."""
    body = {
        "id": tag.id,
        "category": tag.category,
        "theme": tag.theme,
        "type": tag.type.value,
        "source": tag.source.value,
        "freshness": tag.freshness.value,
        "en": tag.names.en,
        "zh": tag.names.zh,
        "values": sorted(tag.values),
    }
    await connection.execute(_SAVE_TAG, _row(tag.id, body, revision))


def _row(identifier: str, body: dict[str, Any], revision: int) -> dict[str, Any]:
    return {"id": identifier, "body": orjson.dumps(body).decode(), "revision": revision}


def _attribute_to_json(attribute: Attribute) -> dict[str, Any]:
    return {
        "id": attribute.id,
        "type": attribute.type.value,
        "required": attribute.required,
        "en": attribute.names.en,
        "zh": attribute.names.zh,
        "values": sorted(attribute.values),
    }


def _attribute(body: dict[str, Any]) -> Attribute:
    return Attribute(
        id=AttributeId(body["id"]),
        type=AttributeType(body["type"]),
        required=body["required"],
        names=Names(body["en"], body["zh"]),
        values=frozenset(body["values"]),
    )


def _event_type(body: dict[str, Any]) -> EventType:
    found = [_attribute(each) for each in body["attributes"]]
    return EventType(
        id=EventTypeId(body["id"]),
        code=body["code"],
        group=body["group"],
        origin=Origin.OPERATOR,
        names=Names(body["en"], body["zh"]),
        attributes={attribute.id: attribute for attribute in found},
    )


def _tag(body: dict[str, Any]) -> Tag:
    return Tag(
        id=TagId(body["id"]),
        category=body["category"],
        theme=body["theme"],
        type=AttributeType(body["type"]),
        source=TagSource(body["source"]),
        freshness=Freshness(body["freshness"]),
        origin=Origin.OPERATOR,
        names=Names(body["en"], body["zh"]),
        values=frozenset(body["values"]),
    )
