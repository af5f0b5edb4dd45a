"""Who may call what on this machine: one signing key, a token per process, a token for the person at the keyboard, and
the secret that billing and the sandbox payment provider sign with."""

import base64
import json

from chassis.tokens import SERVICE_SCOPES, Minter, new_key, read_key, write_jwks, write_key

from local.folder import DataFolder, write_private

SANDBOX = "sandbox"
"""The channel of the sandbox payment provider."""

_YEAR_SECONDS = 365 * 86_400.0


def minter(folder: DataFolder) -> Minter:
    """The minter of this folder; makes the key and its public set at the first call."""
    folder.prepare()
    if not folder.signing_key.exists():
        write_key(folder.signing_key, new_key())
    key = read_key(folder.signing_key)
    write_jwks(folder.jwks, key)
    return Minter(key)


def write_service_tokens(folder: DataFolder) -> None:
    """A token for each process, in a file that only this user reads; made anew at every start."""
    mint = minter(folder).mint
    for name, scopes in SERVICE_SCOPES.items():
        write_private(folder.token_file(name), mint(name, scopes, lifetime_seconds=_YEAR_SECONDS))


def write_payment_channels(folder: DataFolder, provider_url: str) -> None:
    """The one channel of this machine, with a secret that stays."""
    secret = base64.b64encode(folder.password("payment-provider").encode()).decode()
    sandbox = {
        "channel": SANDBOX,
        "base_url": provider_url,
        "secrets": [f"whsec_{secret}"],
        "redirects": True,
        "stores_tokens": True,
        "refunds": True,
    }
    write_private(folder.payment_channels, json.dumps({"channels": [sandbox]}, indent=2) + "\n")
