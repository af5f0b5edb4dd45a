"""Signing keys, their public set (JWKS) and the access tokens made with them, for local use and for tests.

In production an identity provider holds the keys and mints; a process is then given the address of that provider's JWKS
and never imports this module. A token is an RFC 9068 access token signed with ES256: `scope` is a list separated by
spaces, and `customer_id` marks the token of a member who may see nobody else's data.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from joserfc import jwt
from joserfc.jwk import ECKey
from touchstone.common.v1.access_pb2 import access

from chassis import clock
from chassis.contracts import services
from chassis.ids import new_id

ALGORITHM = "ES256"
TOKEN_TYPE = "at+jwt"  # noqa: S105 - the media type of an access token, RFC 9068 section 2.1
ISSUER = "touchstone"
AUDIENCE = "touchstone"

# What each process calls by itself. The gateway passes its caller's token on; its own is for the call-backs of payment
# providers, which carry a signature and no token.
SERVICE_SCOPES: dict[str, tuple[str, ...]] = {
    "member": (),
    "billing": ("coupons.write", "points.write", "member.read"),
    "campaign": (),
    "touchpoint": ("campaign.decide",),
    "scoring": (),
    "gateway": ("billing.callback",),
}


def new_key() -> ECKey:
    """A fresh P-256 key whose id is its thumbprint (RFC 7638)."""
    return ECKey.generate_key("P-256", {"use": "sig", "alg": ALGORITHM}, private=True, auto_kid=True)


def write_key(path: Path, key: ECKey) -> None:
    """Writes the private key for its owner alone (0600)."""
    path.unlink(missing_ok=True)
    path.touch(mode=0o600)
    path.write_text(json.dumps(key.as_dict(private=True)))


def read_key(path: Path) -> ECKey:
    """The private key written by `write_key`."""
    return ECKey.import_key(json.loads(path.read_text()))


def write_jwks(path: Path, *keys: ECKey) -> None:
    """Writes the public halves; several while keys are rotated."""
    path.write_text(json.dumps({"keys": [key.as_dict(private=False) for key in keys]}, indent=2) + "\n")


@dataclass(frozen=True, slots=True)
class Minter:
    """Makes the access tokens of one issuer for one audience."""

    key: ECKey
    issuer: str = ISSUER
    audience: str = AUDIENCE

    def mint(
        self,
        subject: str,
        scopes: Iterable[str],
        *,
        customer_id: str | None = None,
        lifetime_seconds: float = 3600.0,
    ) -> str:
        """A signed token for the subject, valid from now on; a negative lifetime makes one that has expired."""
        issued_at = clock.now()
        claims: dict[str, Any] = {
            "iss": self.issuer,
            "aud": self.audience,
            "sub": subject,
            "scope": " ".join(sorted(scopes)),
            "iat": int(issued_at.timestamp()),
            "exp": int((issued_at + timedelta(seconds=lifetime_seconds)).timestamp()),
            "jti": new_id(),
        }
        if customer_id is not None:
            claims["customer_id"] = customer_id
        header = {"alg": ALGORITHM, "typ": TOKEN_TYPE, "kid": self.key.kid}
        return jwt.encode(header, claims, self.key, algorithms=[ALGORITHM])


def all_scopes() -> frozenset[str]:
    """Every scope that a method of any service asks for, read from the contracts."""
    methods = (method for service in services() for method in service.methods)
    return frozenset(scope for method in methods for scope in method.GetOptions().Extensions[access].scopes)
