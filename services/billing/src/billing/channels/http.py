"""A provider over HTTPS: what is sent is signed by Standard Webhooks, and what comes back as a call-back must be.

Both sides hold the same secrets, two of them while they are being changed: the first signs, all are accepted.
"""

import asyncio
import hmac
import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from http import HTTPStatus
from pathlib import Path
from typing import Annotated

import httpx
import structlog
from chassis import clock
from chassis.errors import Refusal
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr
from standardwebhooks import Webhook

from billing.channels.channel import Channel, ChannelFailed, Channels, RefundOrder, Traits
from billing.domain.callback import CallbackRefused, SignedCallback
from billing.domain.payment import Payment, Report, ReportType, check_redirect_url, never_taken
from billing.wire.callback import report_from_json

_log = structlog.get_logger(__name__)
_ANSWER_BYTES_MAX = 64 * 1024
_SIGNATURES_MAX = 8
_DONE = (HTTPStatus.OK, HTTPStatus.CREATED, HTTPStatus.ACCEPTED)


def _safe(address: str) -> str:
    url = httpx.URL(address)
    if url.scheme != "https" and not (url.scheme == "http" and url.host in ("127.0.0.1", "localhost", "::1")):
        raise ValueError("must be https")
    return address.rstrip("/")


def _usable(secret: SecretStr) -> SecretStr:
    Webhook(secret.get_secret_value())
    return secret


class ChannelConfig(BaseModel):
    """One channel of the file that `payment_channels_file` names."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    channel: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:-]{0,63}$", description="Its name, part of an address.")
    base_url: Annotated[str, AfterValidator(_safe)] = Field(description="Where the provider is called.")
    secrets: tuple[Annotated[SecretStr, AfterValidator(_usable)], ...] = Field(
        min_length=1, max_length=2, description="What both sides sign with (`whsec_…`); the first signs."
    )
    redirects: bool = Field(default=False, description="Whether it has a page to send the customer to.")
    stores_tokens: bool = Field(default=False, description="Whether it stores means of payment.")
    refunds: bool = Field(default=False, description="Whether it gives money back.")


class ChannelsConfig(BaseModel):
    """The file of the channels. It holds secrets: only the service may read it."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    channels: tuple[ChannelConfig, ...]


