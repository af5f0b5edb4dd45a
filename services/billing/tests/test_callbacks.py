"""Call-backs of payment providers: only signed ones count, each once, in whatever order they come."""

import asyncio
import json
from datetime import timedelta
from typing import Any

import pytest
from chassis import clock
from chassis.errors import Code
from touchstone.billing.v1 import payment_events_pb2, payment_pb2
from touchstone.billing.v1 import payment_service_pb2 as pb

from services.billing.tests.calls import cny, fields, refused
from services.billing.tests.payments import OTHER, Paying, said, secret_of, signed

COUNTED = ("payment_callbacks", "payment_steps", "payments", "ledger_transactions", "outbox", "differences")


async def stored(paying: Paying) -> dict[str, int]:
    """Rows of the tables that a call-back may write to."""
    counts = {name: await paying.rows(f"SELECT count(*) FROM {name}") for name in COUNTED}
    return {name: rows[0][0] for name, rows in counts.items()}


def flipped(signature: str, at: int) -> str:
    """The signature with one character changed for another of its alphabet."""
    return signature[:at] + ("A" if signature[at] != "A" else "B") + signature[at + 1 :]


def changed_into(right: pb.ReceiveCallbackRequest, changed: dict[str, Any]) -> pb.ReceiveCallbackRequest:
    """The same call-back with some fields changed after it was signed."""
    made = pb.ReceiveCallbackRequest()
    made.CopyFrom(right)
    for name, value in changed.items():
        setattr(made, name, value)
    return made


def forgeries(body: dict[str, Any]) -> dict[str, pb.ReceiveCallbackRequest]:
    """Call-backs that prove nothing, each by a fault of its own."""
    right, content = signed(body), json.dumps(body).encode()
    moved = signed(body, name="wh")
    made: dict[str, dict[str, Any]] = {
        "another body": {"body": content.replace(b"5000", b"9000")},
        "a byte more": {"body": content + b" "},
        "another id": {"webhook_id": "wh-2"},
        "another time": {"webhook_timestamp": str(int(right.webhook_timestamp) + 1)},
        "no signature": {"webhook_signature": "v1,"},
        "noise": {"webhook_signature": "x" * 1_000},
        "another version": {"webhook_signature": "v2" + right.webhook_signature.removeprefix("v1")},
        "a list of wrong ones": {"webhook_signature": " ".join([flipped(right.webhook_signature, 9)] * 5)},
        "one bit of the signature": {"webhook_signature": flipped(right.webhook_signature, 12)},
        "not ASCII": {"webhook_signature": "v1,ä"},
        "a time that is none": {"webhook_timestamp": "now"},
        "a negative time": {"webhook_timestamp": "-1"},
        "a time in other digits": {"webhook_timestamp": "١٧٧٢٣٦٦٤٠٠"},
        "a time with a space": {"webhook_timestamp": f" {right.webhook_timestamp}"},
        "an unknown channel": {"channel": "nowhere"},
        "another channel": {"channel": OTHER},
        "bytes that are no text": {"body": b"\xff\xfe"},
        "the border between id and time moved": {
            "webhook_id": f"wh.{moved.webhook_timestamp}",
            "webhook_signature": moved.webhook_signature,
        },
    }
    return {what: changed_into(right, changed) for what, changed in made.items()} | {
        "a dot in the id": signed(body, name="wh.1"),
        "a line in the id": signed(body, name="wh\n1"),
        "an id too long": signed(body, name="w" * 129),
        "long ago": signed(body, at=clock.now() - timedelta(minutes=6)),
        "in the future": signed(body, at=clock.now() + timedelta(minutes=6)),
        "the secret of another channel": signed(body, secret=secret_of(OTHER)),
        "too long": signed({**body, "padding": "x" * 65_536}),
    }


async def test_what_proves_nothing_is_refused_alike_and_leaves_nothing(paying: Paying) -> None:
    payment = await paying.create()
    before = await stored(paying)
    answers = set()
    for what, request in forgeries(said(payment, "payment.succeeded")).items():
        refusal = await refused(paying.calls.payments.ReceiveCallback, request)
        assert (refusal.code, refusal.reason) == (Code.UNAUTHENTICATED, "CALLBACK_REFUSED"), what
        answers.add(refusal.message)
    assert len(answers) == 1, "the answer does not say what was wrong"
    assert await stored(paying) == before
    assert await paying.balance() == 100_00


