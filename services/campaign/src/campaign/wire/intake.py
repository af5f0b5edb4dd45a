"""Customer events and tag values."""

import hashlib

from chassis.errors import InvalidArgument
from chassis.ids import check_id
from chassis.times import from_proto, to_proto
from google.protobuf.timestamp_pb2 import Timestamp
from touchstone.campaign.v1 import campaign_events_pb2 as events_proto
from touchstone.campaign.v1 import campaign_pb2 as proto
from touchstone.common.v1 import intake_pb2 as common

from campaign.domain.catalogue import EventTypeId, TagId
from campaign.domain.intake import CustomerEvent, CustomerId, EventsTaken, TagValue
from campaign.wire.values import value_from_proto, value_to_proto

_ATTRIBUTES_MAX = 100


def event_from_proto(message: common.CustomerEvent, source: str) -> CustomerEvent:
    """An event of a source, with a fingerprint of its whole body."""
    if len(message.attributes) > _ATTRIBUTES_MAX:
        raise InvalidArgument("attributes", f"at most {_ATTRIBUTES_MAX}")
    return CustomerEvent(
        source=source,
        event_id=check_id("event_id", message.event_id),
        event_type=EventTypeId(message.event_type),
        customer_id=customer_id_from_proto(message.customer_id),
        occurred_at=from_proto(message.occurred_at, "occurred_at"),
        attributes={name: value_from_proto(value, f"attributes.{name}") for name, value in message.attributes.items()},
        fingerprint=hashlib.blake2b(message.SerializeToString(deterministic=True), digest_size=16).digest(),
    )


def event_to_proto(event: CustomerEvent) -> common.CustomerEvent:
    """The event without its source, which stands once beside all events of a batch."""
    return common.CustomerEvent(
        event_id=event.event_id,
        event_type=event.event_type,
        customer_id=event.customer_id,
        occurred_at=to_proto(event.occurred_at),
        attributes={name: value_to_proto(value) for name, value in event.attributes.items()},
    )


def events_taken_to_proto(fact: EventsTaken) -> events_proto.EventsTaken:
    """The fact with its events."""
    return events_proto.EventsTaken(
        partition=fact.partition, source=fact.source, events=[event_to_proto(event) for event in fact.events]
    )


def events_taken_from_proto(message: events_proto.EventsTaken) -> list[CustomerEvent]:
    """The events of a batch."""
    return [event_from_proto(event, message.source) for event in message.events]


def tag_value_from_proto(message: common.TagValue) -> TagValue:
    """A value from its instant on; an unset one takes the tag away."""
    return TagValue(
        customer_id=customer_id_from_proto(message.customer_id),
        tag_id=TagId(check_id("tag_id", message.tag_id)),
        value=value_from_proto(message.value, "value") if message.HasField("value") else None,
        valid_from=from_proto(message.valid_from, "valid_from"),
    )


def customer_tag_to_proto(tag: TagValue) -> proto.CustomerTag:
    """A tag that a customer carries."""
    valid_from: Timestamp = to_proto(tag.valid_from)
    value = None if tag.value is None else value_to_proto(tag.value)
    return proto.CustomerTag(tag_id=tag.tag_id, value=value, valid_from=valid_from)


def customer_id_from_proto(customer_id: str) -> CustomerId:
    """Refuse a malformed identifier."""
    return CustomerId(check_id("customer_id", customer_id))
