"""Spending, undoing, transfers, pools, rules and statements between protobuf and the domain."""

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime
from typing import Any, NamedTuple

from chassis import times
from chassis.auth import current_caller
from chassis.calendar import Calendar, Period, Span
from chassis.errors import InvalidArgument
from chassis.ids import check_id
from chassis.outbox import Routed
from google.protobuf.message import Message
from ledger import EntryFilter
from touchstone.member.v1 import member_events_pb2, points_pb2
from touchstone.member.v1 import points_service_pb2 as pb

from member.domain.customer import EVERYBODY, PersonId
from member.domain.membership import Holder
from member.domain.points import PointsBalance
from member.domain.spending import (
    CashRate,
    PointsReversed,
    PointsRules,
    PointsTransferred,
    Purpose,
    ReversalShortfall,
)
from member.domain.statement import EntryClass, Statement, kinds_of
from member.use_cases.points_rules import PutPointsRules
from member.use_cases.pools import PoolView, PutPool
from member.use_cases.reversing import Reversed, ReversePoints
from member.use_cases.spending import SpendPoints, Spent
from member.use_cases.transfers import TransferPoints, Transferred
from member.wire.customers import customer_id_from_proto
from member.wire.memberships import holder_from_proto, program_id_from_proto
from member.wire.money import money_from_proto, money_to_proto
from member.wire.points import balance_to_proto, transaction_id_of

_PURPOSES = {
    points_pb2.POINTS_PURPOSE_CASH_OFF: Purpose.CASH_OFF,
    points_pb2.POINTS_PURPOSE_GIFT: Purpose.GIFT,
    points_pb2.POINTS_PURPOSE_COUPON: Purpose.COUPON,
    points_pb2.POINTS_PURPOSE_OTHER: Purpose.OTHER,
}
_SHORTFALLS = {
    points_pb2.POINTS_SHORTFALL_ONLY_WHAT_IS_LEFT: ReversalShortfall.ONLY_WHAT_IS_LEFT,
    points_pb2.POINTS_SHORTFALL_DOWN_TO_ZERO: ReversalShortfall.DOWN_TO_ZERO,
    points_pb2.POINTS_SHORTFALL_NEGATIVE: ReversalShortfall.NEGATIVE,
}
_SHORTFALLS_TOLD = {known: value for value, known in _SHORTFALLS.items()}
_CLASSES = {
    points_pb2.POINTS_ENTRY_CLASS_EARNED: EntryClass.EARNED,
    points_pb2.POINTS_ENTRY_CLASS_SPENT: EntryClass.SPENT,
    points_pb2.POINTS_ENTRY_CLASS_EXPIRED: EntryClass.EXPIRED,
    points_pb2.POINTS_ENTRY_CLASS_REVERSED: EntryClass.REVERSED,
    points_pb2.POINTS_ENTRY_CLASS_TRANSFERRED: EntryClass.TRANSFERRED,
    points_pb2.POINTS_ENTRY_CLASS_HELD: EntryClass.HELD,
}
_MONTH = re.compile(r"(19[7-9][0-9]|[2-8][0-9]{3})-(0[1-9]|1[0-2])\Z", re.ASCII)


class MonthAsked(NamedTuple):
    """Whose statement of which month is asked for."""

    holder: Holder
    month: Span


def spend_from_proto(request: pb.RedeemPointsRequest) -> SpendPoints:
    """The points to spend, or InvalidArgument."""
    holder = holder_from_proto(request)
    purpose = _PURPOSES.get(request.purpose)
    if purpose is None:
        raise InvalidArgument("purpose", "must be cash off, gift, coupon or other")
    if request.from_pool and request.person_id:
        raise InvalidArgument("person_id", "must be empty where the pool pays: its order says who does")
    return SpendPoints(
        transaction_id_of("redeem_points", request.request_id),
        holder,
        request.points,
        request.reason,
        times.from_proto(request.occurred_at, "occurred_at"),
        purpose=purpose,
        reference=request.reference,
        from_pool=request.from_pool,
    )


def spent_to_proto(spent: Spent) -> pb.RedeemPointsResponse:
    """The points spent, by who paid."""
    return pb.RedeemPointsResponse(
        transaction_id=spent.transaction_id,
        payments=[
            pb.PointsPayment(
                person_id=payment.holder.person_id, points=payment.points, balance=balance_to_proto(payment.balance)
            )
            for payment in spent.payments
        ],
        cash_off=None if spent.cash_off is None else money_to_proto(spent.cash_off),
    )


