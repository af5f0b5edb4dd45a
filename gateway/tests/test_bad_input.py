"""Bad input is answered with a problem that names the field, and reaches no service."""

from typing import Any

import httpx
import pytest
from chassis.tokens import all_scopes
from gateway.problems import Problem

from tests.contract.gateways import Body, Gateway
from tests.contract.promises import method_named

AT = "2026-03-01T12:00:00Z"
RECHARGE = "POST /v1/customers/bb-1/accounts/ab-1/recharges"
CAMPAIGN = "PUT /v1/campaigns/ca-1"
CUSTOMER = "PUT /v1/customers/li-1"
HOLD = "POST /v1/customers/mb-4/points/holds"


def recharge(**changed: Any) -> dict[str, Any]:
    """A recharge as it should be, but for what is changed."""
    return {"amount": {"minor_units": 10000, "currency": "CNY"}, "channel": "app", "occurred_at": AT} | changed


def plan(**changed: Any) -> dict[str, Any]:
    """A plan as it should be, but for what is changed."""
    offer = {"offer_id": "o", "title": "t"}
    values = {"display_name": "n", "event_type": "top_up_succeeded", "offer": offer, "touchpoints": ["TP09"]}
    return values | changed


def customer(**changed: Any) -> dict[str, Any]:
    """A customer as it should be, but for what is changed."""
    return {"kind": "HOUSEHOLD", "display_name": "n", "registered_at": AT} | changed


def amount(minor_units: Any) -> dict[str, Any]:
    """A recharge of something that may be no amount."""
    return recharge(amount={"minor_units": minor_units, "currency": "CNY"})


def raw_amount(text: str) -> bytes:
    """The same as it stands on the wire, for numbers that only JSON can spell."""
    return f'{{"amount":{{"minor_units":{text},"currency":"CNY"}},"channel":"app","occurred_at":"{AT}"}}'.encode()


LINE = {"subscriber_id": "s", "kind": "TV", "in_service_since": AT}
NO_INTEGERS: list[Any] = ["1.00", "100", 1.5, True, None, [], {}, 2**63, 2**53, -(2**53), -(2**63) - 1]
NO_TIMES: list[Any] = ["yesterday", "2026-03-01T12:00:00", "", 1, 1.5, None, "99999-01-01T00:00:00Z", True]
NO_BODIES: list[Any] = [b"", b"{", b"\xff", b"null", [], b'"text"']
BAD: list[tuple[str, Body, str]] = [
    *((RECHARGE, amount(value), "amount.minor_units") for value in NO_INTEGERS),
    *((RECHARGE, raw_amount(text), "amount.minor_units") for text in ("1e400", "-1e400", "1e2", "NaN", "Infinity")),
    (RECHARGE, recharge(amount={"minor_units": 1}), "amount.currency"),
    (RECHARGE, recharge(amount={"minor_units": 1, "currency": "CNY", "cents": 1}), "amount.cents"),
    (RECHARGE, recharge(amount=100), "amount"),
    (RECHARGE, recharge(bonus=1), "bonus"),
    (RECHARGE, raw_amount("1").replace(b'"app"', b'"\\ud800"'), "channel"),
    (RECHARGE, {"amount": {"minor_units": 1, "currency": "CNY"}}, "occurred_at"),
    *((RECHARGE, recharge(occurred_at=at), "occurred_at") for at in NO_TIMES),
    *((RECHARGE, body, "body") for body in NO_BODIES),
    (
        CUSTOMER,
        customer(subscribers=[LINE | {"kind": "RADIO"}]),
        "subscribers[0].kind",
    ),
    (CUSTOMER, customer(persons=[{"person_id": "p"}]), "persons[0].display_name"),
    (CUSTOMER, customer(kind="household"), "kind"),
    (CAMPAIGN, plan(opportunity_hours=2**31), "opportunity_hours"),
    (CAMPAIGN, plan(priority="1"), "priority"),
    (CAMPAIGN, plan(touchpoints="TP09"), "touchpoints"),
    (CAMPAIGN, plan(starts_at="soon"), "starts_at"),
    (HOLD, {"points": "200", "occurred_at": AT, "expires_at": AT}, "points"),
]


