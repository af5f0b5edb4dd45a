"""Six small processes with the outside of the real ones: commands, environment, health, database.

What is under test here is how processes are run, so these start fast and fail on demand. They are written into a folder
that goes before everything else on PYTHONPATH.
"""

import os
import subprocess
import sys
from pathlib import Path

import psutil

SERVICES = ("member", "billing", "campaign", "touchpoint", "scoring")

SETTINGS = """
from chassis.settings import ServiceSettings

class StandInSettings(ServiceSettings):
    {field}
"""

# `migrate` makes a table as its owner; `serve` adds a row as the service and answers health checks.
SERVICE = """
import asyncio, os, signal, sys
import asyncpg, grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

NAME, COMMAND = "{name}", sys.argv[1]

async def migrate():
    connection = await asyncpg.connect(os.environ["TOUCHSTONE_MIGRATION_DATABASE_URL"])
    await connection.execute("CREATE TABLE IF NOT EXISTS starts (pid int)")
    await connection.close()

async def serve():
    connection = await asyncpg.connect(os.environ["TOUCHSTONE_DATABASE_URL"])
    await connection.execute("INSERT INTO starts VALUES ($1)", os.getpid())
    await connection.close()
    servicer = health.aio.HealthServicer()
    await servicer.set(NAME, health_pb2.HealthCheckResponse.SERVING)
    server = grpc.aio.server()
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
    server.add_insecure_port("127.0.0.1:" + os.environ["TOUCHSTONE_GRPC_PORT"])
    await server.start()
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    await stop.wait()
    print(NAME, "stops in order", flush=True)
    await server.stop(1)

if os.environ.get("STAND_IN_FAILS") == NAME + " " + COMMAND:
    sys.exit(NAME + " cannot " + COMMAND + " today")
print(NAME, COMMAND, flush=True)
asyncio.run(migrate() if COMMAND == "migrate" else serve())
"""

GATEWAY_SETTINGS = """
from chassis.settings import ProcessSettings

class GatewaySettings(ProcessSettings):
    http_port: int
    member_target: str
"""

GATEWAY = """
import http.server, os, signal, sys

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == "/readyz" else 404)
        self.end_headers()

signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
http.server.HTTPServer(("127.0.0.1", int(os.environ["TOUCHSTONE_HTTP_PORT"])), Handler).serve_forever()
"""


def write(folder: Path) -> Path:
    """Writes the six packages and gives the folder back."""
    for name in SERVICES:
        field = "member_target: str" if name == "billing" else "pass"
        _package(folder / name, SETTINGS.format(field=field), SERVICE.format(name=name))
    _package(folder / "gateway", GATEWAY_SETTINGS, GATEWAY)
    return folder


def run(packages: Path, *words: str, **environment: str) -> subprocess.Popen[str]:
    """Starts Python with the stand-ins; its output is one stream of text."""
    return subprocess.Popen(
        [sys.executable, *words],
        env={**os.environ, "PYTHONPATH": str(packages), "COLUMNS": "160", **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def read_until(process: subprocess.Popen[str], words: str) -> str:
    """What the process prints up to the line with these words; AssertionError when it ends before."""
    assert process.stdout is not None
    printed = ""
    for line in process.stdout:
        printed += line
        if words in line:
            return printed
    raise AssertionError(f"ended with {process.wait()} before it said {words!r}:\n{printed}")


def processes_on(folder: Path) -> list[psutil.Process]:
    """Living processes that work in the folder, name it on their command line or are configured with it.

    Root's PostgreSQL may have its data elsewhere: then the link to them counts as the folder.
    """
    found = []
    places = {str(folder), str((folder / "postgres" / "data").resolve().parent)}
    for process in psutil.process_iter():
        try:
            words = [*process.cmdline(), process.cwd(), process.environ().get("TOUCHSTONE_JWKS", "")]
            alive = process.status() != psutil.STATUS_ZOMBIE and process.pid != os.getpid()
            if alive and any(place in word for place in places for word in words):
                found.append(process)
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return found


def _package(folder: Path, settings: str, main: str) -> None:
    folder.mkdir(parents=True)
    (folder / "__init__.py").touch()
    (folder / "settings.py").write_text(settings)
    (folder / "__main__.py").write_text(main)
