"""What rules give for what happened: judged, cut to the caps, and laid out as what is to be booked."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from chassis.calendar import Calendar
from chassis.work import Transaction

from member.domain.earning import (
    Counter,
    Earner,
    LocalTime,
    Occasion,
    Part,
    Verdict,
    consider,
    counters_of,
    cut_to_caps,
    in_writing,
    kind_of,
    local_time,
    parts_of,
)
from member.domain.earning_rule import KIND_OF, RuleVersion
from member.domain.pending import PendingPoints
from member.domain.points import Grant, Share, expiry
from member.domain.program import GENERAL, Program
from member.store import Connection, earning, earning_caps, earning_rules


@dataclass(frozen=True, slots=True)
class Reward:
    """An occasion of one membership. `source` is what earns, `transaction_id` what the entry is called that says so;
    points that no rule gives another lifetime expire at `expires_at`."""

    source: str
    transaction_id: str
    earner: Earner
    occasion: Occasion
    reason: str
    expires_at: datetime | None


@dataclass(frozen=True, slots=True)
class Plan:
    """What a reward comes to after its caps; `known` says that it was booked before and is not to be booked again,
    `other_currency` that the payment was made in one that does not earn."""

    reward: Reward
    parts: tuple[Part, ...]
    known: bool = False
    other_currency: bool = False

    @property
    def main(self) -> tuple[Part, ...]:
        """The parts of the entry that bears the reward's own name, also those of which a cap left nothing."""
        return tuple(part for part in self.parts if not _stands_apart(part, self.reward))

    @property
    def apart(self) -> tuple[Part, ...]:
        """The parts that become an entry of their own: of another kind, with another lifetime, or later."""
        return tuple(part for part in self.parts if _stands_apart(part, self.reward) and part.points)

    @property
    def names(self) -> set[str]:
        """What the entries of the plan are called."""
        return {self.reward.transaction_id, *(_name_apart(self.reward, part) for part in self.apart)}


def reward_name(source: str, program: Program) -> str:
    """What the entry of a cause is called: as the cause in the general program, with the program's name in others."""
    return source if program.program_id == GENERAL else f"{source}/{program.program_id}"


async def plan_rewards(transaction: Transaction, rewards: Sequence[Reward], calendar: Calendar) -> list[Plan]:
    """Judge rewards by their programs' rules, and count what they take of caps, in the order given.

    The counters stay locked until the transaction ends, so book the plans in it. What was booked before takes nothing.
    """
    connection = transaction.connection
    sets = await earning_rules.rule_sets(connection, {reward.earner.program.program_id for reward in rewards})
    plans: list[Plan] = []
    locals_: list[LocalTime] = []
    for reward in rewards:
        local = local_time(calendar, reward.occasion.occurred_at)
        rules = sets[reward.earner.program.program_id]
        considered = consider(rules, reward.occasion, reward.earner, local)
        turned_away = any(each.verdict is Verdict.OTHER_CURRENCY for each in considered)
        plans.append(Plan(reward, tuple(parts_of(considered)), other_currency=turned_away))
        locals_.append(local)
    plans = await _without_known(connection, plans)
    return await _within_caps(connection, plans, locals_)


def grants_of(plan: Plan) -> list[Grant]:
    """What is to be booked at once."""
    if plan.known:
        return []
    reward, grants = plan.reward, []
    main = [part for part in plan.main if part.points]
    if main:
        first = main[0]
        grants.append(
            Grant(
                reward.transaction_id,
                KIND_OF[reward.occasion.trigger],
                _reason(reward, plan.main),
                reward.occasion.occurred_at,
                (Share(reward.earner.member_id, sum(part.points for part in main), reward.expires_at),),
                rule_id=in_writing(first.name, first.version),
                parts=_parts(plan.main),
            )
        )
    return grants + [_grant_apart(reward, part, part.rule) for part in plan.apart if part.rule and not _cools(part)]


def pending_of(plan: Plan) -> list[PendingPoints]:
    """What is to ripen first."""
    if plan.known:
        return []
    return [_pending(plan.reward, part, part.rule) for part in plan.apart if part.rule and _cools(part)]


