"""Sends webhooks: signed, to the very address that was checked, without redirects, proxies or patience.

A name is resolved once for a connection, every address it resolves to is judged, and the connection is made to one of
the judged addresses. Were the name looked up again by the HTTP library, it could answer differently the second time.
"""

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable, Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address

import httpx
from chassis import clock
from chassis.errors import InvalidArgument
from standardwebhooks import Webhook

from touchpoint.domain.address import is_public
from touchpoint.domain.delivery import Answer, answer_of

Address = IPv4Address | IPv6Address
Resolve = Callable[[str, int], Awaitable[Sequence[Address]]]

_ANSWER_BYTES_MAX = 64 * 1024


class AddressRefused(httpx.ConnectError):
    """The host does not resolve, or one of its addresses is not on the public internet."""


async def resolve(host: str, port: int) -> Sequence[Address]:
    """All addresses of a host, as the system resolves it, which also reads numbers in disguise (`0x7f000001`)."""
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise AddressRefused(f"{host} does not resolve") from error
    return [ip_address(str(where[0]).partition("%")[0]) for *_, where in found]


class GuardedTransport(httpx.AsyncBaseTransport):
    """Connects only to addresses that were judged. Each request has a connection of its own.

    Connections are not kept: they would be known by address, and two names may share one behind different certificates.
    """

    def __init__(
        self, *, allow_private: bool, resolve: Resolve = resolve, verify: ssl.SSLContext | bool = True
    ) -> None:
        self._allow_private = allow_private
        self._resolve = resolve
        self._inner = httpx.AsyncHTTPTransport(
            verify=verify, trust_env=False, limits=httpx.Limits(max_connections=None, max_keepalive_connections=0)
        )

    async def judged(self, host: str, port: int) -> Sequence[Address]:
        """The addresses of a host, all of them public; AddressRefused otherwise."""
        addresses = await self._resolve(host, port)
        closed = [address for address in addresses if not (self._allow_private or is_public(address))]
        if not addresses or closed:
            raise AddressRefused(f"{host} does not lead to a public address")
        return addresses

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Sends the request to the first judged address that takes the connection."""
        host = request.url.host
        port = request.url.port or (443 if request.url.scheme == "https" else 80)
        failure: httpx.HTTPError | None = None
        for address in await self.judged(host, port):
            try:
                return await self._inner.handle_async_request(_to_address(request, address))
            except (httpx.ConnectError, httpx.ConnectTimeout) as error:
                failure = error
        assert failure is not None
        raise failure

    async def aclose(self) -> None:
        """Closes what is open."""
        await self._inner.aclose()


def _to_address(request: httpx.Request, address: Address) -> httpx.Request:
    """The same request with the address in place of the name; Host header and certificate stay the name's."""
    return httpx.Request(
        method=request.method,
        url=request.url.copy_with(host=str(address)),
        headers=request.headers,
        stream=request.stream,
        extensions=request.extensions | {"sni_hostname": request.url.host},
    )


class WebhookSender:
    """Signs and sends messages by Standard Webhooks."""

    def __init__(
        self,
        *,
        allow_private: bool,
        timeout_seconds: float,
        resolve: Resolve = resolve,
        verify: ssl.SSLContext | bool = True,
    ) -> None:
        self._timeout_seconds = timeout_seconds
        self._transport = GuardedTransport(allow_private=allow_private, resolve=resolve, verify=verify)
        self._client = httpx.AsyncClient(
            transport=self._transport,
            trust_env=False,
            follow_redirects=False,
            timeout=timeout_seconds,
            headers={"user-agent": "touchstone-webhooks/1", "content-type": "application/cloudevents+json"},
        )

    async def check_reachable(self, url: str) -> None:
        """Refuses (InvalidArgument) a URL whose host does not resolve to public addresses just now."""
        try:
            parsed = httpx.URL(url)
            async with asyncio.timeout(self._timeout_seconds):
                await self._transport.judged(parsed.host, parsed.port or 443)
        except (httpx.InvalidURL, AddressRefused, TimeoutError) as error:
            raise InvalidArgument("url", "must lead to public addresses") from error

    async def send(self, url: str, secret: str, *, message_id: str, body: bytes) -> Answer:
        """One attempt, which always comes to an answer: the receiver's status, or what kept it from coming."""
        started, signed_at = clock.monotonic(), clock.now()
        headers = {
            "webhook-id": message_id,
            "webhook-timestamp": str(int(signed_at.timestamp())),
            "webhook-signature": Webhook(secret).sign(message_id, signed_at, body.decode()),
        }
        try:
            async with asyncio.timeout(self._timeout_seconds):
                status = await self._post(url, headers, body)
            return answer_of(status, _milliseconds_since(started))
        except (TimeoutError, httpx.TimeoutException):
            error = f"no answer within {self._timeout_seconds:g} s"
        except AddressRefused as refused:
            error = str(refused)
        except (httpx.HTTPError, httpx.InvalidURL) as failed:
            error = type(failed).__name__
        return Answer(0, error, _milliseconds_since(started))

    async def _post(self, url: str, headers: dict[str, str], body: bytes) -> int:
        async with self._client.stream("POST", url, headers=headers, content=body) as response:
            read = 0
            async for chunk in response.aiter_raw():
                read += len(chunk)
                if read > _ANSWER_BYTES_MAX:
                    break
            return response.status_code

    async def aclose(self) -> None:
        """Closes the client."""
        await self._client.aclose()


def _milliseconds_since(started: float) -> int:
    return int((clock.monotonic() - started) * 1000)
