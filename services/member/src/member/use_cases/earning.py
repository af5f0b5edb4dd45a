"""Give points: on request, and for what customers recharge and order."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from chassis.errors import InvalidArgument, Refusal
from chassis.money import Money
from chassis.work import Transaction
from ledger import Posted, SourceReused

from member.domain.customer import CustomerId
from member.domain.membership import Holder, Member, MemberId, MemberNotFound
from member.domain.points import (
    Grant,
    PointsBalance,
    PointsEarned,
    PointsKind,
    Share,
    UnrewardedPayment,
    check_points,
    points_for_money,
)
from member.domain.program import Program, ProgramId
from member.domain.text import check_reason
from member.store import members, points, programs
from member.use_cases.telling import tell_expired


@dataclass(frozen=True, slots=True)
class AwardPoints:
    """Give points for a reason; they expire after the program's lifetime of points where `expires_at` is None."""

    transaction_id: str
    holder: Holder
    points: int
    reason: str
    occurred_at: datetime
    expires_at: datetime | None

    def __post_init__(self) -> None:
        check_points("points", self.points)
        check_reason("reason", self.reason)
        if self.expires_at is not None and self.expires_at <= self.occurred_at:
            raise InvalidArgument("expires_at", "must be after occurred_at")


@dataclass(frozen=True, slots=True)
class RewardPayment:
    """Give the points that a recharge or an order earns; `source` names the event, so that it gives them once."""

    source: str
    customer_id: CustomerId
    kind: PointsKind
    amount: Money
    occurred_at: datetime

    def __post_init__(self) -> None:
        self.amount.not_negative("amount")


@dataclass(frozen=True, slots=True)
class Booked:
    """A transaction and the member's points after it."""

    transaction_id: str
    balance: PointsBalance


async def award_points(transaction: Transaction, commands: Sequence[AwardPoints]) -> list[Booked | Refusal]:
    """Give points to members; MemberNotFound for a customer who is none."""
    wanted = {command.holder for command in commands}
    found = await members.find_members(transaction.connection, wanted)
    known = await programs.find_programs(transaction.connection, {holder.program_id for holder in found})
    outcomes: list[Grant | Refusal] = [
        _award(command, member, known[member.program_id])
        if (member := found.get(command.holder))
        else MemberNotFound(command.holder)
        for command in commands
    ]
    grants = [outcome for outcome in outcomes if isinstance(outcome, Grant)]
    posted = iter(await _give(transaction, grants, found.values()))
    return [outcome if isinstance(outcome, Refusal) else _booked(next(posted)) for outcome in outcomes]


async def reward_payments(transaction: Transaction, payments: Sequence[RewardPayment]) -> None:
    """Give every membership of the customer the points that its tier gave at the time of the payment.

    The tier is the one held when the payment was made, so that a move changes the rate only from then on. A payment
    of a customer who was no member at that time is noted and gives nothing, also when it is enrolled later.
    """
    connection = transaction.connection
    paying = [payment for payment in payments if payment.amount.minor_units > 0]
    if not paying:
        return
    held = await members.members_at(connection, [(payment.customer_id, payment.occurred_at) for payment in paying])
    known = await programs.find_programs_for_use(connection, {each.program_id for each in held})
    memberships = _by_position(held, len(paying))
    grants = [_reward(payment, of, known) for payment, of in zip(paying, memberships, strict=True) if of]
    skipped = [_unrewarded(payment) for payment, of in zip(paying, memberships, strict=True) if not of]
    await points.insert_unrewarded(connection, skipped, recorded_at=transaction.recorded_at)
    outcomes = await _give(transaction, [grant for grant in grants if grant.shares], held)
    for outcome in outcomes:
        if isinstance(outcome, Refusal) and not isinstance(outcome, SourceReused):
            raise outcome


async def give_points(transaction: Transaction, grants: Sequence[Grant]) -> list[Posted | Refusal]:
    """Give points as the grants say, each with its own outcome; SourceReused for one that was given before.

    Call it once in a transaction, with everything there is to give.
    """
    if not grants:
        return []
    ids = {share.member_id for grant in grants for share in grant.shares}
    found = await members.find_members_by_id(transaction.connection, ids)
    return await _give(transaction, grants, found.values())


async def _give(
    transaction: Transaction, grants: Sequence[Grant], holders: Collection[Member | members.MemberAt]
) -> list[Posted | Refusal]:
    outcomes = await points.post_grants(transaction.connection, grants, recorded_at=transaction.recorded_at)
    owners = {holder.member_id: holder.holder for holder in holders}
    posted = [outcome for outcome in outcomes if isinstance(outcome, Posted)]
    for each in posted:
        _tell_earned(transaction, each, owners)
    await tell_expired(transaction, points.expired_shares(posted))
    return outcomes


def _award(command: AwardPoints, member: Member, program: Program) -> Grant:
    expires_at = command.expires_at or program.points_expire_at(command.occurred_at)
    return Grant(
        command.transaction_id,
        PointsKind.EARN_AWARD,
        command.reason,
        command.occurred_at,
        shares=(Share(member.member_id, command.points, expires_at),),
    )


def _reward(payment: RewardPayment, of: Sequence[members.MemberAt], known: dict[ProgramId, Program]) -> Grant:
    shares: list[Share] = []
    rules: list[str] = []
    for membership in of:
        program = known[membership.program_id]
        tier = program.tier(membership.tier_id)
        earned = points_for_money(payment.amount.minor_units, tier.earn_rate_percent)
        if earned:
            shares.append(Share(membership.member_id, earned, program.points_expire_at(payment.occurred_at)))
            rules.append(f"{program.program_id}/{tier.tier_id}: {tier.earn_rate_percent} points for 100")
    return Grant(payment.source, payment.kind, "; ".join(rules), payment.occurred_at, tuple(shares))


def _unrewarded(payment: RewardPayment) -> UnrewardedPayment:
    return UnrewardedPayment(payment.source, payment.customer_id, payment.kind, payment.occurred_at)


def _by_position(held: Sequence[members.MemberAt], count: int) -> list[list[members.MemberAt]]:
    grouped: list[list[members.MemberAt]] = [[] for _ in range(count)]
    for membership in held:
        grouped[membership.position].append(membership)
    return grouped


def _booked(posted: Posted | Refusal) -> Booked | Refusal:
    if isinstance(posted, Refusal):
        return posted
    return Booked(posted.source, points.balance_after(posted))


def _tell_earned(transaction: Transaction, posted: Posted, holders: dict[MemberId, Holder]) -> None:
    for balance, earned in points.steps(posted):
        transaction.emit(
            PointsEarned(
                balance.member_id,
                holders[balance.member_id],
                earned,
                balance_after=balance.balance,
                kind=PointsKind(posted.kind),
                transaction_id=posted.source,
                occurred_at=posted.occurred_at,
                account_version=balance.account_version,
            )
        )
