"""Billing, as far as this service hears of it."""

from typing import Any

from google.protobuf.message import Message

from services.member.tests.factories import RECORDED_AT


class Billing:
    """Publishes as billing does; `again` gives the message another id, so that the stream itself keeps both."""

    def __init__(self, client: Any) -> None:
        self._stream = client.jetstream()

    async def tell(self, message: Message, *, event_id: str, again: int = 0) -> None:
        """Publish one event."""
        name = message.DESCRIPTOR.full_name
        headers = {
            "Nats-Msg-Id": f"{event_id}-{again}",
            "ce-specversion": "1.0",
            "ce-id": event_id,
            "ce-type": name,
            "ce-source": "billing",
            "ce-time": RECORDED_AT.isoformat(),
            "ce-recordedtime": RECORDED_AT.isoformat(),
        }
        await self._stream.publish(f"events.{name}", message.SerializeToString(), headers=headers)
