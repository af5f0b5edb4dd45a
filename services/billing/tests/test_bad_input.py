"""Bad input to every method over real gRPC: a clear refusal that names the field, and nothing stored."""

from typing import Any

import pytest
from billing.store import METADATA
from chassis.money import AMOUNT_MAX
from chassis.rpc.errors import from_status
from chassis.testing.serving import Serving
from google.protobuf.timestamp_pb2 import Timestamp
from sqlalchemy import func, select
from touchstone.billing.v1 import account_service_pb2 as account_pb
from touchstone.billing.v1 import bill_service_pb2 as bill_pb
from touchstone.billing.v1 import charging_service_pb2 as charging_pb
from touchstone.common.v1.common_pb2 import Money

from services.billing.tests.calls import (
    Calls,
    adjusted,
    boss,
    charged,
    cny,
    fields,
    opened,
    paid,
    put_plan,
    recharged,
    refused,
    set_plan,
)
from services.billing.tests.factories import ACCOUNT

NOT_IDS = ["", "-x", "a b", "x" * 65, "ключ", "a\x00b", "../etc", "a\n"]
NOT_INSTANTS = [Timestamp(), Timestamp(seconds=-1), Timestamp(seconds=253402300800), Timestamp(seconds=1, nanos=-1)]
TOO_MUCH = [AMOUNT_MAX + 1, 10**15 + 1, 2**63 - 1]
USD = Money(minor_units=1, currency="USD")

Case = tuple[Any, list[str]]


def malformed(build: Any, field: str, values: list[Any]) -> list[Case]:
    """The request with the field set to each value; the refusal is to name the field."""
    return [(build(**{field: value}), [field]) for value in values]


def bad_recharges() -> list[Case]:
    return [
        *malformed(recharged, "account_id", NOT_IDS),
        *malformed(recharged, "customer_id", NOT_IDS[1:]),
        *malformed(recharged, "request_id", ["", "with space", "x" * 129]),
        *malformed(recharged, "channel", ["x" * 65, "a\x00b", "line\nbreak"]),
        *malformed(recharged, "occurred_at", NOT_INSTANTS),
        *((recharged(amount=cny(minor)), ["amount.minor_units"]) for minor in [0, -1, -(2**63), *TOO_MUCH]),
        (recharged("dollars", amount=USD), ["amount.currency"]),
        (recharged(amount=None), ["amount.currency"]),
        (recharged(amount=Money(minor_units=1, currency="yuan")), ["amount.currency"]),
    ]


def bad_charges() -> list[Case]:
    return [
        *malformed(charged, "account_id", NOT_IDS),
        *malformed(charged, "request_id", ["", "with space", "x" * 129]),
        *malformed(charged, "description", ["x" * 501, "a\x00b"]),
        *malformed(charged, "occurred_at", [*NOT_INSTANTS, Timestamp(seconds=253402300799)]),
        *((charged(amount=cny(minor)), ["amount.minor_units"]) for minor in [-1, -(2**63), *TOO_MUCH]),
        (charged("dollars", amount=USD), ["amount.currency"]),
        (charged(amount=None), ["amount.currency"]),
    ]


def bad_adjustments() -> list[Case]:
    return [
        *malformed(adjusted, "account_id", NOT_IDS),
        *malformed(adjusted, "request_id", [""]),
        *malformed(adjusted, "reason", ["", "   ", "x" * 501]),
        *malformed(adjusted, "occurred_at", NOT_INSTANTS),
        *((adjusted(amount=cny(minor)), ["amount.minor_units"]) for minor in [0, -AMOUNT_MAX - 1, *TOO_MUCH]),
        (adjusted(amount=USD), ["amount.currency"]),
    ]


def bad_openings() -> list[Case]:
    return [
        *malformed(opened, "account_id", NOT_IDS),
        *malformed(opened, "customer_id", NOT_IDS),
        *malformed(opened, "plan_id", NOT_IDS[1:]),
        *malformed(opened, "request_id", [""]),
        *malformed(opened, "currency", ["", "cny", "YUAN"]),
        *malformed(opened, "occurred_at", NOT_INSTANTS),
    ]


def bad_payments() -> list[Case]:
    return [
        *malformed(paid, "bill_id", NOT_IDS),
        *malformed(paid, "customer_id", NOT_IDS[1:]),
        *malformed(paid, "request_id", [""]),
        *malformed(paid, "channel", ["x" * 65]),
        *malformed(paid, "occurred_at", NOT_INSTANTS),
    ]


