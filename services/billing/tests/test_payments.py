"""Payments through a channel: what becomes of them, whatever the provider says and whenever it says it."""

from datetime import timedelta
from typing import Any

import pytest
from chassis import clock
from chassis.times import to_proto
from touchstone.billing.v1 import bill_service_pb2 as bill_pb
from touchstone.billing.v1 import billing_events_pb2, billing_pb2, payment_events_pb2, payment_pb2
from touchstone.billing.v1 import payment_service_pb2 as pb

from services.billing.tests.calls import AT, cny, member, paid, refused
from services.billing.tests.factories import ACCOUNT, CUSTOMER
from services.billing.tests.payments import CHANNEL, OTHER, Paying, create, said

State = payment_pb2.PaymentState


async def test_a_payment_goes_to_the_provider_and_says_where_to_go_on(paying: Paying) -> None:
    payment = await paying.create(return_url="https://app.example/thanks")

    assert payment.state == payment_pb2.PAYMENT_STATE_PENDING
    assert payment.redirect_url == f"https://pay.example/{payment.payment_id}"
    assert payment.provider_reference == f"ref-{payment.payment_id}"
    assert (payment.amount, payment.origin) == (cny(50_00), payment_pb2.PAYMENT_ORIGIN_OPERATOR)
    assert paying.provider.keys == [payment.payment_id]
    ((call, asked),) = paying.provider.asked
    assert (call, asked["amount_minor"], asked["return_url"]) == ("POST /payments", 50_00, "https://app.example/thanks")
    assert await paying.create(return_url="https://app.example/thanks") == payment, "a repeat hears the same"
    assert len(paying.provider.asked) == 1


async def test_what_was_paid_is_in_the_balance_and_told(paying: Paying) -> None:
    payment = await paying.create()

    assert not await paying.hear(said(payment, "payment.succeeded"))

    assert await paying.balance() == 150_00
    done = await paying.payment(payment.payment_id)
    assert (done.state, done.transaction_id) == (
        payment_pb2.PAYMENT_STATE_SUCCEEDED,
        f"recharge:{payment.payment_id}",
    )
    assert done.settled_at.seconds - AT.seconds == 60
    (settled,) = await paying.told(payment_events_pb2.PaymentSettled)
    assert (settled.state, settled.amount, settled.channel) == (done.state, cny(50_00), CHANNEL)
    assert (await paying.told(billing_events_pb2.AccountRecharged))[-1].amount == cny(50_00)
    assert await paying.broken() == []


async def test_a_declined_payment_moves_nothing(paying: Paying) -> None:
    bill = await paying.cross()
    payment = await paying.create(bill_id=bill.bill_id, amount=None)

    await paying.hear(said(payment, "payment.declined", decline_code="no_funds"))

    done = await paying.payment(payment.payment_id)
    assert (done.state, done.decline_code) == (payment_pb2.PAYMENT_STATE_DECLINED, "no_funds")
    assert await paying.balance() == 40_00
    (settled,) = await paying.told(payment_events_pb2.PaymentSettled)
    assert (settled.bill_id, settled.decline_code) == (bill.bill_id, "no_funds")
    again = await paying.create("create-2", bill_id=bill.bill_id, amount=None)
    await paying.hear(said(again, "payment.succeeded"), "wh-2")
    assert await bill_state(paying) == billing_pb2.BILL_STATE_PAID
    assert await paying.balance() == 100_00
    assert await paying.broken() == []


@pytest.mark.parametrize("end", ["declined", "cancelled", "expired"])
async def test_a_payment_that_is_paid_late_succeeds_whatever_was_thought_of_it(paying: Paying, end: str) -> None:
    payment = await paying.create()
    match end:
        case "declined":
            await paying.hear(said(payment, "payment.declined"))
        case "cancelled":
            asked = pb.CancelPaymentRequest(request_id="cancel-1", payment_id=payment.payment_id, occurred_at=AT)
            await paying.calls.payments.CancelPayment(asked)
        case _:
            assert (await paying.advance("advance-1", clock.now() + timedelta(days=2))).expired == 1
    assert (await paying.payment(payment.payment_id)).state == State.Value(f"PAYMENT_STATE_{end.upper()}")
    assert await paying.balance() == 100_00

    await paying.hear(said(payment, "payment.succeeded", sequence=3), "wh-2")
    assert not await paying.hear(said(payment, "payment.declined", sequence=4), "wh-3")

    assert (await paying.payment(payment.payment_id)).state == payment_pb2.PAYMENT_STATE_SUCCEEDED
    assert await paying.balance() == 150_00
    states = [each.state for each in await paying.told(payment_events_pb2.PaymentSettled)]
    assert states == [State.Value(f"PAYMENT_STATE_{end.upper()}"), payment_pb2.PAYMENT_STATE_SUCCEEDED]
    assert await paying.broken() == []


