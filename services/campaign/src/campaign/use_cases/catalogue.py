"""The operator's own tags and event types, beside the ready-made ones."""

from dataclasses import replace

from chassis.work import Transaction

from campaign.domain.catalogue import EventType, Origin, Tag, extended_event_type, extended_tag
from campaign.store import campaigns as campaign_store
from campaign.store import catalogue as store
from campaign.use_cases.live import LiveRules


async def put_event_type(transaction: Transaction, live: LiveRules, wanted: EventType) -> EventType:
    """Add an own event type, or attributes to one; what is there keeps its meaning, because rules read it."""
    await campaign_store.lock_changes(transaction.connection)
    await live.refresh(transaction.connection)
    own = replace(wanted, origin=Origin.OPERATOR)
    stored = extended_event_type(live.catalogue.event_types.get(own.id), own)
    revision = await campaign_store.next_revision(transaction.connection)
    await store.save_event_type(transaction.connection, stored, revision)
    return stored


async def put_tag(transaction: Transaction, live: LiveRules, wanted: Tag) -> Tag:
    """Add an own tag, or names and allowed values to one; its type stays, because rules read it."""
    await campaign_store.lock_changes(transaction.connection)
    await live.refresh(transaction.connection)
    own = replace(wanted, origin=Origin.OPERATOR)
    stored = extended_tag(live.catalogue.tags.get(own.id), own)
    revision = await campaign_store.next_revision(transaction.connection)
    await store.save_tag(transaction.connection, stored, revision)
    return stored