def reversal_from_proto(request: pb.ReversePointsRequest) -> ReversePoints:
    """The transaction to undo, or InvalidArgument; no points said means all that is left."""
    shortfall = _SHORTFALLS.get(request.shortfall)
    if shortfall is None and request.shortfall != points_pb2.POINTS_SHORTFALL_UNSPECIFIED:
        raise InvalidArgument("shortfall", "must be only what is left, down to zero, negative, or unspecified")
    return ReversePoints(
        transaction_id_of("reverse_points", request.request_id),
        customer_id_from_proto(request.customer_id),
        _transaction_id(request.transaction_id),
        points=request.points or None,
        reason=request.reason,
        occurred_at=times.from_proto(request.occurred_at, "occurred_at"),
        shortfall=shortfall,
    )


def reversed_to_proto(done: Reversed) -> pb.ReversePointsResponse:
    """What the reversal moved."""
    return pb.ReversePointsResponse(
        transaction_id=done.transaction_id,
        reversals=[
            pb.PointsReversal(
                person_id=each.holder.person_id, points=each.points, balance=balance_to_proto(each.balance)
            )
            for each in done.undone
        ],
        reversed_points=done.reversed_points,
    )


def transfer_from_proto(request: pb.TransferPointsRequest) -> TransferPoints:
    """The points to move, or InvalidArgument."""
    return TransferPoints(
        transaction_id_of("transfer_points", request.request_id),
        customer_id_from_proto(request.customer_id),
        program_id_from_proto(request.program_id),
        giver=_person_id("from_person_id", request.from_person_id),
        receiver=_person_id("to_person_id", request.to_person_id),
        points=request.points,
        reason=request.reason,
        occurred_at=times.from_proto(request.occurred_at, "occurred_at"),
    )


def transferred_to_proto(done: Transferred) -> pb.TransferPointsResponse:
    """Both sides of a transfer."""
    return pb.TransferPointsResponse(
        transaction_id=done.transaction_id,
        giver=balance_to_proto(done.giver),
        receiver=balance_to_proto(done.receiver),
    )


def put_pool_from_proto(request: pb.PutPoolRequest) -> PutPool:
    """Who is to pay together, or InvalidArgument."""
    return PutPool(
        customer_id_from_proto(request.customer_id),
        program_id_from_proto(request.program_id),
        tuple(_person_id(f"person_ids[{place}]", each) for place, each in enumerate(request.person_ids)),
        put_by=current_caller().subject,
    )


def pool_put_to_proto(view: PoolView) -> pb.PutPoolResponse:
    """The pool put."""
    return pb.PutPoolResponse(pool=pool_to_proto(view))


def pool_to_proto(view: PoolView) -> points_pb2.PointsPool:
    """The pool with its persons in their order."""
    return points_pb2.PointsPool(
        customer_id=view.pool.customer_id,
        program_id=view.pool.program_id,
        person_ids=[member.holder.person_id for member in view.payers],
        revision=view.pool.revision,
    )


def pool_answer_to_proto(view: PoolView, balances: Sequence[PointsBalance]) -> pb.GetPoolResponse:
    """The pool and what it can pay; who owes takes nothing from what the others have."""
    return pb.GetPoolResponse(
        pool=pool_to_proto(view),
        available=sum(max(balance.available, 0) for balance in balances),
        balances=[balance_to_proto(balance) for balance in balances],
    )


def put_rules_from_proto(request: pb.PutPointsRulesRequest) -> PutPointsRules:
    """The rules to set, or InvalidArgument naming every field that is wrong."""
    rules = request.rules
    shortfall = _SHORTFALLS.get(rules.shortfall)
    if shortfall is None:
        raise InvalidArgument("rules.shortfall", "must be only what is left, down to zero or negative")
    rate = None
    if rules.HasField("cash_off"):
        rate = CashRate(rules.cash_off_points, money_from_proto("rules.cash_off", rules.cash_off))
    elif rules.cash_off_points:
        raise InvalidArgument("rules.cash_off", "is required where cash_off_points are said")
    return PutPointsRules(
        PointsRules(
            program_id_from_proto(rules.program_id),
            times.from_proto(rules.applies_from, "rules.applies_from"),
            shortfall,
            most_owed=rules.most_owed_points,
            regrant_days=rules.regrant_days,
            most_transferred_a_day=rules.most_transferred_points_a_day,
            cash_rate=rate,
        ),
        put_by=current_caller().subject,
    )


def rules_put_to_proto(rules: PointsRules) -> pb.PutPointsRulesResponse:
    """The rules set."""
    return pb.PutPointsRulesResponse(rules=rules_to_proto(rules))


def rules_to_proto(rules: PointsRules) -> points_pb2.PointsRules:
    """Rules of a program."""
    rate = rules.cash_rate
    return points_pb2.PointsRules(
        program_id=rules.program_id,
        applies_from=times.to_proto(rules.applies_from),
        shortfall=_SHORTFALLS_TOLD[rules.shortfall],
        most_owed_points=rules.most_owed,
        regrant_days=rules.regrant_days,
        most_transferred_points_a_day=rules.most_transferred_a_day,
        cash_off_points=rate.points if rate else 0,
        cash_off=money_to_proto(rate.money) if rate else None,
        revision=rules.revision,
    )


