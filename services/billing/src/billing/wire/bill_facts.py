"""Facts of bills and of accounts' states as events."""

from collections.abc import Callable
from typing import Any

from chassis.times import to_proto
from google.protobuf.message import Message
from touchstone.billing.v1 import bill_events_pb2 as events

from billing.domain import bill_facts as facts
from billing.wire.kind import STATE_TO_PROTO
from billing.wire.value import money_to_proto


def _closed(fact: facts.BillClosed) -> Message:
    return events.BillClosed(
        bill_id=fact.bill_id,
        account_id=fact.account_id,
        customer_id=fact.customer_id,
        because=fact.because,
        occurred_at=to_proto(fact.occurred_at),
    )


def _credited(fact: facts.BillCredited) -> Message:
    return events.BillCredited(
        credit_note_id=fact.credit_note_id,
        credit_note_number=fact.credit_note_number,
        bill_id=fact.bill_id,
        account_id=fact.account_id,
        customer_id=fact.customer_id,
        amount=money_to_proto(fact.amount),
        remaining=money_to_proto(fact.remaining),
        reason=fact.reason,
        occurred_at=to_proto(fact.occurred_at),
    )


def _reminded(fact: facts.BillReminded) -> Message:
    return events.BillReminded(
        bill_id=fact.bill_id,
        bill_number=fact.bill_number,
        account_id=fact.account_id,
        customer_id=fact.customer_id,
        remaining=money_to_proto(fact.remaining),
        due_at=to_proto(fact.due_at),
        step=fact.step,
        occurred_at=to_proto(fact.occurred_at),
    )


def _state_changed(fact: facts.AccountStateChanged) -> Message:
    return events.AccountStateChanged(
        account_id=fact.account_id,
        customer_id=fact.customer_id,
        state=STATE_TO_PROTO[fact.state],
        because=fact.because,
        bill_id=fact.bill_id or "",
        revision=fact.revision,
        occurred_at=to_proto(fact.occurred_at),
    )


FACTS: dict[type[Any], Callable[[Any], Message]] = {
    facts.BillClosed: _closed,
    facts.BillCredited: _credited,
    facts.BillReminded: _reminded,
    facts.AccountStateChanged: _state_changed,
}
"""What becomes of bills, and of accounts whose bills nobody pays."""
