"""Automatic top-up: it pays the bill that a crossing calls for, one payment at a time, and knows when to stop."""

import asyncio
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from billing.store.payment import find_payment
from billing.use_cases.payment import provider_token
from chassis.times import to_proto
from touchstone.billing.v1 import billing_events_pb2, payment_events_pb2, payment_pb2
from touchstone.billing.v1 import payment_service_pb2 as pb
from touchstone.billing.v1 import top_up_service_pb2 as top_up_pb

from services.billing.tests.calls import AT, charged, cny, member, recharged, refused
from services.billing.tests.factories import ACCOUNT, CUSTOMER, OCCURRED_AT
from services.billing.tests.payments import CHANNEL, OTHER, Paying, said

NOON = OCCURRED_AT
HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)


def a_token(request_id: str = "tok-1", **changed: Any) -> top_up_pb.PutPaymentTokenRequest:
    """A means of payment that the provider stored."""
    values: dict[str, Any] = {
        "account_id": ACCOUNT,
        "token_id": "card",
        "channel": CHANNEL,
        "provider_token": "alias-of-the-provider",
        "display_name": "Bank of China **** 4821",
        "occurred_at": AT,
    }
    return top_up_pb.PutPaymentTokenRequest(request_id=request_id, **values | changed)


def a_rule(request_id: str = "rule-1", at: datetime = NOON, **changed: Any) -> top_up_pb.PutTopUpRuleRequest:
    """A rule that pays what the bill asks for."""
    values: dict[str, Any] = {"token_id": "card", "enabled": True} | changed
    rule = payment_pb2.TopUpRule(**values)
    return top_up_pb.PutTopUpRuleRequest(request_id=request_id, account_id=ACCOUNT, rule=rule, occurred_at=to_proto(at))


@pytest.fixture
async def topping(paying: Paying) -> Paying:
    """An account with a stored means of payment, a rule, and a bill for 60 yuan."""
    await paying.calls.top_ups.PutPaymentToken(a_token())
    await paying.calls.top_ups.PutTopUpRule(a_rule())
    await paying.cross()
    return paying


async def rule_of(paying: Paying) -> Any:
    """The account's rule as it stands."""
    return (await paying.calls.top_ups.GetTopUpRule(top_up_pb.GetTopUpRuleRequest(account_id=ACCOUNT))).rule


async def payments_of(paying: Paying) -> list[Any]:
    """The account's payments, oldest first."""
    found = (await paying.calls.payments.ListPayments(pb.ListPaymentsRequest(account_id=ACCOUNT))).payments
    return list(found)[::-1]


async def test_the_bill_of_a_crossing_is_paid_with_the_stored_means_of_payment(topping: Paying) -> None:
    topping.provider.state = "succeeded"

    assert await topping.top_up("run-1", NOON) == top_up_pb.RunTopUpsResponse(payments=1)
    (asked,) = await payments_of(topping)
    assert (asked.origin, asked.amount, asked.bill_id) == (
        payment_pb2.PAYMENT_ORIGIN_TOP_UP,
        cny(60_00),
        topping.bill.bill_id,
    )
    assert asked.state == payment_pb2.PAYMENT_STATE_REQUESTED
    assert (await rule_of(topping)).state == payment_pb2.TOP_UP_STATE_IN_FLIGHT
    assert topping.provider.asked == [], "the round only asks; the provider is called outside"
    await topping.advance("advance-1", NOON)

    ((_, sent),) = topping.provider.asked
    assert (sent["token"], sent["amount_minor"]) == ("alias-of-the-provider", 60_00)
    assert await topping.balance() == 100_00
    (paid,) = await topping.told(billing_events_pb2.BillPaid)
    assert paid.bill_id == topping.bill.bill_id
    assert (await rule_of(topping)).state == payment_pb2.TOP_UP_STATE_READY
    assert await topping.top_up("run-2", NOON + HOUR) == top_up_pb.RunTopUpsResponse()
    assert await topping.broken() == []