def entries_from_proto(request: pb.ListPointsEntriesRequest) -> EntryFilter:
    """Which entries are asked for, or InvalidArgument."""
    classes = []
    for place, value in enumerate(request.classes):
        if value not in _CLASSES:
            raise InvalidArgument(f"classes[{place}]", "is not a class of entries")
        classes.append(_CLASSES[value])
    start, end = (
        times.from_proto(getattr(request, field), field) if request.HasField(field) else None
        for field in ("occurred_from", "occurred_until")
    )
    if start is not None and end is not None and end <= start:
        raise InvalidArgument("occurred_until", "must be after occurred_from")
    return EntryFilter(kinds_of(frozenset(classes)) if classes else None, start, end)


def month_from_proto(request: pb.GetPointsStatementRequest, calendar: Calendar) -> MonthAsked:
    """Whose statement of which month of the operator's, or InvalidArgument."""
    holder = holder_from_proto(request)
    if not _MONTH.match(request.month):
        raise InvalidArgument("month", "must be a month as 2026-11")
    first = date.fromisoformat(f"{request.month}-01")
    return MonthAsked(holder, calendar.span(Period.MONTH, calendar.start_of(first)))


def statement_to_proto(statement: Statement, calendar: Calendar) -> pb.GetPointsStatementResponse:
    """The month's figures."""
    return pb.GetPointsStatementResponse(
        statement=points_pb2.PointsStatement(
            member_id=statement.member_id,
            month=calendar.day_of(statement.month.start).isoformat()[:7],
            opening=statement.opening,
            earned=statement.earned,
            spent=statement.spent,
            expired=statement.expired,
            reversed=statement.reversed,
            transferred=statement.transferred,
            closing=statement.closing,
            starts_at=times.to_proto(statement.month.start),
            ends_at=times.to_proto(statement.month.end),
        )
    )


def expiry_days_to_proto(
    expiries: Sequence[tuple[datetime, int]], calendar: Calendar, *, most: int
) -> list[points_pb2.PointsExpiryDay]:
    """What expires, summed by days of the operator's, soonest first."""
    days: dict[date, int] = {}
    for instant, points in expiries:
        day = calendar.day_of(instant)
        days[day] = days.get(day, 0) + points
    return [points_pb2.PointsExpiryDay(day=day.isoformat(), points=points) for day, points in sorted(days.items())][
        :most
    ]


def points_reversed_to_proto(fact: PointsReversed) -> member_events_pb2.PointsReversed:
    """The event of a reversal at one membership."""
    return member_events_pb2.PointsReversed(
        member_id=fact.member_id,
        customer_id=fact.holder.customer_id,
        program_id=fact.holder.program_id,
        person_id=fact.holder.person_id,
        points=fact.points,
        balance_after=fact.balance_after,
        transaction_id=fact.transaction_id,
        reverses=fact.reverses,
        occurred_at=times.to_proto(fact.occurred_at),
        account_version=fact.account_version,
    )


def points_transferred_to_proto(fact: PointsTransferred) -> member_events_pb2.PointsTransferred:
    """The event of a transfer."""
    return member_events_pb2.PointsTransferred(
        customer_id=fact.giver.holder.customer_id,
        program_id=fact.giver.holder.program_id,
        from_member_id=fact.giver.member_id,
        from_person_id=fact.giver.holder.person_id,
        to_member_id=fact.receiver.member_id,
        to_person_id=fact.receiver.holder.person_id,
        to_customer_id=fact.receiver.holder.customer_id,
        points=fact.points,
        from_balance_after=fact.giver.balance_after,
        to_balance_after=fact.receiver.balance_after,
        transaction_id=fact.transaction_id,
        occurred_at=times.to_proto(fact.occurred_at),
        from_account_version=fact.giver.account_version,
        to_account_version=fact.receiver.account_version,
    )


FACTS: Mapping[type[Any], Callable[[Any], Message | Routed]] = {
    PointsReversed: points_reversed_to_proto,
    PointsTransferred: points_transferred_to_proto,
}


def as_of_from_proto(request: pb.GetPoolRequest | pb.GetPointsRulesRequest) -> datetime | None:
    """The instant asked about; None where it is not said."""
    return times.from_proto(request.as_of, "as_of") if request.HasField("as_of") else None


def _person_id(field: str, person_id: str) -> PersonId:
    return PersonId(check_id(field, person_id)) if person_id else EVERYBODY


def _transaction_id(value: str) -> str:
    """A transaction as the service named it: an id of its own, or the name of the event that it came from."""
    if not 1 <= len(value) <= 250 or not value.isascii() or not value.isprintable() or " " in value:
        raise InvalidArgument("transaction_id", "is required: a transaction as an answer or a statement named it")
    return value
