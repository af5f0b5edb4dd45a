"""The published description of the interface (OpenAPI 3.1): problems as they are sent, and an example of every body."""

from http import HTTPStatus
from typing import Any

from fastapi import FastAPI

from gateway.problems import Problem

DESCRIPTION = """
What channel apps and operators call. Every request carries an access token; everything that writes carries an
`Idempotency-Key`, and a repeat with the same key gets the first answer. Amounts are integers in minor units, errors are
problem details (RFC 9457) with a stable `reason`, lists are paged by `next_page_token`.
"""
TAGS = [
    {"name": "home", "description": "The member home page: everything at once."},
    {"name": "customers", "description": "Customers, their persons and service lines."},
    {"name": "consents", "description": "What persons agreed to, purpose by purpose."},
    {"name": "care", "description": "Customer managers, holidays and the care calendar."},
    {"name": "memberships", "description": "Enrolment, tiers and what is missing to the next."},
    {"name": "programs", "description": "Programs, their versions, and which of them is in force."},
    {"name": "benefits", "description": "What customers are entitled to, the use of benefits, and grants."},
    {"name": "package migration", "description": "Plans that make members of package customers, and their runs."},
    {"name": "points", "description": "Points, their statement, holds, spending, transfers and pools."},
    {"name": "earning", "description": "What members earn by which rules, and points that ripen."},
    {"name": "coupons", "description": "Coupons, codes, quotes and redemptions; templates and their figures."},
    {"name": "tasks", "description": "Tasks, sign-ins, streaks and what they give."},
    {"name": "activities", "description": "Activities, registrations, waiting lists and checking in."},
    {"name": "clubs", "description": "VIP clubs: their rules, who joins and leaves."},
    {"name": "merchants", "description": "Alliance merchants, members' codes, sales and settlements."},
    {"name": "shop", "description": "The rewards shop: items, stock and orders."},
    {"name": "billing", "description": "Accounts, recharges, statements and bills."},
    {"name": "bills", "description": "Bill plans, bills and how accounts stand with them."},
    {"name": "notices", "description": "Payment notices and statements; closed days, exports and differences."},
    {"name": "accounts", "description": "What a balance consists of: gifts, credit limits, and who pays."},
    {"name": "charges", "description": "Charges with how they came about, reservations and usage."},
    {"name": "catalog", "description": "Products, versions of their prices, and discounts by tier."},
    {"name": "orders", "description": "Orders, and subscriptions changed and cancelled in mid-cycle."},
    {"name": "balance migration", "description": "Earmarked balances that become one: plans and their runs."},
    {"name": "payments", "description": "Payments through channels, stored means of payment, automatic top-up."},
    {"name": "touchpoint", "description": "Offers at touchpoints, contacts and partners' webhooks."},
    {"name": "campaign", "description": "The catalogue, campaigns and decisions."},
    {"name": "scoring", "description": "Value scores and the runs they come from."},
]
_PROBLEM = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
_PROBLEMS = {
    **{
        str(status): {"description": HTTPStatus(status).phrase, "content": _PROBLEM}
        for status in (400, 401, 403, 404, 409, 411, 413, 429, 503, 504)
    },
    "default": {"description": "Any other problem", "content": _PROBLEM},
}


class Described(FastAPI):
    """An application whose description is completed."""

    def openapi(self) -> dict[str, Any]:
        """The description, made once. Problems are the same for all routes, and written in at the end: as responses of
        each they would be made a dozen times for each when the process starts."""
        if self.openapi_schema is None:
            document = super().openapi()
            schemas = document["components"]["schemas"]
            problem = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
            schemas |= {**problem.pop("$defs"), "Problem": problem}
            for methods in document["paths"].values():
                for operation in methods.values():
                    _complete(operation, schemas)
        assert self.openapi_schema is not None
        return self.openapi_schema


def _complete(operation: dict[str, Any], schemas: dict[str, Any]) -> None:
    operation["responses"] |= _PROBLEMS
    for content in operation.get("requestBody", {}).get("content", {}).values():
        content["example"] = _example(content["schema"], schemas)


_SAMPLES = {"string": "text", "integer": 1, "number": 0.5, "boolean": True}


def _example(schema: dict[str, Any], schemas: dict[str, Any], within: frozenset[str] = frozenset()) -> Any:
    """A value of the schema, put together from the examples of its fields; a schema within itself ends there."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return _example(schemas[name], schemas, within | {name})
    if "examples" in schema:
        return schema["examples"][0]
    if "enum" in schema or "const" in schema:
        return schema["const"] if "const" in schema else schema["enum"][0]
    if "anyOf" in schema:
        return _example(schema["anyOf"][0], schemas, within)
    if schema["type"] == "array":
        return [_example(schema["items"], schemas, within)]
    if schema["type"] != "object":
        return _SAMPLES[schema["type"]]
    return {
        name: _example(field, schemas, within)
        for name, field in schema.get("properties", {}).items()
        if name in schema.get("required", ()) or "examples" in field or _opens(field.get("items", {}), within)
    }


def _opens(items: dict[str, Any], within: frozenset[str]) -> bool:
    """Whether a list's items are a schema not entered yet."""
    return "$ref" in items and items["$ref"].rpartition("/")[2] not in within