class HttpChannel:
    """A provider that speaks the protocol of docs/payments.md."""

    def __init__(self, config: ChannelConfig, *, timeout_seconds: float) -> None:
        self._config = config
        self._webhooks = [Webhook(secret.get_secret_value()) for secret in config.secrets]
        self._timeout_seconds = timeout_seconds
        self._client = httpx.AsyncClient(
            base_url=config.base_url,
            trust_env=False,
            follow_redirects=False,
            timeout=timeout_seconds,
            headers={"user-agent": "touchstone-payments/1", "content-type": "application/json"},
        )

    @property
    def name(self) -> str:
        """The channel's name, as configured."""
        return self._config.channel

    @property
    def traits(self) -> Traits:
        """What it offers."""
        return Traits(self._config.redirects, self._config.stores_tokens, self._config.refunds)

    async def pay(self, payment: Payment, provider_token: str) -> Report:
        """Asks for a payment under the payment's own key. Raises ChannelFailed."""
        body = {
            "payment_id": payment.payment_id,
            "amount_minor": payment.amount.minor_units,
            "currency": payment.amount.currency,
            "token": provider_token,
            "return_url": payment.return_url,
            "expires_at": payment.expires_at.isoformat(),
        }
        answer = await self._send("POST", "/payments", key=payment.payment_id, body=body)
        if answer.status_code == HTTPStatus.UNPROCESSABLE_ENTITY:
            return never_taken(payment, "rejected")
        return self._report(answer, payment)

    async def refund(self, order: RefundOrder) -> Report | None:
        """Gives money back under the refund's own key. Raises ChannelFailed."""
        body = {
            "refund_id": order.refund.refund_id,
            "payment_id": order.payment.payment_id,
            "reference": order.payment.provider_reference,
            "amount_minor": order.refund.amount.minor_units,
            "currency": order.refund.amount.currency,
        }
        answer = await self._send("POST", "/refunds", key=order.refund.refund_id, body=body)
        if answer.status_code == HTTPStatus.UNPROCESSABLE_ENTITY:
            return _never_given_back(order)
        return None if answer.status_code == HTTPStatus.ACCEPTED else self._report(answer, order.payment)

    async def ask(self, payment: Payment) -> Report | None:
        """How a payment stands; None when the provider does not know it. Raises ChannelFailed."""
        answer = await self._send("GET", f"/payments/{payment.payment_id}", key=payment.payment_id, body=None)
        return None if answer.status_code == HTTPStatus.NOT_FOUND else self._report(answer, payment)

    def check_redirect(self, report: Report) -> None:
        """Refuses an address to send the customer to that is neither https nor as the provider's own."""
        check_redirect_url(report.redirect_url, {"https", httpx.URL(self._config.base_url).scheme})

    def proves(self, callback: SignedCallback, now: datetime) -> bool:
        """Whether one of the secrets signed these very bytes under this id, about now."""
        try:
            signed_at, text = callback.signed_at(now), callback.text()
        except CallbackRefused:
            return False
        expected = [each.sign(callback.webhook_id, signed_at, text).encode() for each in self._webhooks]
        given = [each.encode() for each in callback.webhook_signature.split(" ")[:_SIGNATURES_MAX]]
        return any(hmac.compare_digest(one, other) for one in expected for other in given)

    async def close(self) -> None:
        """Closes the client."""
        await self._client.aclose()

    async def _send(self, verb: str, path: str, *, key: str, body: Mapping[str, object] | None) -> httpx.Response:
        content = "" if body is None else json.dumps(body)
        at = clock.now()
        headers = {
            "idempotency-key": key,
            "webhook-id": key,
            "webhook-timestamp": str(int(at.timestamp())),
            # A request without a body is signed by its path.
            "webhook-signature": self._webhooks[0].sign(key, at, content or path),
        }
        try:
            async with (
                asyncio.timeout(self._timeout_seconds),
                self._client.stream(verb, path, headers=headers, content=content.encode()) as response,
            ):
                return await _read(response)
        except (httpx.HTTPError, TimeoutError) as error:
            raise ChannelFailed(f"{self.name}: {type(error).__name__}") from error

    def _report(self, answer: httpx.Response, payment: Payment) -> Report:
        if answer.status_code not in _DONE:
            raise ChannelFailed(f"{self.name}: status {answer.status_code}")
        try:
            report = report_from_json(self.name, answer.text)
            self.check_redirect(report)
        except (Refusal, UnicodeDecodeError) as error:
            raise ChannelFailed(f"{self.name}: {error}") from error
        if report.payment_id != payment.payment_id:
            raise ChannelFailed(f"{self.name}: answered for another payment")
        return report


def open_channels(path: Path | None, *, timeout_seconds: float) -> Channels:
    """The channels of the file; none where there is no file. ValueError, which tells nothing of what it holds, for one
    that is not as it must be."""
    if path is None or not path.is_file():
        _log.warning("no payment channels", path=str(path))
        return Channels({})
    config = ChannelsConfig.model_validate_json(path.read_text())
    opened: dict[str, Channel] = {
        each.channel: HttpChannel(each, timeout_seconds=timeout_seconds) for each in config.channels
    }
    if len(opened) != len(config.channels):
        raise ValueError(f"{path}: a channel stands twice")
    return Channels(opened)


async def _read(response: httpx.Response) -> httpx.Response:
    """The answer with its body, of which no more is read than one may have."""
    content = bytearray()
    async for chunk in response.aiter_bytes():
        content += chunk
        if len(content) > _ANSWER_BYTES_MAX:
            raise httpx.DecodingError("the answer is too long")
    return httpx.Response(response.status_code, headers={"content-type": "application/json"}, content=bytes(content))


def _never_given_back(order: RefundOrder) -> Report:
    """The provider will never do this refund, e.g. because the payment is too old: what was set aside is free again."""
    refund = order.refund
    report = never_taken(order.payment, "rejected")
    return replace(
        report,
        type=ReportType.REFUND_DECLINED,
        refund_id=refund.refund_id,
        amount=refund.amount,
        occurred_at=refund.requested_at,
    )
