"""Where a webhook may not go: every way to write or to resolve to a place inside is refused."""

from ipaddress import ip_address

import pytest
from chassis.errors import InvalidArgument
from touchpoint.clients.webhook import Address, AddressRefused, GuardedTransport, WebhookSender, resolve
from touchpoint.domain.address import check_webhook_url, is_public

CLOSED = [
    "0.0.0.0",
    "0.1.2.3",
    "10.0.0.1",
    "100.64.0.1",
    "100.100.100.200",
    "127.0.0.1",
    "127.255.255.254",
    "168.63.129.16",
    "169.254.169.254",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.1",
    "192.0.2.1",
    "192.88.99.1",
    "192.168.1.1",
    "198.18.0.1",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "239.255.255.250",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::127.0.0.1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "::ffff:8.8.8.8",
    "64:ff9b::7f00:1",
    "64:ff9b:1::1",
    "100::1",
    "2001::1",
    "2001:db8::1",
    "2002:7f00:1::",
    "3fff::1",
    "5f00::1",
    "fc00::1",
    "fd12:3456::1",
    "fe80::1",
    "fec0::1",
    "ff02::1",
]
OPEN = ["1.1.1.1", "8.8.8.8", "100.63.255.255", "100.128.0.1", "172.32.0.1", "223.255.255.255", "2606:4700::1111"]

# The system's resolver reads these as 127.0.0.1 or 0.0.0.0, though they do not look like it.
DISGUISED = ["0x7f000001", "2130706433", "0177.0.0.1", "127.1", "0", "localhost"]


@pytest.mark.parametrize("address", CLOSED)
def test_an_address_inside_is_not_public(address: str) -> None:
    assert not is_public(ip_address(address))


@pytest.mark.parametrize("address", OPEN)
def test_an_address_outside_is_public(address: str) -> None:
    assert is_public(ip_address(address))


@pytest.mark.parametrize("address", CLOSED)
def test_an_address_inside_is_refused_as_it_is_written(address: str) -> None:
    host = f"[{address}]" if ":" in address else address
    with pytest.raises(InvalidArgument, match="public"):
        check_webhook_url(f"https://{host}/hook", allow_private=False)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "https://",
        "https:///hook",
        "http://partner.example/hook",
        "HTTP://partner.example/hook",
        "ftp://partner.example/hook",
        "file:///etc/passwd",
        "gopher://partner.example/",
        "unix:/var/run/docker.sock",
        "//partner.example/hook",
        "partner.example/hook",
        "https://user@partner.example/hook",
        "https://user:secret@partner.example/hook",
        "https://partner.example@127.0.0.1/hook",
        "https://partner.example/hook#fragment",
        "https://partner.example:22/hook",
        "https://partner.example:0/hook",
        "https://partner.example:99999/hook",
        "https://partner.example:port/hook",
        "https://partner.example\\@127.0.0.1/hook",
        "https://partner.example /hook",
        "https://partner.example/ho\nok",
        "https://①②⑦.⓪.⓪.①/hook",
        "https://пример.example/hook",
        "https://[::1/hook",
        "https://" + "a" * 2050,
    ],
)
def test_what_is_not_a_plain_https_url_is_refused(url: str) -> None:
    with pytest.raises(InvalidArgument, match="url"):
        check_webhook_url(url, allow_private=False)


@pytest.mark.parametrize(
    "url", ["https://partner.example/hook?x=1", "https://8.8.8.8/", "https://partner.example:8443"]
)
def test_a_plain_https_url_passes(url: str) -> None:
    check_webhook_url(url, allow_private=False)


def test_on_one_machine_loopback_passes_when_it_is_allowed_and_other_schemes_do_not() -> None:
    check_webhook_url("http://127.0.0.1:9999/hook", allow_private=True)
    with pytest.raises(InvalidArgument, match="url"):
        check_webhook_url("ftp://127.0.0.1/hook", allow_private=True)


@pytest.mark.parametrize("host", [*DISGUISED, "127.0.0.1", "::1", "no-such-host.invalid"])
async def test_a_host_that_resolves_to_a_place_inside_is_refused(host: str) -> None:
    with pytest.raises(AddressRefused):
        await GuardedTransport(allow_private=False).judged(host, 443)


@pytest.mark.parametrize("host", DISGUISED)
async def test_a_number_in_disguise_is_refused_at_registration(host: str) -> None:
    sender = WebhookSender(allow_private=False, timeout_seconds=5)
    check_webhook_url(f"https://{host}/hook", allow_private=False)
    with pytest.raises(InvalidArgument, match="url"):
        await sender.check_reachable(f"https://{host}/hook")
    await sender.aclose()


async def test_one_address_inside_among_public_ones_refuses_them_all() -> None:
    async def two_faced(host: str, port: int) -> list[Address]:
        return [ip_address("8.8.8.8"), ip_address("127.0.0.1")]

    with pytest.raises(AddressRefused):
        await GuardedTransport(allow_private=False, resolve=two_faced).judged("partner.example", 443)


async def test_the_resolver_gives_addresses_without_their_zone() -> None:
    assert set(map(str, await resolve("localhost", 443))) <= {"127.0.0.1", "::1"}
