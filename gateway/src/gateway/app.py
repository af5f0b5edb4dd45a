"""The application: routes, problems, limits and headers put together."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from http import HTTPStatus

from chassis.auth import Verifier
from fastapi import FastAPI, Request, Response
from opentelemetry import trace
from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware
from opentelemetry.util.http import parse_excluded_urls

from gateway.admission import Limiter, State
from gateway.description import DESCRIPTION, TAGS, Described
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
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
    )
    # The routes as they are: to include a router is to make all of its routes a second time.
    app.router.routes += [route for router in ROUTERS for route in router.routes]
    app.add_api_route("/livez", _alive, include_in_schema=False)
    app.add_api_route("/readyz", _alive, include_in_schema=False)
    add_problem_handlers(app)
    app.middleware("http")(_bounded(settings.body_bytes_max))
    app.add_middleware(
        OpenTelemetryMiddleware,
        excluded_urls=parse_excluded_urls("livez,readyz"),
        default_span_details=lambda scope: (scope["method"], {}),  # the route is not known yet
        exclude_spans=["receive", "send"],
    )
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
        for name, value in _HEADERS.items():
            response.headers.setdefault(name, value)  # a document has a policy of its own, for its own styles
        return response

    return middleware


async def _answered(request: Request, call_next: Next) -> Response:
    """The answer, or the problem of a fault: caught here, so that it carries the headers of every answer."""
    try:
        return await call_next(request)
    except Exception as error:  # noqa: BLE001 - logged; the caller learns no more than that it broke
        return broken(error)
    finally:
        _name_span(request)


def _name_span(request: Request) -> None:
    """Names the request's span by the route that it took: a path would name customers."""
    route = request.scope.get("route")
    if route is not None:
        span = trace.get_current_span()
        span.update_name(f"{request.method} {route.path}")
        span.set_attribute("http.route", route.path)