async def _without_known(connection: Connection, plans: list[Plan]) -> list[Plan]:
    """Plans that the ledger alone could not keep from being booked twice are looked up under every name they have."""
    names = {index: plan.names for index, plan in enumerate(plans) if plan.apart or any(map(_capped, plan.parts))}
    if not names:
        return plans
    taken = await earning.known_names(connection, {name for each in names.values() for name in each})
    for index, each in names.items():
        if taken & each:
            plans[index] = replace(plans[index], parts=(), known=True)
        taken |= each
    return plans


async def _within_caps(connection: Connection, plans: list[Plan], locals_: Sequence[LocalTime]) -> list[Plan]:
    counters: set[Counter] = set()
    for plan, local in zip(plans, locals_, strict=True):
        for part in plan.parts:
            if part.rule and _capped(part):
                found = counters_of(part.rule, plan.reward.earner.member_id, local)
                counters.update(counter for counter, _ in found)
    if not counters:
        return plans
    before = await earning_caps.counters_for_update(connection, counters)
    given = dict(before)
    cut = [
        replace(plan, parts=tuple(cut_to_caps(plan.parts, plan.reward.earner.member_id, local, given)))
        for plan, local in zip(plans, locals_, strict=True)
    ]
    changed = {counter: points for counter, points in given.items() if points != before[counter]}
    if changed:
        await earning_caps.save_counters(connection, changed)
    return cut


def _name_apart(reward: Reward, part: Part) -> str:
    return f"{reward.transaction_id}#{part.name}"


def _stands_apart(part: Part, reward: Reward) -> bool:
    if part.rule is None:
        return False
    rule = part.rule.rule
    other_kind = kind_of(part, reward.occasion.trigger) is not KIND_OF[reward.occasion.trigger]
    return other_kind or rule.cooling_days > 0 or rule.lifetime_days is not None


def _capped(part: Part) -> bool:
    return part.rule is not None and bool(part.rule.rule.caps)


def _cools(part: Part) -> bool:
    return part.rule is not None and part.rule.rule.cooling_days > 0


def _grant_apart(reward: Reward, part: Part, version: RuleVersion) -> Grant:
    at = reward.occasion.occurred_at
    return Grant(
        _name_apart(reward, part),
        kind_of(part, reward.occasion.trigger),
        version.rule.display_name,
        at,
        (Share(reward.earner.member_id, part.points, _expiry(reward, version, at)),),
        rule_id=in_writing(part.name, part.version),
        parts=_parts([part]),
    )


def _pending(reward: Reward, part: Part, version: RuleVersion) -> PendingPoints:
    ripens_at = reward.occasion.occurred_at + timedelta(days=version.rule.cooling_days)
    return PendingPoints(
        reward.source,
        _name_apart(reward, part),
        reward.earner.member_id,
        kind_of(part, reward.occasion.trigger),
        version.rule.display_name,
        rule_id=in_writing(part.name, part.version),
        parts=_parts([part]),
        points=part.points,
        earned_at=reward.occasion.occurred_at,
        ripens_at=ripens_at,
        expires_at=_expiry(reward, version, ripens_at),
    )


def _expiry(reward: Reward, version: RuleVersion, at: datetime) -> datetime | None:
    if version.rule.lifetime_days is None:
        return reward.earner.program.points_expire_at(at)
    return expiry(at, version.rule.lifetime_days)


def _reason(reward: Reward, parts: Iterable[Part]) -> str:
    named = [part.rule.rule.display_name for part in parts if part.rule]
    spoken = [reward.reason] if any(part.rule is None for part in parts) or not named else []
    return "; ".join([*spoken, *named])


def _parts(parts: Sequence[Part]) -> str:
    """The parts in writing, where there is more to say than the one rule."""
    if len(parts) == 1 and not parts[0].cut:
        return ""
    return " ".join(
        f"{in_writing(part.name, part.version)}={part.points}" + (f"/{part.asked}" if part.cut else "")
        for part in parts
    )
