"""PaymentService: payments through channels, and what their providers call back."""

from datetime import datetime, timedelta
from typing import Any

import grpc
from chassis import clock
from chassis.auth import current_caller
from chassis.calendar import Calendar
from chassis.paging import page_from_request
from chassis.rounds import answer_in_rounds
from chassis.times import from_proto
from chassis.work import Transaction, Work, ask
from touchstone.billing.v1 import payment_pb2
from touchstone.billing.v1 import payment_service_pb2 as pb
from touchstone.billing.v1.payment_service_pb2_grpc import PaymentServiceServicer

from billing.api.sending import Sending
from billing.channels import Channels
from billing.domain.payment import (
    Payment,
    PaymentId,
    PaymentOrigin,
    PaymentState,
    RefundId,
    RefundState,
    RefundUnavailable,
    Verdict,
)
from billing.use_cases.callback import receive_callback
from billing.use_cases.payment import (
    CancelPayment,
    CreatePayment,
    cancel_payment,
    create_payment,
    get_payment,
    payments_page,
)
from billing.use_cases.payment_round import Waiting, begin_round
from billing.use_cases.refund import RefundPayment, refund_payment
from billing.wire import payment as wire
from billing.wire.callback import callback_from_signed, signed_callback_from_proto
from billing.wire.value import owner_from_proto

Context = grpc.aio.ServicerContext[Any, Any]