def bad_plans() -> list[Case]:
    return [
        (put_plan(plan_id="a b"), ["plan.plan_id"]),
        (put_plan(display_name=""), ["plan.display_name"]),
        (put_plan(threshold=cny(-1)), ["plan.threshold.minor_units"]),
        (put_plan(threshold=None), ["plan.threshold.currency"]),
        (put_plan(target_balance=cny(49_99)), ["plan.target_balance.minor_units"]),
        (put_plan(target_balance=Money(minor_units=100_00, currency="USD")), ["plan.target_balance.currency"]),
        (put_plan(target_balance=cny(2**63 - 1)), ["plan.target_balance.minor_units"]),
        (put_plan(due_days=-1), ["plan.due_days"]),
        (put_plan(due_days=2**31 - 1), ["plan.due_days"]),
        (bill_pb.PutBillPlanRequest(request_id="p"), ["plan.plan_id"]),
        (put_plan(""), ["request_id"]),
    ]


def bad_plan_settings() -> list[Case]:
    return [
        *malformed(set_plan, "account_id", NOT_IDS),
        *malformed(set_plan, "plan_id", NOT_IDS[1:]),
        *malformed(set_plan, "request_id", [""]),
        *malformed(set_plan, "occurred_at", NOT_INSTANTS),
    ]


def bad_lists(request_type: Any, **wanted: str) -> list[Case]:
    tokens = ["?", "!!!!", "a", "\x00", "Kg", "LTE", "OTk5OTk5OTk5OTk5OTk5OTk5OTk"]
    return [
        (request_type(page_size=-1, **wanted), ["page_size"]),
        (request_type(page_size=501, **wanted), ["page_size"]),
        *((request_type(page_token=token, **wanted), ["page_token"]) for token in tokens),
        (request_type(**{**wanted, "customer_id": "a b"}), ["customer_id"]),
    ]


def cases(calls: Calls) -> list[tuple[Any, list[Case]]]:
    """Every unary method with what it must refuse."""
    accounts, charging, bills = calls.accounts, calls.charging, calls.bills
    account_lists = [
        each for each in bad_lists(account_pb.ListAccountsRequest) if each[0].page_token in {"", "?", "!!!!", "a"}
    ]
    return [
        (accounts.OpenAccount, bad_openings()),
        (accounts.GetAccount, [(account_pb.GetAccountRequest(account_id=value), ["account_id"]) for value in NOT_IDS]),
        (accounts.ListAccounts, account_lists),
        (accounts.Recharge, bad_recharges()),
        (accounts.AdjustBalance, bad_adjustments()),
        (accounts.ListStatementEntries, bad_lists(account_pb.ListStatementEntriesRequest, account_id=ACCOUNT)),
        (charging.Charge, bad_charges()),
        (bills.PutBillPlan, bad_plans()),
        (bills.GetBillPlan, [(bill_pb.GetBillPlanRequest(plan_id=value), ["plan_id"]) for value in NOT_IDS]),
        (bills.SetAccountPlan, bad_plan_settings()),
        (bills.ListBills, [*bad_lists(bill_pb.ListBillsRequest), (bill_pb.ListBillsRequest(state=9), ["state"])]),  # type: ignore[arg-type]
        (bills.PayBill, bad_payments()),
    ]


@pytest.fixture
async def calls(served: Serving) -> Calls:
    """The basic plan, and one account on it with 100 yuan."""
    made = boss(served)
    await made.bills.PutBillPlan(put_plan())
    await made.accounts.OpenAccount(opened())
    await made.accounts.Recharge(recharged())
    return made


async def stored(served: Serving) -> dict[str, int]:
    """Rows of every table, claims and outbox among them."""
    async with served.work.reading() as connection:
        return {
            name: (await connection.execute(select(func.count()).select_from(table))).scalar_one()
            for name, table in METADATA.tables.items()
        }


async def test_malformed_requests_name_the_field_and_store_nothing(served: Serving, calls: Calls) -> None:
    before = await stored(served)
    wrong, tried = [], 0

    for method, bad in cases(calls):
        for request, named in bad:
            refusal = await refused(method, request)
            tried += 1
            if (refusal.code, fields(refusal)) != ("INVALID_ARGUMENT", named):
                wrong.append((request, named, refusal))

    assert wrong == []
    assert tried > 150
    assert await stored(served) == before


