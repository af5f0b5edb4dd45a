"""Who may call what on this machine: one signing key, a token per process, a token for the person at the keyboard."""

import importlib
from collections.abc import Iterable
from typing import Any

from chassis.tokens import Minter, new_key, read_key, write_jwks, write_key

from local.folder import DataFolder, write_private

_YEAR_SECONDS = 365 * 86_400.0

# What each process calls by itself; the gateway passes its caller's token on and needs nothing of its own.
SERVICE_SCOPES: dict[str, tuple[str, ...]] = {
    "member": (),
    "billing": (),
    "campaign": (),
    "touchpoint": ("campaign.decide",),
    "scoring": (),
    "gateway": (),
}


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


def all_scopes() -> frozenset[str]:
    """Every scope that a method of any service asks for, read from the contracts."""
    access = importlib.import_module("touchstone.common.v1.access_pb2").access
    return frozenset(scope for method in _methods() for scope in method.GetOptions().Extensions[access].scopes)


def _methods() -> Iterable[Any]:
    packages = {name: f"touchstone.{name}.v1.{name}_service_pb2" for name in SERVICE_SCOPES if name != "gateway"}
    for module in (*packages.values(), "touchstone.common.v1.operations_service_pb2"):
        for service in importlib.import_module(module).DESCRIPTOR.services_by_name.values():
            yield from service.methods
