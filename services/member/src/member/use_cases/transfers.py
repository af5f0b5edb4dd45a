"""Move points from one membership to another: what was to expire still expires when it was to."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from chassis.calendar import Calendar, Period
from chassis.errors import InvalidArgument, Refusal
from chassis.work import Transaction
from ledger import InsufficientBalance, Posted

from member.domain.customer import CustomerId, PersonId
from member.domain.membership import Holder, Member, MemberId, MemberNotFound
from member.domain.points import PointsBalance, check_points
from member.domain.program import ProgramId
from member.domain.spending import PointsTransferred, Side, Transfer, TransferLimitReached
from member.domain.text import MAX_REASON_CHARACTERS, line_violations
from member.store import members, points, postings
from member.store import spending as store
from member.use_cases.telling import tell_expired


@dataclass(frozen=True, slots=True)
class TransferPoints:
    """Move points between two memberships of one customer in one program; an empty person is the whole customer."""

    transaction_id: str
    customer_id: CustomerId
    program_id: ProgramId
    giver: PersonId
    receiver: PersonId
    points: int
    reason: str
    occurred_at: datetime

    def __post_init__(self) -> None:
        check_points("points", self.points)
        violations = list(line_violations("reason", self.reason, most=MAX_REASON_CHARACTERS, optional=True))
        if violations:
            raise InvalidArgument.many(violations)
        if self.giver == self.receiver:
            raise InvalidArgument("to_person_id", "must be another than from_person_id")

    def holder(self, person_id: PersonId) -> Holder:
        """One of the two."""
        return Holder(self.customer_id, self.program_id, person_id)


@dataclass(frozen=True, slots=True)
class Transferred:
    """The transfer, and the points of both after it."""

    transaction_id: str
    giver: PointsBalance
    receiver: PointsBalance


@dataclass(frozen=True, slots=True)
class MoveAll:
    """Move everything that is free of one membership to another, whosever they are."""

    transaction_id: str
    giver: MemberId
    receiver: MemberId
    reason: str
    occurred_at: datetime


async def transfer_points(transaction: Transaction, command: TransferPoints, *, calendar: Calendar) -> Transferred:
    """Move points within a household. Refuses MemberNotFound, TransferLimitReached by the giver's day in the operator's
    calendar, and InsufficientBalance."""
    connection = transaction.connection
    found = await members.find_members(connection, [command.holder(command.giver), command.holder(command.receiver)])
    giver, receiver = (_member(found, command.holder(person)) for person in (command.giver, command.receiver))
    # Locked before the day's sum is read, so that two transfers of one day cannot both fit under the limit.
    await store.lock_accounts(connection, [giver.member_id, receiver.member_id])
    (rules,) = await store.rules_in_force(connection, [(command.program_id, command.occurred_at)])
    today = calendar.span(Period.DAY, command.occurred_at)
    left = rules.most_transferred_a_day - await store.transferred(connection, giver.member_id, today)
    if command.points > left:
        raise TransferLimitReached(rules.most_transferred_a_day, max(left, 0))
    transfer = Transfer(
        command.transaction_id,
        giver.member_id,
        receiver.member_id,
        command.points,
        reason=command.reason,
        occurred_at=command.occurred_at,
    )
    (posted,) = await _post(transaction, [transfer])
    if isinstance(posted, Refusal):
        raise posted
    _tell(transaction, posted, giver, receiver)
    balances = points.balances_after(posted)
    return Transferred(posted.source, balances[giver.member_id], balances[receiver.member_id])


async def move_all(transaction: Transaction, commands: Sequence[MoveAll]) -> list[int]:
    """Move all free points of memberships to others, and say how many: 0 where nothing is free.

    What is held stays until its hold ends, and so does what is owed. Limits of a day do not count. The memberships must
    exist."""
    known = await members.find_members_by_id(
        transaction.connection, {member_id for each in commands for member_id in (each.giver, each.receiver)}
    )
    transfers = [
        Transfer(each.transaction_id, each.giver, each.receiver, None, each.reason, each.occurred_at)
        for each in commands
    ]
    moved = []
    for each, outcome in zip(commands, await _post(transaction, transfers), strict=True):
        if isinstance(outcome, InsufficientBalance):
            moved.append(0)
        elif isinstance(outcome, Refusal):
            raise outcome
        else:
            _tell(transaction, outcome, known[each.giver], known[each.receiver])
            moved.append(points.moved(outcome)[each.receiver])
    return moved


async def _post(transaction: Transaction, transfers: Sequence[Transfer]) -> list[Posted | Refusal]:
    commands = [postings.transfer_posting(each) for each in transfers]
    outcomes = await store.post(transaction.connection, commands, recorded_at=transaction.recorded_at)
    await tell_expired(transaction, points.expired_shares([each for each in outcomes if isinstance(each, Posted)]))
    return outcomes


def _member(found: dict[Holder, Member], holder: Holder) -> Member:
    if holder not in found:
        raise MemberNotFound(holder)
    return found[holder]


def _tell(transaction: Transaction, posted: Posted, giver: Member, receiver: Member) -> None:
    steps = {balance.member_id: (balance, change) for balance, change in points.last_steps(posted)}
    sides = [
        Side(each.member_id, each.holder, steps[each.member_id][0].balance, steps[each.member_id][0].account_version)
        for each in (giver, receiver)
    ]
    transferred = steps[receiver.member_id][1]
    transaction.emit(PointsTransferred(sides[0], sides[1], transferred, posted.source, posted.occurred_at))