async def test_malformed_items_of_a_batch_are_refused_alone(served: Serving, calls: Calls) -> None:
    accounts, charging, bills = calls.accounts, calls.charging, calls.bills
    before = await stored(served)
    batches = [
        (accounts.BatchOpenAccounts, account_pb.BatchOpenAccountsRequest, bad_openings()),
        (accounts.BatchRecharge, account_pb.BatchRechargeRequest, bad_recharges()),
        (charging.BatchCharge, charging_pb.BatchChargeRequest, bad_charges()),
        (bills.BatchPayBills, bill_pb.BatchPayBillsRequest, bad_payments()),
    ]

    for method, request_type, bad in batches:
        # Each item its own request id, but for those whose request id is what is wrong.
        for place, (request, named) in enumerate(bad):
            if named != ["request_id"]:
                request.request_id = f"bad-{place}"
        reply = await method(request_type(requests=[request for request, _ in bad]))
        assert [fields(from_status(result.error)) for result in reply.results] == [named for _, named in bad]

    assert await stored(served) == before


async def test_what_does_not_exist_is_refused_by_name(served: Serving, calls: Calls) -> None:
    before = await stored(served)

    refusals = [
        await refused(calls.accounts.GetAccount, account_pb.GetAccountRequest(account_id="missing")),
        await refused(
            calls.accounts.ListStatementEntries, account_pb.ListStatementEntriesRequest(account_id="missing")
        ),
        await refused(calls.accounts.Recharge, recharged("n1", account_id="missing")),
        await refused(calls.accounts.AdjustBalance, adjusted("n2", account_id="missing")),
        await refused(calls.charging.Charge, charged("n3", account_id="missing")),
        await refused(calls.charging.Charge, charged("n4", account_id="missing", amount=cny(0))),
        await refused(calls.bills.SetAccountPlan, set_plan("n5", account_id="missing")),
        await refused(calls.bills.SetAccountPlan, set_plan("n6", plan_id="missing")),
        await refused(calls.bills.GetBillPlan, bill_pb.GetBillPlanRequest(plan_id="missing")),
        await refused(calls.accounts.OpenAccount, opened("n7", account_id="new", plan_id="missing")),
        await refused(calls.bills.PayBill, paid("n8")),
        await refused(calls.accounts.OpenAccount, opened("n9")),
        await refused(calls.charging.Charge, charged("n10", amount=cny(100_01))),
        await refused(calls.accounts.AdjustBalance, adjusted("n11", amount=cny(-100_01))),
    ]

    assert [refusal.reason for refusal in refusals] == [
        *["ACCOUNT_NOT_FOUND"] * 7,
        *["PLAN_NOT_FOUND"] * 3,
        "BILL_NOT_FOUND",
        "ACCOUNT_EXISTS",
        *["INSUFFICIENT_BALANCE"] * 2,
    ]
    assert await stored(served) == before


async def test_an_oversized_batch_is_refused_as_a_whole(served: Serving, calls: Calls) -> None:
    before = await stored(served)

    refusals = [
        await refused(
            calls.accounts.BatchOpenAccounts,
            account_pb.BatchOpenAccountsRequest(requests=[opened(f"o-{n}", account_id=f"o-{n}") for n in range(1001)]),
        ),
        await refused(
            calls.accounts.BatchRecharge,
            account_pb.BatchRechargeRequest(requests=[recharged(f"r-{n}") for n in range(1001)]),
        ),
        await refused(
            calls.charging.BatchCharge,
            charging_pb.BatchChargeRequest(requests=[charged(f"c-{n}") for n in range(1001)]),
        ),
        await refused(
            calls.bills.BatchPayBills, bill_pb.BatchPayBillsRequest(requests=[paid(f"p-{n}") for n in range(1001)])
        ),
    ]

    assert [(refusal.code, fields(refusal)) for refusal in refusals] == [("INVALID_ARGUMENT", ["requests"])] * 4
    assert await stored(served) == before


async def test_a_full_batch_is_taken(calls: Calls) -> None:
    requests = [charged(f"full-{number}", amount=cny(1)) for number in range(1000)]

    reply = await calls.charging.BatchCharge(charging_pb.BatchChargeRequest(requests=requests))

    assert all(result.HasField("response") for result in reply.results)
    assert reply.results[-1].response.balance_after == cny(90_00)


async def test_largest_amounts_are_taken(calls: Calls) -> None:
    for number in range(3):
        await calls.accounts.Recharge(recharged(f"max-{number}", amount=cny(AMOUNT_MAX)))
    reply = await calls.charging.Charge(charged("max", amount=cny(AMOUNT_MAX)))

    assert reply.balance_after == cny(2 * AMOUNT_MAX + 100_00)
