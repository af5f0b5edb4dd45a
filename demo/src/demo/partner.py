"""The partner's own endpoint: it verifies the signature of every webhook and remembers what it got."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import uvicorn
from chassis.embedded import free_port
from standardwebhooks import Webhook, WebhookVerificationError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route


@dataclass(slots=True)
class Partner:
    """What arrived. `verified` holds the ids of messages whose signature was right; `refused` counts the others."""

    url: str
    secret: str = ""
    verified: set[str] = field(default_factory=set)
    received: int = 0
    refused: int = 0
    failures_left: int = 3

    async def receive(self, request: Request) -> Response:
        """Answers 2xx only to what verifies. The first few are turned away once, to see them come again."""
        body = await request.body()
        self.received += 1
        try:
            Webhook(self.secret).verify(body, dict(request.headers))
        except WebhookVerificationError:
            self.refused += 1
            return Response(status_code=401)
        if self.failures_left:
            self.failures_left -= 1
            return Response(status_code=503)
        self.verified.add(request.headers["webhook-id"])
        return Response(status_code=204)


@asynccontextmanager
async def listening() -> AsyncIterator[Partner]:
    """The endpoint on a free port of this machine."""
    port = free_port()
    partner = Partner(f"http://127.0.0.1:{port}/hooks")
    app = Starlette(routes=[Route("/hooks", partner.receive, methods=["POST"])])
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=port, log_level="error", lifespan="off"))
    server.install_signal_handlers = lambda: None  # type: ignore[attr-defined]  # Ctrl-C is the demo's own
    task = asyncio.create_task(server.serve())
    while not server.started:  # noqa: ASYNC110 - the server has no event to wait for
        await asyncio.sleep(0.01)
    try:
        yield partner
    finally:
        server.should_exit = True
        await task
