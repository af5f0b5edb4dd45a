"""Who calls: an access token (JWT, ES256) checked against a JSON Web Key Set, and the caller it names.

The same check serves gRPC and the gateway. Only keys of our own set are believed: a token's `kid` is a look-up in a
dictionary, and keys or addresses inside a token are never read. A token checked once is remembered until it expires or
the keys are read again.
"""

import asyncio
import json
from base64 import urlsafe_b64decode
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import structlog
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from chassis import clock
from chassis.errors import Unauthenticated, Unavailable

_log = structlog.get_logger(__name__)
_LEEWAY_SECONDS = 30
_TOKEN_LENGTH_MAX = 8192
# A subject is part of the keys of claims, which the database bounds.
_SUBJECT_LENGTH_MAX = 255
_REMEMBERED_MAX = 10_000
# Keys are read again for a token that names an unknown one, and now and then, so that one taken away is not believed.
_REFETCH_SECONDS = 30.0
_KEYS_KEPT_SECONDS = 50.0
_RETRY_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls. `customer_id` is set on a member's token, which reaches that customer's data and no other's."""

    subject: str
    scopes: frozenset[str]
    customer_id: str | None
    token: str
    expires_at: float


class InvalidToken(Unauthenticated):
    """The token is missing, malformed, expired or not ours; which of these is not told."""

    def __init__(self) -> None:
        super().__init__("a valid access token is required")


class KeysUnavailable(Unavailable):
    """The keys that tokens are checked against could not be read yet."""

    def __init__(self) -> None:
        super().__init__("access tokens cannot be checked just now")


_CALLER: ContextVar[Caller] = ContextVar("caller")


def current_caller() -> Caller:
    """The caller of the request in work; LookupError outside of one."""
    return _CALLER.get()


def set_caller(caller: Caller) -> None:
    """Names the caller for the rest of this task. Called by the interceptor and by the gateway."""
    _CALLER.set(caller)


class Verifier:
    """Checks tokens of one issuer for one audience."""

    def __init__(self, jwks: str, *, issuer: str, audience: str) -> None:
        self._jwks = jwks
        self._claims = jwt.JWTClaimsRegistry(
            leeway=_LEEWAY_SECONDS,
            iss={"essential": True, "value": issuer},
            aud={"essential": True, "value": audience},
            exp={"essential": True},
            sub={"essential": True},
        )
        self._keys: KeySet | None = None
        self._fetched_at = float("-inf")
        self._remembered: dict[str, Caller] = {}
        self._fetching = asyncio.Lock()

    async def caller(self, token: str) -> Caller:
        """The caller a token names; InvalidToken when it does not prove one, KeysUnavailable before the first keys."""
        if self._keys is not None and self._age_seconds() >= _KEYS_KEPT_SECONDS:
            await self._fetch()
        known = self._remembered.get(token)
        if known is not None and known.expires_at > clock.now().timestamp():
            return known
        if len(token) > _TOKEN_LENGTH_MAX:
            raise InvalidToken
        caller = await self._verified(token)
        if len(self._remembered) >= _REMEMBERED_MAX:
            self._remembered.clear()
        self._remembered[token] = caller
        return caller

    async def _verified(self, token: str) -> Caller:
        keys = await self._key_set(token)
        try:
            decoded = jwt.decode(token, keys, algorithms=["ES256"])
            self._claims.validate(decoded.claims)
            if decoded.header.get("typ") != "at+jwt":
                raise InvalidToken
            return _caller(decoded.claims, token)
        except (JoseError, ValueError, TypeError, KeyError, OverflowError, RecursionError) as error:
            raise InvalidToken from error

    async def _key_set(self, token: str) -> KeySet:
        """The known keys, read anew when the token names one that is not among them."""
        async with self._fetching:
            if self._keys is None:
                if self._age_seconds() >= _RETRY_SECONDS:
                    await self._fetch()
            elif self._unknown_key(token) and self._age_seconds() >= _REFETCH_SECONDS:
                await self._fetch()
        if self._keys is None:
            raise KeysUnavailable
        return self._keys

    def _age_seconds(self) -> float:
        return clock.monotonic() - self._fetched_at

    async def _fetch(self) -> None:
        """Reads the keys and forgets whom the ones before proved; where they cannot be read, those known stay."""
        self._fetched_at = clock.monotonic()
        try:
            self._keys = KeySet.import_key_set(await self._read())
        except (OSError, ValueError, TypeError, KeyError, JoseError, httpx.HTTPError) as error:
            _log.warning("keys cannot be read", error=type(error).__name__)
            return
        self._remembered.clear()

    def _unknown_key(self, token: str) -> bool:
        assert self._keys is not None
        try:
            kid = json.loads(_decoded(token.split(".", 1)[0])).get("kid")
        except (ValueError, AttributeError, RecursionError):
            raise InvalidToken from None
        return all(key.kid != kid for key in self._keys.keys)

    async def _read(self) -> Any:
        if not self._jwks.startswith("https://"):
            return json.loads(await asyncio.to_thread(Path(self._jwks).read_text))
        async with httpx.AsyncClient(timeout=5.0, trust_env=False) as client:
            response = await client.get(self._jwks)
            response.raise_for_status()
            return response.json()


def _caller(claims: dict[str, Any], token: str) -> Caller:
    """The caller that checked claims name; InvalidToken for claims that name nobody who could be told from others.

    A claim `customer_id` that is there and names no customer must not make the token one that reaches all of them.
    """
    subject, scopes = claims["sub"], claims.get("scope", "")
    customer_id = claims.get("customer_id")
    if not isinstance(scopes, str) or len(subject) > _SUBJECT_LENGTH_MAX or not subject.isprintable():
        raise InvalidToken
    if "customer_id" in claims and not (isinstance(customer_id, str) and customer_id):
        raise InvalidToken
    return Caller(subject, frozenset(scopes.split()), customer_id, token, float(claims["exp"]))


def _decoded(part: str) -> bytes:
    return urlsafe_b64decode(part + "=" * (-len(part) % 4))
