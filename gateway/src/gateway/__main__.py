"""`python -m gateway serve`, and `python -m gateway openapi` for the description of the interface."""

import json
import sys

import cyclopts
import uvicorn
from chassis import telemetry
from chassis.settings import load_settings

from gateway.app import create_app
from gateway.settings import GatewaySettings

app = cyclopts.App(name="gateway", help="The REST gateway of Touchstone.")


@app.command
def serve() -> None:
    """Serve until SIGTERM or SIGINT, then finish what is in work."""
    settings = load_settings(GatewaySettings)
    telemetry.start("gateway", settings)
    uvicorn.run(
        create_app(settings),
        host=settings.bind_host,
        port=settings.http_port,
        loop="uvloop",
        access_log=False,
        log_level="warning",
        server_header=False,
        timeout_graceful_shutdown=int(settings.shutdown_grace_seconds),
    )


@app.command
def openapi() -> None:
    """Print the description of the interface (OpenAPI 3.1)."""
    targets = {f"{name}_target": "unused" for name in ("member", "billing", "campaign", "touchpoint", "scoring")}
    settings = GatewaySettings(jwks="unused", **targets)  # type: ignore[arg-type]
    sys.stdout.write(json.dumps(create_app(settings).openapi(), indent=2) + "\n")


if __name__ == "__main__":
    app()
