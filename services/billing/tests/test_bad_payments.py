"""Bad input of every method of payments and top-up: each refusal names its field or reason, and nothing is stored."""

from typing import Any

from chassis.testing.calls import methods_of, refuses_bad_input
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from touchstone.billing.v1 import payment_pb2, payment_service_pb2, top_up_service_pb2
from touchstone.billing.v1 import payment_service_pb2 as pb
from touchstone.billing.v1 import top_up_service_pb2 as top_up_pb
from touchstone.common.v1.common_pb2 import Money

from services.billing.tests.calls import AT, cny
from services.billing.tests.factories import ACCOUNT
from services.billing.tests.payments import CHANNEL, Paying, create

LARGEST = 2**63 - 1
UNKNOWN_STATE: Any = 77
OUT_OF_RANGE = Timestamp(seconds=-1)
WORST_TEXT = "a\x00b"
AMOUNTS = (cny(0), cny(-1), cny(LARGEST), cny(-LARGEST - 1), cny(10**12 + 1))
TIMES = (None, OUT_OF_RANGE, Timestamp(seconds=253_402_300_799), Timestamp(nanos=-1))


def token(**changed: Any) -> top_up_pb.PutPaymentTokenRequest:
    """Stores a means of payment."""
    values: dict[str, Any] = {
        "request_id": "bad",
        "account_id": ACCOUNT,
        "token_id": "card",
        "channel": CHANNEL,
        "provider_token": "alias",
        "display_name": "card 4821",
        "occurred_at": AT,
    }
    return top_up_pb.PutPaymentTokenRequest(**values | changed)


def removal(**changed: Any) -> top_up_pb.RemovePaymentTokenRequest:
    """Removes one."""
    values: dict[str, Any] = {"request_id": "bad", "account_id": ACCOUNT, "token_id": "card", "occurred_at": AT}
    return top_up_pb.RemovePaymentTokenRequest(**values | changed)


def rule(outer: dict[str, Any] | None = None, **changed: Any) -> top_up_pb.PutTopUpRuleRequest:
    """Puts a rule."""
    values: dict[str, Any] = {"request_id": "bad", "account_id": ACCOUNT, "occurred_at": AT, **(outer or {})}
    inner: dict[str, Any] = {"token_id": "card"} | changed
    return top_up_pb.PutTopUpRuleRequest(rule=payment_pb2.TopUpRule(**inner), **values)


def cancel(**changed: Any) -> pb.CancelPaymentRequest:
    """Gives a payment up."""
    values: dict[str, Any] = {"request_id": "bad", "payment_id": "p", "occurred_at": AT}
    return pb.CancelPaymentRequest(**values | changed)


def refund(**changed: Any) -> pb.RefundPaymentRequest:
    """Gives a payment back."""
    values: dict[str, Any] = {"request_id": "bad", "payment_id": "p", "reason": "r", "occurred_at": AT}
    return pb.RefundPaymentRequest(**values | changed)


def dated(name: str, make: Any) -> list[tuple[str, Message, list[str]]]:
    """A method's request at instants that are none."""
    return [(name, make(occurred_at=at), ["occurred_at"]) for at in TIMES]


def bad_creations() -> list[tuple[str, Message, list[str]]]:
    """Bad requests for a payment."""
    urls = (
        "http://app.example",
        "https://",
        "ftp://x",
        "https://a:b@app.example",
        "javascript:1",
        "https://a b",
        "//x",
    )
    return [
        *[("CreatePayment", create("bad", amount=amount), ["amount.minor_units"]) for amount in AMOUNTS],
        *dated("CreatePayment", lambda occurred_at: create("bad", occurred_at=occurred_at)),
        *[("CreatePayment", create("bad", return_url=url), ["return_url"]) for url in urls],
        ("CreatePayment", create("bad", return_url="https://x/" + "a" * 2_000), ["return_url"]),
        ("CreatePayment", create("bad", return_url="https://x/\u4e2d"), ["return_url"]),
        ("CreatePayment", create("bad", return_url="https://[x"), ["return_url"]),
        ("CreatePayment", create("bad", return_url="https://x:0/"), ["return_url"]),
        ("CreatePayment", create("bad", amount=None), ["amount.currency"]),
        ("CreatePayment", create("bad", amount=Money(minor_units=1, currency="USD")), ["amount.currency"]),
        ("CreatePayment", create("bad", amount=Money(minor_units=1, currency="cny")), ["amount.currency"]),
        ("CreatePayment", create("bad", account_id=""), ["account_id"]),
        ("CreatePayment", create("bad", account_id="-x"), ["account_id"]),
        ("CreatePayment", create("bad", customer_id="a b"), ["customer_id"]),
        ("CreatePayment", create("bad", channel=""), ["channel"]),
        ("CreatePayment", create("bad", channel=WORST_TEXT), ["channel"]),
        ("CreatePayment", create("bad", bill_id=WORST_TEXT), ["bill_id"]),
        ("CreatePayment", create("bad", token_id="é"), ["token_id"]),
        ("CreatePayment", create(""), ["request_id"]),
        ("CreatePayment", create("r" * 129), ["request_id"]),
    ]


