"""The gRPC server: every call passes one guard, which authenticates, admits, bounds, times and renders refusals."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, cast

import grpc
import structlog
from google.protobuf import descriptor_pool
from google.protobuf.message import Message
from grpc_reflection.v1alpha import reflection
from grpc_status import rpc_status
from opentelemetry.instrumentation.grpc import aio_server_interceptor

from chassis import clock, telemetry
from chassis.auth import InvalidToken, Verifier, set_caller
from chassis.database import DatabaseDown, is_down
from chassis.errors import InternalError, Refusal, ResourceExhausted
from chassis.rpc.access import AboutNow, Admission, admission_of
from chassis.rpc.client import set_deadline
from chassis.rpc.errors import status_proto

_log = structlog.get_logger(__name__)
_OPEN = ("/grpc.health.v1.Health/", "/grpc.reflection.v1alpha.ServerReflection/")
_MESSAGE_BYTES_MAX = 4 * 1024 * 1024
_OPTIONS: list[tuple[str, Any]] = [
    ("grpc.max_receive_message_length", _MESSAGE_BYTES_MAX),
    ("grpc.max_metadata_size", 16 * 1024),
    ("grpc.max_concurrent_streams", 1000),
    ("grpc.keepalive_time_ms", 60_000),
    ("grpc.http2.min_ping_interval_without_data_ms", 20_000),
    # New replicas get their share: a channel moves on to the addresses there are by then.
    ("grpc.max_connection_age_ms", 600_000),
    ("grpc.max_connection_age_grace_ms", 30_000),
    ("grpc.so_reuseport", 0),
]

Behaviour = Callable[[Any, grpc.aio.ServicerContext[Any, Any]], Awaitable[Any]]


class Overloaded(ResourceExhausted):
    """As many calls are in work as this process takes; trying again a little later helps."""

    def __init__(self) -> None:
        super().__init__("too many calls in work; try again in a moment")


@dataclass(frozen=True, slots=True)
class Bounds:
    """How many calls a server takes at once, and how far from the clock members may date what they do."""

    in_flight_max: int = 1000
    members_about_now: AboutNow = field(default_factory=AboutNow)


class Guard(grpc.aio.ServerInterceptor):
    """Stands before every method of the contracts; a method it does not know is closed."""

    def __init__(self, service: str, verifier: Verifier, admissions: dict[str, Admission], bounds: Bounds) -> None:
        self._service = service
        self._verifier = verifier
        self._admissions = admissions
        self._bounds = bounds
        self._in_flight = 0

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable["grpc.RpcMethodHandler[Any, Any] | None"]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> "grpc.RpcMethodHandler[Any, Any] | None":
        """Wraps the method's behaviour."""
        handler = await continuation(handler_call_details)
        method = handler_call_details.method
        if handler is None or method.startswith(_OPEN):
            return handler
        admission = self._admissions.get(method, Admission(frozenset(), ""))
        return grpc.unary_unary_rpc_method_handler(
            self._guarded(method, admission, cast(Behaviour, handler.unary_unary)),
            request_deserializer=handler.request_deserializer,
            response_serializer=handler.response_serializer,
        )

    def _guarded(self, method: str, admission: Admission, behaviour: Behaviour) -> Behaviour:
        async def call(request: Message, context: grpc.aio.ServicerContext[Any, Any]) -> Any:
            started = clock.monotonic()
            status = "OK"
            self._in_flight += 1
            try:
                return await self._admitted(request, context, admission, behaviour)
            except Refusal as refusal:
                status = refusal.code.value
                if isinstance(refusal, InternalError):
                    _log.error("call failed", method=method)
                return await self._abort(context, refusal)
            except asyncio.CancelledError:
                status = "CANCELLED"
                raise
            except grpc.aio.AbortError:
                raise
            except Exception as error:  # noqa: BLE001 - logged; the caller learns no more than that it broke
                broken = _broken(method, error)
                status = broken.code.value
                return await self._abort(context, broken)
            finally:
                self._in_flight -= 1
                telemetry.served(method, status, clock.monotonic() - started)

        return call

    async def _admitted(
        self, request: Message, context: grpc.aio.ServicerContext[Any, Any], admission: Admission, behaviour: Behaviour
    ) -> Any:
        if self._in_flight > self._bounds.in_flight_max:
            raise Overloaded
        caller = await self._verifier.caller(_bearer(context))
        admission.check_caller(caller)
        admission.check_owner(caller, request)
        admission.check_dates(caller, request, self._bounds.members_about_now)
        set_caller(caller)
        set_deadline(context.time_remaining())
        return await behaviour(request, context)

    async def _abort(self, context: grpc.aio.ServicerContext[Any, Any], refusal: Refusal) -> None:
        await context.abort_with_status(rpc_status.to_status(status_proto(refusal, self._service)))


def _broken(method: str, error: Exception) -> Refusal:
    """What a caller is told of an error that is no answer; the cause goes into the log."""
    if is_down(error):
        _log.warning("no database", method=method, error=repr(error))
        return DatabaseDown()
    _log.exception("call failed", method=method)
    return InternalError()


def _bearer(context: grpc.aio.ServicerContext[Any, Any]) -> str:
    for key, value in context.invocation_metadata() or ():
        if key == "authorization" and isinstance(value, str) and value[:7].lower() == "bearer ":
            return value[7:]
    raise InvalidToken


def admissions(service_names: Iterable[str]) -> dict[str, Admission]:
    """Who may call each method of these services, by its path."""
    pool = descriptor_pool.Default()
    return {
        f"/{name}/{method.name}": admission_of(method)
        for name in service_names
        for method in pool.FindServiceByName(name).methods
    }


def make_server(
    service: str, verifier: Verifier, service_names: Iterable[str], *, bounds: Bounds | None = None
) -> grpc.aio.Server:
    """A server for the named services of the contracts, with reflection; servicers are added by the caller."""
    names = list(service_names)
    guard = Guard(service, verifier, admissions(names), bounds or Bounds())
    tracing = aio_server_interceptor()  # type: ignore[no-untyped-call]
    server = grpc.aio.server(interceptors=[tracing, guard], options=_OPTIONS)
    reflection.enable_server_reflection([*names, "grpc.health.v1.Health", reflection.SERVICE_NAME], server)
    return server
