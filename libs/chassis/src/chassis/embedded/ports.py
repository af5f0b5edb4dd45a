"""Free TCP ports on loopback."""

import secrets
import socket
from pathlib import Path

_EPHEMERAL_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")
_LOWEST = 15_000


def free_port(preferred: int | None = None) -> int:
    """A port nobody listens on now: the preferred one where it is free, else one below the ephemeral range.

    A port out of the ephemeral range could be taken by any outgoing connection before the server binds it, and a client
    that reconnects to a stopped server there can even be connected to itself.
    """
    if preferred is not None and is_free(preferred):
        return preferred
    highest = _first_ephemeral_port() - 1
    for _ in range(200):
        port = _LOWEST + secrets.randbelow(highest - _LOWEST + 1)
        if is_free(port):
            return port
    raise OSError(f"no free port found between {_LOWEST} and {highest}")


def is_free(port: int) -> bool:
    """Whether a server could listen on this port on every address of this machine."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("", port))
        except OSError:
            return False
    return True


def _first_ephemeral_port() -> int:
    try:
        return int(_EPHEMERAL_RANGE.read_text().split()[0])
    except (OSError, ValueError, IndexError):
        return 32_768
