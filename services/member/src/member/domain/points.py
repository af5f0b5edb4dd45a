"""Points: what money gives, which movements there are, and the facts told about them."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from chassis.errors import InvalidArgument

from member.domain.customer import CustomerId
from member.domain.membership import MemberId

ASSET = "points"
MAX_POINTS = 10**12

# An earn rate is points for 100 units of the currency, an amount is in hundredths of the unit.
_MINOR_UNITS_PER_RATE = 100 * 100


class PointsKind(StrEnum):
    """Why points moved; the kinds that begin with `earn` give points and count for the tier."""

    EARN_RECHARGE = "earn_recharge"
    EARN_ORDER = "earn_order"
    EARN_AWARD = "earn_award"
    EARN_SUBSCRIPTION = "earn_subscription"
    EARN_TASK = "earn_task"
    EARN_ACTIVITY = "earn_activity"
    EARN_CAMPAIGN = "earn_campaign"
    EARN_TENURE = "earn_tenure"
    EARN_UPGRADE = "earn_upgrade"
    EARN_ENROLMENT = "earn_enrolment"
    EARN_OCCASION = "earn_occasion"
    EARN_EXCLUSIVE = "earn_exclusive"
    HOLD = "hold"
    REDEEM = "redeem"
    RELEASE = "release"
    TAKE_BACK = "take_back"


class EarnClass(StrEnum):
    """The three sorts of points: for what is paid, for what is done, and for being a member."""

    SUBSCRIPTION = "subscription"
    ACTIVITY = "activity"
    EXCLUSIVE = "exclusive"


CLASS_OF: Mapping[PointsKind, EarnClass] = {
    PointsKind.EARN_RECHARGE: EarnClass.SUBSCRIPTION,
    PointsKind.EARN_ORDER: EarnClass.SUBSCRIPTION,
    PointsKind.EARN_SUBSCRIPTION: EarnClass.SUBSCRIPTION,
    PointsKind.EARN_AWARD: EarnClass.ACTIVITY,
    PointsKind.EARN_TASK: EarnClass.ACTIVITY,
    PointsKind.EARN_ACTIVITY: EarnClass.ACTIVITY,
    PointsKind.EARN_CAMPAIGN: EarnClass.ACTIVITY,
    PointsKind.EARN_TENURE: EarnClass.EXCLUSIVE,
    PointsKind.EARN_UPGRADE: EarnClass.EXCLUSIVE,
    PointsKind.EARN_ENROLMENT: EarnClass.EXCLUSIVE,
    PointsKind.EARN_OCCASION: EarnClass.EXCLUSIVE,
    PointsKind.EARN_EXCLUSIVE: EarnClass.EXCLUSIVE,
}
"""Every kind that gives points, with the sort of its points."""

EARNED = tuple(CLASS_OF)


@dataclass(frozen=True, slots=True)
class Share:
    """What one member gets of a grant; None lives for ever."""

    member_id: MemberId
    points: int
    expires_at: datetime | None


@dataclass(frozen=True, slots=True)
class Grant:
    """Points to be given for one cause, to each of its memberships; `rule_id` names what gave them, where something
    other than the caller's word did: a rule, a task, an activity."""

    transaction_id: str
    kind: PointsKind
    reason: str
    occurred_at: datetime
    shares: tuple[Share, ...]
    rule_id: str = ""


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


@dataclass(frozen=True, slots=True)
class UnrewardedPayment:
    """A recharge or order of a customer who was no member at that time."""

    source: str
    customer_id: CustomerId
    kind: PointsKind
    occurred_at: datetime


@dataclass(frozen=True, slots=True)
class PointsBalance:
    """Points of a member; `account_version` is dense from 1 and 0 while nothing was booked yet."""

    member_id: MemberId
    balance: int
    held: int
    account_version: int

    @property
    def available(self) -> int:
        """Points free to use."""
        return self.balance - self.held


@dataclass(frozen=True, slots=True)
class PointsEarned:
    """Effect: points were given."""

    member_id: MemberId
    customer_id: CustomerId
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
class PointsRedeemed:
    """Effect: points were spent."""

    member_id: MemberId
    customer_id: CustomerId
    points: int
    balance_after: int
    transaction_id: str
    occurred_at: datetime
    account_version: int

    @property
    def aggregate_id(self) -> str:
        """The membership orders its facts."""
        return self.member_id


@dataclass(frozen=True, slots=True)
class PointsExpired:
    """Effect: points reached the end of their life unused."""

    member_id: MemberId
    customer_id: CustomerId
    points: int
    occurred_at: datetime

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


def check_points(field: str, points: int) -> None:
    """Refuses with InvalidArgument points that are not from 1 to 10^12."""
    if not 1 <= points <= MAX_POINTS:
        raise InvalidArgument(field, f"must be from 1 to {MAX_POINTS}")
