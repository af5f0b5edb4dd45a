"""Whether a process is ready: gRPC's health for a service, /readyz for the gateway and the sandbox provider."""

import asyncio
from typing import Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from local.processes import GATEWAY, PROVIDER, Addresses

_PATIENCE_SECONDS = 2.0


async def is_ready(name: str, addresses: Addresses) -> bool:
    """True when the process answers that it serves; False when it answers otherwise or not at all."""
    speaks_http = name in (GATEWAY, PROVIDER)
    entrance = f"{name}.http" if speaks_http else f"{name}.grpc"
    status_line = await _ask(addresses.ports[entrance])
    if speaks_http:
        return status_line.startswith(b"HTTP/") and b" 200 " in status_line
    # A channel is dear: none is made before something listens.
    return bool(status_line) and await _serves(addresses.grpc(name), name)


async def _serves(target: str, service: str) -> bool:
    async with grpc.aio.insecure_channel(target) as channel:
        stub: Any = health_pb2_grpc.HealthStub(channel)
        try:
            reply = await stub.Check(health_pb2.HealthCheckRequest(service=service), timeout=_PATIENCE_SECONDS)
        except grpc.aio.AioRpcError:
            return False
    return bool(reply.status == health_pb2.HealthCheckResponse.SERVING)


async def _ask(port: int) -> bytes:
    """The first bytes a server on this port answers to GET /readyz; none when nothing listens.

    A gRPC server answers as well, with the greeting of its own protocol.
    """
    try:
        async with asyncio.timeout(_PATIENCE_SECONDS):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            try:
                writer.write(b"GET /readyz HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
                return await reader.read(64)
            finally:
                writer.close()
    except (OSError, TimeoutError):
        return b""
