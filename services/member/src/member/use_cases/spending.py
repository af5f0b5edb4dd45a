"""Spend points at once, or hold them for a use that is not certain yet; book the end of unused ones."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeVar

from chassis.errors import InvalidArgument, Refusal
from chassis.money import Money
from chassis.work import Transaction
from ledger import AnyCommand, HoldNotFound, Posted

from member.domain.customer import CustomerId
from member.domain.membership import Holder, Member, MemberId, MemberNotFound
from member.domain.points import Hold, HoldEnd, PointsBalance, PointsRedeemed, check_points
from member.domain.pool import PoolNotFound
from member.domain.program import ProgramId
from member.domain.spending import PointsRules, Purpose, Spend, cash_off
from member.domain.text import MAX_REASON_CHARACTERS, check_reason, line_violations
from member.store import members, points, postings, standing
from member.store import spending as store
from member.use_cases.earning import Booked
from member.use_cases.pools import paying
from member.use_cases.telling import tell_expired

C = TypeVar("C")
O = TypeVar("O")  # noqa: E741 - outcome

EXPIRIES_PER_ROUND = 500
LONGEST_HOLD = timedelta(days=30)
"""How long points may be held that are not held for something of the service's own, which ends at its own time."""
MAX_REFERENCE_CHARACTERS = 100


@dataclass(frozen=True, slots=True)
class SpendPoints:
    """Spend points at once: of the holder's membership, or of its customer's pool in the program."""

    transaction_id: str
    holder: Holder
    points: int
    reason: str
    occurred_at: datetime
    purpose: Purpose = Purpose.OTHER
    reference: str = ""
    from_pool: bool = False

    def __post_init__(self) -> None:
        check_points("points", self.points)
        violations = [
            *line_violations("reason", self.reason, most=MAX_REASON_CHARACTERS, optional=True),
            *line_violations("reference", self.reference, most=MAX_REFERENCE_CHARACTERS, optional=True),
        ]
        if violations:
            raise InvalidArgument.many(violations)


@dataclass(frozen=True, slots=True)
class Payment:
    """What one membership paid, and its points after it."""

    holder: Holder
    points: int
    balance: PointsBalance


@dataclass(frozen=True, slots=True)
class Spent:
    """A spend: who paid how much in the order of paying, and what it is worth where it was for money."""

    transaction_id: str
    payments: tuple[Payment, ...]
    cash_off: Money | None

    @property
    def balance(self) -> PointsBalance:
        """The points of who paid first."""
        return self.payments[0].balance


@dataclass(frozen=True, slots=True)
class HoldPoints:
    """Set points aside until `expires_at` (exclusive, business time), when the hold ends by itself; for so long at
    `longest`."""

    hold_id: str
    holder: Holder
    points: int
    reason: str
    occurred_at: datetime
    expires_at: datetime
    longest: timedelta = LONGEST_HOLD

    def __post_init__(self) -> None:
        check_points("points", self.points)
        check_reason("reason", self.reason)
        if self.expires_at <= self.occurred_at:
            raise InvalidArgument("expires_at", "must be after occurred_at")
        if self.expires_at - self.occurred_at > self.longest:
            raise InvalidArgument("expires_at", f"must be at most {self.longest.days} days after occurred_at")


@dataclass(frozen=True, slots=True)
class ConfirmHold:
    """Spend points of a hold, all of them where `points` is None; the rest is free again."""

    customer_id: CustomerId
    end: HoldEnd
    points: int | None

    def __post_init__(self) -> None:
        if self.points is not None:
            check_points("points", self.points)


@dataclass(frozen=True, slots=True)
class ReleaseHold:
    """Free the points of a hold."""

    customer_id: CustomerId
    end: HoldEnd


@dataclass(frozen=True, slots=True)
class Expired:
    """What one round booked: accounts touched, and the points that they lost."""

    accounts: int
    points: int


async def spend_points(transaction: Transaction, command: SpendPoints) -> Spent:
    """Spend points of one; raises what `spend_many` refuses."""
    return await _alone(spend_many, transaction, command)


