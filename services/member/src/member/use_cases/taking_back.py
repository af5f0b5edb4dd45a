"""Take back what a payment gave, when the payment is given back: points, and what it counts for as spend.

Of each part that was booked as much is taken back as of the payment was refunded by then, rounded down, and all of it
with the last of the money; of points that have not ripened yet so many never will. A refund may come before its
payment: it is noted, and the payment gives back what it must as soon as it is rewarded.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from chassis.errors import InvalidArgument
from chassis.work import Transaction
from ledger import Posted, Reverse, Shortfall, Source

from member.domain.kinds import PointsKind
from member.domain.membership import MemberId
from member.domain.pending import Refund
from member.domain.spending import PointsReversed
from member.store import earning, members, points, spend, standing
from member.use_cases.bringing_back import bring_back
from member.use_cases.telling import tell_expired


@dataclass(frozen=True, slots=True)
class TakeBack:
    """Take back what the refunded part of a payment gave; `shortfall` says what happens where it is spent already."""

    refund: Refund
    shortfall: Shortfall = Shortfall.ONLY_WHAT_IS_LEFT

    def __post_init__(self) -> None:
        if not 0 < self.refund.refunded_minor <= self.refund.paid_minor:
            raise InvalidArgument("refunded_minor", "must be more than 0 and no more than what was paid")


@dataclass(frozen=True, slots=True)
class TakenBack:
    """What was taken back of a payment: points of the balance, and points that had not ripened."""

    points: int
    cancelled: int


async def take_back(transaction: Transaction, commands: Sequence[TakeBack]) -> dict[str, TakenBack]:
    """Take back what payments gave that are refunded, in whole or in part, and say for each payment what that came to.
    As spend the refunded part counts no more; a tier that was reached by it is lost where the next evaluation says so.

    A refund that is known takes nothing more. A payment that gave nothing has nothing taken back; neither has, for now,
    one that is not known yet.
    """
    if not commands:
        return {}
    connection, recorded_at = transaction.connection, transaction.recorded_at
    await earning.lock_refunds(connection)
    await earning.insert_refunds(connection, [command.refund for command in commands], recorded_at=recorded_at)
    return await _settle(transaction, {command.refund.source: command for command in commands})


async def take_back_early(transaction: Transaction, sources: Collection[str]) -> None:
    """Take back of payments just rewarded what was refunded before they came."""
    early = await earning.find_refunds(transaction.connection, sources)
    await _settle(
        transaction,
        {
            source: TakeBack(Refund("early", source, found.paid_minor, found.refunded_minor, found.refunded_at))
            for source, found in early.items()
        },
    )


async def _settle(transaction: Transaction, last: Mapping[str, TakeBack]) -> dict[str, TakenBack]:
    """Take back of each payment what is missing to the refunded part of what it gave, named after its last refund."""
    if not last:
        return {}
    connection = transaction.connection
    await spend.insert_refunds(connection, last)
    refunded = await earning.find_refunds(connection, last)
    cancelled = dict.fromkeys(last, 0)
    waiting = await earning.pending_of_for_update(connection, last)
    less = {each.transaction_id: refunded[each.source].of(each.points) for each in waiting}
    for each in waiting:
        cancelled[each.source] += less[each.transaction_id] - each.cancelled
    await earning.save_cancelled(connection, less)
    legs = await earning.find_legs(connection, last)
    before = await earning.reversed_points(connection, [leg.transaction_id for leg in legs])
    due = {leg: refunded[leg.source].of(leg.given) - leg.cancelled - before.get(leg.transaction_id, 0) for leg in legs}
    reversals = {leg: _reverse(last[leg.source], leg, missing) for leg, missing in due.items() if missing > 0}
    plan = await bring_back(transaction, list(reversals.values()))
    posted = await points.post_take_backs(connection, plan.postings, recorded_at=transaction.recorded_at)
    await standing.count_reversals(connection, plan.chains, [each.source for each in posted])
    await _tell(transaction, posted)
    taken = dict.fromkeys(last, 0)
    by_source = {each.source: each for each in posted}
    for leg, reversal in ((leg, by_source[asked.source]) for leg, asked in reversals.items()):
        taken[leg.source] -= sum(moved for _, moved in points.steps(reversal))
    return {source: TakenBack(taken[source], cancelled[source]) for source in last}


def _reverse(command: TakeBack, leg: earning.Leg, missing: int) -> Reverse:
    return Reverse(
        source=Source(f"{command.refund.refund_id}#{leg.transaction_id}"),
        kind=PointsKind.TAKE_BACK,
        occurred_at=command.refund.occurred_at,
        metadata={"reason": "refund"},
        of=Source(leg.transaction_id),
        amount=missing,
        shortfall=command.shortfall,
    )


async def _tell(transaction: Transaction, posted: Sequence[Posted]) -> None:
    if not posted:
        return
    steps = [(each, *step) for each in posted for step in points.steps(each)]
    ids: set[MemberId] = {balance.member_id for _, balance, _ in steps}
    found = await members.find_members_by_id(transaction.connection, ids)
    for each, balance, moved in steps:
        transaction.emit(
            PointsReversed(
                balance.member_id,
                found[balance.member_id].holder,
                moved,
                balance_after=balance.balance,
                transaction_id=each.source,
                reverses=str(each.reverses),
                occurred_at=each.occurred_at,
                account_version=balance.account_version,
            )
        )
    await tell_expired(transaction, points.expired_shares(posted))
