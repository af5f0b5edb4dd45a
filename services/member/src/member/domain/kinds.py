"""Why points move, and the three sorts that earned points are of."""

from collections.abc import Mapping
from enum import StrEnum


class PointsKind(StrEnum):
    """Why points moved; the kinds that begin with `earn` give points and count for the tier."""

    EARN_RECHARGE = "earn_recharge"
    EARN_ORDER = "earn_order"
    EARN_AWARD = "earn_award"
    EARN_SUBSCRIPTION = "earn_subscription"
    EARN_TASK = "earn_task"
    EARN_ACTIVITY = "earn_activity"
    EARN_CAMPAIGN = "earn_campaign"
    EARN_MERCHANT = "earn_merchant"
    EARN_TENURE = "earn_tenure"
    EARN_UPGRADE = "earn_upgrade"
    EARN_ENROLMENT = "earn_enrolment"
    EARN_OCCASION = "earn_occasion"
    EARN_EXCLUSIVE = "earn_exclusive"
    HOLD = "hold"
    REDEEM = "redeem"
    RELEASE = "release"
    TRANSFER = "transfer"
    REVERSAL = "reversal"
    TAKE_BACK = "take_back"
    GIVE_UP = "give_up"


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
    PointsKind.EARN_MERCHANT: EarnClass.ACTIVITY,
    PointsKind.EARN_TENURE: EarnClass.EXCLUSIVE,
    PointsKind.EARN_UPGRADE: EarnClass.EXCLUSIVE,
    PointsKind.EARN_ENROLMENT: EarnClass.EXCLUSIVE,
    PointsKind.EARN_OCCASION: EarnClass.EXCLUSIVE,
    PointsKind.EARN_EXCLUSIVE: EarnClass.EXCLUSIVE,
}
"""Every kind that gives points, with the sort of its points."""

EARNED = tuple(CLASS_OF)
