"""The provider's interface: what a shop calls, the page that a payer is sent to, and the settlement of a day."""

import asyncio
import html
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Any

import httpx
from standardwebhooks import Webhook, WebhookVerificationError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from local.provider.calling import Caller
from local.provider.fate import Fate
from local.provider.provider import Provider

# Longer than any shop waits for an answer.
_NO_ANSWER_SECONDS = 30.0
_PAGE = """<!doctype html><meta charset="utf-8"><title>Sandbox</title>
<p>{amount} {currency} in minor units, fate: {fate}</p><form method="post"><button>Pay</button></form>"""


def create_app(*, url: str, callbacks: str, secret: str, late_seconds: float) -> Starlette:
    """The provider, reached at `url`, which calls back at `callbacks`; both sides sign with the secret."""

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with httpx.AsyncClient(trust_env=False, timeout=10) as client:
            provider = Provider(Caller(client, callbacks, secret), url=url, late_seconds=late_seconds)
            app.state.provider = provider
            yield
            await provider.close()

    app = Starlette(
        lifespan=lifespan,
        routes=[
            Route("/readyz", _ready),
            Route("/payments", _pay, methods=["POST"]),
            Route("/payments/{payment_id}", _ask),
            Route("/refunds", _refund, methods=["POST"]),
            Route("/pay/{payment_id}", _page),
            Route("/pay/{payment_id}", _paid, methods=["POST"]),
            Route("/settlements/{day}", _settlement),
        ],
    )
    app.state.secret = secret
    return app


async def _ready(_: Request) -> Response:
    return JSONResponse({"status": "ok"})


async def _pay(request: Request) -> Response:
    asked = await _signed(request)
    if asked is None:
        return _refused(HTTPStatus.UNAUTHORIZED, "the request is not signed")
    if not isinstance(asked.get("payment_id"), str) or not isinstance(asked.get("amount_minor"), int):
        return _refused(HTTPStatus.UNPROCESSABLE_ENTITY, "payment_id and amount_minor are required")
    payment, fresh = _provider(request).take(asked)
    if fresh and payment.fate is Fate.TIMEOUT:
        await asyncio.sleep(_NO_ANSWER_SECONDS)
    return JSONResponse(_provider(request).report(payment), HTTPStatus.CREATED if fresh else HTTPStatus.OK)


async def _ask(request: Request) -> Response:
    if not _is_signed(request, request.url.path):
        return _refused(HTTPStatus.UNAUTHORIZED, "the request is not signed")
    payment = _provider(request).book.payments.get(request.path_params["payment_id"])
    if payment is None:
        return _refused(HTTPStatus.NOT_FOUND, "there is no such payment")
    return JSONResponse(_provider(request).report(payment))


async def _refund(request: Request) -> Response:
    asked = await _signed(request)
    if asked is None:
        return _refused(HTTPStatus.UNAUTHORIZED, "the request is not signed")
    if not _provider(request).refund(asked):
        return _refused(HTTPStatus.UNPROCESSABLE_ENTITY, "there is no such payment, or not so much of it")
    return JSONResponse({"status": "accepted"}, HTTPStatus.ACCEPTED)


async def _page(request: Request) -> Response:
    payment = _provider(request).book.payments.get(request.path_params["payment_id"])
    if payment is None:
        return _refused(HTTPStatus.NOT_FOUND, "there is no such payment")
    shown = {"amount": payment.amount_minor, "currency": html.escape(payment.currency), "fate": payment.fate}
    return HTMLResponse(_PAGE.format(**shown))


async def _paid(request: Request) -> Response:
    provider = _provider(request)
    payment = provider.book.payments.get(request.path_params["payment_id"])
    if payment is None:
        return _refused(HTTPStatus.NOT_FOUND, "there is no such payment")
    provider.start(payment)
    if payment.return_url:
        return RedirectResponse(payment.return_url, HTTPStatus.SEE_OTHER)
    return HTMLResponse("<!doctype html><title>Sandbox</title><p>Thank you</p>")


async def _settlement(request: Request) -> Response:
    day = request.path_params["day"]
    return JSONResponse({"day": day, "records": [each.to_json() for each in _provider(request).book.of_day(day)]})


def _provider(request: Request) -> Provider:
    provider: Provider = request.app.state.provider
    return provider


async def _signed(request: Request) -> dict[str, Any] | None:
    """What a request says that its sender signed; None for any other."""
    body = (await request.body()).decode()
    if not _is_signed(request, body):
        return None
    read = json.loads(body)
    return read if isinstance(read, dict) else None


def _is_signed(request: Request, text: str) -> bool:
    try:
        Webhook(request.app.state.secret).verify(text, dict(request.headers), json_parse=False)
    except (WebhookVerificationError, ValueError):
        return False
    return True


def _refused(status: HTTPStatus, why: str) -> Response:
    return JSONResponse({"error": why}, status)
