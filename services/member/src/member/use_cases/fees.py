"""The fees of activities: points held while a member is registered, spent or freed when that ends."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from chassis.work import Transaction

from member.domain.activity import Activity
from member.domain.points import HoldEnd
from member.domain.roster import Registration
from member.use_cases.spending import (
    ConfirmHold,
    HoldPoints,
    ReleaseHold,
    confirm_hold,
    confirm_many,
    hold_points,
    release_many,
)


async def hold_fee(transaction: Transaction, activity: Activity, registration: Registration) -> None:
    """Holds the fee of a registration, where there is one; InsufficientBalance."""
    if registration.hold_id:
        await hold_points(
            transaction,
            HoldPoints(
                registration.hold_id,
                registration.holder,
                registration.fee_points,
                activity.title,
                registration.registered_at,
                activity.fee_held_until,
                longest=timedelta.max,
            ),
        )


async def spend_fee(transaction: Transaction, registration: Registration, at: datetime) -> None:
    """Spends a fee; HoldEnded, HoldExpired where the member has taken it back by other means."""
    if registration.hold_id:
        await confirm_hold(transaction, ConfirmHold(registration.holder.customer_id, _end(registration, at), None))


async def spend_fees(transaction: Transaction, registrations: Sequence[Registration], at: datetime) -> None:
    """Spends fees; those that are not held any more are left."""
    ends = [ConfirmHold(each.holder.customer_id, _end(each, at), None) for each in registrations if each.hold_id]
    if ends:
        await confirm_many(transaction, ends)


async def free_fees(transaction: Transaction, registrations: Sequence[Registration], at: datetime) -> None:
    """Frees fees; those that are not held any more are left."""
    ends = [ReleaseHold(each.holder.customer_id, _end(each, at)) for each in registrations if each.hold_id]
    if ends:
        await release_many(transaction, ends)


def _end(registration: Registration, at: datetime) -> HoldEnd:
    return HoldEnd(f"{registration.hold_id}/end", registration.hold_id, at)
