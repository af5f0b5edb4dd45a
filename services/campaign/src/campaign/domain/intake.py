"""Customer events and tag values as they come in: their identity, their partition, and what is told of them."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import NewType

from chassis.errors import AlreadyExists

from campaign.domain.catalogue import Catalogue, EventTypeId, Scalar, TagId, check_attributes

CustomerId = NewType("CustomerId", str)
PARTITIONS = 64
MAX_BATCH = 1_000
# What is told at once has to pass the broker, which takes messages of up to a mebibyte.
_TOLD_BYTES_MAX = 256 * 1024
# Identities, type and time of an event, and what surrounds each of its attributes, as bytes that are never too few.
_EVENT_BYTES = 300
_ATTRIBUTE_BYTES = 32


class EventIdReused(AlreadyExists):
    """An event of this identity and source was taken before, with other content."""


@dataclass(frozen=True, slots=True)
class CustomerEvent:
    """Something that happened to a customer. `source` and `event_id` together are its identity.

    `fingerprint` tells two bodies under one identity apart; events that the platform makes itself need none.
    """

    source: str
    event_id: str
    event_type: EventTypeId
    customer_id: CustomerId
    occurred_at: datetime
    attributes: Mapping[str, Scalar]
    fingerprint: bytes = b""

    @property
    def key(self) -> tuple[str, str]:
        return self.source, self.event_id

    @property
    def size_bytes(self) -> int:
        """About how long the event is on the wire, and never less."""
        texts = (text for pair in self.attributes.items() for text in pair if isinstance(text, str))
        return _EVENT_BYTES + _ATTRIBUTE_BYTES * len(self.attributes) + sum(len(text.encode()) for text in texts)

    @property
    def order(self) -> tuple[datetime, str, str]:
        """Business time first; identities decide ties, the same way in every replica."""
        return self.occurred_at, self.source, self.event_id


@dataclass(frozen=True, slots=True)
class TagValue:
    """A value that a tag takes from `valid_from` on; None takes the tag away.

    Where two values hold from the same instant, the one of the higher `sequence` stands. With an `account_id` the
    sequence is that account's own: what it says last stands, whatever its business time.
    """

    customer_id: CustomerId
    tag_id: TagId
    value: Scalar | None
    valid_from: datetime
    sequence: int = 0
    account_id: str = ""

    @property
    def key(self) -> tuple[CustomerId, TagId]:
        return self.customer_id, self.tag_id

    @property
    def rank(self) -> tuple[datetime, int]:
        return self.valid_from, self.sequence


@dataclass(frozen=True, slots=True)
class EventsTaken:
    """Effect: events of one partition and source, stored and ready to be matched."""

    source: str
    partition: int
    events: tuple[CustomerEvent, ...]

    @property
    def aggregate_id(self) -> str:
        return f"intake.{self.partition}"

    @property
    def occurred_at(self) -> datetime:
        return max(event.occurred_at for event in self.events)


def partition_of(customer_id: CustomerId) -> int:
    """The customer's partition: the same for ever and in every process."""
    digest = hashlib.blake2b(customer_id.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") % PARTITIONS


def check_event(event: CustomerEvent, catalogue: Catalogue) -> None:
    """Refuse an unknown type and attributes that are not as the catalogue states."""
    check_attributes(catalogue.event_type(event.event_type), event.attributes)


def by_partition(events: Iterable[CustomerEvent]) -> list[EventsTaken]:
    """What is told of events: facts of one source and partition, each no longer than the broker takes; in the order
    taken."""
    grouped: dict[tuple[str, int], list[CustomerEvent]] = {}
    for event in events:
        grouped.setdefault((event.source, partition_of(event.customer_id)), []).append(event)
    return [
        EventsTaken(source, partition, part)
        for (source, partition), found in sorted(grouped.items())
        for part in _parts(found)
    ]


def _parts(events: Iterable[CustomerEvent]) -> Iterator[tuple[CustomerEvent, ...]]:
    part: list[CustomerEvent] = []
    size_bytes = 0
    for event in events:
        if part and size_bytes + event.size_bytes > _TOLD_BYTES_MAX:
            yield tuple(part)
            part, size_bytes = [], 0
        part.append(event)
        size_bytes += event.size_bytes
    if part:
        yield tuple(part)


def last_of_accounts(values: Iterable[TagValue]) -> dict[tuple[CustomerId, TagId, str], TagValue]:
    """What each account says last, by its own sequence. It holds from the latest instant that the account told of, so
    that between accounts it is the last to have said anything that stands; the order of telling does not matter."""
    last: dict[tuple[CustomerId, TagId, str], TagValue] = {}
    for value in values:
        key = (*value.key, value.account_id)
        known = last.get(key, value)
        told = value if known.sequence <= value.sequence else known
        last[key] = replace(told, valid_from=max(known.valid_from, value.valid_from))
    return last


def newest_of(values: Iterable[TagValue]) -> dict[tuple[CustomerId, TagId], TagValue]:
    """The value of each customer and tag that stands at the end; among equals the one that came last."""
    newest: dict[tuple[CustomerId, TagId], TagValue] = {}
    for value in values:
        known = newest.get(value.key)
        if known is None or known.rank <= value.rank:
            newest[value.key] = value
    return newest
