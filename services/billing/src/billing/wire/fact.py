"""Facts as events: the form in which other services hear of them."""

from collections.abc import Callable
from typing import Any

from chassis.times import to_proto
from google.protobuf.message import Message
from touchstone.billing.v1 import billing_events_pb2 as events
from touchstone.billing.v1 import billing_pb2

from billing.domain import facts
from billing.domain.movement import Share
from billing.wire.kind import BILL_KIND_TO_PROTO, CAUSE_TO_PROTO
from billing.wire.value import money_to_proto


def _opened(fact: facts.AccountOpened) -> Message:
    return events.AccountOpened(
        account_id=fact.account_id,
        customer_id=fact.customer_id,
        currency=fact.currency,
        occurred_at=to_proto(fact.occurred_at),
    )


def _recharged(fact: facts.AccountRecharged) -> Message:
    return events.AccountRecharged(
        account_id=fact.account_id,
        customer_id=fact.customer_id,
        amount=money_to_proto(fact.amount),
        balance_after=money_to_proto(fact.balance_after),
        channel=fact.channel,
        transaction_id=fact.transaction_id,
        occurred_at=to_proto(fact.occurred_at),
        account_version=fact.account_version,
        payment_id=fact.payment_id,
        bill_id=fact.bill_id or "",
    )


def _charged(fact: facts.AccountCharged) -> Message:
    return events.AccountCharged(
        charge_id=fact.charge_id,
        account_id=fact.account_id,
        customer_id=fact.customer_id,
        amount=money_to_proto(fact.amount),
        balance_after=money_to_proto(fact.balance_after),
        description=fact.description,
        transaction_id=fact.transaction_id or "",
        occurred_at=to_proto(fact.occurred_at),
        account_version=fact.account_version,
        gift_amount=money_to_proto(fact.gift),
        product_id=fact.product_id,
        order_id=fact.order_id,
        subscription_id=fact.subscription_id,
        paid_by=map(_paid_share, fact.paid_by),
        late=fact.late,
    )


def _paid_share(share: Share) -> events.PaidShare:
    return events.PaidShare(
        account_id=share.account_id,
        amount=money_to_proto(share.amount),
        balance_after=money_to_proto(share.balance_after),
        account_version=share.account_version,
    )


def _adjusted(fact: facts.BalanceAdjusted) -> Message:
    return events.BalanceAdjusted(
        account_id=fact.account_id,
        customer_id=fact.customer_id,
        amount=money_to_proto(fact.amount),
        balance_after=money_to_proto(fact.balance_after),
        transaction_id=fact.transaction_id,
        occurred_at=to_proto(fact.occurred_at),
        account_version=fact.account_version,
    )


def _fell_below_threshold(fact: facts.BalanceFellBelowThreshold) -> Message:
    return events.BalanceFellBelowThreshold(
        account_id=fact.account_id,
        customer_id=fact.customer_id,
        balance=money_to_proto(fact.balance),
        threshold=money_to_proto(fact.threshold),
        bill_id=fact.bill_id or "",
        occurred_at=to_proto(fact.occurred_at),
        account_version=fact.account_version,
        cause=CAUSE_TO_PROTO[fact.cause],
        credit_limit=money_to_proto(fact.credit_limit),
    )


def _restored(fact: facts.BalanceRestored) -> Message:
    return events.BalanceRestored(
        account_id=fact.account_id,
        customer_id=fact.customer_id,
        balance=money_to_proto(fact.balance),
        threshold=money_to_proto(fact.threshold),
        occurred_at=to_proto(fact.occurred_at),
        account_version=fact.account_version,
    )


def _bill_issued(fact: facts.BillIssued) -> Message:
    return events.BillIssued(
        bill_id=fact.bill_id,
        bill_number=fact.bill_number,
        account_id=fact.account_id,
        customer_id=fact.customer_id,
        amount=money_to_proto(fact.amount),
        due_at=to_proto(fact.due_at),
        occurred_at=to_proto(fact.occurred_at),
        kind=BILL_KIND_TO_PROTO[fact.kind],
        corrects_bill_id=fact.corrects or "",
        cause=CAUSE_TO_PROTO[fact.cause] if fact.cause else billing_pb2.CROSSING_CAUSE_UNSPECIFIED,
    )


def _bill_paid(fact: facts.BillPaid) -> Message:
    return events.BillPaid(
        bill_id=fact.bill_id,
        account_id=fact.account_id,
        customer_id=fact.customer_id,
        amount=money_to_proto(fact.amount),
        occurred_at=to_proto(fact.occurred_at),
    )


FACTS: dict[type[Any], Callable[[Any], Message]] = {
    facts.AccountOpened: _opened,
    facts.AccountRecharged: _recharged,
    facts.AccountCharged: _charged,
    facts.BalanceAdjusted: _adjusted,
    facts.BalanceFellBelowThreshold: _fell_below_threshold,
    facts.BalanceRestored: _restored,
    facts.BillIssued: _bill_issued,
    facts.BillPaid: _bill_paid,
}
"""Every fact of the domain; one without an event fails the transaction that tells it."""
