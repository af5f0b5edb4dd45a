"""Award by rule what happened to members and what they paid elsewhere, as others report it."""

from collections.abc import Sequence
from dataclasses import dataclass

from chassis.calendar import Calendar
from chassis.errors import Refusal
from chassis.money import Money
from chassis.work import Transaction
from ledger import Posted, SourceReused

from member.domain.customer import CustomerId, PersonId
from member.domain.earning import Earner, Occasion
from member.domain.earning_rule import PAID, Trigger
from member.domain.membership import Holder, MemberId, MemberNotFound
from member.domain.pending import PendingPoints
from member.domain.program import Program
from member.domain.requirement import Spending
from member.store import earners, members, points
from member.use_cases import tiers
from member.use_cases.earning import book_plans, latest, programs_then
from member.use_cases.rewarding import Plan, Reward, grants_of, pending_of, plan_rewards


@dataclass(frozen=True, slots=True)
class MemberOccasion:
    """Something that happened to a member. `source` names it for ever, so that it is rewarded once."""

    source: str
    member_id: MemberId
    occasion: Occasion
    reason: str


@dataclass(frozen=True, slots=True)
class ReportedOccasion:
    """Something that somebody else reports of a holder: an order, a recharge, a care occasion."""

    source: str
    holder: Holder
    occasion: Occasion


@dataclass(frozen=True, slots=True)
class CareOccasion:
    """An occasion on which a customer, or a person of it, is thought of."""

    source: str
    customer_id: CustomerId
    person_id: PersonId
    occasion: Occasion


@dataclass(frozen=True, slots=True)
class Rewarded:
    """What an occasion gave: what was booked, what is to ripen, and the plan that says why."""

    plan: Plan
    posted: tuple[Posted, ...]
    pending: tuple[PendingPoints, ...]

    @property
    def points(self) -> int:
        """Points that are the member's already."""
        return sum(moved for each in self.posted for _, moved in points.steps(each))

    @property
    def was_booked_before(self) -> bool:
        """Whether the cause was rewarded before: it was looked up, or the ledger took nothing of what was due."""
        return self.plan.known or (bool(grants_of(self.plan)) and not self.posted)


async def reward_occasions(
    transaction: Transaction, occasions: Sequence[MemberOccasion], calendar: Calendar
) -> list[Rewarded | None]:
    """Give members what the rules give for what happened to them, by the tier held then: most often nothing.

    None for somebody who was no member then.
    """
    if not occasions:
        return []
    connection = transaction.connection
    then = await earners.tiers_at(connection, [(each.member_id, each.occasion.occurred_at) for each in occasions])
    at = [(each.holder.program_id, occasions[each.position].occasion.occurred_at) for each in then]
    known = await programs_then(connection, at)
    rewards = [_reward(occasions[each.position], each, of) for each, of in zip(then, known, strict=True)]
    plans = await plan_rewards(transaction, rewards, calendar)
    posted = await book_plans(transaction, plans, {each.member_id: each.holder for each in then})
    await tiers.judge_upgrades(
        transaction,
        latest((balance.member_id, each.occurred_at) for each in posted for balance, _ in points.steps(each)),
    )
    by_name = {str(each.source): each for each in posted}
    outcomes: list[Rewarded | None] = [None] * len(occasions)
    for each, plan in zip(then, plans, strict=True):
        mine = tuple(by_name[name] for name in sorted(plan.names & by_name.keys()))
        outcomes[each.position] = Rewarded(plan, mine, tuple(pending_of(plan)))
    return outcomes


async def reward_care(transaction: Transaction, occasions: Sequence[CareOccasion], calendar: Calendar) -> None:
    """Give those who are thought of what the rules give for it: in every program the membership of the person itself,
    or the customer's where the person has none."""
    asked = [(each.customer_id, each.person_id) for each in occasions]
    found = await earners.nearest_members(transaction.connection, asked)
    await reward_occasions(
        transaction,
        [
            MemberOccasion(
                f"{occasions[position].source}:{member_id}",
                member_id,
                occasions[position].occasion,
                occasions[position].occasion.subject,
            )
            for position, member_id in found
        ],
        calendar,
    )


async def reward_reported(
    transaction: Transaction, commands: Sequence[ReportedOccasion], calendar: Calendar
) -> list[Rewarded | Refusal]:
    """Give holders what the rules give for what is reported of them, each with its own outcome.

    MemberNotFound, also for who was no member at the time; SourceReused for what was rewarded before. Money counts as
    spent for the customer's tiers, once for each report that is not refused.
    """
    found = await members.find_members(transaction.connection, {command.holder for command in commands})
    occasions = [
        MemberOccasion(command.source, member.member_id, command.occasion, _reason(command.occasion))
        for command in commands
        if (member := found.get(command.holder))
    ]
    rewarded = iter(await reward_occasions(transaction, occasions, calendar))
    outcomes: list[Rewarded | Refusal] = []
    for command in commands:
        each = next(rewarded) if command.holder in found else None
        if each is None:
            outcomes.append(MemberNotFound(command.holder))
        elif each.was_booked_before:
            outcomes.append(SourceReused(f"{command.source} is already in the books", source=command.source))
        else:
            outcomes.append(each)
    paid = [
        command
        for command, outcome in zip(commands, outcomes, strict=True)
        if isinstance(outcome, Rewarded) and command.occasion.trigger in PAID
    ]
    await tiers.note_spending(transaction, [_spending(command) for command in paid])
    await tiers.judge_customers(
        transaction, latest((command.holder.customer_id, command.occasion.occurred_at) for command in paid)
    )
    return outcomes


def _reward(happened: MemberOccasion, then: earners.MemberThen, program: Program) -> Reward:
    tier = program.tier(then.tier_id)
    rate = f"{program.program_id}/{tier.tier_id}: {tier.earn_rate_percent} points for 100"
    return Reward(
        happened.source,
        happened.source,
        Earner(then.member_id, program, tier),
        happened.occasion,
        rate if happened.occasion.trigger in PAID else happened.reason,
        program.points_expire_at(happened.occasion.occurred_at),
    )


def _reason(occasion: Occasion) -> str:
    return occasion.subject or occasion.trigger.value


def _spending(command: ReportedOccasion) -> Spending:
    occasion = command.occasion
    return Spending(
        command.source,
        command.holder.customer_id,
        occasion.trigger is Trigger.RECHARGE,
        Money(occasion.amount_minor, occasion.currency),
        occasion.occurred_at,
    )