async def test_the_alias_leaves_for_the_provider_alone(topping: Paying) -> None:
    await topping.top_up("run-1", NOON)
    await topping.advance("advance-1", NOON)
    told = await topping.rows("SELECT payload FROM outbox")
    replies = await topping.rows("SELECT reply FROM handled_requests")
    shown = [bytes(row[0]) for row in (*told, *replies) if row[0] is not None]
    assert shown
    assert all(b"alias-of-the-provider" not in each for each in shown)


async def test_what_is_on_its_way_is_counted(topping: Paying) -> None:
    await topping.create("create-1", amount=cny(25_00))
    await topping.top_up("run-1", NOON)
    _, asked = await payments_of(topping)
    assert asked.amount == cny(35_00)
    assert asked.bill_id == "", "it is not what the bill asks for, so it brings the balance back instead"


async def test_enough_on_its_way_asks_for_nothing(topping: Paying) -> None:
    await topping.create("create-1", bill_id=topping.bill.bill_id, amount=None)
    assert await topping.top_up("run-1", NOON) == top_up_pb.RunTopUpsResponse()


async def test_twenty_runs_at_once_ask_for_one_payment(topping: Paying) -> None:
    replies = await asyncio.gather(*(topping.top_up(f"run-{number}", NOON) for number in range(20)))
    assert sum(reply.payments for reply in replies) == 1
    assert len(await payments_of(topping)) == 1


async def test_a_decline_is_answered_by_an_hour_of_patience_and_three_by_a_stop(topping: Paying) -> None:
    topping.provider.state = "declined"
    at = NOON
    for number in range(1, 4):
        assert (await topping.top_up(f"run-{number}", at)).payments == 1
        await topping.advance(f"advance-{number}", at)
        rule = await rule_of(topping)
        assert rule.declines == number
        assert (await topping.top_up(f"soon-{number}", at + HOUR - MINUTE)).payments == 0
        at += HOUR
    assert (rule.state, rule.paused_because) == (payment_pb2.TOP_UP_STATE_PAUSED, "declined")
    (told,) = await topping.told(payment_events_pb2.TopUpPaused)
    assert (told.because, told.customer_id) == ("declined", CUSTOMER)
    assert (await topping.top_up("run-4", at + timedelta(days=7))).payments == 0
    assert await topping.rows("SELECT attempt FROM top_up_attempts ORDER BY attempt") == [(1,), (2,), (3,)]

    await topping.calls.top_ups.PutTopUpRule(a_rule("rule-2", at))

    assert (await topping.top_up("run-5", at)).payments == 1, "put again, it acts again"


async def test_a_success_between_forgets_the_declines(topping: Paying) -> None:
    for number, state in enumerate(("declined", "declined", "succeeded")):
        topping.provider.state = state
        await topping.top_up(f"run-{number}", NOON + number * HOUR)
        await topping.advance(f"advance-{number}", NOON + number * HOUR)
    rule = await rule_of(topping)
    assert (rule.declines, rule.state) == (0, payment_pb2.TOP_UP_STATE_READY)


async def test_three_in_ten_minutes_raise_the_alarm(topping: Paying) -> None:
    topping.provider.state = "succeeded"
    for number in range(3):
        at = NOON + number * 2 * MINUTE
        assert (await topping.top_up(f"run-{number}", at)).payments == 1
        await topping.advance(f"advance-{number}", at)
        await topping.cross(60_00, f"again-{number}")

    reply = await topping.top_up("run-3", NOON + 9 * MINUTE)

    assert (reply.payments, reply.paused) == (0, 1)
    (alarm,) = await topping.told(payment_events_pb2.TopUpAlarmed)
    assert (alarm.account_id, alarm.payments) == (ACCOUNT, 3)
    (paused,) = await topping.told(payment_events_pb2.TopUpPaused)
    assert paused.because == "too_many"
    assert len(await payments_of(topping)) == 3


async def test_what_three_payments_took_longer_for_is_no_alarm(topping: Paying) -> None:
    topping.provider.state = "succeeded"
    for number in range(4):
        at = NOON + number * 5 * MINUTE
        assert (await topping.top_up(f"run-{number}", at)).payments == 1
        await topping.advance(f"advance-{number}", at)
        await topping.cross(60_00, f"again-{number}")
    assert await topping.told(payment_events_pb2.TopUpAlarmed) == []


