"""Where a provider may send customers: to an https address, or by http where it is reached by http itself."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from billing.channels.http import ChannelConfig, HttpChannel
from billing.domain.payment import PaymentId, Report, ReportType
from chassis.errors import InvalidArgument
from chassis.money import Money
from touchstone.billing.v1 import payment_pb2

from services.billing.tests.calls import fields, refused
from services.billing.tests.payments import Paying, said, secret_of, signed

NEVER = [
    "javascript:alert(1)",
    "data:text/html,x",
    "//pay.example/1",
    "pay.example/1",
    "https://",
    "https://bank.example@evil.example/",
    "https://pay.example/a b",
    "https://pay.example:0/",
    "https://[x",
    "ftp://pay.example/",
]
REPORT = Report(
    type=ReportType.PENDING,
    payment_id=PaymentId("pay-1"),
    channel="card",
    reference="ref-1",
    amount=Money(50_00, "CNY"),
    sequence=1,
    occurred_at=datetime(2026, 3, 1, tzinfo=UTC),
)


def allowed(base_url: str, redirect_url: str) -> bool:
    """Whether a channel that is reached there may send customers to an address."""
    config = ChannelConfig.model_validate({"channel": "card", "base_url": base_url, "secrets": [secret_of("card")]})
    try:
        HttpChannel(config, timeout_seconds=1.0).check_redirect(replace(REPORT, redirect_url=redirect_url))
    except InvalidArgument:
        return False
    return True


@pytest.mark.parametrize("base_url", ["https://pay.example/v1", "http://127.0.0.1:8080"])
def test_customers_are_sent_by_https_or_as_the_provider_itself_is_reached(base_url: str) -> None:
    assert all(allowed(base_url, url) for url in ("", "https://pay.example/1", "https://other.example:8443/?a=b"))
    assert allowed(base_url, "http://127.0.0.1:8080/pay/1") is base_url.startswith("http:")
    assert [url for url in NEVER if allowed(base_url, url)] == []


@pytest.mark.parametrize("url", NEVER[:2])
async def test_an_answer_that_leads_elsewhere_is_none(paying: Paying, url: str) -> None:
    paying.provider.answer = lambda path, read: paying.provider.report(path, read) | {"redirect_url": url}
    payment = await paying.create()
    assert (payment.state, payment.redirect_url) == (payment_pb2.PAYMENT_STATE_REQUESTED, "")


async def test_nor_is_a_call_back_that_leads_elsewhere(paying: Paying) -> None:
    paying.provider.answer = lambda path, read: None
    payment = await paying.create()
    body = said(payment, "payment.pending", redirect_url=NEVER[0])
    refusal = await refused(paying.calls.payments.ReceiveCallback, signed(body))
    assert (refusal.code, fields(refusal)) == ("INVALID_ARGUMENT", ["body.redirect_url"])
    assert (await paying.payment(payment.payment_id)).redirect_url == ""
    assert await paying.rows("SELECT 1 FROM payment_callbacks") == []
