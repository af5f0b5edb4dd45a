"""Hold points for a use that is not certain yet, then spend or free them; book the end of unused ones."""

from dataclasses import dataclass
from datetime import datetime

from chassis.errors import InvalidArgument
from chassis.work import Transaction
from ledger import HoldNotFound, Posted

from member.domain.customer import CustomerId
from member.domain.membership import Holder, Member, MemberNotFound
from member.domain.points import Hold, HoldEnd, PointsRedeemed, check_points
from member.domain.text import check_reason
from member.store import members, points
from member.use_cases.earning import Booked
from member.use_cases.telling import tell_expired

EXPIRIES_PER_ROUND = 500


@dataclass(frozen=True, slots=True)
class HoldPoints:
    """Set points aside until `expires_at` (exclusive, business time), when the hold ends by itself."""

    hold_id: str
    holder: Holder
    points: int
    reason: str
    occurred_at: datetime
    expires_at: datetime

    def __post_init__(self) -> None:
        check_points("points", self.points)
        check_reason("reason", self.reason)
        if self.expires_at <= self.occurred_at:
            raise InvalidArgument("expires_at", "must be after occurred_at")


@dataclass(frozen=True, slots=True)
class ConfirmHold:
    """Spend points of a hold, all of them where `points` is None; the rest is free again."""

    customer_id: CustomerId
    end: HoldEnd
    points: int | None

    def __post_init__(self) -> None:
        if self.points is not None:
            check_points("points", self.points)


@dataclass(frozen=True, slots=True)
class ReleaseHold:
    """Free the points of a hold."""

    customer_id: CustomerId
    end: HoldEnd


@dataclass(frozen=True, slots=True)
class Expired:
    """What one round booked: accounts touched, and the points that they lost."""

    accounts: int
    points: int


async def hold_points(transaction: Transaction, command: HoldPoints) -> Booked:
    """Set points aside; MemberNotFound, or InsufficientBalance where fewer are free."""
    member = await members.find_member(transaction.connection, command.holder)
    if member is None:
        raise MemberNotFound(command.holder)
    hold = Hold(
        command.hold_id, member.member_id, command.points, command.reason, command.occurred_at, command.expires_at
    )
    posted = await points.post_hold(transaction.connection, hold, recorded_at=transaction.recorded_at)
    await tell_expired(transaction, points.expired_shares([posted]))
    return _booked(posted)


async def confirm_hold(transaction: Transaction, command: ConfirmHold) -> Booked:
    """Spend held points. HoldNotFound also where the hold is another customer's; HoldExpired, HoldEnded,
    CaptureExceedsHold."""
    member = await _holder(transaction, command.customer_id, command.end.hold_id)
    posted = await points.post_confirmation(
        transaction.connection, command.end, command.points, recorded_at=transaction.recorded_at
    )
    transaction.emit(_redeemed(member, posted))
    await tell_expired(transaction, points.expired_shares([posted]))
    return _booked(posted)


async def release_hold(transaction: Transaction, command: ReleaseHold) -> Booked:
    """Free held points. HoldNotFound also where the hold is another customer's; HoldExpired, HoldEnded."""
    await _holder(transaction, command.customer_id, command.end.hold_id)
    posted = await points.post_release(transaction.connection, command.end, recorded_at=transaction.recorded_at)
    await tell_expired(transaction, points.expired_shares([posted]))
    return _booked(posted)


async def expire_points(transaction: Transaction, as_of: datetime) -> Expired:
    """Book one round of what expired by `as_of`, points and holds; nothing touched means that nothing is left."""
    found = await points.post_expiries(
        transaction.connection, as_of, recorded_at=transaction.recorded_at, limit=EXPIRIES_PER_ROUND
    )
    await tell_expired(transaction, found.expired)
    return Expired(found.accounts, sum(share.points for share in found.expired))


async def _holder(transaction: Transaction, customer_id: CustomerId, hold_id: str) -> Member:
    member_id = await points.find_hold_member(transaction.connection, hold_id)
    if member_id is not None:
        member = (await members.find_members_by_id(transaction.connection, [member_id]))[member_id]
        if member.customer_id == customer_id:
            return member
    raise HoldNotFound("the customer has no such hold", hold=hold_id)


def _booked(posted: Posted) -> Booked:
    return Booked(posted.source, points.balance_after(posted))


def _redeemed(member: Member, posted: Posted) -> PointsRedeemed:
    ((balance, moved),) = points.steps(posted)
    return PointsRedeemed(
        member.member_id,
        member.holder,
        -moved,
        balance_after=balance.balance,
        transaction_id=posted.source,
        occurred_at=posted.occurred_at,
        account_version=balance.account_version,
    )