async def test_a_bad_body_is_refused_by_the_name_of_its_field(gateway: Gateway) -> None:
    faults = []
    for call, body, field in BAD:
        answer = await gateway.client.send_as(everything(gateway), call, key="k-1", body=body)
        problem = Problem.model_validate(answer.json())
        found = (answer.status_code, problem.status, problem.reason, [error.field for error in problem.errors])
        if found != (400, 400, "INVALID_ARGUMENT", [field]):
            faults.append((call, body, found))
        assert answer.headers["content-type"] == "application/problem+json"
    assert faults == []
    assert reached(gateway) == []


@pytest.mark.parametrize("key", [None, "", "k" * 129, "k 1", "k\x07", "k\u00e9"])
async def test_what_writes_needs_a_key(gateway: Gateway, key: str | None) -> None:
    writing = [each for each in gateway.routes() if "request_id" in method_named(each.method).input_type.fields_by_name]
    for each in writing:
        headers = {"Authorization": f"Bearer {everything(gateway)}".encode()}
        if key is not None:
            headers["Idempotency-Key"] = key.encode("latin-1")
        sent = httpx.Headers({name.encode(): value for name, value in headers.items()})
        answer = await gateway.client.http.request(each.verb, each.asked, headers=sent, json={})
        assert (answer.status_code, answer.json()["reason"]) == (400, "INVALID_ARGUMENT"), each.path
        assert "Idempotency-Key" in [error["field"] for error in answer.json()["errors"]], each.path
    assert len(writing) > 10
    assert reached(gateway) == []


async def test_every_bad_field_is_named_at_once(gateway: Gateway) -> None:
    body = {"amount": {"minor_units": "1"}, "bonus": 1}
    answer = await gateway.client.send_as(everything(gateway), RECHARGE, body=body)
    assert sorted(error["field"] for error in answer.json()["errors"]) == [
        "Idempotency-Key",
        "amount.currency",
        "amount.minor_units",
        "bonus",
        "occurred_at",
    ]


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("page_size=501", "page_size"),
        ("page_size=-1", "page_size"),
        ("page_size=ten", "page_size"),
        ("page_size=1e1", "page_size"),
        (f"page_token={'a' * 301}", "page_token"),
    ],
)
async def test_a_bad_page_is_named(gateway: Gateway, query: str, field: str) -> None:
    paged = [each for each in gateway.routes() if any(p.name == field for p in each.route.dependant.query_params)]
    for each in paged:
        answer = await gateway.client.send_as(everything(gateway), f"GET {each.asked}?{query}")
        assert answer.status_code == 400, each.path
        assert field in [error["field"] for error in answer.json()["errors"]], each.path
    assert len(paged) > 8
    assert reached(gateway) == []


@pytest.mark.parametrize(
    ("call", "field"),
    [
        ("GET /v1/customers/sa-1/home?as_of=now", "as_of"),
        ("GET /v1/customers/sa-1/points?as_of=2026-03-01", "as_of"),
        ("GET /v1/customers/sa-1/bills?state=open", "state"),
        ("GET /v1/campaigns?state=UNSPECIFIED", "state"),
    ],
)
async def test_a_bad_query_is_named(gateway: Gateway, call: str, field: str) -> None:
    answer = await gateway.client.send_as(everything(gateway), call)
    assert (answer.status_code, [error["field"] for error in answer.json()["errors"]]) == (400, [field])
    assert reached(gateway) == []


@pytest.mark.parametrize("body", [b"[" * 100_000, b'{"amount": ' + b"9" * 5000 + b"}"], ids=["deep", "long number"])
async def test_a_body_made_to_hurt_is_refused(gateway: Gateway, body: bytes) -> None:
    answer = await gateway.client.send_as(everything(gateway), RECHARGE, key="k-1", body=body)
    assert answer.status_code == 400
    assert reached(gateway) == []


def everything(gateway: Gateway) -> str:
    """A token of an operator who may do everything."""
    return gateway.client.keys.mint("operator", all_scopes())


def reached(gateway: Gateway) -> list[str]:
    """What the services were asked."""
    return [method for fake in gateway.fakes for method in fake.asked]
