"""The moment a customer event occurs: tags, event and rules are matched, and what matches becomes a decision."""

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime

from chassis.ids import new_id
from chassis.work import Transaction

from campaign.domain.catalogue import Scalar, TagId
from campaign.domain.decisions import (
    Candidate,
    Decision,
    DecisionId,
    DecisionMade,
    decision,
    limited_pairs,
    longest_limit,
    within_limits,
)
from campaign.domain.intake import CustomerEvent, CustomerId, TagValue
from campaign.store import customers, decisions, events
from campaign.use_cases.live import LiveRules

TENURE = TagId("tenure_days")
"""Told at the event's own time from the day of registration, so it needs no daily refresh."""


async def take_facts(
    transaction: Transaction, live: LiveRules, taken: Iterable[CustomerEvent], tags: Sequence[TagValue] = ()
) -> list[Decision]:
    """Take what other services told: tags first, then the events, each stored once and matched if it was new."""
    await customers.set_tags(transaction.connection, tags, transaction.recorded_at)
    unique = {event.key: event for event in taken}
    if not unique:
        return []
    new = await events.add_events(transaction.connection, list(unique.values()), transaction.recorded_at)
    return await match_events(transaction, live, [event for key, event in unique.items() if key in new])


async def match_events(
    transaction: Transaction, live: LiveRules, taken: Iterable[CustomerEvent], touchpoint: str = ""
) -> list[Decision]:
    """Match events against the live campaigns, decide within their limits, store and tell every decision once.

    With a `touchpoint`, only campaigns that allow it take part.
    """
    await live.refresh(transaction.connection)
    waited_for = [event for event in taken if live.matcher.listens_to(event.event_type)]
    if not waited_for:
        return []
    candidates = await _candidates(transaction, live, waited_for)
    if touchpoint:
        candidates = [each for each in candidates if touchpoint in each.campaign.plan.touchpoints]
    return await _decide(transaction, candidates)


async def _candidates(transaction: Transaction, live: LiveRules, taken: Sequence[CustomerEvent]) -> list[Candidate]:
    reads = frozenset[TagId]().union(*(live.matcher.reads(event_type) for event_type in {e.event_type for e in taken}))
    known = await _tags(transaction, live, taken, reads)
    found: list[Candidate] = []
    for event in taken:
        matched = live.matcher.match(event.event_type, event.attributes, known.get(event.key, {}))
        campaigns = (live.campaigns[campaign_id] for campaign_id in matched)
        found += [Candidate(each, event) for each in campaigns if each.plan.runs_at(event.occurred_at)]
    return found


async def _tags(
    transaction: Transaction, live: LiveRules, taken: Sequence[CustomerEvent], reads: Collection[TagId]
) -> dict[tuple[str, str], dict[str, Scalar]]:
    """The tags of each event's customer, one query for all; tenure is counted up to the event."""
    ids = {event.customer_id for event in taken}
    stored = await customers.tags_of(transaction.connection, ids, reads, live.catalogue)
    since = await customers.registered_at(transaction.connection, ids) if TENURE in reads else {}
    return {event.key: stored.get(event.customer_id, {}) | _tenure(event, since) for event in taken}


def _tenure(event: CustomerEvent, since: dict[CustomerId, datetime]) -> dict[str, Scalar]:
    registered = since.get(event.customer_id)
    return {} if registered is None else {TENURE: max((event.occurred_at - registered).days, 0)}


async def _decide(transaction: Transaction, candidates: Sequence[Candidate]) -> list[Decision]:
    if not candidates:
        return []
    pairs = limited_pairs(candidates)
    await decisions.lock_limits(transaction.connection, pairs)
    instants = [candidate.event.occurred_at for candidate in candidates]
    known = await decisions.decided_times(transaction.connection, pairs, instants, longest_limit(candidates))
    passed = within_limits(candidates, known)
    made = [decision(DecisionId(new_id()), candidate) for candidate in passed]
    added = await decisions.add_decisions(transaction.connection, made, transaction.recorded_at)
    for each in added:
        transaction.emit(DecisionMade(each))
    return added
