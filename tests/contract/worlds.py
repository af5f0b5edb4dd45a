"""Providers as their promises are tried: real processes, each with a database of its own."""

import importlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc
from chassis.embedded import NatsServer
from chassis.embedded.databases import drop_database
from chassis.ids import new_id
from chassis.rpc.errors import RemoteRefusal, remote_refusal
from chassis.testing import Keys, Templates
from chassis.testing.serving import DATED_LONG_AGO, Serving, serving
from google.protobuf import message_factory
from google.protobuf.message import Message
from sqlalchemy import text

from tests.contract.matching import Bound, differences, filled, plain
from tests.contract.promises import Caller, Promise, Step, admitted, event_of, method_named, path_of, request_of

# Business time is the promises' own: callers may date anything, and the clock ends nothing.
SETTINGS = DATED_LONG_AGO | {"timed_work": False}


@dataclass(slots=True)
class World:
    """A provider that serves, and what its promises have named so far."""

    served: Serving
    bound: Bound = field(default_factory=dict)
    done: set[str] = field(default_factory=set)
    _channels: dict[tuple[Caller, tuple[str, ...]], grpc.aio.Channel] = field(default_factory=dict)

    async def call(self, method: str, request: dict[str, Any], caller: Caller) -> Message | RemoteRefusal:
        """What the provider answers."""
        descriptor: Any = method_named(method)
        message = request_of(method, filled(request, self.bound))
        call: Any = self._channel(method, caller).unary_unary(
            path_of(method),
            request_serializer=lambda sent: sent.SerializeToString(),
            response_deserializer=message_factory.GetMessageClass(descriptor.output_type).FromString,
        )
        try:
            reply: Message = await call(message)
        except grpc.aio.AioRpcError as error:
            return remote_refusal(error)
        return reply

    def _channel(self, method: str, caller: Caller) -> grpc.aio.Channel:
        scopes = tuple(sorted(admitted(method).scopes)) if caller.scopes is None else caller.scopes
        if (caller, scopes) not in self._channels:
            self._channels[caller, scopes] = self.served.channel(*scopes, customer_id=caller.customer_id)
        return self._channels[caller, scopes]

    async def prepare(self, promise: Promise) -> None:
        """Does what is given; what an earlier promise of this world had given too is there already."""
        heard = False
        for step in promise.given:
            if repr(step) in self.done:
                continue
            self.done.add(repr(step))
            if step.event:
                await self._hear(step)
                heard = True
                continue
            if heard:
                await self.served.settle()
                heard = False
            reply = await self.call(step.method, step.request, Caller())
            assert not isinstance(reply, RemoteRefusal), f"{step.method} was given and is refused: {reply}"
            assert list(differences(step.reply, plain(reply), self.bound, partial=True)) == []
        if heard:
            await self.served.settle()

    async def _hear(self, step: Step) -> None:
        """Publishes an event as its service would, and waits until the broker has it."""
        message = event_of(step.event, filled(step.message, self.bound))
        headers = {
            "ce-id": new_id(),
            "ce-type": step.event,
            "ce-source": step.source,
            "ce-time": step.occurred_at,
            "ce-recordedtime": step.occurred_at,
        }
        sent = await self.served.running.broker.publish(f"events.{step.event}", message.SerializeToString(), headers)
        await sent

    async def told(self, event: str) -> list[dict[str, Any]]:
        """The events of one type that the provider has told, in order."""
        async with self.served.work.reading() as connection:
            rows = await connection.execute(
                text("SELECT payload FROM outbox WHERE event_type = :event ORDER BY id"), {"event": event}
            )
            payloads = [bytes(row.payload) for row in rows]
        blank = event_of(event, {})
        return [plain(type(blank).FromString(payload)) for payload in payloads]


@asynccontextmanager
async def world_of(promise: Promise, templates: Templates, nats: NatsServer, keys: Keys) -> AsyncIterator[World]:
    """The provider of a promise, with a database of its own."""
    provider = promise.provider
    process = importlib.import_module(f"{provider}.__main__").PROCESS
    database = await templates.clone(provider)
    try:
        async with serving(process, database, nats, keys, **SETTINGS | promise.settings) as served:
            await served.settle()  # by then the streams are there
            yield World(served)
    finally:
        await drop_database(templates.server, database.name)