def bad_payments(payment_id: str) -> list[tuple[str, Message, list[str]]]:
    """Bad requests about payments."""
    return [
        ("GetPayment", pb.GetPaymentRequest(), ["payment_id"]),
        ("GetPayment", pb.GetPaymentRequest(payment_id="p", customer_id="\u202e"), ["customer_id"]),
        ("ListPayments", pb.ListPaymentsRequest(page_size=501), ["page_size"]),
        ("ListPayments", pb.ListPaymentsRequest(page_size=-1), ["page_size"]),
        ("ListPayments", pb.ListPaymentsRequest(page_token="%%"), ["page_token"]),
        ("ListPayments", pb.ListPaymentsRequest(state=UNKNOWN_STATE), ["state"]),
        ("ListPayments", pb.ListPaymentsRequest(account_id="a b"), ["account_id"]),
        ("CancelPayment", cancel(payment_id=""), ["payment_id"]),
        ("CancelPayment", cancel(request_id=""), ["request_id"]),
        *dated("CancelPayment", cancel),
        ("RefundPayment", refund(reason=" "), ["reason"]),
        ("RefundPayment", refund(reason=WORST_TEXT), ["reason"]),
        ("RefundPayment", refund(reason="r" * 501), ["reason"]),
        ("RefundPayment", refund(payment_id="é"), ["payment_id"]),
        ("RefundPayment", refund(payment_id=payment_id, request_id=""), ["request_id"]),
        *[("RefundPayment", refund(amount=amount), ["amount.minor_units"]) for amount in AMOUNTS],
        *dated("RefundPayment", refund),
        *[("AdvancePayments", pb.AdvancePaymentsRequest(request_id="bad", as_of=at), ["as_of"]) for at in TIMES[:2]],
        ("AdvancePayments", pb.AdvancePaymentsRequest(as_of=AT), ["request_id"]),
    ]