async def test_every_bit_of_what_was_signed_counts(paying: Paying) -> None:
    payment = await paying.create()
    right = signed(said(payment, "payment.succeeded"))
    for at in range(0, 8 * len(right.body), 37):
        changed = bytearray(right.body)
        changed[at // 8] ^= 1 << at % 8
        request = changed_into(right, {"body": bytes(changed)})
        assert (await refused(paying.calls.payments.ReceiveCallback, request)).reason == "CALLBACK_REFUSED", at
    assert not (await paying.calls.payments.ReceiveCallback(right)).duplicate


async def test_two_secrets_live_while_one_is_changed_for_the_other(paying: Paying) -> None:
    payment = await paying.create()
    body = said(payment, "payment.succeeded")
    before = signed(body, secret=secret_of("sandbox before"))
    assert not (await paying.calls.payments.ReceiveCallback(before)).duplicate
    both = signed(body, name="wh-2")
    both.webhook_signature = f"v1,bm8= {both.webhook_signature} v1a,bm8="
    assert not (await paying.calls.payments.ReceiveCallback(both)).duplicate
    assert await paying.balance() == 150_00


async def test_fifty_identical_call_backs_at_once_book_one_payment(paying: Paying) -> None:
    payment = await paying.create()
    request = signed(said(payment, "payment.succeeded"))

    replies = await asyncio.gather(*(paying.calls.payments.ReceiveCallback(request) for _ in range(50)))

    assert sum(not reply.duplicate for reply in replies) == 1
    assert await paying.balance() == 150_00
    assert len(await paying.told(payment_events_pb2.PaymentSettled)) == 1
    assert await paying.broken() == []


async def test_a_call_back_played_again_later_does_nothing(paying: Paying) -> None:
    payment = await paying.create()
    request = signed(said(payment, "payment.succeeded"))
    await paying.calls.payments.ReceiveCallback(request)
    before = await stored(paying)
    assert (await paying.calls.payments.ReceiveCallback(request)).duplicate
    assert await stored(paying) == before
    changed = signed(said(payment, "chargeback.opened"), name="wh-1")
    assert (await refused(paying.calls.payments.ReceiveCallback, changed)).reason == "CALLBACK_ID_REUSED"
    assert await stored(paying) == before


BAD = {
    "not JSON": (b"{", "body"),
    "no object": (b"[]", "body"),
    "deep": (b"[" * 20_000, "body"),
    "no type": ({"type": None}, "body.type"),
    "unknown type": ({"type": "payment.invented"}, "body.type"),
    "type as a list": ({"type": []}, "body.type"),
    "no payment": ({"payment_id": ""}, "body.payment_id"),
    "payment as a number": ({"payment_id": 7}, "body.payment_id"),
    "nul in the reference": ({"reference": "a\x00b"}, "body.reference"),
    "amount as text": ({"amount_minor": "5000"}, "body.amount_minor"),
    "amount as a fraction": ({"amount_minor": 50.5}, "body.amount_minor"),
    "amount as a truth": ({"amount_minor": True}, "body.amount_minor"),
    "no amount": ({"amount_minor": 0}, "body.amount.minor_units"),
    "negative amount": ({"amount_minor": -5000}, "body.amount.minor_units"),
    "amount past every bound": ({"amount_minor": 10**30}, "body.amount.minor_units"),
    "currency in small letters": ({"currency": "cny"}, "body.amount.currency"),
    "sequence past the database": ({"sequence": 2**63}, "body.sequence"),
    "negative sequence": ({"sequence": -1}, "body.sequence"),
    "no time": ({"occurred_at": ""}, "body.occurred_at"),
    "time without a zone": ({"occurred_at": "2026-03-01T12:00:00"}, "body.occurred_at"),
    "a time before all": ({"occurred_at": "1969-12-31T23:59:59Z"}, "body.occurred_at"),
    "a time past all": ({"occurred_at": "9999-12-31T23:59:59-12:00"}, "body.occurred_at"),
    "half a surrogate pair": ({"decline_code": "\ud800"}, "body.decline_code"),
    "a refund without a name": ({"type": "refund.succeeded"}, "body.refund_id"),
}


@pytest.mark.parametrize(("changed", "field"), BAD.values(), ids=BAD.keys())
async def test_a_signed_body_that_is_not_as_agreed_names_its_field(
    paying: Paying, changed: dict[str, Any] | bytes, field: str
) -> None:
    payment = await paying.create()
    before = await stored(paying)
    body = changed if isinstance(changed, bytes) else said(payment, "payment.succeeded", **changed)
    refusal = await refused(paying.calls.payments.ReceiveCallback, signed(body))
    assert (refusal.code, fields(refusal)) == (Code.INVALID_ARGUMENT, [field])
    assert await stored(paying) == before


async def test_a_payment_that_is_not_known_is_not_found_so_that_the_provider_tries_again(paying: Paying) -> None:
    payment = await paying.create()
    before = await stored(paying)
    body = said(payment, "payment.succeeded", payment_id="not-yet")
    refusal = await refused(paying.calls.payments.ReceiveCallback, signed(body))
    assert (refusal.code, refusal.reason) == (Code.NOT_FOUND, "PAYMENT_NOT_FOUND")
    of_other = signed(said(payment, "payment.succeeded"), secret=secret_of(OTHER), channel=OTHER)
    assert (await refused(paying.calls.payments.ReceiveCallback, of_other)).reason == "PAYMENT_NOT_FOUND"
    assert await stored(paying) == before


async def test_a_charge_back_that_comes_before_the_payment_waits_for_it(paying: Paying) -> None:
    payment = await paying.create()
    assert not await paying.hear(said(payment, "chargeback.opened", sequence=3), "wh-2")
    assert await paying.balance() == 100_00

    await paying.hear(said(payment, "payment.succeeded"), "wh-1")

    assert await paying.balance() == 100_00
    done = await paying.payment(payment.payment_id)
    assert (done.state, done.charged_back) == (payment_pb2.PAYMENT_STATE_SUCCEEDED, cny(50_00))
    assert len(await paying.told(payment_events_pb2.PaymentChargedBack)) == 1
    assert await paying.rows("SELECT count(*) FROM payment_callbacks WHERE NOT applied") == [(0,)]
    assert await paying.broken() == []


async def test_one_payment_takes_no_number_of_another(paying: Paying) -> None:
    first = await paying.create("create-1")
    second = await paying.create("create-2")
    await paying.hear(said(first, "payment.succeeded"), "wh-1")
    await paying.hear(said(second, "payment.succeeded", reference=first.provider_reference), "wh-2")
    done = await paying.payment(second.payment_id)
    assert (done.state, done.provider_reference) == (payment_pb2.PAYMENT_STATE_SUCCEEDED, second.provider_reference)
    assert await paying.balance() == 200_00
    assert await paying.rows("SELECT kind FROM differences") == [("state_differs",)]


async def test_money_taken_twice_for_one_payment_is_booked_once_and_found(paying: Paying) -> None:
    payment = await paying.create()
    await paying.hear(said(payment, "payment.succeeded"), "wh-1")
    await paying.hear(said(payment, "payment.succeeded", reference="ref-taken-again", sequence=3), "wh-2")
    assert await paying.balance() == 150_00
    assert await paying.rows("SELECT kind, reference FROM differences") == [("state_differs", "ref-taken-again")]


@pytest.mark.parametrize("clock_of_provider", ["1999-01-01T00:00:00Z", "2999-01-01T00:00:00Z"])
async def test_a_providers_wrong_clock_dates_nothing(paying: Paying, clock_of_provider: str) -> None:
    payment = await paying.create()
    await paying.hear(said(payment, "payment.succeeded", occurred_at=clock_of_provider))
    done = await paying.payment(payment.payment_id)
    assert payment.requested_at.seconds <= done.settled_at.seconds <= clock.now().timestamp()


async def test_only_the_gateway_brings_call_backs(paying: Paying) -> None:
    payment = await paying.create()
    request = signed(said(payment, "payment.succeeded"))
    stub = type(paying.calls)(paying.served, "billing.write", "billing.admin", "billing.jobs").payments
    assert (await refused(stub.ReceiveCallback, request)).reason == "SCOPE_MISSING"
