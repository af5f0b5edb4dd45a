"""Call-backs of payment providers. They carry no token but a signature, which billing checks against the very bytes
that came; so the body is passed on unread, with the gateway's own token."""

from http import HTTPStatus
from typing import Annotated

from chassis.auth import Caller, set_caller
from chassis.errors import Unauthenticated, Unavailable
from chassis.rpc.client import set_deadline
from fastapi import Path, Request
from fastapi.responses import JSONResponse
from touchstone.billing.v1 import payment_service_pb2 as pb

from gateway.admission import To, state_of
from gateway.problems import problem
from gateway.routing import router_under

METHOD = "billing.v1.PaymentService.ReceiveCallback"
BODY_BYTES_MAX = 64 * 1024
_HEADERS = ("webhook-id", "webhook-timestamp", "webhook-signature")

router = router_under("/v1/payment-channels", "payments", described=False)


class CallbackRefused(Unauthenticated):
    """The call-back carries no signature; what is wrong with one that does is not told either."""


class CallbacksUnavailable(Unavailable):
    """The gateway has no token of its own."""


@router.post("/{channel}/callbacks")
async def receive_callback(channel: Annotated[str, Path(max_length=64)], request: Request, to: To) -> JSONResponse:
    """Takes in what a payment provider calls back: 200, also for one that is known; 401 for one that proves nothing;
    404 for a payment that is not known, or not yet."""
    state = state_of(request)
    caller = _gateway(request)
    await state.limiter.check(caller)
    body = await request.body()
    if len(body) > BODY_BYTES_MAX:
        status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE
        return problem(status, status.name, f"a call-back has at most {BODY_BYTES_MAX} bytes")
    identity, timestamp, signature = (request.headers.get(name, "") for name in _HEADERS)
    if not (channel and body and identity and timestamp and signature):
        raise CallbackRefused("the call-back is not signed by the channel's provider")
    set_caller(caller)
    set_deadline(state.settings.request_seconds)
    asked = pb.ReceiveCallbackRequest(
        channel=channel,
        body=body,
        webhook_id=identity,
        webhook_timestamp=timestamp,
        webhook_signature=signature,
    )
    reply = await to.call(METHOD, asked)
    return JSONResponse({"duplicate": reply.duplicate})


def _gateway(request: Request) -> Caller:
    """The gateway itself, told apart for the limit by where the call-back comes from."""
    file = state_of(request).settings.service_token_file
    if file is None or not file.is_file():
        raise CallbacksUnavailable("call-backs cannot be taken in just now")
    host = request.client.host if request.client else ""
    return Caller(f"callback {host}", frozenset(), None, file.read_text().strip(), 0)