@pytest.mark.parametrize(("limit", "payments"), [(59_99, 0), (60_00, 1)])
async def test_a_month_takes_no_more_than_its_limit(topping: Paying, limit: int, payments: int) -> None:
    await topping.calls.top_ups.PutTopUpRule(a_rule("rule-2", monthly_limit=cny(limit)))
    reply = await topping.top_up("run-1", NOON)
    assert (reply.payments, reply.paused) == (payments, 1 - payments)
    if not payments:
        assert (await rule_of(topping)).paused_because == "monthly_limit"


async def test_a_new_month_has_its_own_limit(topping: Paying) -> None:
    topping.provider.state = "succeeded"
    await topping.calls.top_ups.PutTopUpRule(a_rule("rule-2", monthly_limit=cny(100_00)))
    last = datetime(2026, 3, 31, 23, 59, tzinfo=NOON.tzinfo)
    await topping.top_up("run-1", last)
    await topping.advance("advance-1", last)
    await topping.cross(60_00, "again-1")
    assert (await topping.top_up("run-2", last + MINUTE)).payments == 1


async def test_a_rule_with_a_minimum_brings_more_than_the_bill_asks_for(topping: Paying) -> None:
    topping.provider.state = "succeeded"
    await topping.calls.top_ups.PutTopUpRule(a_rule("rule-2", minimum=cny(200_00)))
    await topping.top_up("run-1", NOON)
    await topping.advance("advance-1", NOON)
    (payment,) = await payments_of(topping)
    assert (payment.amount, payment.bill_id, payment.bill_missed) == (cny(200_00), "", False)
    assert await topping.balance() == 240_00
    assert await topping.broken() == []


async def test_a_bill_paid_otherwise_meanwhile_is_not_topped_up(topping: Paying) -> None:
    await topping.calls.accounts.Recharge(recharged("recharge-2"))
    assert await topping.top_up("run-1", NOON) == top_up_pb.RunTopUpsResponse()


async def test_a_removed_means_of_payment_stops_its_rule(topping: Paying) -> None:
    asked = top_up_pb.RemovePaymentTokenRequest(
        request_id="remove-1", account_id=ACCOUNT, token_id="card", occurred_at=AT
    )
    removed = (await topping.calls.top_ups.RemovePaymentToken(asked)).token
    assert removed.removed_at == AT
    assert (await rule_of(topping)).paused_because == "token"
    assert (await topping.calls.top_ups.RemovePaymentToken(asked)).token == removed
    listed = top_up_pb.ListPaymentTokensRequest(account_id=ACCOUNT)
    assert list((await topping.calls.top_ups.ListPaymentTokens(listed)).tokens) == []
    refusal = await refused(topping.calls.top_ups.PutTopUpRule, a_rule("rule-2"))
    assert refusal.reason == "PAYMENT_TOKEN_NOT_FOUND"
    await topping.calls.top_ups.PutPaymentToken(a_token("tok-2"))
    await topping.calls.top_ups.PutTopUpRule(a_rule("rule-3"))
    assert (await topping.top_up("run-1", NOON)).payments == 1


async def test_a_removed_means_of_payment_is_not_used_for_what_waits_to_be_sent(topping: Paying) -> None:
    topping.provider.state = "succeeded"
    topping.provider.answer = lambda path, read: {"error": "not known"} if path.startswith("/payments/") else None
    topping.provider.status = 404
    await topping.top_up("run-1", NOON)
    await topping.calls.top_ups.RemovePaymentToken(
        top_up_pb.RemovePaymentTokenRequest(request_id="remove-1", account_id=ACCOUNT, token_id="card", occurred_at=AT)
    )
    await topping.advance("advance-1", NOON)
    (payment,) = await payments_of(topping)
    assert (payment.state, payment.decline_code) == (payment_pb2.PAYMENT_STATE_DECLINED, "token_removed")
    assert [asked for asked, _ in topping.provider.asked] == [f"GET /payments/{payment.payment_id}"]