async def test_a_payment_said_twice_is_booked_once(paying: Paying) -> None:
    payment = await paying.create()
    body = said(payment, "payment.succeeded")

    assert [await paying.hear(body), await paying.hear(body)] == [False, True]
    assert not await paying.hear(body | {"sequence": 9}, "wh-other-name"), "known by the payment, not by its name"

    assert await paying.balance() == 150_00
    assert len(await paying.told(payment_events_pb2.PaymentSettled)) == 1


async def test_a_bill_paid_twice_is_closed_by_the_first_and_the_second_is_a_recharge(paying: Paying) -> None:
    bill = await paying.cross()
    first = await paying.create("create-1", bill_id=bill.bill_id, amount=None)
    second = await paying.create("create-2", bill_id=bill.bill_id, amount=None)

    await paying.hear(said(second, "payment.succeeded"), "wh-2")
    await paying.hear(said(first, "payment.succeeded"), "wh-1")

    assert (await paying.payment(second.payment_id)).transaction_id == f"bill_payment:{bill.bill_id}"
    late = await paying.payment(first.payment_id)
    assert (late.state, late.bill_missed) == (payment_pb2.PAYMENT_STATE_SUCCEEDED, True)
    assert late.transaction_id == f"recharge:{first.payment_id}"
    assert await paying.balance() == 160_00
    assert await paying.broken() == []


async def test_a_payment_for_a_bill_that_another_closed_goes_into_the_balance(paying: Paying) -> None:
    """Paid at the counter meanwhile: nothing is refused to a provider that has the customer's money."""
    bill = await paying.cross()
    payment = await paying.create(bill_id=bill.bill_id, amount=None)
    await paying.calls.bills.PayBill(paid(bill_id=bill.bill_id))

    await paying.hear(said(payment, "payment.succeeded"))

    done = await paying.payment(payment.payment_id)
    assert (done.state, done.bill_missed, done.bill_id) == (payment_pb2.PAYMENT_STATE_SUCCEEDED, True, bill.bill_id)
    assert await paying.balance() == 160_00
    (settled,) = await paying.told(payment_events_pb2.PaymentSettled)
    assert settled.bill_missed
    assert len(await paying.told(billing_events_pb2.BillPaid)) == 1
    assert await paying.broken() == []


async def test_a_stored_payment_that_never_got_out_is_sent_by_the_round(paying: Paying) -> None:
    paying.provider.answer = lambda path, read: None
    payment = await paying.create(occurred_at=to_proto(clock.now()))
    assert payment.state == payment_pb2.PAYMENT_STATE_REQUESTED
    paying.provider.answer = None

    soon = clock.now() + timedelta(minutes=1)
    reply = await paying.advance("advance-1", soon)

    assert (reply.sent, reply.asked, reply.expired) == (1, 0, 0)
    assert (await paying.payment(payment.payment_id)).state == payment_pb2.PAYMENT_STATE_PENDING
    assert paying.provider.keys == [payment.payment_id] * 2, "under the same key, so the provider knows it"
    assert (await paying.advance("advance-1", soon)) == reply, "a repeat does nothing"
    assert len(paying.provider.asked) == 2


async def test_a_provider_that_forgot_to_call_back_is_asked(paying: Paying) -> None:
    payment = await paying.create(occurred_at=to_proto(clock.now()))
    paying.provider.state = "succeeded"

    reply = await paying.advance("advance-1", clock.now() + timedelta(minutes=1))

    assert (reply.sent, reply.asked) == (0, 1)
    assert paying.provider.asked[-1][0] == f"GET /payments/{payment.payment_id}"
    assert await paying.balance() == 150_00
    assert (await paying.advance("advance-2", clock.now() + timedelta(hours=1))).asked == 0, "what is final rests"


@pytest.mark.parametrize("status", [302, 401, 404, 500, 503])
async def test_a_provider_out_of_order_leaves_the_payment_waiting(paying: Paying, status: int) -> None:
    paying.provider.status = status
    payment = await paying.create()
    assert payment.state == payment_pb2.PAYMENT_STATE_REQUESTED
    assert await paying.balance() == 100_00


async def test_a_payment_that_the_provider_will_never_take_is_declined(paying: Paying) -> None:
    paying.provider.status = 422
    payment = await paying.create()
    assert (payment.state, payment.decline_code) == (payment_pb2.PAYMENT_STATE_DECLINED, "rejected")


async def test_an_amount_that_differs_is_not_booked_but_found_by_reconciling(paying: Paying) -> None:
    payment = await paying.create()

    await paying.hear(said(payment, "payment.succeeded", amount_minor=49_99))

    assert (await paying.payment(payment.payment_id)).state == payment_pb2.PAYMENT_STATE_PENDING
    assert await paying.balance() == 100_00
    found = await paying.rows("SELECT kind, here_minor, there_minor FROM differences")
    assert found == [("amount_differs", 50_00, 49_99)]


