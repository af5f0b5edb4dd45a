"""Undo what was given, spent or transferred: all of it or a part, bounded by what it moved."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from chassis.errors import Refusal
from chassis.work import Transaction
from ledger import Posted, Reverse

from member.domain.customer import CustomerId
from member.domain.membership import Holder, Member, MemberId
from member.domain.points import PointsBalance, check_points
from member.domain.spending import PointsReversed, PointsRules, Reversal, ReversalShortfall, TransactionNotFound
from member.domain.text import check_reason
from member.store import members, points, postings, standing
from member.store import spending as store
from member.use_cases.bringing_back import bring_back
from member.use_cases.telling import tell_expired


@dataclass(frozen=True, slots=True)
class ReversePoints:
    """Undo the transaction `of` of a customer, all that is left of it where `points` is None.

    Points to be taken back that are spent already are dealt with by `shortfall`, as the program's rules say where it
    is None.
    """

    transaction_id: str
    customer_id: CustomerId
    of: str
    points: int | None
    reason: str
    occurred_at: datetime
    shortfall: ReversalShortfall | None = None

    def __post_init__(self) -> None:
        check_reason("reason", self.reason)
        if self.points is not None:
            check_points("points", self.points)


@dataclass(frozen=True, slots=True)
class Undone:
    """What a reversal moved at one membership (given back, or less than 0: taken back), and its points after it."""

    holder: Holder
    points: int
    balance: PointsBalance


@dataclass(frozen=True, slots=True)
class Reversed:
    """A reversal: what it moved, and how many points count as reversed by it."""

    transaction_id: str
    undone: tuple[Undone, ...]
    reversed_points: int


async def reverse_points(transaction: Transaction, command: ReversePoints) -> Reversed:
    """Undo one transaction; raises what `reverse_many` refuses."""
    (outcome,) = await reverse_many(transaction, [command])
    if isinstance(outcome, Refusal):
        raise outcome
    return outcome


async def reverse_many(transaction: Transaction, commands: Sequence[ReversePoints]) -> list[Reversed | Refusal]:
    """Undo transactions, each command with its own outcome.

    What a membership was given that ended in another one is taken from the one that stands.

    Refuses TransactionNotFound also where the transaction is another customer's, AlreadyReversed,
    ReversalExceedsOriginal, NotReversible for holds, expiries and reversals.
    """
    connection = transaction.connection
    moved = await store.members_of_transactions(connection, {command.of for command in commands})
    known = await members.find_members_by_id(connection, {each for ids in moved.values() for each in ids})
    stand = await standing.standing_customers(connection, {member.customer_id for member in known.values()})
    theirs = [_first_of(command, moved, known, stand) for command in commands]
    programs = [(member.program_id, command.occurred_at) for command, member in _both(commands, theirs)]
    rules = iter(await store.rules_in_force(connection, programs) if programs else [])
    reversals = [_reversal(command, next(rules)) for command, _ in _both(commands, theirs)]
    posted = iter(await _post(transaction, [postings.reversal_posting(each) for each in reversals]))
    return [
        next(posted) if member else TransactionNotFound(command.of)
        for command, member in zip(commands, theirs, strict=True)
    ]


async def _post(transaction: Transaction, reversals: Sequence[Reverse]) -> list[Reversed | Refusal]:
    """The reversals posted and told, with what brings points back from where memberships ended."""
    connection = transaction.connection
    plan = await bring_back(transaction, reversals)
    outcomes = await store.post(connection, plan.postings, recorded_at=transaction.recorded_at)
    done = [each for each in outcomes if isinstance(each, Posted)]
    await standing.count_reversals(connection, plan.chains, [each.source for each in done])
    await tell_expired(transaction, points.expired_shares(done))
    ids = {member_id for each in done for member_id in points.moved(each)}
    known = await members.find_members_by_id(connection, ids)
    rest = iter(outcomes)
    return [_told(transaction, [next(rest) for _ in steps], known) for steps in plan.steps]


def _first_of(
    command: ReversePoints,
    moved: Mapping[str, Sequence[MemberId]],
    known: Mapping[MemberId, Member],
    stand: Mapping[CustomerId, CustomerId],
) -> Member | None:
    """The first membership of the customer, or of who is a part of it, that the transaction moved points of."""
    theirs = (known[each] for each in moved.get(command.of, ()))
    return next(
        (member for member in theirs if command.customer_id in (member.customer_id, stand[member.customer_id])), None
    )


def _both(commands: Sequence[ReversePoints], theirs: Sequence[Member | None]) -> list[tuple[ReversePoints, Member]]:
    return [(command, member) for command, member in zip(commands, theirs, strict=True) if member is not None]


def _reversal(command: ReversePoints, rules: PointsRules) -> Reversal:
    return Reversal(
        command.transaction_id,
        command.of,
        command.points,
        command.reason,
        command.occurred_at,
        shortfall=command.shortfall or rules.shortfall,
        most_owed=rules.most_owed,
        regrant_for=rules.regrant_for,
    )


def _told(
    transaction: Transaction, steps: Sequence[Posted | Refusal], known: Mapping[MemberId, Member]
) -> Reversed | Refusal:
    """What the steps came to, the last of which is the reversal itself. Of a membership that ended nothing is left to
    tell where its points were brought back and taken."""
    last = steps[-1]
    if isinstance(last, Refusal):
        return last
    changes: dict[MemberId, int] = {}
    balances: dict[MemberId, PointsBalance] = {}
    done = [each for each in steps if isinstance(each, Posted)]
    for posted in done:
        balances |= points.balances_after(posted)
        for member_id, change in points.moved(posted).items():
            changes[member_id] = changes.get(member_id, 0) + change
    if len(done) > 1:
        changes = {member_id: change for member_id, change in changes.items() if change}
    for posted in done:
        _tell(transaction, posted, {member_id: known[member_id] for member_id in changes})
    undone = [Undone(known[member_id].holder, change, balances[member_id]) for member_id, change in changes.items()]
    return Reversed(last.source, tuple(undone), last.reversed_amount)


def _tell(transaction: Transaction, posted: Posted, of: Mapping[MemberId, Member]) -> None:
    for balance, change in points.last_steps(posted):
        if balance.member_id not in of:
            continue
        transaction.emit(
            PointsReversed(
                balance.member_id,
                of[balance.member_id].holder,
                change,
                balance_after=balance.balance,
                transaction_id=posted.source,
                reverses=posted.reverses or "",
                occurred_at=posted.occurred_at,
                account_version=balance.account_version,
            )
        )