async def spend_many(transaction: Transaction, commands: Sequence[SpendPoints]) -> list[Spent | Refusal]:
    """Spend points, each command with its own outcome. Refuses MemberNotFound or PoolNotFound, CashOffNotOffered, and
    InsufficientBalance where fewer are free; a pool pays all or nothing."""
    connection = transaction.connection
    found = await members.find_members(connection, {command.holder for command in commands if not command.from_pool})
    customers = {(command.holder.customer_id, command.holder.program_id) for command in commands if command.from_pool}
    pools = await store.find_pools(connection, customers) if customers else {}
    payers = {member_id for pool in pools.values() for member_id in pool.payers}
    known = {member.member_id: member for member in found.values()}
    known |= await members.find_members_by_id(connection, payers) if payers else {}
    paid_by = {key: paying(pool, known) for key, pool in pools.items()}
    rules = await store.rules_in_force(connection, [(each.holder.program_id, each.occurred_at) for each in commands])
    asked = [_spend(each, found, paid_by, by=rule) for each, rule in zip(commands, rules, strict=True)]
    spends = [each for each in asked if isinstance(each, Spend)]
    posted = await _post(transaction, [postings.spend_posting(spend) for spend in spends])
    outcomes = iter(zip(spends, posted, strict=True))
    done: list[Spent | Refusal] = []
    for each in asked:
        spend, outcome = (each, each) if isinstance(each, Refusal) else next(outcomes)
        if isinstance(outcome, Posted) and isinstance(spend, Spend):
            done.append(_spent(transaction, spend, outcome, known))
        else:
            assert isinstance(outcome, Refusal)
            done.append(outcome)
    return done


async def hold_points(transaction: Transaction, command: HoldPoints) -> Booked:
    """Set points of one aside; raises what `hold_many` refuses."""
    return await _alone(hold_many, transaction, command)


async def hold_many(transaction: Transaction, commands: Sequence[HoldPoints]) -> list[Booked | Refusal]:
    """Set points aside; MemberNotFound, or InsufficientBalance where fewer are free."""
    found = await members.find_members(transaction.connection, {command.holder for command in commands})
    holds = [_hold(command, found.get(command.holder)) for command in commands]
    posted = iter(await _post(transaction, [postings.hold_posting(hold) for hold in holds if isinstance(hold, Hold)]))
    return [hold if isinstance(hold, Refusal) else _booked(next(posted)) for hold in holds]


async def confirm_hold(transaction: Transaction, command: ConfirmHold) -> Booked:
    """Spend held points of one; raises what `confirm_many` refuses."""
    return await _alone(confirm_many, transaction, command)


async def confirm_many(transaction: Transaction, commands: Sequence[ConfirmHold]) -> list[Booked | Refusal]:
    """Spend held points. HoldNotFound also where the hold is another customer's; HoldExpired, HoldEnded,
    CaptureExceedsHold."""
    owners = await _owners(transaction, commands)
    wanted = [each for each, owner in zip(commands, owners, strict=True) if isinstance(owner, Member)]
    posted = iter(await _post(transaction, [postings.confirmation_posting(each.end, each.points) for each in wanted]))
    outcomes = [owner if isinstance(owner, Refusal) else (owner, next(posted)) for owner in owners]
    for outcome in outcomes:
        if not isinstance(outcome, Refusal) and isinstance(outcome[1], Posted):
            _tell_redeemed(transaction, outcome[1], {outcome[0].member_id: outcome[0]})
    return [outcome if isinstance(outcome, Refusal) else _booked(outcome[1]) for outcome in outcomes]


async def release_hold(transaction: Transaction, command: ReleaseHold) -> Booked:
    """Free held points of one; raises what `release_many` refuses."""
    return await _alone(release_many, transaction, command)


async def release_many(transaction: Transaction, commands: Sequence[ReleaseHold]) -> list[Booked | Refusal]:
    """Free held points. HoldNotFound also where the hold is another customer's; HoldExpired, HoldEnded."""
    owners = await _owners(transaction, commands)
    wanted = [each for each, owner in zip(commands, owners, strict=True) if isinstance(owner, Member)]
    posted = iter(await _post(transaction, [postings.release_posting(each.end) for each in wanted]))
    return [owner if isinstance(owner, Refusal) else _booked(next(posted)) for owner in owners]


