"""Give points: on request, for what customers recharge and order, and for whatever else the service rewards.

What a payment gives is judged by the rules that acted when it was made and by the tier held then, so it does not depend
on when its event arrives. Only caps look at what was given before, in the order in which it was recorded.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import NamedTuple, TypeVar

from chassis.calendar import Calendar
from chassis.errors import InvalidArgument, Refusal
from chassis.money import Money
from chassis.work import Transaction
from ledger import Posted, SourceReused

from member.domain.customer import CustomerId
from member.domain.earning import Earner, Occasion
from member.domain.earning_rule import KIND_OF, KIND_OF_CLASS, STATED, EarningCapReached, RuleId, Trigger
from member.domain.kinds import EarnClass
from member.domain.membership import Holder, Member, MemberId, MemberNotFound
from member.domain.points import (
    Grant,
    NoRewardCause,
    PaymentRewarded,
    PointsBalance,
    PointsEarned,
    PointsKind,
    Share,
    UnrewardedPayment,
    check_points,
)
from member.domain.program import Program, ProgramId
from member.domain.requirement import Spending
from member.domain.text import check_reason
from member.store import Connection, customers, earners, earning, members, points, programs
from member.use_cases import taking_back, tiers
from member.use_cases.rewarding import Plan, Reward, grants_of, pending_of, plan_rewards, reward_name
from member.use_cases.telling import tell_expired

K = TypeVar("K")

_TRIGGER_OF = {KIND_OF[trigger]: trigger for trigger in STATED}


@dataclass(frozen=True, slots=True)
class AwardPoints:
    """Give points for a reason; they expire after the program's lifetime of points where `expires_at` is None.

    `earn_class` says which sort of points they are, where the caller knows; with a `campaign_id` they are a campaign's
    award, which the rules for such awards may limit or multiply.
    """

    transaction_id: str
    holder: Holder
    points: int
    reason: str
    occurred_at: datetime
    expires_at: datetime | None
    earn_class: EarnClass | None = None
    campaign_id: str = ""

    def __post_init__(self) -> None:
        check_points("points", self.points)
        check_reason("reason", self.reason)
        if self.expires_at is not None and self.expires_at <= self.occurred_at:
            raise InvalidArgument("expires_at", "must be after occurred_at")
        if self.campaign_id and self.earn_class is not None:
            raise InvalidArgument("earn_class", "must be unset: a campaign's awards are activity points")

    @property
    def kind(self) -> PointsKind:
        """The kind of the entry."""
        if self.campaign_id:
            return PointsKind.EARN_CAMPAIGN
        return PointsKind.EARN_AWARD if self.earn_class is None else KIND_OF_CLASS[self.earn_class]


@dataclass(frozen=True, slots=True)
class RewardPayment:
    """Give the points that a recharge or an order earns; `source` names the event, so that it gives them once."""

    source: str
    customer_id: CustomerId
    kind: PointsKind
    amount: Money
    occurred_at: datetime
    channel: str = ""
    product: str = ""
    product_family: str = ""

    def __post_init__(self) -> None:
        self.amount.not_negative("amount")

    @property
    def trigger(self) -> Trigger:
        """What sort of payment it is, for the rules."""
        return Trigger.RECHARGE if self.kind is PointsKind.EARN_RECHARGE else Trigger.ORDER


class Booked(NamedTuple):
    """A transaction and the member's points after it; `points` is what it moved."""

    transaction_id: str
    balance: PointsBalance
    points: int = 0


