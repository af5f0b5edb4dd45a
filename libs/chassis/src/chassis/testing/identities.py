"""Tokens for tests, signed by a key made for the run."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pytest
from joserfc.jwk import ECKey

from chassis.tokens import Minter, new_key, write_jwks


@dataclass(frozen=True, slots=True)
class Keys:
    """The signing key, and the file with its public half that a process is configured with."""

    key: ECKey
    jwks: Path

    def mint(
        self,
        subject: str = "boss",
        scopes: Iterable[str] = (),
        *,
        customer_id: str | None = None,
        lifetime_seconds: float = 3600.0,
    ) -> str:
        """A token that the processes under test accept, unless its lifetime is negative."""
        minter = Minter(self.key)
        return minter.mint(subject, scopes, customer_id=customer_id, lifetime_seconds=lifetime_seconds)


@pytest.fixture(scope="session")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    """One signing key for the run."""
    made = Keys(new_key(), tmp_path_factory.mktemp("keys") / "jwks.json")
    write_jwks(made.jwks, made.key)
    return made
