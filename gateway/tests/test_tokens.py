"""Who is let in: tokens, scopes, and a member's own page."""

import pytest
from chassis.testing import Keys
from chassis.tokens import Minter, all_scopes, new_key

from tests.contract.fakes import Fake
from tests.contract.gateways import Gateway
from tests.contract.promises import method_named

PROFILE = "GET /v1/customers/li-2"


def tokens(keys: Keys) -> dict[str, str | None]:
    """Tokens that prove nobody."""
    return {
        "none": None,
        "empty": "",
        "noise": "not.a.token",
        "binary": "\x7f" * 40,
        "expired": keys.mint("operator", ["member.read"], lifetime_seconds=-60),
        "of another key": Minter(new_key()).mint("operator", ["member.read"]),
        "for another audience": Minter(keys.key, audience="elsewhere").mint("operator", ["member.read"]),
        "of another issuer": Minter(keys.key, issuer="somebody").mint("operator", ["member.read"]),
        "too long": "a" * 10_000,
    }


async def test_who_proves_nobody_is_turned_away(gateway: Gateway, keys: Keys) -> None:
    for what, token in tokens(keys).items():
        answer = await gateway.client.send_as(token, PROFILE)
        assert (answer.status_code, answer.json()["reason"]) == (401, "INVALID_TOKEN"), what
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.headers["www-authenticate"] == "Bearer"
    assert all(fake.asked == [] for fake in gateway.fakes)


@pytest.mark.parametrize("scheme", ["Basic", "bearer-ish"])
async def test_another_scheme_is_no_token(gateway: Gateway, keys: Keys, scheme: str) -> None:
    token = keys.mint("operator", ["member.read"])
    answer = await gateway.client.http.get("/v1/customers/li-2", headers={"Authorization": f"{scheme} {token}"})
    assert answer.status_code == 401


async def test_every_route_asks_for_a_token_before_anything_else(gateway: Gateway) -> None:
    asked = 0
    for each in gateway.routes():
        answer = await gateway.client.send_as(None, f"{each.verb} {each.asked}", body={"unknown": 1})
        assert (answer.status_code, answer.json()["reason"]) == (401, "INVALID_TOKEN"), each.path
        asked += 1
    assert asked > 30


async def test_every_route_asks_for_the_scope_of_its_method(gateway: Gateway, keys: Keys) -> None:
    """With every scope but those that the contract admits to the method behind the route."""
    for each in gateway.routes():
        method = each.method.removeprefix("touchstone.")
        admitted = gateway.admitted(each.method).scopes
        token = keys.mint("operator", all_scopes() - admitted)
        answer = await gateway.client.send_as(token, f"{each.verb} {each.asked}", key="k-1", body={})
        assert (answer.status_code, answer.json()["reason"]) == (403, "SCOPE_MISSING"), method
        assert admitted
    assert all(fake.asked == [] for fake in gateway.fakes)


async def test_a_member_is_let_in_where_the_contract_says_and_only_to_the_own_page(
    gateway: Gateway, keys: Keys
) -> None:
    token = keys.mint("li-2", all_scopes(), customer_id="li-2")
    for each in gateway.routes():
        for customer in ("sa-1", "nobody"):
            path = each.asked.replace("{customer_id}", customer)
            answer = await gateway.client.send_as(token, f"{each.verb} {path}", key="k-1", body={})
            assert (answer.status_code, answer.json()["reason"]) == (403, "NOT_YOUR_CUSTOMER"), path
            assert customer not in answer.json()["detail"]
    assert all(fake.asked == [] for fake in gateway.fakes)
    assert (await gateway.client.send_as(token, PROFILE)).status_code == 200


async def test_the_services_see_the_callers_own_token(gateway: Gateway, fakes: dict[str, Fake], keys: Keys) -> None:
    token = keys.mint("operator", ["member.read"])
    assert (await gateway.client.send_as(token, PROFILE)).status_code == 200
    assert fakes["member"].tokens == [f"Bearer {token}"]


def test_a_route_without_an_admission_is_found(keys: Keys) -> None:
    """Every route names the method it stands for, and each such method says whom it admits."""
    described = Gateway.described(keys)
    # Call-backs carry a signature in the place of a token: test_callbacks.py.
    open_paths = {"/livez", "/readyz", "/openapi.json", "/v1/payment-channels/{channel}/callbacks"}
    paths = {getattr(route, "path", "") for route in described.app.routes}
    assert paths >= open_paths
    for each in described.routes():
        assert each.path.startswith("/v1/")
        assert method_named(each.method).full_name == each.method
        assert described.admitted(each.method).scopes, each.path
    named = {each.path for each in described.routes()}
    # Documents are bytes and not part of the description: test_documents.py says who may read them.
    documents = {path for path in paths if path.endswith(".{form}")}
    assert paths - named - documents == open_paths


def test_a_members_route_carries_the_customer_in_its_path(keys: Keys) -> None:
    for each in Gateway.described(keys).routes():
        if Gateway.admitted(each.method).owner_field:
            assert "{customer_id}" in each.path, each.path
