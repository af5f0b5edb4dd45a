"""Payments on a provider's page that nobody pays: they put off bills and top-ups for a while, and no longer."""

from datetime import timedelta
from typing import Any

import pytest
from chassis.times import to_proto
from touchstone.billing.v1 import bill_service_pb2 as bill_pb
from touchstone.billing.v1 import notice_service_pb2 as notice_pb
from touchstone.billing.v1 import payment_pb2
from touchstone.billing.v1 import top_up_service_pb2 as top_up_pb

from services.billing.tests.calls import AT, cny
from services.billing.tests.factories import ACCOUNT, OCCURRED_AT
from services.billing.tests.payments import CHANNEL, Paying, said

SOON, LATER = OCCURRED_AT + timedelta(minutes=29), OCCURRED_AT + timedelta(minutes=30)
HOUR = timedelta(hours=1)


async def coming(paying: Paying) -> Any:
    """What is said to be on its way into the account."""
    asked = bill_pb.GetAccountStandingRequest(account_id=ACCOUNT)
    return (await paying.calls.bills.GetAccountStanding(asked)).standing.on_its_way


async def store_a_card(paying: Paying) -> None:
    """A means of payment that the provider keeps."""
    card: dict[str, Any] = {"token_id": "card", "provider_token": "alias", "display_name": "a card"}
    await paying.calls.top_ups.PutPaymentToken(
        top_up_pb.PutPaymentTokenRequest(request_id="card", account_id=ACCOUNT, channel=CHANNEL, occurred_at=AT, **card)
    )


async def test_a_page_that_is_left_unpaid_is_taken_off_the_next_bill_no_longer(paying: Paying) -> None:
    payment = await paying.create("page", amount=cny(20_00))
    await paying.advance("soon", SOON)
    assert await coming(paying) == cny(20_00)

    await paying.advance("later", LATER)

    assert await coming(paying) == cny(0)
    assert (await paying.cross(60_00)).amount == cny(60_00)
    assert (await paying.payment(payment.payment_id)).state == payment_pb2.PAYMENT_STATE_PENDING
    await paying.hear(said(payment, "payment.succeeded"))
    assert await paying.balance() == 60_00, "what is paid after all comes in"
    assert await paying.broken() == []


async def test_a_page_that_is_left_unpaid_puts_a_bill_off_but_once(paying: Paying) -> None:
    await paying.create("page", amount=cny(90_00))
    assert not (await paying.cross(60_00)).bill_id
    await paying.advance("later", LATER)

    asked = bill_pb.IssueDueBillsRequest(request_id="due", as_of=to_proto(OCCURRED_AT + HOUR))
    assert (await paying.calls.bills.IssueDueBills(asked)).bills == 1

    (bill,) = (await paying.calls.bills.ListBills(bill_pb.ListBillsRequest(account_id=ACCOUNT))).bills
    assert bill.amount == cny(60_00)
    assert await paying.broken() == []


async def test_a_page_that_is_left_unpaid_holds_up_no_top_up(paying: Paying) -> None:
    await store_a_card(paying)
    rule = payment_pb2.TopUpRule(token_id="card", enabled=True)
    await paying.calls.top_ups.PutTopUpRule(
        top_up_pb.PutTopUpRuleRequest(request_id="rule", account_id=ACCOUNT, rule=rule, occurred_at=AT)
    )
    bill = await paying.cross(60_00)
    await paying.create("page", bill_id=bill.bill_id, amount=None)
    await paying.advance("soon", SOON)
    assert (await paying.top_up("soon", SOON)).payments == 0

    await paying.advance("later", LATER)

    assert (await paying.top_up("later", LATER)).payments == 1
    assert await coming(paying) == cny(0), "the top-up is for the bill, which asks for it"
    notice = await paying.calls.notices.GetPaymentNotice(notice_pb.GetPaymentNoticeRequest(account_id=ACCOUNT))
    assert (notice.notice.on_its_way, notice.notice.to_pay) == (cny(60_00), cny(0)), "of two payments the top-up counts"


async def test_a_stored_means_of_payment_counts_until_the_payment_is_final(paying: Paying) -> None:
    await store_a_card(paying)
    payment = await paying.create("stored", amount=cny(20_00), token_id="card")
    await paying.advance("later", OCCURRED_AT + 12 * HOUR)
    assert await coming(paying) == cny(20_00)
    await paying.hear(said(payment, "payment.declined"))
    assert await coming(paying) == cny(0)


@pytest.mark.parametrize("settings", [{"payment_page_minutes": 5}])
async def test_how_long_a_page_counts_is_a_setting(paying: Paying) -> None:
    await paying.create("page", amount=cny(20_00))
    await paying.advance("soon", OCCURRED_AT + timedelta(minutes=4))
    assert await coming(paying) == cny(20_00)
    await paying.advance("later", OCCURRED_AT + timedelta(minutes=5))
    assert await coming(paying) == cny(0)
