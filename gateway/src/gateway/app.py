"""The application: routes, problems, limits and headers put together."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Any

from chassis.auth import Verifier
from fastapi import FastAPI, Request, Response
from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor

from gateway.admission import Limiter, State
from gateway.problems import Problem, add_problem_handlers, problem
from gateway.routes import billing, campaign, home, member, scoring, touchpoint
from gateway.services import open_services
from gateway.settings import GatewaySettings

_HEADERS = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
}
_PROBLEMS: dict[int | str, dict[str, Any]] = {
    status: {"model": Problem, "description": HTTPStatus(status).phrase}
    for status in (400, 401, 403, 404, 409, 429, 503)
}
_DESCRIPTION = """
What channel apps and operators call. Every request carries an access token; everything that writes carries an
`Idempotency-Key`, and a repeat with the same key gets the first answer. Amounts are integers in minor units, errors are
problem details (RFC 9457) with a stable `reason`, lists are paged by `next_page_token`.
"""


def create_app(settings: GatewaySettings) -> FastAPI:
    """The gateway over the services that the settings name."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with open_services(settings) as services:
            verifier = Verifier(settings.jwks, issuer=settings.issuer, audience=settings.audience)
            app.state.gateway = State(settings, services, verifier, Limiter(settings.requests_per_minute))
            yield

    app = FastAPI(
        title="Touchstone",
        version="1",
        description=_DESCRIPTION,
        lifespan=lifespan,
        responses=_PROBLEMS,
        docs_url=None,
        redoc_url=None,
    )
    for routes in (home, member, billing, touchpoint, campaign, scoring):
        app.include_router(routes.router)
    app.add_api_route("/livez", _alive, include_in_schema=False)
    app.add_api_route("/readyz", _alive, include_in_schema=False)
    add_problem_handlers(app)
    app.middleware("http")(_bounded(settings.body_bytes_max))
    FastAPIInstrumentor.instrument_app(app, excluded_urls="livez,readyz")
    return app


async def _alive() -> dict[str, str]:
    """Answers as long as the gateway runs: services that are down make parts of answers missing, not the gateway."""
    return {"status": "ok"}


Next = Callable[[Request], Awaitable[Response]]


def _bounded(body_bytes_max: int) -> Callable[[Request, Next], Awaitable[Response]]:
    """Refuses long bodies before they are read, and sets the headers that every answer carries."""

    async def middleware(request: Request, call_next: Next) -> Response:
        length = request.headers.get("content-length", "0")
        chunked = "transfer-encoding" in request.headers
        if chunked or not length.isdecimal() or int(length) > body_bytes_max:
            status = HTTPStatus.LENGTH_REQUIRED if chunked else HTTPStatus.REQUEST_ENTITY_TOO_LARGE
            response: Response = problem(status, status.name, f"a body must state its length, at most {body_bytes_max}")
        else:
            response = await call_next(request)
        response.headers.update(_HEADERS)
        return response

    return middleware
