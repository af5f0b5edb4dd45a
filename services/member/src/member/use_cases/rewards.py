"""Give rewards: whatever the reason, points are posted in one go and coupons issued in one go."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from chassis.calendar import Calendar
from chassis.errors import Refusal
from chassis.ids import named_id
from chassis.work import Transaction
from ledger import Posted

from member.domain.coupon import CouponId
from member.domain.coupon_template import TemplateId
from member.domain.kinds import PointsKind
from member.domain.membership import Holder, Member, MemberNotFound
from member.domain.points import Grant, Share
from member.domain.program import Program
from member.domain.reward import CouponReward, PointsReward, Reward, RewardGiven
from member.store import members, points, programs
from member.use_cases.coupons import IssueCoupon, issue_coupons
from member.use_cases.earning import give_points

_COUPONS = "0c6f0d8e-52a7-4b0a-9f0e-7d2a1c1b6a55"


@dataclass(frozen=True, slots=True)
class GiveReward:
    """Give a reward for one cause. `source` names the cause, for ever: a second reward of it is refused."""

    source: str
    holder: Holder
    reward: Reward
    kind: PointsKind
    reason: str
    rule_id: str
    occurred_at: datetime


async def give_rewards(
    transaction: Transaction, commands: Sequence[GiveReward], *, calendar: Calendar
) -> list[RewardGiven | Refusal]:
    """Give rewards, each with its own outcome.

    Rules of earning may add to points for a task or an activity, and their caps may cut them. MemberNotFound for who is
    none, SourceReused for points given before, EarningCapReached, and what the issuing of coupons refuses, such as a
    template whose stock is gone.
    """
    if not commands:
        return []
    found = await members.find_members(transaction.connection, {command.holder for command in commands})
    known = await programs.find_programs(transaction.connection, {holder.program_id for holder in found})
    outcomes: dict[int, RewardGiven | Refusal] = {
        place: MemberNotFound(command.holder) for place, command in enumerate(commands) if command.holder not in found
    }
    able = {place: command for place, command in enumerate(commands) if place not in outcomes}
    grants = {
        place: _grant(command, command.reward, found[command.holder], known[command.holder.program_id])
        for place, command in able.items()
        if isinstance(command.reward, PointsReward)
    }
    coupons = {
        place: _coupon(command, command.reward)
        for place, command in able.items()
        if isinstance(command.reward, CouponReward)
    }
    if grants:
        posted = await give_points(transaction, list(grants.values()), calendar=calendar)
        outcomes |= zip(grants, map(_given, grants.values(), posted), strict=True)
    if coupons:
        issued = await issue_coupons(transaction, list(coupons.values()), calendar=calendar)
        outcomes |= zip(coupons, map(_issued, coupons.values(), issued), strict=True)
    return [outcomes[place] for place in range(len(commands))]


def _grant(command: GiveReward, reward: PointsReward, member: Member, program: Program) -> Grant:
    at = command.occurred_at
    expires_at = program.points_expire_at(at) if reward.lifetime_days is None else reward.expire_at(at)
    return Grant(
        command.source,
        command.kind,
        command.reason,
        at,
        shares=(Share(member.member_id, reward.points, expires_at),),
        rule_id=command.rule_id,
    )


def _coupon(command: GiveReward, reward: CouponReward) -> IssueCoupon:
    coupon_id = CouponId(named_id(_COUPONS, command.source))
    return IssueCoupon(
        coupon_id, TemplateId(reward.template_id), command.holder, command.occurred_at, reason=command.reason
    )


def _given(grant: Grant, posted: Posted | Refusal) -> RewardGiven | Refusal:
    if isinstance(posted, Refusal):
        return posted
    return RewardGiven(grant.transaction_id, points=sum(points.moved(posted).values()))


def _issued(wanted: IssueCoupon, issued: object) -> RewardGiven | Refusal:
    if isinstance(issued, Refusal):
        return issued
    return RewardGiven(wanted.coupon_id, coupon_id=wanted.coupon_id)