class PaymentApi(PaymentServiceServicer):
    """A payment is stored, then brought to its provider, then read again: a repeated call hears where to go on too."""

    def __init__(
        self, work: Work, channels: Channels, calendar: Calendar, *, sending: Sending, counted_for: timedelta
    ) -> None:
        self._work = work
        self._channels = channels
        self._calendar = calendar
        self._sending = sending
        self._counted_for = counted_for

    async def ListPaymentChannels(
        self, request: pb.ListPaymentChannelsRequest, context: Context
    ) -> pb.ListPaymentChannelsResponse:
        shown = [payment_pb2.PaymentChannel(channel=each.name, **each.traits._asdict()) for each in self._channels]
        return pb.ListPaymentChannelsResponse(channels=shown)

    async def CreatePayment(self, request: pb.CreatePaymentRequest, context: Context) -> pb.CreatePaymentResponse:
        redirects = self._channels.named(wire.channel_named(request.channel)).traits.redirects
        wish = wire.create_payment_from_proto(
            request, origin=_origin(), redirects=redirects, counted_for=self._counted_for
        )

        async def act(transaction: Transaction, wanted: CreatePayment) -> pb.CreatePaymentResponse:
            return pb.CreatePaymentResponse(payment=wire.payment_to_proto(await create_payment(transaction, wanted)))

        made = await self._work.answer("create_payment", ask(request, wish), act, pb.CreatePaymentResponse)
        payment_id = PaymentId(made.payment.payment_id)
        payment = await self._read(payment_id)
        if payment.state is PaymentState.REQUESTED:
            await self._sending.send(payment)
            payment = await self._read(payment_id)
        return pb.CreatePaymentResponse(payment=wire.payment_to_proto(payment))

    async def GetPayment(self, request: pb.GetPaymentRequest, context: Context) -> pb.GetPaymentResponse:
        payment_id, owner = wire.payment_id_from_proto(request.payment_id), owner_from_proto(request.customer_id)
        async with self._work.reading() as connection:
            payment = await get_payment(connection, payment_id, owner)
        return pb.GetPaymentResponse(payment=wire.payment_to_proto(payment))

    async def ListPayments(self, request: pb.ListPaymentsRequest, context: Context) -> pb.ListPaymentsResponse:
        page, wanted = page_from_request(request), wire.payment_filter_from_proto(request)
        before = PaymentId(page.after) if page.after else None
        async with self._work.reading() as connection:
            found = await payments_page(connection, wanted, before=before, limit=page.wanted)
        shown, token = page.cut(found, lambda one: one.payment_id)
        return pb.ListPaymentsResponse(payments=map(wire.payment_to_proto, shown), next_page_token=token)

    async def CancelPayment(self, request: pb.CancelPaymentRequest, context: Context) -> pb.CancelPaymentResponse:
        async def act(transaction: Transaction, wanted: CancelPayment) -> pb.CancelPaymentResponse:
            return pb.CancelPaymentResponse(payment=wire.payment_to_proto(await cancel_payment(transaction, wanted)))

        asked = ask(request, wire.cancel_payment_from_proto(request))
        return await self._work.answer("cancel_payment", asked, act, pb.CancelPaymentResponse)

    async def ReceiveCallback(self, request: pb.ReceiveCallbackRequest, context: Context) -> pb.ReceiveCallbackResponse:
        signed = signed_callback_from_proto(request)
        self._channels.check(signed, clock.now())
        callback = callback_from_signed(signed)
        self._channels.named(signed.channel).check_redirect(callback.report)
        verdict = await self._work.run(lambda transaction: receive_callback(transaction, callback, self._calendar))
        if verdict is Verdict.SUCCEED:
            await self._sending.take_waiting(callback.report.payment_id)
        return pb.ReceiveCallbackResponse(duplicate=verdict is None)

    async def RefundPayment(self, request: pb.RefundPaymentRequest, context: Context) -> pb.RefundPaymentResponse:
        wish = wire.refund_payment_from_proto(request)
        payment = await self._read(wish.payment_id)
        if not self._channels.named(payment.channel).traits.refunds:
            raise RefundUnavailable(f"channel {payment.channel} gives no money back", channel=payment.channel)

        async def act(transaction: Transaction, wanted: RefundPayment) -> pb.RefundPaymentResponse:
            changed = await refund_payment(transaction, wanted, self._calendar)
            return pb.RefundPaymentResponse(payment=wire.payment_to_proto(changed))

        made = await self._work.answer("refund_payment", ask(request, wish), act, pb.RefundPaymentResponse)
        payment = await self._read(wish.payment_id)
        refund = payment.refund(RefundId(made.payment.refunds[-1].refund_id))
        if refund is not None and refund.state is RefundState.PENDING:
            await self._sending.send_back(payment, refund)
            payment = await self._read(wish.payment_id)
        return pb.RefundPaymentResponse(payment=wire.payment_to_proto(payment))

    async def AdvancePayments(self, request: pb.AdvancePaymentsRequest, context: Context) -> pb.AdvancePaymentsResponse:
        taken: list[Waiting] = []

        async def act(transaction: Transaction, as_of: datetime) -> pb.AdvancePaymentsResponse:
            waiting = await begin_round(transaction, as_of)
            taken[:] = [waiting]
            sent = sum(each.state is PaymentState.REQUESTED for each in waiting.payments) + len(waiting.refunds)
            asked = len(waiting.payments) + len(waiting.refunds) - sent
            return pb.AdvancePaymentsResponse(sent=sent, asked=asked, expired=waiting.expired)

        asked = ask(request, from_proto(request.as_of, "as_of"))
        total = pb.AdvancePaymentsResponse()
        async for done in answer_in_rounds(
            self._work, "advance_payments", asked=asked, act=act, reply_type=pb.AdvancePaymentsResponse
        ):
            # A repeat gets the stored reply of a round and has nothing to call: what it took is due again by itself.
            await self._sending.call(taken.pop() if taken else Waiting())
            if not (done.sent or done.asked or done.expired):
                break
            total.sent += done.sent
            total.asked += done.asked
            total.expired += done.expired
        return total

    async def _read(self, payment_id: PaymentId) -> Payment:
        async with self._work.reading() as connection:
            return await get_payment(connection, payment_id, None)


def _origin() -> PaymentOrigin:
    """A member, or a counter that acts for one, may only recharge; who may write is BOSS or an operator."""
    caller = current_caller()
    by_customer = caller.customer_id is not None or "billing.write" not in caller.scopes
    return PaymentOrigin.CUSTOMER if by_customer else PaymentOrigin.OPERATOR
