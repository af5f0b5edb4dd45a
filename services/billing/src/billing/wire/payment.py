"""Payments and their refunds on the wire."""

from datetime import timedelta

from chassis.errors import InvalidArgument
from chassis.ids import check_id
from chassis.money import Money
from chassis.times import from_proto, to_proto
from touchstone.billing.v1 import payment_pb2
from touchstone.billing.v1 import payment_service_pb2 as pb
from touchstone.common.v1 import common_pb2

from billing.domain.ids import BillId
from billing.domain.payment import (
    Payment,
    PaymentId,
    PaymentOrigin,
    PaymentState,
    Refund,
    RefundState,
    TokenId,
)
from billing.store.payment import PaymentFilter
from billing.use_cases.payment import CancelPayment, CreatePayment
from billing.use_cases.refund import RefundPayment
from billing.wire.value import (
    account_id_from_proto,
    money_from_proto,
    money_to_proto,
    owner_from_proto,
    text_from_proto,
)

STATES = {state: payment_pb2.PaymentState.Value(f"PAYMENT_STATE_{state.name}") for state in PaymentState}
ORIGINS = {origin: payment_pb2.PaymentOrigin.Value(f"PAYMENT_ORIGIN_{origin.name}") for origin in PaymentOrigin}
_REFUND_STATES = {
    state: payment_pb2.PaymentRefundState.Value(f"PAYMENT_REFUND_STATE_{state.name}") for state in RefundState
}
_STATE_ASKED = {number: state for state, number in STATES.items()}


def create_payment_from_proto(
    request: pb.CreatePaymentRequest, *, origin: PaymentOrigin, redirects: bool, counted_for: timedelta
) -> CreatePayment:
    """The wish to pay; who asks and what the channel offers is not the request's to say."""
    return CreatePayment(
        account_id=account_id_from_proto(request.account_id),
        customer_id=owner_from_proto(request.customer_id),
        amount=optional_money(request.amount) if request.HasField("amount") else None,
        channel=request.channel,
        redirects=redirects,
        bill_id=BillId(check_id("bill_id", request.bill_id)) if request.bill_id else None,
        token_id=TokenId(check_id("token_id", request.token_id)) if request.token_id else None,
        return_url=request.return_url,
        origin=origin,
        occurred_at=from_proto(request.occurred_at, "occurred_at"),
        counted_for=counted_for,
    )


def optional_money(money: common_pb2.Money) -> Money:
    """An amount that was given, more than zero."""
    return money_from_proto(money).positive("amount")


def channel_named(value: str) -> str:
    """The name of a channel, as its address has it."""
    return check_id("channel", value)


def payment_id_from_proto(value: str) -> PaymentId:
    """Refuses a malformed name of a payment."""
    return PaymentId(check_id("payment_id", value))


def cancel_payment_from_proto(request: pb.CancelPaymentRequest) -> CancelPayment:
    """The wish to give a payment up."""
    return CancelPayment(
        payment_id=payment_id_from_proto(request.payment_id),
        customer_id=owner_from_proto(request.customer_id),
        occurred_at=from_proto(request.occurred_at, "occurred_at"),
    )


def refund_payment_from_proto(request: pb.RefundPaymentRequest) -> RefundPayment:
    """The wish to give money back to the payer."""
    return RefundPayment(
        payment_id=payment_id_from_proto(request.payment_id),
        amount=optional_money(request.amount) if request.HasField("amount") else None,
        reason=text_from_proto("reason", request.reason, required=True),
        occurred_at=from_proto(request.occurred_at, "occurred_at"),
    )


def payment_filter_from_proto(request: pb.ListPaymentsRequest) -> PaymentFilter:
    """Which payments are asked for."""
    if request.state and request.state not in _STATE_ASKED:
        raise InvalidArgument("state", "is not a state of payments")
    return PaymentFilter(
        customer_id=owner_from_proto(request.customer_id),
        account_id=account_id_from_proto(request.account_id) if request.account_id else None,
        state=_STATE_ASKED.get(request.state),
    )


def payment_to_proto(payment: Payment) -> payment_pb2.Payment:
    """The payment as it stands, without its means of payment."""
    currency = payment.amount.currency
    return payment_pb2.Payment(
        payment_id=payment.payment_id,
        account_id=payment.account_id,
        customer_id=payment.customer_id,
        amount=money_to_proto(payment.amount),
        channel=payment.channel,
        bill_id=payment.bill_id or "",
        origin=ORIGINS[payment.origin],
        state=STATES[payment.state],
        provider_reference=payment.provider_reference or "",
        redirect_url=payment.redirect_url,
        decline_code=payment.decline_code,
        transaction_id=payment.transaction_id or "",
        bill_missed=payment.bill_missed,
        refunded=money_to_proto(Money(payment.refunded_minor, currency)),
        charged_back=money_to_proto(Money(payment.charged_back_minor, currency)),
        refunds=map(_refund_to_proto, payment.refunds),
        requested_at=to_proto(payment.requested_at),
        settled_at=to_proto(payment.settled_at) if payment.settled_at else None,
        expires_at=to_proto(payment.expires_at),
    )


def _refund_to_proto(refund: Refund) -> payment_pb2.PaymentRefund:
    return payment_pb2.PaymentRefund(
        refund_id=refund.refund_id,
        amount=money_to_proto(refund.amount),
        state=_REFUND_STATES[refund.state],
        reason=refund.reason,
        requested_at=to_proto(refund.requested_at),
        settled_at=to_proto(refund.settled_at) if refund.settled_at else None,
    )
