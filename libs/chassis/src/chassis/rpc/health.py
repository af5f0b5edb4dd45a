"""Health that asks: liveness ("") says that the process answers; readiness (the service's name) asks its database.

The broker is left out on purpose: the outbox takes what cannot be published, so a service serves without it.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, cast

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from chassis import clock

_FRESH_SECONDS = 1.0
_SERVING = health_pb2.HealthCheckResponse.SERVING
_NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


class Health(health_pb2_grpc.HealthServicer):
    """grpc.health.v1.Health of one service."""

    def __init__(self, service: str, ready: Callable[[], Awaitable[bool]]) -> None:
        self._service = service
        self._ready = ready
        self._stopping = False
        self._asked_at = float("-inf")
        self._was_ready = False

    def stop(self) -> None:
        """From now on not ready, so that callers turn elsewhere before the server stops."""
        self._stopping = True

    async def Check(
        self, request: health_pb2.HealthCheckRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> health_pb2.HealthCheckResponse:
        """The state of the process or of the service."""
        return health_pb2.HealthCheckResponse(status=cast(Any, await self._state(request.service, context)))

    async def Watch(
        self, request: health_pb2.HealthCheckRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> AsyncIterator[health_pb2.HealthCheckResponse]:
        """The state, and again whenever it changes."""
        last: int | None = None
        while True:
            state = await self._state(request.service, context)
            if state != last:
                yield health_pb2.HealthCheckResponse(status=cast(Any, state))
            last = state
            await asyncio.sleep(_FRESH_SECONDS)

    async def _state(self, service: str, context: grpc.aio.ServicerContext[Any, Any]) -> int:
        if service == "":
            return _SERVING
        if service != self._service:
            await context.abort(grpc.StatusCode.NOT_FOUND, f"no service {service[:64]!r} here")
        if not self._stopping and clock.monotonic() - self._asked_at >= _FRESH_SECONDS:
            self._asked_at = clock.monotonic()
            self._was_ready = await self._ready()
        return _SERVING if self._was_ready and not self._stopping else _NOT_SERVING
