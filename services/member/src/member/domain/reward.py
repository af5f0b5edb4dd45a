"""What a member gets for taking part: points or a coupon."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from chassis.errors import FieldViolation

from member.domain.points import MAX_POINTS

MAX_LIFETIME_DAYS = 3_660

_END_OF_TIME = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class PointsReward:
    """So many points; they live as long as the program says where `lifetime_days` is None, for ever where it is 0."""

    points: int
    lifetime_days: int | None = None

    def expire_at(self, earned_at: datetime) -> datetime | None:
        """When they expire by their own lifetime; None where they never do, or not before the calendar ends."""
        lifetime = timedelta(days=self.lifetime_days or 0)
        return earned_at + lifetime if lifetime and earned_at <= _END_OF_TIME - lifetime else None


@dataclass(frozen=True, slots=True)
class CouponReward:
    """One coupon of a template."""

    template_id: str


Reward = PointsReward | CouponReward


@dataclass(frozen=True, slots=True)
class RewardGiven:
    """A reward as it was given; `coupon_id` is empty for points, `points` 0 for a coupon."""

    source: str
    points: int = 0
    coupon_id: str = ""


def reward_violations(field: str, reward: Reward) -> Iterator[FieldViolation]:
    """What keeps a reward from being given; the id of a template is checked where it comes in."""
    if not isinstance(reward, PointsReward):
        return
    if not 1 <= reward.points <= MAX_POINTS:
        yield FieldViolation(f"{field}.points.points", f"must be from 1 to {MAX_POINTS}")
    if reward.lifetime_days is not None and not 0 <= reward.lifetime_days <= MAX_LIFETIME_DAYS:
        yield FieldViolation(f"{field}.points.lifetime_days", f"must be from 0 to {MAX_LIFETIME_DAYS}")