async def test_what_is_on_its_way_is_not_billed_again(paying: Paying) -> None:
    await paying.create(amount=cny(30_00))
    bill = await paying.cross(95_00)
    assert bill.amount == cny(65_00), "95 are missing up to the target, 30 of them are coming"


async def test_a_bill_is_paid_whole_and_by_who_owes_it(paying: Paying) -> None:
    bill = await paying.cross()
    calls = paying.calls.payments
    part = create(bill_id=bill.bill_id, amount=cny(10_00))
    refusal = await refused(calls.CreatePayment, part)
    assert refusal.reason == "PAYMENT_AMOUNT_DIFFERS"
    stranger = create(bill_id=bill.bill_id, amount=None, customer_id="cus-2")
    assert (await refused(calls.CreatePayment, stranger)).reason == "ACCOUNT_NOT_FOUND"
    await paying.calls.bills.PayBill(paid(bill_id=bill.bill_id))
    late = create(bill_id=bill.bill_id, amount=None)
    assert (await refused(calls.CreatePayment, late)).reason == "BILL_ALREADY_PAID"
    assert paying.provider.asked == []


async def test_a_member_pays_and_sees_own_payments_alone(paying: Paying) -> None:
    mine, other = member(paying.served).payments, member(paying.served, "cus-2").payments
    payment = (await mine.CreatePayment(create(customer_id=CUSTOMER))).payment
    assert payment.origin == payment_pb2.PAYMENT_ORIGIN_CUSTOMER
    seen = await mine.ListPayments(pb.ListPaymentsRequest(customer_id=CUSTOMER))
    assert [each.payment_id for each in seen.payments] == [payment.payment_id]
    foreign = pb.GetPaymentRequest(payment_id=payment.payment_id, customer_id="cus-2")
    missing = pb.GetPaymentRequest(payment_id="nothing", customer_id="cus-2")
    assert (await refused(other.GetPayment, foreign)).reason == "PAYMENT_NOT_FOUND"
    assert (await refused(other.GetPayment, missing)).reason == "PAYMENT_NOT_FOUND"
    for_him = create("create-2", customer_id="cus-2")
    assert (await refused(other.CreatePayment, for_him)).reason == "ACCOUNT_NOT_FOUND"
    cancel = pb.CancelPaymentRequest(
        request_id="cancel-1", payment_id=payment.payment_id, customer_id="cus-2", occurred_at=AT
    )
    assert (await refused(other.CancelPayment, cancel)).reason == "PAYMENT_NOT_FOUND"


async def test_a_payment_that_is_final_cannot_be_given_up(paying: Paying) -> None:
    payment = await paying.create()
    await paying.hear(said(payment, "payment.succeeded"))
    asked = pb.CancelPaymentRequest(request_id="cancel-1", payment_id=payment.payment_id, occurred_at=AT)
    assert (await refused(paying.calls.payments.CancelPayment, asked)).reason == "PAYMENT_ENDED"


async def test_payments_are_listed_newest_first_page_by_page(paying: Paying) -> None:
    made = [(await paying.create(f"create-{number}")).payment_id for number in range(5)]
    await paying.hear({**said(await paying.payment(made[1]), "payment.succeeded")})
    found: list[Any] = []
    token = ""
    while True:
        asked = pb.ListPaymentsRequest(account_id=ACCOUNT, page_size=2, page_token=token)
        page = await paying.calls.payments.ListPayments(asked)
        found += [each.payment_id for each in page.payments]
        token = page.next_page_token
        if not token:
            break
    assert found == made[::-1]
    succeeded = pb.ListPaymentsRequest(state=payment_pb2.PAYMENT_STATE_SUCCEEDED)
    assert [each.payment_id for each in (await paying.calls.payments.ListPayments(succeeded)).payments] == [made[1]]


async def test_the_channels_say_what_they_offer(paying: Paying) -> None:
    reply = await paying.calls.payments.ListPaymentChannels(pb.ListPaymentChannelsRequest())
    assert [(each.channel, each.redirects, each.refunds) for each in reply.channels] == [
        (OTHER, False, False),
        (CHANNEL, True, True),
    ]
    needs = create(channel=OTHER)
    assert (await refused(paying.calls.payments.CreatePayment, needs)).reason == "PAYMENT_TOKEN_NEEDED"
    unknown = create(channel="nowhere")
    assert (await refused(paying.calls.payments.CreatePayment, unknown)).reason == "PAYMENT_CHANNEL_NOT_FOUND"


async def bill_state(paying: Paying) -> int:
    """Where the bill of the account stands."""
    bills = (await paying.calls.bills.ListBills(bill_pb.ListBillsRequest(account_id=ACCOUNT))).bills
    return int(next(each.state for each in bills if each.bill_id == paying.bill.bill_id))
