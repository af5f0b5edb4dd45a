"""Rewards between protobuf and the domain."""

from chassis.errors import InvalidArgument
from chassis.ids import check_id
from touchstone.member.v1 import reward_pb2 as pb

from member.domain.reward import CouponReward, PointsReward, Reward, RewardGiven


def reward_from_proto(field: str, reward: pb.Reward) -> Reward:
    """The reward, or InvalidArgument naming what is wrong below `field`; its numbers are judged by the domain."""
    match reward.WhichOneof("reward"):
        case "points":
            points = reward.points
            return PointsReward(points.points, points.lifetime_days if points.HasField("lifetime_days") else None)
        case "coupon":
            return CouponReward(check_id(f"{field}.coupon.template_id", reward.coupon.template_id))
        case _:
            raise InvalidArgument(field, "must be points or a coupon")


def reward_to_proto(reward: Reward) -> pb.Reward:
    """The reward."""
    match reward:
        case PointsReward(points, lifetime_days):
            return pb.Reward(points=pb.PointsReward(points=points, lifetime_days=lifetime_days))
        case CouponReward(template_id):
            return pb.Reward(coupon=pb.CouponReward(template_id=template_id))


def given_to_proto(given: RewardGiven) -> pb.RewardGiven:
    """The reward as it was given."""
    return pb.RewardGiven(
        points=given.points,
        transaction_id="" if given.coupon_id else given.source,
        coupon_id=given.coupon_id,
    )
