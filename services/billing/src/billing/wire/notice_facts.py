"""Facts of closed days and of differences, as events."""

from collections.abc import Callable
from typing import Any

from chassis.times import to_proto
from google.protobuf.message import Message
from touchstone.billing.v1 import notice_events_pb2 as events
from touchstone.billing.v1 import notice_pb2

from billing.domain.difference import DifferenceFound, DifferenceKind
from billing.domain.snapshot import DayClosed
from billing.wire.value import money_to_proto

DIFFERENCE_KINDS = {
    DifferenceKind.PAYMENT_MISSING_HERE: notice_pb2.DIFFERENCE_KIND_PAYMENT_MISSING_HERE,
    DifferenceKind.PAYMENT_MISSING_THERE: notice_pb2.DIFFERENCE_KIND_PAYMENT_MISSING_THERE,
    DifferenceKind.AMOUNT_DIFFERS: notice_pb2.DIFFERENCE_KIND_AMOUNT_DIFFERS,
    DifferenceKind.STATE_DIFFERS: notice_pb2.DIFFERENCE_KIND_STATE_DIFFERS,
    DifferenceKind.BILL_UNBOOKED: notice_pb2.DIFFERENCE_KIND_BILL_UNBOOKED,
    DifferenceKind.CHARGE_UNBOOKED: notice_pb2.DIFFERENCE_KIND_CHARGE_UNBOOKED,
    DifferenceKind.LEDGER_UNEXPLAINED: notice_pb2.DIFFERENCE_KIND_LEDGER_UNEXPLAINED,
}


def _day_closed(fact: DayClosed) -> Message:
    return events.DayClosed(
        day=fact.day.isoformat(),
        currency=fact.balances.currency,
        balances=money_to_proto(fact.balances),
        accounts=fact.accounts,
        occurred_at=to_proto(fact.occurred_at),
    )


def _difference_found(fact: DifferenceFound) -> Message:
    return events.DifferenceFound(
        difference_id=fact.difference_id,
        kind=DIFFERENCE_KINDS[fact.kind],
        reference=fact.reference,
        occurred_at=to_proto(fact.occurred_at),
    )


FACTS: dict[type[Any], Callable[[Any], Message]] = {
    DayClosed: _day_closed,
    DifferenceFound: _difference_found,
}
