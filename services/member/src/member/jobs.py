"""What the calendar asks of the member service: points and holds that expire."""

from collections.abc import Sequence

from chassis.timed import Timed
from chassis.work import Transaction

from member.use_cases import benefit_uses, entitlements, spending

_SOON = 5.0
_MINUTE = 60.0


async def expire_points(transaction: Transaction) -> bool:
    """Points and holds whose life has ended by now are booked off."""
    return (await spending.expire_points(transaction, transaction.recorded_at)).accounts > 0


async def expire_benefit_reservations(transaction: Transaction) -> bool:
    """Reserved places of benefits whose time has ended by now are booked as given back."""
    return await benefit_uses.expire_reservations(transaction, transaction.recorded_at) > 0


async def refresh_entitlements(transaction: Transaction) -> bool:
    """What members are entitled to follows the programs whose benefits changed."""
    return (await entitlements.refresh_program(transaction, entitlements.RefreshProgram(None))).more


def timed() -> Sequence[Timed]:
    """Everything that is done by itself."""
    return [
        Timed("expire points", _MINUTE, expire_points),
        Timed("expire benefit reservations", _MINUTE, expire_benefit_reservations),
        Timed("refresh entitlements", _SOON, refresh_entitlements),
    ]
