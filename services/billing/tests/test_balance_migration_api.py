"""Balance migration over real gRPC: a plan from its loading to its undoing, and bad input of every method."""

from typing import Any

import pytest
from chassis.errors import Code
from chassis.ids import new_id
from chassis.money import AMOUNT_MAX
from chassis.rpc.errors import RemoteRefusal
from chassis.testing.calls import fields, methods_of, refused, refuses_bad_input
from chassis.testing.serving import DATED_LONG_AGO, Serving
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from touchstone.billing.v1 import balance_migration_pb2 as migration_pb
from touchstone.billing.v1 import balance_migration_service_pb2 as pb
from touchstone.billing.v1 import balance_migration_service_pb2_grpc as migration_grpc
from touchstone.common.v1.common_pb2 import Money

from services.billing.tests.calls import AT, boss, cny, opened, put_plan
from services.billing.tests.factories import ACCOUNT

CASH, GIFT = migration_pb.EARMARKED_TARGET_CASH, migration_pb.EARMARKED_TARGET_GIFT
SCOPES = ("billing.admin", "billing.write", "billing.read", "billing.jobs")
OUT_OF_RANGE = Timestamp(seconds=-1)
AT_THE_END = Timestamp(seconds=250_300_000_000)
NOT_IDS = ["", "a b", "x" * 65, "../etc", "a\x00b"]
UNHEARD_OF: Any = 77


@pytest.fixture
def settings() -> dict[str, Any]:
    """Business time is the tests' own, and runs go on only when they are told to."""
    return {**DATED_LONG_AGO, "timed_work": False}


class Caller:
    """The calls about balance migration."""

    def __init__(self, served: Serving, *scopes: str) -> None:
        channel = served.channel(*(scopes or SCOPES), subject="ops")
        self.stub: Any = migration_grpc.BalanceMigrationServiceStub(channel)

    def method(self, name: str) -> Any:
        """The method with this name."""
        return getattr(self.stub, name)


def rule(**changed: Any) -> migration_pb.EarmarkedRule:
    """Broadband's balances become cash."""
    values: dict[str, Any] = {"earmark": "broadband", "target": CASH}
    return migration_pb.EarmarkedRule(**values | changed)


def put(*rules: migration_pb.EarmarkedRule, **changed: Any) -> pb.PutBalanceMigrationPlanRequest:
    """Puts a plan of these rules, or of the one above."""
    values: dict[str, Any] = {"plan_id": "universal", "display_name": "One balance", "currency": "CNY"}
    plan = migration_pb.BalanceMigrationPlan(rules=rules or [rule()], **values | changed)
    return pb.PutBalanceMigrationPlanRequest(request_id=new_id(), plan=plan)


def earmarked(balance_id: str = "b-1", **changed: Any) -> migration_pb.EarmarkedBalance:
    """100 yuan for broadband."""
    values: dict[str, Any] = {"account_id": ACCOUNT, "earmark": "broadband", "amount": cny(100_00)}
    return migration_pb.EarmarkedBalance(balance_id=balance_id, **values | changed)


def load(*balances: migration_pb.EarmarkedBalance, **changed: Any) -> pb.LoadEarmarkedBalancesRequest:
    """Loads balances."""
    values: dict[str, Any] = {"request_id": new_id(), "plan_id": "universal"}
    return pb.LoadEarmarkedBalancesRequest(balances=balances, **values | changed)


def start(**changed: Any) -> pb.StartBalanceMigrationRequest:
    """Starts a run."""
    values: dict[str, Any] = {"request_id": new_id(), "run_id": "run-1", "plan_id": "universal", "occurred_at": AT}
    return pb.StartBalanceMigrationRequest(**values | changed)


def undo(**changed: Any) -> pb.UndoBalanceMigrationRequest:
    """Undoes it."""
    values: dict[str, Any] = {"request_id": new_id(), "run_id": "run-1", "reason": "wrong file", "occurred_at": AT}
    return pb.UndoBalanceMigrationRequest(**values | changed)


def advance(run_id: str = "run-1", request_id: str = "advance") -> pb.AdvanceBalanceMigrationRequest:
    """Goes on."""
    return pb.AdvanceBalanceMigrationRequest(request_id=request_id, run_id=run_id)


async def stocked(served: Serving) -> Caller:
    """The calls, where the account is open."""
    calls = boss(served)
    await calls.bills.PutBillPlan(put_plan())
    await calls.accounts.OpenAccount(opened(plan_id=""))
    return Caller(served)