async def award_points(
    transaction: Transaction, commands: Sequence[AwardPoints], calendar: Calendar | None = None
) -> list[Booked | Refusal]:
    """Give points to members; MemberNotFound for a customer who is none, EarningCapReached where a campaign's cap
    leaves nothing. Rules have a say in a campaign's awards where the calendar is given."""
    wanted = {command.holder for command in commands}
    found = await earners.find_earners(transaction.connection, wanted)
    outcomes: list[Grant | Refusal] = [
        _award(command, member, found.programs[member.program_id])
        if (member := found.members.get(command.holder))
        else MemberNotFound(command.holder)
        for command in commands
    ]
    grants = [outcome for outcome in outcomes if isinstance(outcome, Grant)]
    holders = {member.member_id: member.holder for member in found.members.values()}
    posted = iter(await _give_by_rules(transaction, grants, holders, calendar, moving=found.moving_at_once))
    return [outcome if isinstance(outcome, Refusal) else _booked(next(posted)) for outcome in outcomes]


async def give_points(
    transaction: Transaction, grants: Sequence[Grant], *, calendar: Calendar | None = None
) -> list[Posted | Refusal]:
    """Give points, each grant with its own outcome; SourceReused for one that was given before.

    Without a calendar exactly what the grants say. With one, rules have a say in grants to one member for a task, an
    activity or a campaign: they may add to the points stated, and their caps may cut them; EarningCapReached where they
    leave nothing. Call it once in a transaction, with everything there is to give.
    """
    if not grants:
        return []
    ids = {share.member_id for grant in grants for share in grant.shares}
    found = await members.find_members_by_id(transaction.connection, ids)
    holders = {member.member_id: member.holder for member in found.values()}
    return await _give_by_rules(transaction, grants, holders, calendar)


async def reward_payments(transaction: Transaction, payments: Sequence[RewardPayment], calendar: Calendar) -> None:
    """Give every membership of the customer the points that the rules and its tier gave at the time of the payment.

    A payment of a customer who was no member at that time is noted and gives nothing, also when it is enrolled later;
    so is one that a cap, a refund or the currency leaves nothing of. A payment that was refunded before it came is
    given back at once, as far as it was refunded.
    """
    connection = transaction.connection
    paying = [payment for payment in payments if payment.amount.minor_units > 0]
    if not paying:
        return
    await earning.lock_payments(connection)
    paying = await _of_whom_they_are_now(connection, paying)
    held = await members.members_at(connection, [(payment.customer_id, payment.occurred_at) for payment in paying])
    known = await programs_then(connection, [(of.program_id, paying[of.position].occurred_at) for of in held])
    rewards = [_reward(paying[of.position], of, program) for of, program in zip(held, known, strict=True)]
    plans = await plan_rewards(transaction, rewards, calendar)
    unrewarded = [_unrewarded(payment, cause) for payment, cause in _causes(paying, plans)]
    await points.insert_unrewarded(connection, unrewarded, recorded_at=transaction.recorded_at)
    await tiers.note_spending(transaction, [_spending(payment) for payment in paying])
    await book_plans(transaction, plans, {each.member_id: Holder(each.customer_id, each.program_id) for each in held})
    await taking_back.take_back_early(transaction, {payment.source for payment in paying})
    await tiers.judge_customers(transaction, latest((each.customer_id, each.occurred_at) for each in paying))


async def _of_whom_they_are_now(connection: Connection, paying: list[RewardPayment]) -> list[RewardPayment]:
    """Who pays with the account of a customer that was merged away pays for the one that stands for it now."""
    into = await customers.merged_into(connection, {payment.customer_id for payment in paying})
    if not into:
        return paying
    return [replace(payment, customer_id=into.get(payment.customer_id, payment.customer_id)) for payment in paying]


async def book_plans(
    transaction: Transaction, plans: Sequence[Plan], holders: Mapping[MemberId, Holder]
) -> list[Posted]:
    """Book what plans come to; one whose name is in the books was booked before, and nothing of it is booked again."""
    connection, recorded_at = transaction.connection, transaction.recorded_at
    granted = [(plan.reward.source, grant) for plan in plans for grant in grants_of(plan)]
    await earning.insert_pending(
        connection, [each for plan in plans for each in pending_of(plan)], recorded_at=recorded_at
    )
    outcomes = await _give(transaction, [grant for _, grant in granted], holders)
    for outcome in outcomes:
        if isinstance(outcome, Refusal) and not isinstance(outcome, SourceReused):
            raise outcome
    booked = [outcome for outcome in outcomes if isinstance(outcome, Posted)]
    names = {each.source for each in booked}
    legs = [(source, grant.transaction_id) for source, grant in granted if source != grant.transaction_id]
    await earning.insert_legs(connection, [leg for leg in legs if leg[1] in names], recorded_at=recorded_at)
    return booked


