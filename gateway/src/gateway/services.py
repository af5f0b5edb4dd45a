"""The five services as the gateway calls them: with the caller's own token, a deadline, and retries at this edge."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import grpc
from chassis.auth import current_caller
from chassis.rpc.client import open_channel
from google.protobuf import message_factory
from google.protobuf.message import Message

from gateway.contracts import method_named
from gateway.settings import GatewaySettings

_SERVICES = ("member", "billing", "campaign", "touchpoint", "scoring")


class Services:
    """Every method of the contracts, called by its name."""

    def __init__(self, channels: dict[str, grpc.aio.Channel]) -> None:
        self._channels = channels
        self._calls: dict[str, Callable[[Message], Any]] = {}

    async def call(self, method: str, request: Message) -> Any:
        """The reply of a method, e.g. `member.v1.PointsService.HoldPoints`."""
        if method not in self._calls:
            self._calls[method] = self._open(method)
        return await self._calls[method](request)

    def _open(self, method: str) -> Callable[[Message], Any]:
        found: Any = method_named(method)
        channel: Any = self._channels[method.partition(".")[0]]
        opened: Callable[[Message], Any] = channel.unary_unary(
            f"/{found.containing_service.full_name}/{found.name}",
            request_serializer=lambda request: request.SerializeToString(),
            response_deserializer=message_factory.GetMessageClass(found.output_type).FromString,
        )
        return opened


@asynccontextmanager
async def open_services(settings: GatewaySettings) -> AsyncIterator[Services]:
    """Channels to all services, closed at the end. A service may be down: its calls then fail, others do not."""
    channels: dict[str, grpc.aio.Channel] = {
        name: open_channel(getattr(settings, f"{name}_target"), _token, retries=True) for name in _SERVICES
    }
    try:
        yield Services(channels)
    finally:
        for channel in channels.values():
            await channel.close()


def _token() -> str:
    return current_caller().token
