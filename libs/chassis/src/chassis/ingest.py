"""Many messages to a stream as one batch: the broker answers for all of them at once.

Published one by one, a message costs a turn of the loop, a header check and an acknowledgement to read: a tenth of a
millisecond, most of what telling an event costs. The fast ingest of nats-server 2.14 and later (its ADR-50) stores
messages as they come, drops those whose `Nats-Msg-Id` it knows, and acknowledges the last one when it has taken them
all. Each says in its reply subject where it stands: `<inbox>.<batch>.<flow>.<gap mode>.<number>.<operation>.$FI`.
"""

import asyncio
import json
from collections.abc import Sequence
from typing import Any, NamedTuple

from nats.aio.client import Client

from chassis.ids import new_id

_START, _APPEND, _COMMIT = 0, 1, 2
_NOT_ENABLED = 10205
# How many messages the broker may take before it says that it goes on; it may say so earlier.
_FLOW = 1000


class Publication(NamedTuple):
    """What is published: where, under which headers (a line each, as they are sent), and what."""

    subject: str
    headers: str
    payload: bytes


def publication_bytes(message: Publication) -> int:
    """What counts against the broker's `max_payload`. It hangs up on a client that sends more, and nats-py, which looks
    at the payload alone, then never calls again."""
    return len(_head(message.headers)) + len(message.payload)


class BatchesNotEnabled(Exception):
    """The stream takes no batches: it was made by an older release, or by somebody else."""


class Ingest:
    """Publishes batches over one connection, one batch at a time."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._inbox = client.new_inbox()
        self._replies: Any = None

    async def publish(self, messages: Sequence[Publication], *, timeout_seconds: float) -> bool:
        """Whether the broker has taken every message; TimeoutError when it did not say. Unless it has, any of them may
        be stored or not: to publish them again is safe, as long as their ids are the same."""
        if any(publication_bytes(message) > self._client.max_payload for message in messages):
            return False
        if self._replies is None:
            self._replies = await self._client.subscribe(f"{self._inbox}.>")
        batch = new_id()
        # nats-py sends a message at a time, and gives the loop a turn after each.
        await self._client._send_command(_commands(f"{self._inbox}.{batch}", messages))  # noqa: SLF001
        await self._client._flush_pending()  # noqa: SLF001
        async with asyncio.timeout(timeout_seconds):
            return await self._committed(f"{self._inbox}.{batch}.", len(messages))

    async def _committed(self, inbox: str, count: int) -> bool:
        while True:
            reply = await self._replies.next_msg(timeout=None)
            if not reply.subject.startswith(inbox):
                continue  # a late word about a batch that was given up
            said = json.loads(reply.data) if reply.data else {"error": {"description": "nobody listens"}}
            if said.get("type") == "ack":
                continue
            if said.get("error", {}).get("err_code") == _NOT_ENABLED:
                raise BatchesNotEnabled
            return "error" not in said and said.get("count") == count


def _commands(inbox: str, messages: Sequence[Publication]) -> bytes:
    """The batch as NATS' protocol has it: an HPUB for each message."""
    parts: list[bytes] = []
    last = len(messages)
    for number, (subject, headers, payload) in enumerate(messages, start=1):
        operation = _COMMIT if number == last else _START if number == 1 else _APPEND
        head = _head(headers)
        reply = f"{inbox}.{_FLOW}.fail.{number}.{operation}.$FI"
        parts += (f"HPUB {subject} {reply} {len(head)} {len(head) + len(payload)}\r\n".encode(), head, payload, b"\r\n")
    return b"".join(parts)


def _head(headers: str) -> bytes:
    return f"NATS/1.0\r\n{headers}\r\n".encode()