async def _give_by_rules(
    transaction: Transaction,
    grants: Sequence[Grant],
    holders: Mapping[MemberId, Holder],
    calendar: Calendar | None,
    *,
    moving: Collection[ProgramId] | None = None,
) -> list[Posted | Refusal]:
    given: list[Grant | Refusal] = list(grants)
    if calendar is not None:
        ruled = {index: grant for index, grant in enumerate(grants) if grant.kind in _TRIGGER_OF}
        for index, outcome in (await _by_rules(transaction, ruled, calendar)).items():
            given[index] = outcome
    posted = iter(await _give(transaction, [each for each in given if isinstance(each, Grant)], holders))
    outcomes = [each if isinstance(each, Refusal) else next(posted) for each in given]
    steps = (
        (balance.member_id, each.occurred_at)
        for each in outcomes
        if isinstance(each, Posted)
        for balance, _ in points.steps(each)
    )
    if moving is None or moving:
        await tiers.judge_upgrades(transaction, latest(steps), moving=moving)
    return outcomes


async def _by_rules(
    transaction: Transaction, grants: Mapping[int, Grant], calendar: Calendar
) -> dict[int, Grant | Refusal]:
    """What the rules make of grants to one member each; the others stand as they are."""
    single = {index: grant for index, grant in grants.items() if len(grant.shares) == 1}
    asked = list(single.items())
    then = await earners.tiers_at(
        transaction.connection, [(grant.shares[0].member_id, grant.occurred_at) for _, grant in asked]
    )
    known = await programs_then(
        transaction.connection, [(each.holder.program_id, asked[each.position][1].occurred_at) for each in then]
    )
    rewards = {
        asked[each.position][0]: _stated(asked[each.position][1], each, of)
        for each, of in zip(then, known, strict=True)
    }
    plans = await plan_rewards(transaction, list(rewards.values()), calendar)
    return {index: _as_planned(plan) for index, plan in zip(rewards, plans, strict=True)}


def _stated(grant: Grant, then: earners.MemberThen, program: Program) -> Reward:
    (share,) = grant.shares
    trigger = _TRIGGER_OF[grant.kind]
    occasion = Occasion(
        trigger,
        grant.occurred_at,
        stated_points=share.points,
        subject=grant.rule_id,
        campaign_id=grant.rule_id if trigger is Trigger.CAMPAIGN else "",
    )
    earner = Earner(then.member_id, program, program.tier(then.tier_id))
    return Reward(grant.transaction_id, grant.transaction_id, earner, occasion, grant.reason, share.expires_at)


def _as_planned(plan: Plan) -> Grant | Refusal:
    if plan.known:
        return SourceReused(f"{plan.reward.source} is already in the books", source=plan.reward.source)
    granted = grants_of(plan)
    return granted[0] if granted else EarningCapReached(RuleId(plan.parts[0].name))


async def _give(
    transaction: Transaction, grants: Sequence[Grant], holders: Mapping[MemberId, Holder]
) -> list[Posted | Refusal]:
    outcomes = await points.post_grants(transaction.connection, grants, recorded_at=transaction.recorded_at)
    posted = [outcome for outcome in outcomes if isinstance(outcome, Posted)]
    for each in posted:
        _tell_earned(transaction, each, holders)
    await tell_expired(transaction, points.expired_shares(posted))
    return outcomes


