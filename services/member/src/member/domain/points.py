"""Points: what money gives, which movements there are, and the facts told about them."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import NamedTuple

from chassis.calendar import LATEST
from chassis.errors import InvalidArgument
from chassis.money import Money

from member.domain.customer import CustomerId
from member.domain.kinds import CLASS_OF, EARNED, EarnClass, PointsKind
from member.domain.membership import Holder, MemberId

__all__ = ["CLASS_OF", "EARNED", "EarnClass", "PointsKind"]  # what a kind is stands beside, for the rules of tiers

ASSET = "points"
MAX_POINTS = 10**12

# An earn rate is points for 100 units of the currency, an amount is in hundredths of the unit.
_MINOR_UNITS_PER_RATE = 100 * 100


class Share(NamedTuple):
    """What one member gets of a grant; None lives for ever."""

    member_id: MemberId
    points: int
    expires_at: datetime | None


class Grant(NamedTuple):
    """Points to be given for one cause, to each of its memberships; `rule_id` names what gave them, where something
    other than the caller's word did: a rule with its version, a task, an activity. Where several rules did, or a cap
    took something, `parts` says it."""

    transaction_id: str
    kind: PointsKind
    reason: str
    occurred_at: datetime
    shares: tuple[Share, ...]
    rule_id: str = ""
    parts: str = ""


@dataclass(frozen=True, slots=True)
class Hold:
    """Points to be set aside for a use not certain yet, until `expires_at` (exclusive, business time)."""

    hold_id: str
    member_id: MemberId
    points: int
    reason: str
    occurred_at: datetime
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class HoldEnd:
    """The end that a caller puts to a hold, in one way or the other."""

    transaction_id: str
    hold_id: str
    occurred_at: datetime


@dataclass(frozen=True, slots=True)
class ExpiredShare:
    """Points of one member that reached the end of their life at an instant."""

    member_id: MemberId
    points: int
    occurred_at: datetime
    balance_after: int
    account_version: int


class NoRewardCause(StrEnum):
    """Why a payment gave no points: of somebody who was no member then, in a currency that does not earn, or beyond
    the caps of its rules."""

    NOT_A_MEMBER = "not_a_member"
    OTHER_CURRENCY = "other_currency"
    CAP_REACHED = "cap_reached"


@dataclass(frozen=True, slots=True)
class UnrewardedPayment:
    """A recharge or order that gave no points, and why."""

    source: str
    customer_id: CustomerId
    kind: PointsKind
    occurred_at: datetime
    cause: NoRewardCause


class PointsBalance(NamedTuple):
    """Points of a member; `account_version` is dense from 1 and 0 while nothing was booked yet."""

    member_id: MemberId
    balance: int
    held: int
    account_version: int

    @property
    def available(self) -> int:
        """Points free to use."""
        return self.balance - self.held


class PointsEarned(NamedTuple):
    """Effect: points were given."""

    member_id: MemberId
    holder: Holder
    points: int
    balance_after: int
    kind: PointsKind
    transaction_id: str
    occurred_at: datetime
    account_version: int

    @property
    def aggregate_id(self) -> str:
        """The membership orders its facts."""
        return self.member_id


@dataclass(frozen=True, slots=True)
class PaymentRewarded:
    """Effect: a recharge or an order gave points. Told beside PointsEarned, which most listeners want of every kind and
    tasks of these two only."""

    member_id: MemberId
    kind: PointsKind
    transaction_id: str
    occurred_at: datetime

    @property
    def aggregate_id(self) -> str:
        """The membership orders its facts."""
        return self.member_id


@dataclass(frozen=True, slots=True)
class PointsRedeemed:
    """Effect: points were spent; `cash_off` is what the whole transaction is worth, None unless it was for money."""

    member_id: MemberId
    holder: Holder
    points: int
    balance_after: int
    transaction_id: str
    occurred_at: datetime
    account_version: int
    purpose: str = ""
    reference: str = ""
    cash_off: Money | None = None

    @property
    def aggregate_id(self) -> str:
        """The membership orders its facts."""
        return self.member_id


@dataclass(frozen=True, slots=True)
class PointsExpired:
    """Effect: points reached the end of their life unused."""

    member_id: MemberId
    holder: Holder
    points: int
    balance_after: int
    occurred_at: datetime
    account_version: int

    @property
    def aggregate_id(self) -> str:
        """The membership orders its facts."""
        return self.member_id


def points_for_money(amount_minor: int, earn_rate_percent: int) -> int:
    """Points that an amount gives at a rate, rounded down for each amount on its own.

    100 units of the currency (10,000 minor units) give as many points as the rate says; every currency counts in its
    own unit, and the unit is taken to have a hundred minor ones.
    """
    return amount_minor * earn_rate_percent // _MINOR_UNITS_PER_RATE


def expiry(at: datetime, lifetime_days: int) -> datetime | None:
    """When points expire that become a member's at an instant; None where they never do (0), or not before the calendar
    ends."""
    lifetime = timedelta(days=lifetime_days)
    return at + lifetime if lifetime and at <= LATEST - lifetime else None


def check_points(field: str, points: int) -> None:
    """Refuses with InvalidArgument points that are not from 1 to 10^12."""
    if not 1 <= points <= MAX_POINTS:
        raise InvalidArgument(field, f"must be from 1 to {MAX_POINTS}")
