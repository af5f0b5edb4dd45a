"""What holds for every answer and every caller: headers, limits, pages, faults of services and of our own."""

from typing import Any

import pytest
from chassis.testing import Keys
from chassis.tokens import all_scopes
from gateway.problems import Problem
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from tests.contract.fakes import Fake
from tests.contract.gateways import Gateway, gateway_over

PROFILE = "GET /v1/customers/li-2"
HEADERS = {
    "cache-control": "no-store",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
}


def token(keys: Keys, subject: str = "operator") -> str:
    """A token of somebody who may do everything."""
    return keys.mint(subject, all_scopes())


def a_fault() -> None:
    """Stands for a mistake in a route."""
    raise ZeroDivisionError("secret")


@pytest.mark.parametrize(
    ("call", "status"),
    [
        (PROFILE, 200),
        ("GET /v1/customers/nobody", 404),
        ("GET /v1/nothing", 404),
        ("GET /elsewhere", 404),
        ("DELETE /v1/customers/li-2", 405),
        ("OPTIONS /v1/customers/li-2", 405),
        ("PUT /v1/customers/li-2", 400),
        ("GET /v1/customers/mb-9/points", 503),
        ("GET /v1/broken", 500),
        ("GET /livez", 200),
        ("GET /readyz", 200),
        ("GET /openapi.json", 200),
    ],
)
async def test_every_answer_carries_the_headers(gateway: Gateway, keys: Keys, call: str, status: int) -> None:
    gateway.app.add_api_route("/v1/broken", a_fault)
    answer = await gateway.client.send_as(token(keys), call)
    assert answer.status_code == status
    assert {name: answer.headers.get(name) for name in HEADERS} == HEADERS
    if status >= 400:
        assert answer.headers["content-type"] == "application/problem+json"
        assert Problem.model_validate(answer.json()).status == answer.status_code
    assert not [name for name in answer.headers if name.startswith("access-control-")]


async def test_a_span_is_named_by_the_route_and_not_by_the_customer(
    keys: Keys, fakes: dict[str, Fake], monkeypatch: pytest.MonkeyPatch
) -> None:
    spans, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(spans))
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", provider)
    async with gateway_over(keys, list(fakes.values())) as gateway:
        for call in (PROFILE, "GET /v1/customers/nobody", "GET /v1/nothing", "GET /livez"):
            await gateway.client.send_as(token(keys), call)
    named = [span.name for span in spans.get_finished_spans() if span.name.startswith("GET")]
    assert named == ["GET /v1/customers/{customer_id}"] * 2 + ["GET"]


async def test_a_fault_of_our_own_tells_nothing(gateway: Gateway, keys: Keys) -> None:
    gateway.app.add_api_route("/v1/broken", a_fault)
    answer = await gateway.client.send_as(token(keys), "GET /v1/broken")
    assert (answer.json()["reason"], answer.json()["detail"]) == ("INTERNAL", "internal error")
    assert "secret" not in answer.text


async def test_what_is_not_allowed_says_what_is(gateway: Gateway, keys: Keys) -> None:
    answer = await gateway.client.send_as(token(keys), "DELETE /livez")
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET")


async def test_pages_of_other_origins_get_nothing(gateway: Gateway) -> None:
    asking = {"Origin": "https://elsewhere.example", "Access-Control-Request-Method": "GET"}
    answer = await gateway.client.http.options("/v1/customers/li-2", headers=asking)
    assert answer.status_code == 405
    assert not [name for name in answer.headers if name.startswith("access-control-")]


@pytest.mark.parametrize("over", [0, 1])
async def test_a_body_has_a_longest_length(keys: Keys, fakes: dict[str, Fake], over: int) -> None:
    async with gateway_over(keys, list(fakes.values()), body_bytes_max=2048) as gateway:
        body = b'{"state":"LIVE"}'.ljust(2048 + over)
        answer = await gateway.client.send_as(token(keys), "PUT /v1/campaigns/ca-4/state", key="s-1", body=body)
    assert answer.status_code == (413 if over else 200)
    assert answer.headers["x-content-type-options"] == "nosniff"


async def test_a_body_of_untold_length_is_refused(gateway: Gateway, keys: Keys) -> None:
    async def pieces() -> Any:
        yield b"{}"

    headers = {"Authorization": f"Bearer {token(keys)}", "Idempotency-Key": "k"}
    answer = await gateway.client.http.put("/v1/campaigns/ca-4/state", headers=headers, content=pieces())
    assert (answer.status_code, answer.json()["reason"]) == (411, "LENGTH_REQUIRED")


async def test_a_caller_has_so_many_requests_a_minute_and_takes_none_of_others(
    keys: Keys, fakes: dict[str, Fake]
) -> None:
    async with gateway_over(keys, list(fakes.values()), requests_per_minute=3) as gateway:
        statuses = [(await gateway.client.send_as(token(keys), PROFILE)).status_code for _ in range(3)]
        refused = await gateway.client.send_as(token(keys), PROFILE)
        other = await gateway.client.send_as(token(keys, "another"), PROFILE)
    assert statuses == [200, 200, 200]
    assert (refused.status_code, refused.json()["reason"]) == (429, "TOO_MANY_REQUESTS")
    assert int(refused.headers["retry-after"]) > 0
    assert other.status_code == 200
    assert len(fakes["member"].asked) == 4


async def test_a_service_that_is_down_is_a_problem_worth_trying_again(keys: Keys) -> None:
    async with gateway_over(keys, []) as gateway:
        answer = await gateway.client.send_as(token(keys), PROFILE)
    assert (answer.status_code, answer.json()["reason"], answer.headers["retry-after"]) == (503, "UNAVAILABLE", "1")


async def test_a_service_that_never_answers_is_given_up(keys: Keys, fakes: dict[str, Fake]) -> None:
    """The fake never answers at all, so this test ends only because the request keeps its deadline."""
    fakes["member"].answers_nothing("touchstone.member.v1.CustomerService.GetCustomer")
    async with gateway_over(keys, list(fakes.values()), request_seconds=1.0) as gateway:
        answer = await gateway.client.send_as(token(keys), PROFILE)
    assert (answer.status_code, answer.json()["reason"]) == (504, "DEADLINE_EXCEEDED")


async def test_a_page_token_leads_from_page_to_page(gateway: Gateway, keys: Keys) -> None:
    first = (await gateway.client.send_as(token(keys), "GET /v1/customers/ba-6/accounts?page_size=1")).json()
    path = "GET /v1/customers/ba-6/accounts?page_size=1&page_token=made-next"
    rest = (await gateway.client.send_as(token(keys), path)).json()
    assert first["next_page_token"] != ""
    assert rest["next_page_token"] == ""
    assert [page["accounts"][0]["account_id"] for page in (first, rest)] == ["aa-6", "aa-7"]
