"""Tiers that customers hold: a copy of the member service's state, by which rating finds its discounts."""

from collections.abc import Iterable

from chassis.work import Transaction

from billing.domain.discount import TiersHeld
from billing.domain.ids import CustomerId
from billing.store.held_tier import keep_tiers


async def follow_tiers(transaction: Transaction, told: Iterable[TiersHeld]) -> None:
    """Keeps the newest state of each customer; what is older than what is known changes nothing."""
    newest: dict[CustomerId, TiersHeld] = {}
    for state in told:
        if state.customer_id not in newest or state.revision > newest[state.customer_id].revision:
            newest[state.customer_id] = state
    await keep_tiers(transaction.connection, list(newest.values()))
