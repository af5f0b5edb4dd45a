"""The gateway for tests: the real application over fakes made of the providers' examples."""

from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import httpx
from chassis.rpc.access import Admission
from chassis.testing import Keys
from fastapi import FastAPI
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from gateway.app import create_app
from gateway.settings import GatewaySettings

from tests.contract.fakes import Fake
from tests.contract.promises import PROVIDERS, admitted

# Nothing listens on the port that no process may use without asking.
DOWN = "127.0.0.1:1"
Body = dict[str, Any] | list[Any] | bytes | None
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Client:
    """Requests to the gateway, each with a token."""

    http: httpx.AsyncClient
    keys: Keys

    async def send(
        self, method: str, path: str, scopes: Iterable[str], *, key: str | None = None, body: Body = None
    ) -> httpx.Response:
        """A request of an operator with these scopes."""
        return await self.send_as(self.keys.mint("operator", scopes), f"{method} {path}", key=key, body=body)

    async def send_as(
        self, token: str | None, call: str, *, key: str | None = None, body: Body = None
    ) -> httpx.Response:
        """A request with this very token, or with none."""
        method, _, path = call.partition(" ")
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        if key is not None:
            headers["Idempotency-Key"] = key
        if isinstance(body, bytes):
            return await self.http.request(
                method, path, headers=headers | {"Content-Type": "application/json"}, content=body
            )
        return await self.http.request(method, path, headers=headers, json=body)


@dataclass(frozen=True, slots=True)
class Route:
    """A route with the method of the contracts that it stands for; empty when it names none."""

    route: APIRoute
    method: str

    @property
    def path(self) -> str:
        """Its path, with the names of its parameters in braces."""
        return self.route.path

    @property
    def asked(self) -> str:
        """A path that may be asked for: where it names a number, one stands there."""
        path = self.path
        for parameter in self.route.dependant.path_params:
            if parameter.field_info.annotation is int:
                path = path.replace(f"{{{parameter.name}}}", "1")
        return path

    @property
    def verb(self) -> str:
        """The one HTTP method it answers."""
        assert self.route.methods is not None
        (verb,) = self.route.methods
        return verb


@dataclass(frozen=True, slots=True)
class Gateway:
    """The application, its client, and the fakes behind it."""

    app: FastAPI
    client: Client
    fakes: Sequence[Fake]

    @classmethod
    def described(cls, keys: Keys) -> "Gateway":
        """A gateway that is only looked at."""
        app = create_app(settings_over(keys, []))
        return cls(app, Client(httpx.AsyncClient(), keys), ())

    def routes(self) -> Iterator[Route]:
        """Every route of the interface."""
        for route in self.app.routes:
            if isinstance(route, APIRoute) and route.include_in_schema:
                yield Route(route, next(admissions_of(route.dependant), ""))

    @staticmethod
    def admitted(method: str) -> Admission:
        """Who the contract admits to a method, by full name."""
        return admitted(method)


def admissions_of(dependant: Dependant) -> Iterator[str]:
    """The methods whose admission is checked before the route, by full name."""
    for inner in dependant.dependencies:
        method = getattr(inner.call, "admits", None)
        if method is not None:
            yield f"touchstone.{method}"


def settings_over(keys: Keys, fakes: Sequence[Fake], **changed: Any) -> GatewaySettings:
    """The gateway's settings with the fakes where they are, and every other service down."""
    targets = dict.fromkeys((f"{provider}_target" for provider in PROVIDERS), DOWN)
    targets |= {f"{fake.provider}_target": fake.target for fake in fakes}
    values: dict[str, Any] = {"jwks": str(keys.jwks), **targets, "request_seconds": 30.0, "home_seconds": 30.0}
    return GatewaySettings(**values | changed)


@asynccontextmanager
async def gateway_over(keys: Keys, fakes: Sequence[Fake], **changed: Any) -> AsyncIterator[Gateway]:
    """The application with its life from start to stop, reached by requests without a socket."""
    app = create_app(settings_over(keys, fakes, **changed))
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as http:
            yield Gateway(app, Client(http, keys), fakes)
