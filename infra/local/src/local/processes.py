"""The six processes, and the sandbox payment provider beside them: ports, environment, addresses."""

import importlib
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass

from chassis.embedded import Launch
from chassis.embedded.databases import Database
from chassis.settings import PREFIX, ProcessSettings, ServiceSettings

from local.folder import DataFolder
from local.identities import SANDBOX

SERVICES = ("member", "billing", "campaign", "touchpoint", "scoring")
GATEWAY = "gateway"
PROCESSES = (*SERVICES, GATEWAY)
PROVIDER = "provider"
"""The sandbox payment provider: it belongs to the surroundings, not to the platform."""

# An idle OpenMP thread that spins takes the core from the processes beside it.
_EVERYWHERE = {"OMP_WAIT_POLICY": "passive", "PYTHONUNBUFFERED": "1"}


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where a running platform is reached; all of it on loopback."""

    ports: Mapping[str, int]
    nats_url: str
    nats_monitor_url: str

    @property
    def gateway_url(self) -> str:
        """The gateway's REST interface."""
        return f"http://127.0.0.1:{self.ports['gateway.http']}"

    @property
    def provider_url(self) -> str:
        """The sandbox payment provider's interface."""
        return f"http://127.0.0.1:{self.ports[f'{PROVIDER}.http']}"

    def grpc(self, service: str) -> str:
        """A service's gRPC target."""
        return f"127.0.0.1:{self.ports[f'{service}.grpc']}"

    def metrics_url(self, name: str) -> str:
        """A process's page of metrics."""
        return f"http://127.0.0.1:{self.ports[f'{name}.metrics']}/metrics"


def port_names() -> list[str]:
    """The ports that the processes listen on."""
    entrances = [f"{service}.grpc" for service in SERVICES] + [f"{GATEWAY}.http", f"{PROVIDER}.http"]
    return entrances + [f"{name}.metrics" for name in PROCESSES]


@dataclass(frozen=True, slots=True)
class Site:
    """What the processes of one platform are configured with."""

    folder: DataFolder
    addresses: Addresses
    databases: Mapping[str, Database]
    extra: Mapping[str, Mapping[str, str]]

    def launch(self, name: str, command: str, extra: Mapping[str, str] | None = None) -> Launch:
        """How `python -m <name> serve` or `migrate` is started; the owner's login is for `migrate` alone."""
        if name == PROVIDER:
            return self._provider()
        environment = self._inherited() | self._settings(name)
        if command == "migrate":
            environment[f"{PREFIX}MIGRATION_DATABASE_URL"] = self.databases[name].owner_url
        return Launch(
            command=[sys.executable, "-m", name, command],
            log=self.folder.log(name if command == "serve" else f"{name}-{command}"),
            environment={**environment, **self.extra.get(name, {}), **(extra or {})},
            folder=self.folder.root,
        )

    def _provider(self) -> Launch:
        callbacks = f"{self.addresses.gateway_url}/v1/payment-channels/{SANDBOX}/callbacks"
        words = ["--port", str(self.addresses.ports[f"{PROVIDER}.http"]), "--callbacks", callbacks]
        return Launch(
            command=[sys.executable, "-m", "local.provider", *words, "--channels", str(self.folder.payment_channels)],
            log=self.folder.log(PROVIDER),
            environment={**self._inherited(), **self.extra.get(PROVIDER, {})},
            folder=self.folder.root,
        )

    def _settings(self, name: str) -> dict[str, str]:
        """Only what the process knows: it refuses to start on a name of ours that it does not."""
        wished = {
            "bind_host": "127.0.0.1",
            "jwks": str(self.folder.jwks),
            "service_token_file": str(self.folder.token_file(name)),
            "payment_channels_file": str(self.folder.payment_channels),
            # What is played on one machine lies in the year past: its days stay open for it.
            "close_days_after_hours": str(24 * 400),
            "nats_url": self.addresses.nats_url,
            "metrics_port": str(self.addresses.ports[f"{name}.metrics"]),
            **{f"{service}_target": self.addresses.grpc(service) for service in SERVICES},
        }
        if name == GATEWAY:
            wished["http_port"] = str(self.addresses.ports[f"{GATEWAY}.http"])
        else:
            wished["grpc_port"] = str(self.addresses.ports[f"{name}.grpc"])
            wished["database_url"] = self.databases[name].url
        known = settings_of(name).model_fields
        return {f"{PREFIX}{field.upper()}": value for field, value in wished.items() if field in known}

    @staticmethod
    def _inherited() -> dict[str, str]:
        """The surroundings without settings and crash points that were meant for other processes."""
        own = {name: text for name, text in os.environ.items() if not name.startswith((PREFIX, "FAILPOINT"))}
        return own | _EVERYWHERE


def settings_of(name: str) -> type[ProcessSettings]:
    """The settings class that a process declares in its module `settings`."""
    module = importlib.import_module(f"{name}.settings")
    for found in vars(module).values():
        if isinstance(found, type) and issubclass(found, ProcessSettings) and found.__module__ == module.__name__:
            return found
    return ServiceSettings