def bad_top_ups() -> list[tuple[str, Message, list[str]]]:
    """Bad requests about stored means of payment and rules."""
    return [
        *dated("PutPaymentToken", token),
        ("PutPaymentToken", token(token_id=""), ["token_id"]),
        ("PutPaymentToken", token(account_id=WORST_TEXT), ["account_id"]),
        ("PutPaymentToken", token(channel="a b"), ["channel"]),
        ("PutPaymentToken", token(provider_token=""), ["provider_token"]),
        ("PutPaymentToken", token(provider_token=WORST_TEXT), ["provider_token"]),
        ("PutPaymentToken", token(provider_token="a" * 201), ["provider_token"]),
        ("PutPaymentToken", token(display_name=""), ["display_name"]),
        ("PutPaymentToken", token(display_name="4111 11111 1111"), ["display_name"]),
        ("PutPaymentToken", token(display_name="4111111111111111"), ["display_name"]),
        ("PutPaymentToken", token(expires_at=AT), ["expires_at"]),
        ("PutPaymentToken", token(expires_at=OUT_OF_RANGE), ["expires_at"]),
        ("PutPaymentToken", token(request_id=""), ["request_id"]),
        ("ListPaymentTokens", top_up_pb.ListPaymentTokensRequest(), ["account_id"]),
        ("ListPaymentTokens", top_up_pb.ListPaymentTokensRequest(account_id=ACCOUNT, page_size=501), ["page_size"]),
        ("ListPaymentTokens", top_up_pb.ListPaymentTokensRequest(account_id=ACCOUNT, page_token="!"), ["page_token"]),
        ("RemovePaymentToken", removal(token_id=""), ["token_id"]),
        *dated("RemovePaymentToken", removal),
        ("PutTopUpRule", rule(token_id=""), ["rule.token_id"]),
        ("PutTopUpRule", rule(account_id="another"), ["rule.account_id"]),
        *[("PutTopUpRule", rule(minimum=amount), ["rule.minimum.minor_units"]) for amount in AMOUNTS],
        *[("PutTopUpRule", rule(monthly_limit=amount), ["rule.monthly_limit.minor_units"]) for amount in AMOUNTS],
        ("PutTopUpRule", rule(minimum=Money(minor_units=1, currency="USD")), ["rule.minimum.currency"]),
        ("PutTopUpRule", rule(monthly_limit=Money(minor_units=1, currency="x")), ["rule.monthly_limit.currency"]),
        *[("PutTopUpRule", rule({"occurred_at": at}), ["occurred_at"]) for at in TIMES],
        ("PutTopUpRule", rule({"account_id": ""}), ["account_id"]),
        ("GetTopUpRule", top_up_pb.GetTopUpRuleRequest(account_id="é"), ["account_id"]),
        *[("RunTopUps", top_up_pb.RunTopUpsRequest(request_id="bad", as_of=at), ["as_of"]) for at in TIMES[:2]],
        ("RunTopUps", top_up_pb.RunTopUpsRequest(as_of=AT), ["request_id"]),
    ]


def unknown(payment_id: str) -> list[tuple[str, Message, str]]:
    """Requests for what is not there."""
    return [
        ("CreatePayment", create("bad", account_id="nobody"), "ACCOUNT_NOT_FOUND"),
        ("CreatePayment", create("bad", channel="nowhere"), "PAYMENT_CHANNEL_NOT_FOUND"),
        ("CreatePayment", create("bad", bill_id="none"), "BILL_NOT_FOUND"),
        ("CreatePayment", create("bad", token_id="none"), "PAYMENT_TOKEN_NOT_FOUND"),
        ("GetPayment", pb.GetPaymentRequest(payment_id="none"), "PAYMENT_NOT_FOUND"),
        ("CancelPayment", cancel(), "PAYMENT_NOT_FOUND"),
        ("RefundPayment", refund(), "PAYMENT_NOT_FOUND"),
        ("RefundPayment", refund(payment_id=payment_id), "PAYMENT_NOT_SUCCEEDED"),
        ("ReceiveCallback", pb.ReceiveCallbackRequest(), "CALLBACK_REFUSED"),
        ("ReceiveCallback", pb.ReceiveCallbackRequest(channel="c" * 999, webhook_id="\u202e"), "CALLBACK_REFUSED"),
        ("PutPaymentToken", token(account_id="nobody"), "ACCOUNT_NOT_FOUND"),
        ("PutPaymentToken", token(channel="bank"), "TOKENS_UNAVAILABLE"),
        ("ListPaymentTokens", top_up_pb.ListPaymentTokensRequest(account_id="nobody"), "ACCOUNT_NOT_FOUND"),
        ("RemovePaymentToken", removal(), "PAYMENT_TOKEN_NOT_FOUND"),
        ("PutTopUpRule", rule(), "PAYMENT_TOKEN_NOT_FOUND"),
        ("GetTopUpRule", top_up_pb.GetTopUpRuleRequest(account_id=ACCOUNT), "TOP_UP_RULE_NOT_FOUND"),
    ]


async def test_bad_input_is_refused_and_leaves_nothing(paying: Paying) -> None:
    payment = await paying.create()
    bad = [*bad_creations(), *bad_payments(payment.payment_id), *bad_top_ups()]
    missing = unknown(payment.payment_id)

    await refuses_bad_input(paying.served, paying.calls, bad, missing)

    tried = {name for name, *_ in (*bad, *missing)}
    assert methods_of(payment_service_pb2, top_up_service_pb2) - tried == {"ListPaymentChannels"}
