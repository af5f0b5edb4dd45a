"""A partner's web server for tests: it verifies every webhook with the reference library and answers as told."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from standardwebhooks import Webhook

HANG, REDIRECT, DRIP = "hang", "redirect", "drip"


@dataclass(slots=True)
class Receiver:
    """What arrived, and what is answered next: a status, or a way of misbehaving; the last one is repeated."""

    answers: list[int | str] = field(default_factory=lambda: [204])
    secret: str = ""
    url: str = ""
    messages: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    connections: int = 0

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, one request."""
        self.connections += 1
        try:
            await self._read(reader)
            answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
            await self._answer(reader, writer, answer)
        except (ConnectionError, asyncio.IncompleteReadError):
            return
        finally:
            writer.close()

    async def _read(self, reader: asyncio.StreamReader) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        headers = {
            name.strip().lower(): value.strip()
            for name, _, value in (line.partition(":") for line in head.split("\r\n")[1:] if line)
        }
        body = await reader.readexactly(int(headers["content-length"]))
        self.headers.append(headers)
        self.bodies.append(body)
        if self.secret:
            self.messages.append(Webhook(self.secret).verify(body, headers))

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, answer: int | str) -> None:
        if answer == HANG:
            await reader.read()  # until the sender gives up
        if answer == DRIP:
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n")
            for _ in range(1000):
                writer.write(b"x")
                await writer.drain()
                await asyncio.sleep(0.1)
        status = f"302 Found\r\nlocation: {self.url}/elsewhere" if answer == REDIRECT else f"{answer} Whatever"
        writer.write(f"HTTP/1.1 {status}\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok".encode())
        await writer.drain()


@asynccontextmanager
async def receiving(*answers: int | str, tls: ssl.SSLContext | None = None) -> AsyncIterator[Receiver]:
    """Listens on loopback until the block ends, behind TLS if a context is given."""
    receiver = Receiver(list(answers) or [204])
    server = await asyncio.start_server(receiver.handle, "127.0.0.1", 0, ssl=tls)
    receiver.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield receiver
    finally:
        server.close()
