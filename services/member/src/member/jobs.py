"""What the calendar asks of the member service: points and holds that expire."""

from collections.abc import Sequence

from chassis.timed import Timed
from chassis.work import Transaction

from member.use_cases import spending

_MINUTE = 60.0


async def expire_points(transaction: Transaction) -> bool:
    """Points and holds whose life has ended by now are booked off."""
    return (await spending.expire_points(transaction, transaction.recorded_at)).accounts > 0


def timed() -> Sequence[Timed]:
    """Everything that is done by itself."""
    return [Timed("expire points", _MINUTE, expire_points)]
