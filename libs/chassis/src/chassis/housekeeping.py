"""What every service throws away by itself: published outbox rows after 14 days, claims after 35.

Claims outlive outbox rows, so that an event which is published again never acts twice.
"""

import asyncio
from collections.abc import Callable, Coroutine
from datetime import timedelta
from typing import Any

from chassis.outbox import discard_old
from chassis.work import Transaction, Work

OUTBOX_KEPT = timedelta(days=14)
CLAIMS_KEPT = timedelta(days=35)
_EVERY_SECONDS = 600.0


async def discard_once(work: Work) -> int:
    """Discards one batch of old rows; how many, 0 when nothing is left to discard."""

    async def discard(transaction: Transaction) -> int:
        now = transaction.recorded_at
        return await discard_old(transaction.connection, now - OUTBOX_KEPT, now - CLAIMS_KEPT)

    return await work.run(discard)


def keep_house(work: Work) -> Callable[[], Coroutine[Any, Any, None]]:
    """A background task that discards in small batches, every ten minutes."""

    async def keep() -> None:
        while True:
            discarded = await discard_once(work)
            await asyncio.sleep(0.1 if discarded else _EVERY_SECONDS)

    return keep
