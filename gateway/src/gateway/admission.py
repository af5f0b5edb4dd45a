"""Who may call a route: the same option of the contract that guards the method behind it, checked here first.

A route names the method it stands for. The check costs no second list of scopes, and the service checks again.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated, Any

from chassis.auth import Caller, InvalidToken, Verifier, set_caller
from chassis.errors import ResourceExhausted
from chassis.rpc.access import NotYourCustomer, admission_of
from chassis.rpc.client import set_deadline
from fastapi import Depends, Header, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from limits import RateLimitItemPerMinute
from limits.aio.storage import MemoryStorage
from limits.aio.strategies import SlidingWindowCounterRateLimiter

from gateway.contracts import method_named
from gateway.services import Services
from gateway.settings import GatewaySettings

_bearer = HTTPBearer(auto_error=False, description="Access token (JWT, ES256).", bearerFormat="JWT")


class TooManyRequests(ResourceExhausted):
    """The caller has used up its requests of this minute."""

    def __init__(self) -> None:
        super().__init__("too many requests; try again in a moment")


class Limiter:
    """Requests of each caller a minute, in this replica."""

    def __init__(self, requests_per_minute: int) -> None:
        self._limit = RateLimitItemPerMinute(requests_per_minute)
        self._limiter = SlidingWindowCounterRateLimiter(MemoryStorage())

    async def check(self, caller: Caller) -> None:
        """Counts a request; TooManyRequests when the minute is used up."""
        if not await self._limiter.hit(self._limit, caller.subject, caller.customer_id or ""):
            raise TooManyRequests


@dataclass(frozen=True, slots=True)
class State:
    """What every request needs, made once at start."""

    settings: GatewaySettings
    services: Services
    verifier: Verifier
    limiter: Limiter


def state_of(request: Request) -> State:
    """The state of the application that serves this request."""
    state: State = request.app.state.gateway
    return state


def services_of(request: Request) -> Services:
    """The services, for a route."""
    return state_of(request).services


# The key under which a repeat is recognised; required on everything that writes.
Key = Annotated[
    str,
    Header(
        alias="Idempotency-Key",
        description="Identity of the request, visible ASCII; a repeat with the same key gets the first answer.",
        min_length=1,
        max_length=128,
        pattern=r"^[\x21-\x7e]+$",
        examples=["5f1b7c1e-recharge-1"],
    ),
]
To = Annotated[Services, Depends(services_of)]


def admits(method: str) -> Any:
    """The dependency of a route that stands for this method."""
    admitted = admission_of(method_named(method))

    async def admit(
        request: Request, credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]
    ) -> None:
        if credentials is None:
            raise InvalidToken
        state = state_of(request)
        caller = await state.verifier.caller(credentials.credentials)
        await state.limiter.check(caller)
        admitted.check_caller(caller)
        if caller.customer_id is not None and request.path_params.get("customer_id") != caller.customer_id:
            raise NotYourCustomer
        set_caller(caller)
        set_deadline(state.settings.request_seconds)

    admit_named: Callable[..., Awaitable[None]] = admit
    admit_named.admits = method  # type: ignore[attr-defined]  # read by the test that looks for routes without one
    return Depends(admit_named)
