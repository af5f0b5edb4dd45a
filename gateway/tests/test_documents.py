"""Notices and statements as documents: bytes with a media type, for who may read the account."""

from collections.abc import AsyncIterator

import pytest
from chassis.testing import Keys

from tests.contract.fakes import faking
from tests.contract.gateways import Gateway, gateway_over

ACCOUNT = "/v1/customers/n-cus-1/accounts/n-acc-1"


@pytest.fixture
async def gateway(keys: Keys) -> AsyncIterator[Gateway]:
    """The gateway over billing as its promises have it."""
    async with faking("billing", keys) as fake, gateway_over(keys, [fake]) as made:
        yield made


async def test_a_page_is_answered_as_it_is_and_trusted_with_nothing(gateway: Gateway) -> None:
    answer = await gateway.client.send("GET", f"{ACCOUNT}/notice.html?language=en", ("billing.read",))
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
    policy = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"
    assert answer.headers["content-security-policy"] == policy, "a page whose styles are refused is not read"
    assert answer.headers["content-disposition"].startswith("inline; filename=")
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.content


async def test_a_statement_is_a_pdf_beside_its_data(gateway: Gateway) -> None:
    document = await gateway.client.send("GET", f"{ACCOUNT}/statements/2026-03.pdf", ("billing.read",))
    data = await gateway.client.send("GET", f"{ACCOUNT}/statements/2026-03", ("billing.read",))
    assert document.headers["content-type"] == "application/pdf"
    assert data.json()["statement"]["account_id"] == "n-acc-1"


@pytest.mark.parametrize(("path", "status"), [("notice.exe", 400), ("notice.", 404), ("statements/2026-03.doc", 400)])
async def test_other_forms_are_refused(gateway: Gateway, path: str, status: int) -> None:
    assert (await gateway.client.send("GET", f"{ACCOUNT}/{path}", ("billing.read",))).status_code == status


async def test_documents_are_for_who_may_read(gateway: Gateway) -> None:
    assert (await gateway.client.send("GET", f"{ACCOUNT}/notice.pdf", ("member.read",))).status_code == 403
