# ruff: noqa: INP001 - a script, mounted into a container
"""Makes what an identity provider gives in production: a signing key, its JWKS, a token per caller.

Run by docker-compose.yml in the image of a service, as `keys.py <public folder> <private folder>`. A repeat keeps the
key and makes the tokens anew. The token in `operator`, in the private folder, may call everything.
"""

import sys
from pathlib import Path

from chassis.tokens import SERVICE_SCOPES, Minter, all_scopes, new_key, read_key, write_jwks, write_key

_MONTH_SECONDS = 30 * 86_400.0


def main() -> None:
    """Writes the private key where no service reads, and the public set and the services' tokens where all do."""
    public, signing = (Path(word) for word in sys.argv[1:3])
    private = signing / "signing-key.json"
    if not private.exists():
        write_key(private, new_key())
    key = read_key(private)
    write_jwks(public / "jwks.json", key)
    tokens = {public / name: scopes for name, scopes in SERVICE_SCOPES.items() if scopes}
    for token, scopes in (tokens | {signing / "operator": tuple(all_scopes())}).items():
        token.touch(mode=0o600)
        token.write_text(Minter(key).mint(token.name, scopes, lifetime_seconds=_MONTH_SECONDS))
    sys.stdout.write(f"the operator's token is in {signing / 'operator'}\n")


main()