def _award(command: AwardPoints, member: Member, program: Program) -> Grant:
    expires_at = command.expires_at or program.points_expire_at(command.occurred_at)
    share = Share(member.member_id, command.points, expires_at)
    return Grant(
        command.transaction_id,
        command.kind,
        command.reason,
        command.occurred_at,
        shares=(share,),
        rule_id=command.campaign_id,
    )


def _reward(payment: RewardPayment, of: members.MemberAt, program: Program) -> Reward:
    tier = program.tier(of.tier_id)
    occasion = Occasion(
        payment.trigger,
        payment.occurred_at,
        amount_minor=payment.amount.minor_units,
        currency=payment.amount.currency,
        product=payment.product,
        product_family=payment.product_family,
        channel=payment.channel,
    )
    return Reward(
        payment.source,
        reward_name(payment.source, program),
        Earner(of.member_id, program, tier),
        occasion,
        f"{program.program_id}/{tier.tier_id}: {tier.earn_rate_percent} points for 100",
        program.points_expire_at(payment.occurred_at),
    )


def _causes(payments: Sequence[RewardPayment], plans: Sequence[Plan]) -> list[tuple[RewardPayment, NoRewardCause]]:
    """Payments that give nothing, though they are worth something, and why."""
    by_source: dict[str, list[Plan]] = {payment.source: [] for payment in payments}
    for plan in plans:
        by_source[plan.reward.source].append(plan)
    causes: list[tuple[RewardPayment, NoRewardCause]] = []
    for payment in payments:
        of = by_source[payment.source]
        if not of:
            causes.append((payment, NoRewardCause.NOT_A_MEMBER))
        elif all(plan.other_currency for plan in of):
            causes.append((payment, NoRewardCause.OTHER_CURRENCY))
        elif any(plan.parts for plan in of) and not any(part.points for plan in of for part in plan.parts):
            causes.append((payment, NoRewardCause.CAP_REACHED))
    return causes


def _unrewarded(payment: RewardPayment, cause: NoRewardCause) -> UnrewardedPayment:
    return UnrewardedPayment(payment.source, payment.customer_id, payment.kind, payment.occurred_at, cause)


def _spending(payment: RewardPayment) -> Spending:
    recharged = payment.trigger is Trigger.RECHARGE
    return Spending(payment.source, payment.customer_id, recharged, payment.amount, payment.occurred_at)


async def programs_then(connection: Connection, asked: Sequence[tuple[ProgramId, datetime]]) -> list[Program]:
    """The version of each program that was in force at its instant; nobody activates another one meanwhile."""
    if not asked:
        return []
    since = min(instant for _, instant in asked)
    known = await programs.find_timelines_for_use(connection, {program_id for program_id, _ in asked}, since=since)
    return [known[program_id].at(instant) for program_id, instant in asked]


def latest(instants: Iterable[tuple[K, datetime]]) -> dict[K, datetime]:
    """The last instant of each."""
    latest: dict[K, datetime] = {}
    for key, instant in instants:
        latest[key] = max(latest.get(key, instant), instant)
    return latest


def _booked(posted: Posted | Refusal) -> Booked | Refusal:
    if isinstance(posted, Refusal):
        return posted
    return Booked(posted.source, points.balance_after(posted), sum([line.amount for line in posted.lines]))


def _tell_earned(transaction: Transaction, posted: Posted, holders: Mapping[MemberId, Holder]) -> None:
    kind = PointsKind(posted.kind)
    for balance, earned in points.steps(posted):
        transaction.emit(
            PointsEarned(
                balance.member_id,
                holders[balance.member_id],
                earned,
                balance_after=balance.balance,
                kind=kind,
                transaction_id=posted.source,
                occurred_at=posted.occurred_at,
                account_version=balance.account_version,
            )
        )
        if kind in (PointsKind.EARN_RECHARGE, PointsKind.EARN_ORDER):
            transaction.emit(PaymentRewarded(balance.member_id, kind, posted.source, posted.occurred_at))
