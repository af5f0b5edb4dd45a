"""Money that goes back to the payer: refunds, of cash alone, and charge-backs, which may leave an account owing."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from chassis.times import to_proto
from touchstone.billing.v1 import account_events_pb2, billing_events_pb2, payment_events_pb2, payment_pb2
from touchstone.billing.v1 import account_service_pb2 as account_pb
from touchstone.billing.v1 import charging_service_pb2 as charging_pb
from touchstone.billing.v1 import payment_service_pb2 as pb
from touchstone.billing.v1 import top_up_service_pb2 as top_up_pb

from services.billing.tests.calls import AT, charged, cny, refused
from services.billing.tests.factories import ACCOUNT, OCCURRED_AT
from services.billing.tests.payments import CHANNEL, Paying, said

PENDING = payment_pb2.PAYMENT_REFUND_STATE_PENDING


async def succeeded(paying: Paying, amount: int = 50_00, request_id: str = "create-1") -> Any:
    """A payment that was paid."""
    payment = await paying.create(request_id, amount=cny(amount))
    await paying.hear(said(payment, "payment.succeeded"), f"wh-{request_id}")
    paying.provider.answer = lambda path, read: {"status": "accepted"}
    paying.provider.status = 202
    return await paying.payment(payment.payment_id)


def back(payment: Any, request_id: str = "refund-1", **changed: Any) -> pb.RefundPaymentRequest:
    """Gives all of a payment back."""
    values = {"payment_id": payment.payment_id, "reason": "moved away", "occurred_at": AT}
    return pb.RefundPaymentRequest(request_id=request_id, **values | changed)


def about(payment: Any, refund: Any, kind: str, **changed: Any) -> dict[str, Any]:
    """What the provider says of a refund."""
    amount = refund.amount.minor_units
    return said(payment, kind, refund_id=refund.refund_id, amount_minor=amount, **{"sequence": 5} | changed)


async def test_a_refund_is_set_aside_and_taken_when_the_provider_did_it(paying: Paying) -> None:
    payment = await succeeded(paying)

    asked = (await paying.calls.payments.RefundPayment(back(payment, amount=cny(20_00)))).payment

    (refund,) = asked.refunds
    assert (refund.state, refund.amount, refund.reason) == (PENDING, cny(20_00), "moved away")
    assert paying.provider.keys[-1] == refund.refund_id
    assert paying.provider.asked[-1][1]["reference"] == payment.provider_reference
    assert await paying.balance() == 150_00, "what is set aside is still the account's"
    charge = charged(amount=cny(130_01))
    assert (await refused(paying.calls.charging.Charge, charge)).reason == "INSUFFICIENT_BALANCE"
    await paying.hear(about(payment, refund, "refund.succeeded"), "wh-5")
    done = await paying.payment(payment.payment_id)
    assert (done.refunded, done.refunds[0].state) == (cny(20_00), payment_pb2.PAYMENT_REFUND_STATE_SUCCEEDED)
    assert await paying.balance() == 130_00
    (told,) = await paying.told(account_events_pb2.RechargeReversed)
    assert (told.cause, told.amount, told.recharge_amount) == ("refund", cny(20_00), cny(50_00))
    assert (told.balance_after, told.recharge_transaction_id) == (cny(130_00), done.transaction_id)
    assert told.reversed_before.minor_units == 0
    assert await paying.broken() == []


async def test_a_declined_refund_frees_what_was_set_aside(paying: Paying) -> None:
    payment = await succeeded(paying)
    (refund,) = (await paying.calls.payments.RefundPayment(back(payment))).payment.refunds
    await paying.hear(about(payment, refund, "refund.declined"), "wh-5")
    assert (await paying.payment(payment.payment_id)).refunds[0].state == payment_pb2.PAYMENT_REFUND_STATE_DECLINED
    await paying.calls.charging.Charge(charged(amount=cny(150_00)))
    assert await paying.balance() == 0

    await paying.hear(about(payment, refund, "refund.succeeded", sequence=6), "wh-6")

    assert await paying.balance() == -50_00, "the provider gave it all the same: it is owed"
    assert (await paying.payment(payment.payment_id)).refunded == cny(50_00)
    assert await paying.broken() == []


async def test_refunds_and_charge_backs_together_do_not_pass_the_payment(paying: Paying) -> None:
    payment = await succeeded(paying)
    calls = paying.calls.payments
    await calls.RefundPayment(back(payment, "refund-1", amount=cny(30_00)))
    assert (await refused(calls.RefundPayment, back(payment, "refund-2", amount=cny(20_01)))).reason == (
        "REFUND_EXCEEDS_PAYMENT"
    )
    rest = (await calls.RefundPayment(back(payment, "refund-3"))).payment
    assert [each.amount for each in rest.refunds] == [cny(30_00), cny(20_00)]
    assert (await refused(calls.RefundPayment, back(payment, "refund-4"))).reason == "REFUND_EXCEEDS_PAYMENT"


async def test_fifty_refunds_at_once_give_no_more_back_than_was_paid(paying: Paying) -> None:
    payment = await succeeded(paying)
    asked = [back(payment, f"refund-{number}", amount=cny(10_00)) for number in range(50)]
    replies = await asyncio.gather(*map(paying.calls.payments.RefundPayment, asked), return_exceptions=True)
    assert sum(not isinstance(reply, BaseException) for reply in replies) == 5
    assert await paying.rows("SELECT sum(amount_minor) FROM payment_refunds") == [(50_00,)]
    assert await paying.broken() == []


async def test_what_was_spent_cannot_be_refunded(paying: Paying) -> None:
    payment = await succeeded(paying)
    await paying.calls.charging.Charge(charged(amount=cny(120_00)))
    refusal = await refused(paying.calls.payments.RefundPayment, back(payment))
    assert refusal.reason == "REFUND_EXCEEDS_CASH"
    assert await paying.rows("SELECT count(*) FROM payment_refunds") == [(0,)]


async def test_a_refund_that_is_dated_back_finds_the_cash_there_is(paying: Paying) -> None:
    """At its own time there was more, and a credit limit would have given the rest."""
    payment = await succeeded(paying)
    limit = account_pb.SetCreditLimitRequest(
        request_id="limit-1", account_id=ACCOUNT, credit_limit=cny(500_00), reason="asked", occurred_at=AT
    )
    await paying.calls.accounts.SetCreditLimit(limit)
    later = to_proto(OCCURRED_AT + timedelta(hours=1))
    await paying.calls.charging.Charge(charged(amount=cny(140_00), occurred_at=later))
    refusal = await refused(paying.calls.payments.RefundPayment, back(payment, amount=cny(10_01)))
    assert refusal.reason == "REFUND_EXCEEDS_CASH"
    await paying.calls.payments.RefundPayment(back(payment, amount=cny(10_00)))


async def test_gift_credit_that_a_lapsed_reservation_held_stays_where_it_is(paying: Paying) -> None:
    payment = await succeeded(paying)
    gift = account_pb.GrantGiftRequest(
        request_id="gift-1", account_id=ACCOUNT, amount=cny(30_00), reason="sorry", occurred_at=AT
    )
    await paying.calls.accounts.GrantGift(gift)
    ends = to_proto(OCCURRED_AT + timedelta(hours=1))
    held = charging_pb.ReserveRequest(
        request_id="reserve-1",
        reservation_id="film",
        account_id=ACCOUNT,
        amount=cny(20_00),
        expires_at=ends,
        description="film",
        occurred_at=AT,
    )
    await paying.calls.charging.Reserve(held)
    await paying.calls.payments.RefundPayment(back(payment, occurred_at=ends))
    shown = (await paying.calls.accounts.GetBalance(account_pb.GetBalanceRequest(account_id=ACCOUNT))).balance
    gifts = await paying.calls.accounts.ListGifts(account_pb.ListGiftsRequest(account_id=ACCOUNT))
    assert (shown.held, gifts.gifts[0].remaining) == (cny(50_00), cny(30_00))
    assert await paying.broken() == []


async def test_a_refund_that_the_provider_never_does_frees_what_was_set_aside(paying: Paying) -> None:
    payment = await succeeded(paying)
    paying.provider.status = 422
    (refund,) = (await paying.calls.payments.RefundPayment(back(payment))).payment.refunds
    assert refund.state == payment_pb2.PAYMENT_REFUND_STATE_DECLINED
    await paying.calls.charging.Charge(charged(amount=cny(150_00)))
    assert await paying.broken() == []


async def test_a_refund_that_comes_after_all_was_charged_back_is_found_and_not_booked(paying: Paying) -> None:
    payment = await succeeded(paying)
    (refund,) = (await paying.calls.payments.RefundPayment(back(payment))).payment.refunds
    await paying.hear(about(payment, refund, "refund.declined"), "wh-5")
    await paying.hear(said(payment, "chargeback.opened", sequence=6), "wh-6")
    assert not await paying.hear(about(payment, refund, "refund.succeeded", sequence=7), "wh-7"), "it is taken in"
    assert await paying.balance() == 100_00
    assert (await paying.payment(payment.payment_id)).refunded == cny(0)
    assert await paying.rows("SELECT kind FROM differences") == [("state_differs",)]
    assert await paying.broken() == []


async def test_a_channel_that_gives_nothing_back_says_so(paying: Paying) -> None:
    stored = top_up_pb.PutPaymentTokenRequest(
        request_id="tok-1",
        account_id=ACCOUNT,
        token_id="tok",
        channel=CHANNEL,
        provider_token="alias",
        display_name="card",
        occurred_at=AT,
    )
    await paying.calls.top_ups.PutPaymentToken(stored)
    refusal = await refused(
        paying.calls.top_ups.PutPaymentToken,
        top_up_pb.PutPaymentTokenRequest(**{**_fields(stored), "request_id": "tok-2", "channel": "bank"}),
    )
    assert refusal.reason == "TOKENS_UNAVAILABLE"


async def test_a_charge_back_of_what_was_spent_is_owed(paying: Paying) -> None:
    payment = await succeeded(paying)
    await paying.calls.charging.Charge(charged(amount=cny(130_00)))

    await paying.hear(said(payment, "chargeback.opened", sequence=3), "wh-3")

    assert await paying.balance() == -30_00
    (reversal,) = await paying.told(account_events_pb2.RechargeReversed)
    assert (reversal.cause, reversal.amount, reversal.balance_after) == ("chargeback", cny(50_00), cny(-30_00))
    (told,) = await paying.told(payment_events_pb2.PaymentChargedBack)
    assert (told.amount, told.owed) == (cny(50_00), cny(30_00))
    assert (await paying.payment(payment.payment_id)).charged_back == cny(50_00)
    assert await paying.broken() == []


async def test_a_charge_back_crosses_the_threshold_as_a_debit_does(paying: Paying) -> None:
    payment = await succeeded(paying)
    await paying.calls.charging.Charge(charged(amount=cny(90_00)))
    await paying.hear(said(payment, "chargeback.opened", sequence=3), "wh-3")
    (fell,) = await paying.told(billing_events_pb2.BalanceFellBelowThreshold)
    (issued,) = await paying.told(billing_events_pb2.BillIssued)
    assert (fell.balance, issued.amount) == (cny(10_00), cny(90_00))


async def test_a_charge_back_is_booked_once_and_within_its_payment(paying: Paying) -> None:
    payment = await succeeded(paying)
    part = said(payment, "chargeback.opened", sequence=3, amount_minor=20_00)
    await paying.hear(part, "wh-3")
    await paying.hear(part, "wh-4")
    assert await paying.balance() == 130_00, "the provider's own number says that it is the same"
    await paying.hear(part | {"sequence": 4, "amount_minor": 30_01}, "wh-5")
    assert await paying.balance() == 130_00
    assert await paying.rows("SELECT kind FROM differences") == [("amount_differs",)]
    await paying.hear(part | {"sequence": 5, "amount_minor": 30_00}, "wh-6")
    assert await paying.balance() == 100_00


async def test_another_amount_under_the_number_of_a_charge_back_is_found(paying: Paying) -> None:
    payment = await succeeded(paying)
    part = said(payment, "chargeback.opened", sequence=3, amount_minor=20_00)
    await paying.hear(part, "wh-3")
    await paying.hear(part | {"amount_minor": 10_00}, "wh-4")
    assert await paying.balance() == 130_00
    assert await paying.rows("SELECT kind FROM differences") == [("amount_differs",)]


async def test_a_refund_that_the_provider_invented_is_found_and_not_booked(paying: Paying) -> None:
    payment = await succeeded(paying)
    await paying.hear(said(payment, "refund.succeeded", refund_id="invented"), "wh-3")
    assert await paying.balance() == 150_00
    assert await paying.rows("SELECT count(*) FROM differences") == [(1,)]


async def test_what_the_provider_invented_several_times_is_found_each_time(paying: Paying) -> None:
    payment = await succeeded(paying)
    too_much = said(payment, "chargeback.opened", amount_minor=50_01)
    for number in range(2):
        invented = said(payment, "refund.succeeded", refund_id=f"invented-{number}")
        await paying.hear(invented, f"refund-{number}")
        await paying.hear(invented, f"refund-{number}-again")
        await paying.hear(too_much | {"sequence": 3 + number}, f"chargeback-{number}")
    assert await paying.balance() == 150_00
    number = payment.provider_reference
    assert await paying.rows("SELECT reference, there_minor FROM differences ORDER BY number") == [
        (f"{number}:invented-0", 50_00),
        (f"{number}:3", 50_01),
        (f"{number}:invented-1", 50_00),
        (f"{number}:4", 50_01),
    ]


@pytest.mark.parametrize("kind", ["refund.succeeded", "refund.declined"])
async def test_a_refund_said_twice_ends_once(paying: Paying, kind: str) -> None:
    payment = await succeeded(paying)
    (refund,) = (await paying.calls.payments.RefundPayment(back(payment))).payment.refunds
    for number in range(2):
        await paying.hear(about(payment, refund, kind, sequence=5 + number), f"wh-{5 + number}")
    assert await paying.balance() == (100_00 if kind == "refund.succeeded" else 150_00)
    assert await paying.broken() == []


def _fields(message: Any) -> dict[str, Any]:
    return {field.name: value for field, value in message.ListFields()}


async def test_gift_credit_stays_where_it_is_when_cash_goes_back(paying: Paying) -> None:
    """Gift credit is spent first; what goes back to the payer is cash all the same."""
    payment = await succeeded(paying)
    await paying.calls.accounts.GrantGift(
        account_pb.GrantGiftRequest(
            request_id="gift-1", account_id=ACCOUNT, amount=cny(30_00), reason="sorry", occurred_at=AT
        )
    )
    (refund,) = (await paying.calls.payments.RefundPayment(back(payment))).payment.refunds
    await paying.hear(about(payment, refund, "refund.succeeded"), "wh-5")
    shown = await paying.calls.accounts.GetBalance(account_pb.GetBalanceRequest(account_id=ACCOUNT))
    assert (shown.balance.cash, shown.balance.gift) == (cny(100_00), cny(30_00))
    refusal = await refused(paying.calls.payments.RefundPayment, back(payment, "refund-2"))
    assert refusal.reason == "REFUND_EXCEEDS_PAYMENT"
    assert await paying.broken() == []
