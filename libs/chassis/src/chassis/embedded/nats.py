"""A real nats-server with JetStream on loopback, which a stop and a start bring back on the same port."""

import json
import os
import secrets
import signal
import socket
import time
from pathlib import Path

from chassis import clock
from chassis.embedded.child import Child, Launch, ServerDidNotStart
from chassis.embedded.installation import nats_binary
from chassis.embedded.ports import free_port
from chassis.embedded.server import Server

_GIBIBYTE = 1024**3

_CONFIGURATION = """\
server_name: {name}
host: 127.0.0.1
port: {port}
http: 127.0.0.1:{monitor_port}
max_payload: 1MB
{authorization}
jetstream {{
  store_dir: {store}
  max_memory_store: 64MB
  max_file_store: {max_file_store}
}}
"""


class NatsServer(Server):
    """nats-server with JetStream.

    `folder` holds `store/` (the streams), `log` and `nats.conf`. JetStream's default of writing to disk every two
    minutes stays: a killed server loses nothing, and the record is the outbox, not the stream.
    """

    STOPPED_BY = (signal.SIGTERM,)

    def __init__(
        self, folder: Path, *, max_file_store: int = 8 * _GIBIBYTE, user: str = "", password: str = ""
    ) -> None:
        super().__init__(folder)
        self.max_file_store = max_file_store
        self.monitor_port = 0
        self._credentials = (user, password) if user else None
        self._name = ""

    def start(self, *, port: int | None = None, monitor_port: int | None = None, timeout_seconds: float = 30.0) -> None:
        """Starts and waits until clients are greeted, on the given ports, else those of the last start, else free ones.

        The greeting must carry the name made for this very start: another server on the port is no success.
        """
        if self.running:
            raise ServerDidNotStart(f"nats-server in {self.folder} runs already")
        wished, wished_monitor = port or self.port, monitor_port or self.monitor_port
        deadline = clock.monotonic() + timeout_seconds
        while True:
            self.port = wished or free_port()
            self.monitor_port = wished_monitor or free_port()
            self._name = f"touchstone-{secrets.token_hex(6)}"
            self._child = self._launch()
            failure = self._wait_until_ready(self._child, deadline)
            if failure is None:
                return
            self._child.kill()
            chosen_here = {self.port, self.monitor_port} - {wished, wished_monitor}
            taken = any(f":{port}: bind: address already in use" in failure for port in chosen_here)
            if not taken or clock.monotonic() > deadline:
                raise ServerDidNotStart(f"nats-server in {self.folder} did not start:\n{failure}")

    @property
    def url(self) -> str:
        """The address for clients, with the password where one was set."""
        credentials = "{}:{}@".format(*self._credentials) if self._credentials else ""
        return f"nats://{credentials}127.0.0.1:{self.port}"

    @property
    def monitor_url(self) -> str:
        """The address of the monitoring pages, such as /jsz and /healthz."""
        return f"http://127.0.0.1:{self.monitor_port}"

    def _launch(self) -> Child:
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        configuration = self.folder / "nats.conf"
        configuration.touch(mode=0o600)
        configuration.write_text(self._configuration())
        return Child(
            Launch(
                command=[str(nats_binary()), "--config", str(configuration)],
                log=self.log_path,
                environment={"PATH": os.defpath},
                folder=self.folder,
                death_signal=signal.SIGTERM,
            )
        )

    def _configuration(self) -> str:
        authorization = ""
        if self._credentials:
            user, password = map(json.dumps, self._credentials)
            authorization = f"authorization {{ user: {user}, password: {password} }}"
        return _CONFIGURATION.format(
            name=self._name,
            port=self.port,
            monitor_port=self.monitor_port,
            authorization=authorization,
            store=json.dumps(str(self.folder / "store")),
            max_file_store=self.max_file_store,
        )

    def _wait_until_ready(self, child: Child, deadline: float) -> str | None:
        """None when the server greets with its name, else what it said."""
        while child.exit_code() is None:
            if self._greeting().get("server_name") == self._name:
                return None
            if clock.monotonic() > deadline:
                return "not ready in time\n" + child.log_since_start()
            time.sleep(0.005)
        return child.log_since_start()

    def _greeting(self) -> dict[str, object]:
        """The INFO line that a NATS server sends first; empty while there is none."""
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1.0) as connection:
                line = connection.makefile("rb").readline()
        except OSError:
            return {}
        if not line.startswith(b"INFO "):
            return {}
        greeting: dict[str, object] = json.loads(line.removeprefix(b"INFO "))
        return greeting
