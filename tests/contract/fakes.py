"""Services made of their promises: a real gRPC server with the real guard, which answers what an example answers.

Whatever no example speaks of is UNIMPLEMENTED, so a caller that passes its tests against a fake asks only for what the
provider was seen to give.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cache
from typing import Any, TypeVar

import grpc
from chassis.auth import Verifier
from chassis.rpc.access import AboutNow
from chassis.rpc.server import Bounds, make_server
from chassis.testing import Keys
from google.protobuf import message_factory
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.message import Message
from google.rpc import code_pb2, error_details_pb2, status_pb2
from grpc_status import rpc_status

from tests.contract.matching import Bound, filled, sampled
from tests.contract.promises import Promise, Refused, method_named, path_of, promises, reply_of, request_of

Context = grpc.aio.ServicerContext[Any, Any]
Answer = Message | Refused
M = TypeVar("M", bound=Message)
# The examples are dated once and for all, also where a member's own token does something.
_LONG_AGO = timedelta(days=100 * 365)


@dataclass(frozen=True, slots=True)
class Sample:
    """A promise with samples in the place of values that its provider would make."""

    promise: Promise
    bound: Bound
    request: Message
    answer: Answer


def sample_of(promise: Promise) -> Sample:
    """The promise as its fake keeps it."""
    bound: Bound = {}
    for step in promise.given:
        sampled(step.reply, bound)
    request = request_of(promise.method, filled(promise.request, bound))
    if promise.refusal is not None:
        return Sample(promise, bound, request, promise.refusal)
    return Sample(promise, bound, request, reply_of(promise.method, sampled(promise.reply, bound)))


@cache
def samples(provider: str) -> dict[tuple[str, bytes], Sample]:
    """What a provider promised, by method and request; what the guard refuses needs no fake."""
    kept = (each for each in promises() if each.provider == provider)
    made = [sample_of(each) for each in kept if each.refusal is None or not each.refusal.by_guard]
    return {(each.promise.method, each.request.SerializeToString(deterministic=True)): each for each in made}


@dataclass(slots=True)
class Fake:
    """A service that keeps its promises and does nothing else."""

    provider: str
    target: str = ""
    silent: set[str] = field(default_factory=set)
    asked: list[str] = field(default_factory=list)
    tokens: list[str] = field(default_factory=list)

    def answers_nothing(self, *methods: str) -> None:
        """From now on these methods never answer."""
        self.silent |= set(methods)


@asynccontextmanager
async def faking(provider: str, keys: Keys) -> AsyncIterator[Fake]:
    """Serves the promises of a provider on a free port."""
    fake = Fake(provider)
    known = samples(provider)
    methods = {name for name, _ in known}
    services = sorted({name.rpartition(".")[0] for name in methods})
    verifier = Verifier(str(keys.jwks), issuer="touchstone", audience="touchstone")
    server = make_server(provider, verifier, services, bounds=Bounds(members_about_now=AboutNow(back=_LONG_AGO)))
    for service in services:
        handlers = {
            name.rpartition(".")[2]: _handler(fake, name, known)
            for name in methods
            if name.rpartition(".")[0] == service
        }
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, handlers),))
    fake.target = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    await server.start()
    try:
        yield fake
    finally:
        await server.stop(None)


def _handler(fake: Fake, method: str, known: dict[tuple[str, bytes], Sample]) -> "grpc.RpcMethodHandler[Any, Any]":
    descriptor: Any = method_named(method)
    request_type = message_factory.GetMessageClass(descriptor.input_type)
    return grpc.unary_unary_rpc_method_handler(
        _behaviour(fake, method, known),
        request_deserializer=request_type.FromString,
        response_serializer=lambda reply: reply.SerializeToString(),
    )


def _behaviour(
    fake: Fake, method: str, known: dict[tuple[str, bytes], Sample]
) -> Callable[[Message, Context], Awaitable[Message]]:
    async def answer(request: Message, context: Context) -> Message:
        fake.asked.append(method)
        fake.tokens.append(dict(context.invocation_metadata() or ())["authorization"])  # type: ignore[arg-type]
        if method in fake.silent:
            await asyncio.Event().wait()
        sample = known.get((method, request.SerializeToString(deterministic=True)))
        if sample is None:
            await context.abort(grpc.StatusCode.UNIMPLEMENTED, f"no example of {path_of(method)} with {request}")
            raise AssertionError("abort returns never")
        if isinstance(sample.answer, Refused):
            await context.abort_with_status(rpc_status.to_status(_status(fake.provider, sample.answer)))
            raise AssertionError("abort returns never")
        return sample.answer

    return answer


def _status(provider: str, refused: Refused) -> status_pb2.Status:
    status = status_pb2.Status(code=code_pb2.Code.Value(refused.code), message="refused as promised")
    status.details.append(_packed(error_details_pb2.ErrorInfo(reason=refused.reason, domain=f"{provider}.touchstone")))
    if refused.fields:
        bad = error_details_pb2.BadRequest()
        for name in refused.fields:
            bad.field_violations.add(field=name, description="refused as promised")
        status.details.append(_packed(bad))
    return status


def _packed(message: Message) -> AnyMessage:
    packed = AnyMessage()
    packed.Pack(message)
    return packed