async def expire_points(transaction: Transaction, as_of: datetime) -> Expired:
    """Book one round of what expired by `as_of`, points and holds; nothing touched means that nothing is left."""
    found = await points.post_expiries(
        transaction.connection, as_of, recorded_at=transaction.recorded_at, limit=EXPIRIES_PER_ROUND
    )
    await tell_expired(transaction, found.expired)
    return Expired(found.accounts, sum(share.points for share in found.expired))


async def _alone(
    many: Callable[[Transaction, Sequence[C]], Awaitable[Sequence[O | Refusal]]], transaction: Transaction, command: C
) -> O:
    (outcome,) = await many(transaction, [command])
    if isinstance(outcome, Refusal):
        raise outcome
    return outcome


async def _post(transaction: Transaction, commands: Sequence[AnyCommand]) -> list[Posted | Refusal]:
    outcomes = await store.post(transaction.connection, commands, recorded_at=transaction.recorded_at)
    await tell_expired(transaction, points.expired_shares([each for each in outcomes if isinstance(each, Posted)]))
    return outcomes


def _spend(
    command: SpendPoints,
    found: dict[Holder, Member],
    paid_by: dict[tuple[CustomerId, ProgramId], tuple[MemberId, ...]],
    *,
    by: PointsRules,
) -> Spend | Refusal:
    holder = command.holder
    if command.from_pool:
        payers = paid_by.get((holder.customer_id, holder.program_id), ())
        if not payers:
            return PoolNotFound(holder.customer_id, holder.program_id)
    else:
        member = found.get(holder)
        if member is None:
            return MemberNotFound(holder)
        payers = (member.member_id,)
    try:
        money = cash_off(by, command.points) if command.purpose is Purpose.CASH_OFF else None
    except Refusal as refusal:
        return refusal
    return Spend(
        command.transaction_id,
        payers,
        command.points,
        command.reason,
        command.occurred_at,
        purpose=command.purpose,
        reference=command.reference,
        cash_off=money,
    )


def _spent(transaction: Transaction, spend: Spend, posted: Posted, known: dict[MemberId, Member]) -> Spent:
    _tell_redeemed(transaction, posted, known, of=spend)
    balances = points.balances_after(posted)
    payments = [
        Payment(known[member_id].holder, -moved, balances[member_id])
        for member_id, moved in points.moved(posted).items()
    ]
    return Spent(posted.source, tuple(payments), spend.cash_off)


def _hold(command: HoldPoints, member: Member | None) -> Hold | Refusal:
    if member is None:
        return MemberNotFound(command.holder)
    return Hold(
        command.hold_id, member.member_id, command.points, command.reason, command.occurred_at, command.expires_at
    )


async def _owners(
    transaction: Transaction, commands: Sequence[ConfirmHold] | Sequence[ReleaseHold]
) -> list[Member | Refusal]:
    """Whose holds they are: the customer's, or those of who is a part of it."""
    of_hold = await points.find_hold_members(transaction.connection, {command.end.hold_id for command in commands})
    known = await members.find_members_by_id(transaction.connection, set(of_hold.values()))
    stand = await standing.standing_customers(transaction.connection, {each.customer_id for each in known.values()})
    owners: list[Member | Refusal] = []
    for command in commands:
        member_id = of_hold.get(command.end.hold_id)
        owner = known[member_id].customer_id if member_id is not None else None
        mine = owner is not None and command.customer_id in (owner, stand[owner])
        missing = HoldNotFound("the customer has no such hold", hold=command.end.hold_id)
        owners.append(known[member_id] if mine and member_id is not None else missing)
    return owners


def _booked(posted: Posted | Refusal) -> Booked | Refusal:
    if isinstance(posted, Refusal):
        return posted
    return Booked(posted.source, points.balance_after(posted))


def _tell_redeemed(
    transaction: Transaction, posted: Posted, known: dict[MemberId, Member], *, of: Spend | None = None
) -> None:
    for balance, moved in points.steps(posted):
        transaction.emit(
            PointsRedeemed(
                balance.member_id,
                known[balance.member_id].holder,
                -moved,
                balance_after=balance.balance,
                transaction_id=posted.source,
                occurred_at=posted.occurred_at,
                account_version=balance.account_version,
                purpose=of.purpose.value if of else "",
                reference=of.reference if of else "",
                cash_off=of.cash_off if of else None,
            )
        )