async def test_a_payment_that_was_sent_before_its_means_of_payment_went_succeeds(topping: Paying) -> None:
    topping.provider.answer = lambda path, read: None
    await topping.top_up("run-1", NOON)
    await topping.advance("advance-1", NOON)
    await topping.calls.top_ups.RemovePaymentToken(
        top_up_pb.RemovePaymentTokenRequest(request_id="remove-1", account_id=ACCOUNT, token_id="card", occurred_at=AT)
    )
    taken = topping.provider.asked[0][1]
    topping.provider.state = "succeeded"
    topping.provider.answer = lambda path, read: topping.provider.report(path, read | taken)
    await topping.advance("advance-2", NOON + MINUTE)
    assert await topping.balance() == 100_00
    assert [asked.partition(" ")[0] for asked, _ in topping.provider.asked] == ["POST", "GET"]


async def test_no_provider_hears_the_alias_of_another(topping: Paying) -> None:
    await topping.top_up("run-1", NOON)
    (payment,) = await payments_of(topping)
    async with topping.served.work.reading() as connection:
        asked = await find_payment(connection, payment.payment_id)
        assert asked is not None
        assert await provider_token(connection, asked) == "alias-of-the-provider"
        assert await provider_token(connection, replace(asked, channel=OTHER)) is None


async def test_a_top_up_that_is_cancelled_waits_as_after_a_decline(topping: Paying) -> None:
    await topping.top_up("run-1", NOON)
    (payment,) = await payments_of(topping)
    cancel = pb.CancelPaymentRequest(request_id="cancel-1", payment_id=payment.payment_id, occurred_at=AT)
    await topping.calls.payments.CancelPayment(cancel)
    assert (await topping.top_up("run-2", NOON + HOUR - MINUTE)).payments == 0
    rule = await rule_of(topping)
    assert (rule.declines, rule.next_attempt_at) == (0, to_proto(NOON + HOUR))
    assert (await topping.top_up("run-3", NOON + HOUR)).payments == 1


async def test_a_means_of_payment_that_is_no_longer_good_stops_its_rule(topping: Paying) -> None:
    await topping.calls.top_ups.PutPaymentToken(a_token("tok-2", expires_at=to_proto(NOON + HOUR)))
    assert (await topping.top_up("run-1", NOON + HOUR)).paused == 1
    assert (await rule_of(topping)).paused_because == "token"


async def test_a_charge_back_stops_the_rule(topping: Paying) -> None:
    topping.provider.state = "succeeded"
    await topping.top_up("run-1", NOON)
    await topping.advance("advance-1", NOON)
    (payment,) = await payments_of(topping)
    await topping.hear(said(payment, "chargeback.opened", sequence=3))
    assert (await rule_of(topping)).paused_because == "chargeback"
    assert (await topping.top_up("run-2", NOON + HOUR)).payments == 0


async def test_a_rule_that_is_off_does_nothing(topping: Paying) -> None:
    await topping.calls.top_ups.PutTopUpRule(a_rule("rule-2", enabled=False))
    assert await topping.top_up("run-1", NOON) == top_up_pb.RunTopUpsResponse()


async def test_a_member_reaches_the_own_means_of_payment_alone(topping: Paying) -> None:
    other = member(topping.served, "cus-2").top_ups
    asked: dict[str, Any] = {"account_id": ACCOUNT, "customer_id": "cus-2"}
    calls = [
        (other.ListPaymentTokens, top_up_pb.ListPaymentTokensRequest(**asked)),
        (other.GetTopUpRule, top_up_pb.GetTopUpRuleRequest(**asked)),
        (other.PutPaymentToken, a_token("tok-2", customer_id="cus-2")),
        (
            other.RemovePaymentToken,
            top_up_pb.RemovePaymentTokenRequest(request_id="r-1", token_id="card", occurred_at=AT, **asked),
        ),
        (
            other.PutTopUpRule,
            top_up_pb.PutTopUpRuleRequest(
                request_id="r-2", rule=payment_pb2.TopUpRule(token_id="card"), occurred_at=AT, **asked
            ),
        ),
    ]
    for method, request in calls:
        assert (await refused(method, request)).reason == "ACCOUNT_NOT_FOUND", request
    await topping.calls.charging.Charge(charged("charge-2", amount=cny(1)))
    assert (await rule_of(topping)).state == payment_pb2.TOP_UP_STATE_READY