async def test_a_plan_from_its_loading_to_its_undoing(served: Serving) -> None:
    caller = await stocked(served)
    ops = caller.stub
    promotion = rule(earmark="promotion", target=GIFT, rate_denominator=3, gift_days=30)
    plan = (await ops.PutBalanceMigrationPlan(put(rule(), promotion))).plan
    assert (plan.revision, plan.frozen, plan.rules[0].rate_numerator) == (1, False, 1)
    loaded = await ops.LoadEarmarkedBalances(
        load(earmarked(), earmarked("b-2", earmark="promotion", amount=cny(100)), earmarked("b-3", account_id="none"))
    )
    assert (loaded.loaded, [each.reason for each in loaded.refused]) == (2, ["ACCOUNT_NOT_FOUND"])
    run = (await ops.StartBalanceMigration(start())).run
    assert (run.state, run.total, run.started_by) == (migration_pb.BALANCE_MIGRATION_STATE_RUNNING, 2, "ops")
    assert (await ops.AdvanceBalanceMigration(advance())).balances == 2
    assert (await ops.AdvanceBalanceMigration(advance())).balances == 2, "a repeat has the same answer"
    asked = pb.GetBalanceMigrationRequest(run_id="run-1")
    run = (await ops.GetBalanceMigration(asked)).run
    assert (run.state, run.done, run.proven) == (migration_pb.BALANCE_MIGRATION_STATE_APPLIED, 2, True)
    assert [(each.cash, each.gift, each.rounding_parts) for each in run.sums] == [
        (cny(100_00), cny(0), 0),
        (cny(0), cny(33), 1),
    ]
    assert (await ops.GetBalanceMigrationPlan(pb.GetBalanceMigrationPlanRequest(plan_id="universal"))).plan.frozen
    page = await ops.ListBalanceMigrationItems(pb.ListBalanceMigrationItemsRequest(run_id="run-1", page_size=1))
    assert [item.transaction_id for item in page.items] == ["migration:run-1/b-1"]
    listed = pb.ListBalanceMigrationItemsRequest(run_id="run-1", page_token=page.next_page_token)
    (gift,) = (await ops.ListBalanceMigrationItems(listed)).items
    assert (gift.target, gift.new_amount, gift.HasField("expires_at")) == (GIFT, cny(33), True)
    assert (await ops.UndoBalanceMigration(undo())).run.undone_because == "wrong file"
    assert (await ops.AdvanceBalanceMigration(advance("", "back"))).balances == 2
    run = (await ops.GetBalanceMigration(asked)).run
    assert (run.state, run.proven) == (migration_pb.BALANCE_MIGRATION_STATE_UNDONE, True)
    assert [each.taken_back for each in run.sums] == [cny(100_00), cny(33)]
    again = await refused(caller, "UndoBalanceMigration", undo())
    assert (again.code, again.reason) == (Code.FAILED_PRECONDITION, "MIGRATION_NOT_TO_UNDO")


