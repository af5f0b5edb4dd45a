"""Differences, noted wherever they are found, and told once each."""

from collections.abc import Sequence
from datetime import datetime

from chassis.work import Transaction

from billing.domain.difference import Difference, DifferenceFound
from billing.store.difference import add_differences


async def note_differences(transaction: Transaction, differences: Sequence[Difference], at: datetime) -> int:
    """Stores and tells what is not known yet; how many that were."""
    added = await add_differences(transaction.connection, differences, transaction.recorded_at)
    for each in added:
        transaction.emit(
            DifferenceFound(difference_id=each.difference_id, kind=each.kind, reference=each.reference, occurred_at=at)
        )
    return len(added)
