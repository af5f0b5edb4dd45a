"""`python -m local.provider`: the sandbox payment provider, until SIGTERM or SIGINT."""

import json
from pathlib import Path

import cyclopts
import uvicorn

from local.provider.app import create_app

app = cyclopts.App(name="local.provider", help="A payment provider that takes no money.")


@app.default
def serve(*, port: int, callbacks: str, channels: Path, late_seconds: float = 2.0) -> None:
    """Serves on loopback, and calls back at the address given.

    Parameters
    ----------
    port
        Port to listen on.
    callbacks
        Where call-backs are sent.
    channels
        The file of payment channels that billing reads: the secret of channel `sandbox` stands there.
    late_seconds
        How long a late call-back takes.
    """
    configured = json.loads(channels.read_text())["channels"]
    secret = next(each["secrets"][0] for each in configured if each["channel"] == "sandbox")
    url = f"http://127.0.0.1:{port}"
    provider = create_app(url=url, callbacks=callbacks, secret=secret, late_seconds=late_seconds)
    uvicorn.run(provider, host="127.0.0.1", port=port, access_log=False, log_level="warning", server_header=False)


if __name__ == "__main__":
    app()
