"""Points whose cooling period is over become the member's, dated at the instant at which they ripened."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from chassis.errors import Refusal
from chassis.work import Transaction

from member.domain.pending import PendingPoints
from member.domain.points import Grant, Share
from member.store import Connection, earners, earning
from member.use_cases.earning import give_points

PENDING_PER_ROUND = 500


@dataclass(frozen=True, slots=True)
class Ripened:
    """What one round booked: entries, and their points."""

    entries: int
    points: int


async def ripen_points(transaction: Transaction, as_of: datetime) -> Ripened:
    """Book one round of what was ripe by `as_of`, oldest first; no entry means that nothing is left.

    Points of a member who left meanwhile are given up like those that it had, and never ripen.
    """
    connection = transaction.connection
    due = await _due(connection, as_of)
    if not due:
        return Ripened(0, 0)
    for outcome in await give_points(transaction, [_grant(each) for each in due]):
        if isinstance(outcome, Refusal):
            raise outcome
    await earning.save_ripened(connection, [each.transaction_id for each in due])
    legs = [(each.source, each.transaction_id) for each in due]
    await earning.insert_legs(connection, legs, recorded_at=transaction.recorded_at)
    return Ripened(len(due), _points(due))


async def _due(connection: Connection, as_of: datetime) -> list[PendingPoints]:
    """The next points that somebody gets, after those before them that nobody gets any more."""
    while due := await earning.due_pending_for_update(connection, as_of, most=PENDING_PER_ROUND):
        gone = await earners.left_for_good(connection, {each.member_id for each in due})
        await earning.save_cancelled(
            connection, {each.transaction_id: each.points for each in due if each.member_id in gone}
        )
        if kept := [each for each in due if each.member_id not in gone]:
            return kept
    return []


def _points(due: Sequence[PendingPoints]) -> int:
    return sum(each.left for each in due)


def _grant(pending: PendingPoints) -> Grant:
    return Grant(
        pending.transaction_id,
        pending.kind,
        pending.reason,
        pending.ripens_at,
        (Share(pending.member_id, pending.left, pending.expires_at),),
        rule_id=pending.rule_id,
        parts=pending.parts,
    )
