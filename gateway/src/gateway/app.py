"""The application: routes, problems, limits and headers put together."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from http import HTTPStatus

from chassis.auth import Verifier
from fastapi import FastAPI, Request, Response
from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor

from gateway.admission import Limiter, State
from gateway.description import DESCRIPTION, PROBLEMS, TAGS, Described, operation_id
from gateway.problems import add_problem_handlers, broken, problem
from gateway.routes import ROUTERS
from gateway.services import open_services
from gateway.settings import GatewaySettings

_HEADERS = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
}


def create_app(settings: GatewaySettings) -> FastAPI:
    """The gateway over the services that the settings name."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with open_services(settings) as services:
            verifier = Verifier(settings.jwks, issuer=settings.issuer, audience=settings.audience)
            app.state.gateway = State(settings, services, verifier, Limiter(settings.requests_per_minute))
            yield

    app = Described(
        title="Touchstone",
        version="1",
        description=DESCRIPTION,
        openapi_tags=TAGS,
        generate_unique_id_function=operation_id,
        lifespan=lifespan,
        responses=PROBLEMS,
        docs_url=None,
        redoc_url=None,
    )
    for router in ROUTERS:
        app.include_router(router)
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
            response = await _answered(request, call_next)
        response.headers.update(_HEADERS)
        return response

    return middleware


async def _answered(request: Request, call_next: Next) -> Response:
    """The answer, or the problem of a fault: caught here, so that it carries the headers of every answer."""
    try:
        return await call_next(request)
    except Exception as error:  # noqa: BLE001 - logged; the caller learns no more than that it broke
        return broken(error)
