"""What providers say of payments, as JSON: in their call-backs, and in their answers when they are called.

    {"type": "payment.succeeded", "payment_id": "…", "reference": "…", "refund_id": "", "amount_minor": 5000,
     "currency": "CNY", "sequence": 2, "occurred_at": "2026-03-01T12:00:00Z", "decline_code": "", "redirect_url": ""}

Fields that are not known are passed over: a provider may say more than is asked of it.
"""

import hashlib
import json
from datetime import UTC, datetime
from typing import Any

from chassis.calendar import EARLIEST, LATEST
from chassis.errors import InvalidArgument
from chassis.ids import check_id, check_text
from chassis.money import Money
from touchstone.billing.v1 import payment_service_pb2 as pb

from billing.domain.callback import Callback, SignedCallback
from billing.domain.payment import PaymentId, RefundId, Report, ReportType

_CHANNEL_LENGTH_MAX = 64
_SIGNATURE_LENGTH_MAX = 2000
_TEXT_LENGTH_MAX = 200
_URL_LENGTH_MAX = 2000
_SEQUENCE_MAX = 2**62


def signed_callback_from_proto(request: pb.ReceiveCallbackRequest) -> SignedCallback:
    """The call-back as it came: nothing is looked at before its signature is found good."""
    return SignedCallback(
        channel=request.channel[:_CHANNEL_LENGTH_MAX],
        webhook_id=request.webhook_id,
        webhook_timestamp=request.webhook_timestamp,
        webhook_signature=request.webhook_signature[:_SIGNATURE_LENGTH_MAX],
        body=request.body,
    )


def callback_from_signed(signed: SignedCallback) -> Callback:
    """What a call-back with a good signature says. Refuses a body that is not as agreed."""
    return Callback(
        webhook_id=signed.webhook_id,
        body_sha256=hashlib.sha256(signed.body).hexdigest(),
        report=report_from_json(signed.channel, signed.text()),
    )


def report_from_json(channel: str, body: str) -> Report:
    """What a provider says of a payment. Refuses InvalidArgument."""
    try:
        read = json.loads(body)
    except (ValueError, RecursionError):
        raise InvalidArgument("body", "must be JSON") from None
    if not isinstance(read, dict):
        raise InvalidArgument("body", "must be a JSON object")
    refund_id = _text(read, "refund_id")
    kind = _type(read)
    if refund_id or kind in (ReportType.REFUND_SUCCEEDED, ReportType.REFUND_DECLINED):
        check_id("body.refund_id", refund_id)
    return Report(
        type=kind,
        payment_id=PaymentId(check_id("body.payment_id", _text(read, "payment_id"))),
        channel=channel,
        reference=check_id("body.reference", _text(read, "reference")),
        refund_id=RefundId(refund_id) if refund_id else None,
        amount=Money(_number(read, "amount_minor"), _text(read, "currency")).positive("body.amount"),
        sequence=_sequence(read),
        occurred_at=_instant(read, "occurred_at"),
        decline_code=_text(read, "decline_code"),
        redirect_url=check_text("body.redirect_url", _text(read, "redirect_url"), length_max=_URL_LENGTH_MAX),
    )


def _type(read: dict[str, Any]) -> ReportType:
    try:
        return ReportType(read.get("type", ""))
    except ValueError:
        raise InvalidArgument("body.type", "is not a type of report") from None


def _text(read: dict[str, Any], name: str) -> str:
    value = read.get(name, "")
    if not isinstance(value, str):
        raise InvalidArgument(f"body.{name}", "must be text")
    length_max = _URL_LENGTH_MAX if name == "redirect_url" else _TEXT_LENGTH_MAX
    return check_text(f"body.{name}", value, length_max=length_max)


def _number(read: dict[str, Any], name: str) -> int:
    value = read.get(name)
    if not isinstance(value, int) or isinstance(value, bool):
        raise InvalidArgument(f"body.{name}", "must be a whole number")
    return value


def _sequence(read: dict[str, Any]) -> int:
    sequence = _number(read, "sequence")
    if not 0 <= sequence <= _SEQUENCE_MAX:
        raise InvalidArgument("body.sequence", f"must be from 0 to {_SEQUENCE_MAX}")
    return sequence


def _instant(read: dict[str, Any], name: str) -> datetime:
    try:
        instant = datetime.fromisoformat(_text(read, name))
    except ValueError:
        raise InvalidArgument(f"body.{name}", "must be a time, e.g. 2026-03-01T12:00:00Z") from None
    if instant.tzinfo is None:
        raise InvalidArgument(f"body.{name}", "must say its distance from UTC")
    try:
        found = instant.astimezone(UTC)
    except OverflowError:
        found = LATEST
    if not EARLIEST <= found < LATEST:
        raise InvalidArgument(f"body.{name}", "must lie between the years 1970 and 9900")
    return found