BAD: list[tuple[str, Message, list[str]]] = [
    *(("PutBalanceMigrationPlan", put(plan_id=bad), ["plan.plan_id"]) for bad in NOT_IDS),
    *(("PutBalanceMigrationPlan", put(rule(earmark=bad)), ["plan.rules[0].earmark"]) for bad in NOT_IDS),
    *(("StartBalanceMigration", start(run_id=bad), ["run_id"]) for bad in NOT_IDS),
    *(("StartBalanceMigration", start(plan_id=bad), ["plan_id"]) for bad in NOT_IDS),
    *(("LoadEarmarkedBalances", load(earmarked(bad)), ["balances[0].balance_id"]) for bad in NOT_IDS),
    *(("LoadEarmarkedBalances", load(earmarked(account_id=bad)), ["balances[0].account_id"]) for bad in NOT_IDS),
    *(("LoadEarmarkedBalances", load(earmarked(earmark=bad)), ["balances[0].earmark"]) for bad in NOT_IDS),
    *(
        ("LoadEarmarkedBalances", load(earmarked(amount=cny(bad))), ["balances[0].amount.minor_units"])
        for bad in (-1, -(2**63), AMOUNT_MAX + 1, 2**63 - 1)
    ),
    ("PutBalanceMigrationPlan", pb.PutBalanceMigrationPlanRequest(plan=put().plan), ["request_id"]),
    ("PutBalanceMigrationPlan", put(display_name=" "), ["plan.display_name"]),
    ("PutBalanceMigrationPlan", put(display_name="a\nb"), ["plan.display_name"]),
    ("PutBalanceMigrationPlan", put(display_name="x" * 201), ["plan.display_name"]),
    ("PutBalanceMigrationPlan", put(currency="yuan"), ["plan.currency"]),
    ("PutBalanceMigrationPlan", put(*[rule(earmark=f"e-{n}") for n in range(101)]), ["plan.rules"]),
    ("PutBalanceMigrationPlan", put(rule(), rule()), ["plan.rules[1].earmark"]),
    ("PutBalanceMigrationPlan", put(rule(target=0)), ["plan.rules[0].target"]),
    ("PutBalanceMigrationPlan", put(rule(target=UNHEARD_OF)), ["plan.rules[0].target"]),
    ("PutBalanceMigrationPlan", put(rule(rate_numerator=-1)), ["plan.rules[0].rate_numerator"]),
    ("PutBalanceMigrationPlan", put(rule(rate_denominator=2**62)), ["plan.rules[0].rate_denominator"]),
    ("PutBalanceMigrationPlan", put(rule(gift_days=2**31 - 1)), ["plan.rules[0].gift_days"]),
    ("PutBalanceMigrationPlan", put(rule(priority=-1)), ["plan.rules[0].priority"]),
    ("GetBalanceMigrationPlan", pb.GetBalanceMigrationPlanRequest(plan_id="/"), ["plan_id"]),
    ("LoadEarmarkedBalances", load(earmarked(), plan_id="a b"), ["plan_id"]),
    ("LoadEarmarkedBalances", load(earmarked(), request_id=""), ["request_id"]),
    ("LoadEarmarkedBalances", load(), ["balances"]),
    ("LoadEarmarkedBalances", load(*[earmarked(f"b-{n}") for n in range(5_001)]), ["balances"]),
    ("LoadEarmarkedBalances", load(earmarked(), earmarked()), ["balances[1].balance_id"]),
    ("LoadEarmarkedBalances", load(earmarked(amount=None)), ["balances[0].amount.currency"]),
    (
        "LoadEarmarkedBalances",
        load(earmarked(), earmarked("b-2", amount=Money(minor_units=1, currency="¥"))),
        ["balances[1].amount.currency"],
    ),
    ("LoadEarmarkedBalances", load(earmarked(expires_at=OUT_OF_RANGE)), ["balances[0].expires_at"]),
    ("LoadEarmarkedBalances", load(earmarked(expires_at=AT_THE_END)), ["balances[0].expires_at"]),
    ("StartBalanceMigration", start(request_id="r" * 129), ["request_id"]),
    ("StartBalanceMigration", start(occurred_at=None), ["occurred_at"]),
    ("StartBalanceMigration", start(occurred_at=OUT_OF_RANGE), ["occurred_at"]),
    ("StartBalanceMigration", start(occurred_at=AT_THE_END), ["occurred_at"]),
    ("GetBalanceMigration", pb.GetBalanceMigrationRequest(), ["run_id"]),
    ("ListBalanceMigrationItems", pb.ListBalanceMigrationItemsRequest(run_id="*"), ["run_id"]),
    ("ListBalanceMigrationItems", pb.ListBalanceMigrationItemsRequest(run_id="r", page_size=501), ["page_size"]),
    ("ListBalanceMigrationItems", pb.ListBalanceMigrationItemsRequest(run_id="r", page_token="§"), ["page_token"]),
    ("UndoBalanceMigration", undo(run_id=""), ["run_id"]),
    ("UndoBalanceMigration", undo(reason=" "), ["reason"]),
    ("UndoBalanceMigration", undo(reason="x" * 501), ["reason"]),
    ("UndoBalanceMigration", undo(occurred_at=AT_THE_END), ["occurred_at"]),
    ("UndoBalanceMigration", undo(request_id=""), ["request_id"]),
    ("AdvanceBalanceMigration", advance("a b"), ["run_id"]),
    ("AdvanceBalanceMigration", advance(request_id=""), ["request_id"]),
]
UNKNOWN: list[tuple[str, Message, str]] = [
    ("GetBalanceMigrationPlan", pb.GetBalanceMigrationPlanRequest(plan_id="none"), "MIGRATION_PLAN_NOT_FOUND"),
    ("LoadEarmarkedBalances", load(earmarked(), plan_id="none"), "MIGRATION_PLAN_NOT_FOUND"),
    ("StartBalanceMigration", start(plan_id="none"), "MIGRATION_PLAN_NOT_FOUND"),
    ("GetBalanceMigration", pb.GetBalanceMigrationRequest(run_id="none"), "MIGRATION_RUN_NOT_FOUND"),
    ("ListBalanceMigrationItems", pb.ListBalanceMigrationItemsRequest(run_id="none"), "MIGRATION_RUN_NOT_FOUND"),
    ("UndoBalanceMigration", undo(run_id="none"), "MIGRATION_RUN_NOT_FOUND"),
    ("AdvanceBalanceMigration", advance("none"), "MIGRATION_RUN_NOT_FOUND"),
]


async def test_bad_input_is_refused_and_leaves_nothing(served: Serving) -> None:
    caller = await stocked(served)
    await refuses_bad_input(served, caller, BAD, UNKNOWN)
    assert {name for name, _, _ in BAD} == methods_of(pb)


async def test_who_may_call(served: Serving) -> None:
    """Every method needs one of its scopes; a member's token opens none of them."""
    strangers = [Caller(served, "billing.order", "billing.recharge")]
    first = {name: request for name, request, _ in BAD}
    for caller in strangers:
        for name, request in first.items():
            refusal: RemoteRefusal = await refused(caller, name, request)
            assert (refusal.code, fields(refusal)) == (Code.PERMISSION_DENIED, []), name
