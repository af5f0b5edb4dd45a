"""Rewards as they stand inside documents."""

from typing import Any

from member.domain.reward import CouponReward, PointsReward, Reward


def reward_to_json(reward: Reward) -> dict[str, Any]:
    """The reward as a document holds it."""
    match reward:
        case PointsReward(points, lifetime_days):
            return {"points": points, "lifetime_days": lifetime_days}
        case CouponReward(template_id):
            return {"template_id": template_id}


def reward_from_json(document: dict[str, Any]) -> Reward:
    """The reward that a document holds."""
    if "template_id" in document:
        return CouponReward(document["template_id"])
    return PointsReward(document["points"], document["lifetime_days"])
