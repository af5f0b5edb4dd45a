"""Where a webhook may go: https to public addresses, told from every form that names a place inside.

The standard library's own `is_private` and `is_global` miss several of these ranges in the Python versions
supported here, so the ranges are listed (IANA special-purpose registries for IPv4 and IPv6).
"""

import re
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from urllib.parse import SplitResult, urlsplit

from chassis.errors import InvalidArgument

URL_LENGTH_MAX = 2048
PUBLIC_PORTS = frozenset({443, 8443})
_PRINTABLE = re.compile(r"[!-~]+")

_CLOSED_IPV4 = tuple(
    ip_network(network)
    for network in (
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",
        "127.0.0.0/8",
        "168.63.129.16/32",  # a cloud's own host service behind a public number
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.31.196.0/24",
        "192.52.193.0/24",
        "192.88.99.0/24",
        "192.168.0.0/16",
        "192.175.48.0/24",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/3",
    )
)
_GLOBAL_IPV6 = ip_network("2000::/3")
_CLOSED_IPV6 = tuple(
    ip_network(network) for network in ("2001::/23", "2001:db8::/32", "2002::/16", "2620:4f:8000::/48", "3fff::/20")
)


def is_public(address: IPv4Address | IPv6Address) -> bool:
    """Whether the address is a host on the public internet.

    IPv6 is an allow-list: everything outside 2000::/3 (loopback, mapped, compatible, translated, unique local, link
    local, site local, segment routing, multicast) is closed, and inside it what embeds or documents something.
    """
    if isinstance(address, IPv4Address):
        return not any(address in network for network in _CLOSED_IPV4)
    return address in _GLOBAL_IPV6 and not any(address in network for network in _CLOSED_IPV6)


def check_webhook_url(url: str, *, allow_private: bool) -> None:
    """Refuses (InvalidArgument, field `url`) what is not a plain https URL to a public port.

    With `allow_private`, http and any port are let through as well; that is for a platform on one machine.
    """
    if not 0 < len(url) <= URL_LENGTH_MAX or not _PRINTABLE.fullmatch(url) or "\\" in url:
        raise InvalidArgument("url", f"must be 1 to {URL_LENGTH_MAX} visible ASCII characters without a backslash")
    parts, port = _split(url)
    if parts.scheme != "https" and not (allow_private and parts.scheme == "http"):
        raise InvalidArgument("url", "must begin with https://")
    if not parts.hostname:
        raise InvalidArgument("url", "must name a host")
    if parts.username is not None or parts.password is not None or "#" in url:
        raise InvalidArgument("url", "must hold no user, password or fragment")
    if not allow_private and (443 if port is None else port) not in PUBLIC_PORTS:
        raise InvalidArgument("url", "must use port 443 or 8443")
    _check_literal(parts.hostname, allow_private=allow_private)


def _split(url: str) -> tuple[SplitResult, int | None]:
    try:
        parts = urlsplit(url)
        return parts, parts.port
    except ValueError as error:
        raise InvalidArgument("url", "must be a URL") from error


def _check_literal(host: str, *, allow_private: bool) -> None:
    """An address written as such is refused at once; names, and numbers in disguise, are judged once resolved."""
    try:
        address = ip_address(host)
    except ValueError:
        return
    if not allow_private and not is_public(address):
        raise InvalidArgument("url", "must lead to a public address")
