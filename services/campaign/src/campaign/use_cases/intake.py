"""What happens to customers and what is known of them, taken in batches with an outcome for each item."""

from collections.abc import Sequence

from chassis.errors import InvalidArgument, Refusal
from chassis.work import Transaction

from campaign.domain.catalogue import UnknownTag, check_tag_value
from campaign.domain.intake import CustomerEvent, CustomerId, EventIdReused, TagValue, by_partition, check_event
from campaign.store import Connection, customers, events
from campaign.use_cases.live import LiveRules


async def submit_events(
    transaction: Transaction, live: LiveRules, submitted: Sequence[CustomerEvent]
) -> list[Refusal | None]:
    """Store events together with what is told of them; None where an event was taken, now or before.

    The source and identity of an event are its claim: a repeat has no effect, another body under them is refused.
    """
    await live.refresh(transaction.connection)
    outcomes = [_refusal(live, event) for event in submitted]
    first: dict[tuple[str, str], CustomerEvent] = {}
    for event, outcome in zip(submitted, outcomes, strict=True):
        if outcome is None:
            first.setdefault(event.key, event)
    new = await _add(transaction, list(first.values()))
    for fact in by_partition(event for key, event in first.items() if key in new):
        transaction.emit(fact)
    known = {key: event.fingerprint for key, event in first.items()}
    known |= await events.fingerprints(transaction.connection, [key for key in first if key not in new])
    return [
        outcome or (None if known[event.key] == event.fingerprint else _reused(event))
        for event, outcome in zip(submitted, outcomes, strict=True)
    ]


async def _add(transaction: Transaction, fresh: Sequence[CustomerEvent]) -> set[tuple[str, str]]:
    return await events.add_events(transaction.connection, fresh, transaction.recorded_at) if fresh else set()


def _refusal(live: LiveRules, event: CustomerEvent) -> Refusal | None:
    try:
        check_event(event, live.catalogue)
    except Refusal as refusal:
        return refusal
    return None


def _reused(event: CustomerEvent) -> Refusal:
    return EventIdReused(f"event {event.event_id!r} was taken before with another content", event_id=event.event_id)


async def submit_tags(transaction: Transaction, live: LiveRules, submitted: Sequence[TagValue]) -> list[Refusal | None]:
    """Store tag values; None where a value was taken, though a newer one may stand."""
    await live.refresh(transaction.connection)
    outcomes = [_tag_refusal(live, value) for value in submitted]
    taken = [value for value, outcome in zip(submitted, outcomes, strict=True) if outcome is None]
    await customers.set_tags(transaction.connection, taken, transaction.recorded_at)
    return outcomes


def _tag_refusal(live: LiveRules, value: TagValue) -> Refusal | None:
    try:
        tag = live.catalogue.tag(value.tag_id)
        if value.value is not None:
            check_tag_value(tag, value.value)
    except (UnknownTag, InvalidArgument) as refusal:
        return refusal
    return None


async def customer_tags(connection: Connection, live: LiveRules, customer_id: CustomerId) -> list[TagValue]:
    """Every tag that a customer carries now."""
    await live.refresh(connection)
    return await customers.all_tags_of(connection, customer_id, live.catalogue)
