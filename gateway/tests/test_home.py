"""The member home page: one call, every part, and what is missing named."""

from typing import Any

import httpx
import pytest
from chassis.testing import Keys
from chassis.tokens import all_scopes
from gateway.routes.home import Home

from tests.contract.fakes import Fake
from tests.contract.gateways import Gateway, gateway_over

AT = "2026-03-01T12:00:00Z"
PARTS = {
    "profile": "member",
    "membership": "member",
    "points": "member",
    "entitlements": "member",
    "open_coupons": "member",
    "tasks": "member",
    "accounts": "billing",
    "open_bills": "billing",
    "offers": "touchpoint",
    "value": "scoring",
}
SCORE = "touchstone.scoring.v1.ScoreService.GetScore"
LISTS = ("touchstone.billing.v1.AccountService.ListAccounts", "touchstone.billing.v1.BillService.ListBills")


async def home(gateway: Gateway, customer: str = "sa-1", query: str = "", **claims: Any) -> httpx.Response:
    """The page as it is asked for."""
    token = gateway.client.keys.mint("app", claims.pop("scopes", all_scopes()), **claims)
    return await gateway.client.send_as(token, f"GET /v1/customers/{customer}/home?as_of={AT}{query}")


def test_the_parts_are_those_of_the_page() -> None:
    assert {*PARTS, "customer_id", "missing"} == set(Home.model_fields)


async def test_all_parts_come_in_one_call(gateway: Gateway) -> None:
    answer = await home(gateway, customer_id="sa-1")
    page = answer.json()
    assert (answer.status_code, page["missing"]) == (200, [])
    assert (page["customer_id"], page["profile"]["display_name"]) == ("sa-1", "Household Li")
    membership = page["membership"]
    assert (membership["tier"]["tier_id"], membership["next_tier"]["tier_id"]) == ("standard", "silver")
    assert page["points"]["balance"]["available"] == 500
    assert [held["tier_id"] for held in page["entitlements"]["tiers"]] == ["standard"]
    assert [coupon["terms"]["display_name"] for coupon in page["open_coupons"]] == ["Ten off"]
    assert page["tasks"] == []
    assert page["accounts"][0]["balance"] == {"minor_units": 4000, "currency": "CNY"}
    assert page["open_bills"][0]["amount"] == {"minor_units": 6000, "currency": "CNY"}
    assert [offer["offer"]["title"] for offer in page["offers"]] == ["A week of films"]
    assert page["value"]["total_minor"] == 5000
    assert (page["value"]["p_alive"], page["value"]["lifetime_value_minor"]) == (None, None)
    assert sorted(len(fake.asked) for fake in gateway.fakes) == [0, 1, 1, 2, 6]


async def test_what_does_not_exist_yet_is_null_and_not_missing(gateway: Gateway) -> None:
    answer = await home(gateway, "sa-9")
    page = answer.json()
    assert (answer.status_code, page["missing"]) == (200, [])
    for part in ("membership", "points", "entitlements", "tasks", "value"):
        assert page[part] is None, part
    for part in ("open_coupons", "accounts", "open_bills", "offers"):
        assert page[part] == [], part
    assert page["profile"]["customer_id"] == "sa-9"


@pytest.mark.parametrize("down", sorted(set(PARTS.values())))
async def test_a_service_that_is_down_takes_its_parts_alone(keys: Keys, fakes: dict[str, Fake], down: str) -> None:
    up = [fake for name, fake in fakes.items() if name != down]
    async with gateway_over(keys, up) as gateway:
        answer = await home(gateway)
    assert answer.status_code == 200
    assert_missing(answer.json(), {part for part, service in PARTS.items() if service == down}, "UNAVAILABLE")


async def test_with_every_service_down_there_is_still_a_page(keys: Keys) -> None:
    async with gateway_over(keys, []) as gateway:
        answer = await home(gateway)
    assert answer.status_code == 200
    assert_missing(answer.json(), set(PARTS), "UNAVAILABLE")


async def test_a_service_that_never_answers_is_waited_for_no_longer_than_the_page_may_take(
    keys: Keys, fakes: dict[str, Fake]
) -> None:
    """The fake never answers at all, so this test ends only because the page keeps its deadline."""
    fakes["scoring"].answers_nothing(SCORE)
    fakes["billing"].answers_nothing(*LISTS)
    async with gateway_over(keys, list(fakes.values()), home_seconds=5.0) as gateway:
        answer = await home(gateway)
    assert answer.status_code == 200
    assert_missing(answer.json(), {"accounts", "open_bills", "value"}, "DEADLINE_EXCEEDED")
    assert fakes["scoring"].asked == [SCORE]


async def test_a_part_that_the_token_does_not_open_is_missing(gateway: Gateway) -> None:
    answer = await home(gateway, scopes=["member.read", "billing.read"])
    assert answer.status_code == 200
    assert_missing(answer.json(), {"offers", "value"}, "SCOPE_MISSING")


async def test_an_unknown_customer_has_no_page(gateway: Gateway) -> None:
    answer = await home(gateway, "nobody")
    assert (answer.status_code, answer.json()["reason"]) == (404, "CUSTOMER_NOT_FOUND")


async def test_a_malformed_customer_has_no_page(gateway: Gateway) -> None:
    answer = await home(gateway, "no%20id")
    assert (answer.status_code, answer.json()["reason"]) == (400, "INVALID_ARGUMENT")
    assert [error["field"] for error in answer.json()["errors"]] == ["customer_id"]


def assert_missing(page: dict[str, Any], parts: set[str], reason: str) -> None:
    """Exactly these parts are missing, for this reason, and all others are there."""
    assert {each["part"]: each["reason"] for each in page["missing"]} == dict.fromkeys(parts, reason)
    assert {part for part in PARTS if page[part] is None} == parts
