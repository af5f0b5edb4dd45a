"""What other services tell, turned into customer events and tags, and matched in the same transaction."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Generic, TypeVar

from chassis.work import Transaction

from campaign.domain.catalogue import Scalar
from campaign.domain.intake import CustomerEvent, CustomerId, TagValue
from campaign.domain.purchases import Purchase, purchase_event, purchase_tags
from campaign.domain.scores import BAND, LAPSED, Score, grade_event, score_tags
from campaign.store import customers, erasing
from campaign.use_cases.live import LiveRules
from campaign.use_cases.matching import take_facts

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class State(Generic[T]):
    """A state fact: of what, how new, and what it says."""

    aggregate_id: str
    revision: int
    content: T


@dataclass(frozen=True, slots=True)
class TierHeld:
    """The tier a customer holds; `event` is None where nothing happened that a rule could wait for."""

    tag: TagValue
    event: CustomerEvent | None


async def news_of(transaction: Transaction, kind: str, states: Sequence[State[T]]) -> list[T]:
    """The states that are newer than what was known before this batch, oldest first; the others are dropped."""
    newest: dict[str, int] = {}
    for state in states:
        newest[state.aggregate_id] = max(state.revision, newest.get(state.aggregate_id, 0))
    before = await customers.advance(transaction.connection, kind, newest)
    fresh = [state for state in states if state.revision > before[state.aggregate_id]]
    return [state.content for state in sorted(fresh, key=lambda state: state.revision)]


async def take_purchases(transaction: Transaction, live: LiveRules, purchases: Sequence[Purchase]) -> None:
    """Charges are purchases: counted for each customer in business order, then matched."""
    standings = await customers.add_purchases(transaction.connection, purchases)
    taken = [purchase_event(purchase, standings[purchase.charge_id]) for purchase in purchases]
    tags = [tag for purchase in purchases for tag in purchase_tags(purchase, standings[purchase.charge_id])]
    await take_facts(transaction, live, taken, tags)


async def take_tiers(transaction: Transaction, live: LiveRules, tiers: Sequence[State[TierHeld]]) -> None:
    """Tiers as they are now; an older one than known is dropped."""
    fresh = await news_of(transaction, "tier", tiers)
    taken = [tier.event for tier in fresh if tier.event is not None]
    await take_facts(transaction, live, taken, [tier.tag for tier in fresh])


async def take_scores(transaction: Transaction, live: LiveRules, scores: Sequence[Score]) -> None:
    """Scores as tags; a change of value band or lapse is an event."""
    states = [State(score.customer_id, score.revision, score) for score in scores]
    fresh = await news_of(transaction, "score", states)
    ids = {score.customer_id for score in fresh}
    known = await customers.tags_of(transaction.connection, ids, (BAND, LAPSED), live.catalogue)
    taken: list[CustomerEvent] = []
    for score in fresh:
        event = grade_event(score, known.get(score.customer_id, {}))
        if event is not None:
            taken.append(event)
        told: dict[str, Scalar] = {tag: score.tags[tag] for tag in (BAND, LAPSED) if tag in score.tags}
        known[score.customer_id] = {**known.get(score.customer_id, {}), **told}
    await take_facts(transaction, live, taken, [tag for score in fresh for tag in score_tags(score)])


async def forget_customers(transaction: Transaction, erased: Mapping[CustomerId, datetime]) -> None:
    """Forget what is known of customers; that they were charged and decided for stays, under their ids."""
    if erased:
        await erasing.forget_customers(transaction.connection, erased, transaction.recorded_at)


async def take_customers(
    transaction: Transaction, registered: Mapping[CustomerId, datetime], tags: Sequence[TagValue]
) -> None:
    """Know since when somebody is a customer, which tenure is counted from."""
    await customers.meet_customers(transaction.connection, registered)
    await customers.set_tags(transaction.connection, tags, transaction.recorded_at)
