"""Tell facts that several use cases come upon."""

from collections.abc import Sequence

from chassis.work import Transaction

from member.domain.points import ExpiredShare, PointsExpired
from member.store import members


async def tell_expired(transaction: Transaction, expired: Sequence[ExpiredShare]) -> None:
    """Points that expired, whether the timed job booked it or a posting that came by first."""
    if not expired:
        return
    found = await members.find_members_by_id(transaction.connection, {share.member_id for share in expired})
    for share in expired:
        transaction.emit(
            PointsExpired(
                share.member_id,
                found[share.member_id].holder,
                share.points,
                balance_after=share.balance_after,
                occurred_at=share.occurred_at,
                account_version=share.account_version,
            )
        )
