"""Channels to other services: a token, a deadline and the trace on every call, and balancing over all addresses.

A call that is made while serving another gets nine tenths of the time that is left. Timeouts are set per call: the
timeout of a gRPC service config does not keep its word.
"""

import json
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from typing import Any, TypeVar

import grpc
from opentelemetry.instrumentation.grpc import aio_client_interceptors

from chassis import clock
from chassis.errors import Code
from chassis.rpc.errors import RemoteRefusal

DEADLINE_SECONDS = 5.0
_SHARE = 0.9
Request = TypeVar("Request")
Response = TypeVar("Response")
Continuation = Callable[[grpc.aio.ClientCallDetails, Any], Awaitable[Any]]

# When the request in work must be answered, on the monotonic clock; None without a deadline.
_ANSWER_BY: ContextVar[float | None] = ContextVar("answer_by", default=None)

_RETRIES = {
    "methodConfig": [
        {
            "name": [{}],
            "retryPolicy": {
                "maxAttempts": 3,
                "initialBackoff": "0.05s",
                "maxBackoff": "1s",
                "backoffMultiplier": 3,
                "retryableStatusCodes": ["UNAVAILABLE"],
            },
        }
    ],
    "retryThrottling": {"maxTokens": 10, "tokenRatio": 0.1},
}


def set_deadline(seconds: float | None) -> None:
    """States how long the request in work may still take."""
    _ANSWER_BY.set(None if seconds is None else clock.monotonic() + seconds)


def time_left(at_most: float = DEADLINE_SECONDS) -> float:
    """Seconds that a call made now may take; RemoteRefusal when no time is left."""
    answer_by = _ANSWER_BY.get()
    left = at_most if answer_by is None else min(at_most, (answer_by - clock.monotonic()) * _SHARE)
    if left <= 0:
        raise RemoteRefusal(Code.UNAVAILABLE, "DEADLINE_EXCEEDED", "no time is left for the call")
    return left


class _Caller(grpc.aio.UnaryUnaryClientInterceptor):
    """Adds the token and the deadline."""

    def __init__(self, token: Callable[[], str]) -> None:
        self._token = token

    async def intercept_unary_unary(
        self, continuation: Continuation, client_call_details: grpc.aio.ClientCallDetails, request: Any
    ) -> Any:
        metadata = grpc.aio.Metadata(*(client_call_details.metadata or ()))
        if metadata.get("authorization") is None:
            metadata.add("authorization", f"Bearer {self._token()}")
        details = grpc.aio.ClientCallDetails(
            method=client_call_details.method,
            timeout=client_call_details.timeout or time_left(),
            metadata=metadata,
            credentials=client_call_details.credentials,
            wait_for_ready=client_call_details.wait_for_ready,
        )
        return await continuation(details, request)


def open_channel(target: str, token: Callable[[], str], *, retries: bool = False) -> grpc.aio.Channel:
    """A channel to a service. `retries` is for the edges of the platform only: between services nobody retries."""
    config: dict[str, Any] = {"loadBalancingConfig": [{"round_robin": {}}]} | (_RETRIES if retries else {})
    return grpc.aio.insecure_channel(
        target,
        interceptors=[*aio_client_interceptors(), _Caller(token)],  # type: ignore[no-untyped-call]
        options=[
            ("grpc.service_config", json.dumps(config)),
            ("grpc.max_receive_message_length", 16 * 1024 * 1024),
            ("grpc.keepalive_time_ms", 60_000),
        ],
    )
