"""Package migration over real gRPC: a plan from its problems to its undoing, and bad input of every method."""

from typing import Any

from chassis.errors import Code
from chassis.ids import new_id
from chassis.testing.serving import Serving
from chassis.times import to_proto
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from touchstone.member.v1 import member_pb2
from touchstone.member.v1 import package_migration_pb2 as plan_pb
from touchstone.member.v1 import package_migration_service_pb2 as pb

from services.member.tests.calls import Stubs, methods_of, refused, refuses_bad_input
from services.member.tests.factories import JANUARY, day, upsert_request

OUT_OF_RANGE = Timestamp(seconds=-1)
GOLD = plan_pb.MigrationTarget(tier_id="gold")


def rule(condition: str = '"gold-pack" in customer.packages', **changes: Any) -> plan_pb.MigrationRule:
    """A rule that sends who holds the gold package to gold."""
    values: dict[str, Any] = {"rule_id": "gold", "target": GOLD}
    return plan_pb.MigrationRule(condition=condition, **values | changes)


def plan(*rules: plan_pb.MigrationRule, **changes: Any) -> plan_pb.MigrationPlan:
    """A plan of these rules, or of the one above."""
    values: dict[str, Any] = {"plan_id": "plan", "display_name": "Plan", "spend_days": 365}
    return plan_pb.MigrationPlan(rules=rules or [rule()], **values | changes)


def put_request(*rules: plan_pb.MigrationRule, **changes: Any) -> pb.PutMigrationPlanRequest:
    """A request that puts a plan."""
    return pb.PutMigrationPlanRequest(request_id=new_id(), plan=plan(*rules, **changes))


UNHEARD_OF: Any = 77


def start_request(**changes: Any) -> pb.StartMigrationRequest:
    """A request that starts a run."""
    values: dict[str, Any] = {"request_id": new_id(), "plan_id": "plan", "occurred_at": to_proto(day(1))}
    return pb.StartMigrationRequest(**values | changes)


async def package_customers(boss: Stubs) -> None:
    """One household that holds the gold package, and one that does not."""
    held = member_pb2.HeldProduct(product_code="gold-pack", since=to_proto(JANUARY))
    line = member_pb2.Subscriber(
        subscriber_id="s", kind=member_pb2.SUBSCRIBER_KIND_TV, in_service_since=to_proto(JANUARY), products=[held]
    )
    await boss.customers.UpsertCustomer(upsert_request("c-1", subscribers=[line]))
    await boss.customers.UpsertCustomer(upsert_request("c-2", subscribers=[]))


def counts(rules: Any) -> dict[str, dict[int, int]]:
    """Customers by rule and outcome."""
    return {each.rule_id: {count.outcome: count.customers for count in each.counts} for each in rules}


async def test_a_plan_from_its_problems_to_its_undoing(boss: Stubs) -> None:
    await package_customers(boss)
    wrong = pb.ValidateMigrationPlanRequest(plan=plan(rule("customer.salary > 1"), spend_days=0))
    problems = (await boss.migrations.ValidateMigrationPlan(wrong)).problems
    assert [problem.field for problem in problems] == ["plan.spend_days", "plan.rules[0].condition"]
    assert problems[1].description.startswith("line 1, column 10: ")
    unread = pb.ValidateMigrationPlanRequest(plan=plan(plan_id="a b"))
    assert [each.field for each in (await boss.migrations.ValidateMigrationPlan(unread)).problems] == ["plan.plan_id"]
    asked = pb.DryRunMigrationRequest(plan=plan(), as_of=to_proto(day(1)), samples=1)
    tried = await boss.migrations.DryRunMigration(asked)
    expected = {"gold": {plan_pb.MIGRATION_OUTCOME_ENROLLED: 1}, "": {plan_pb.MIGRATION_OUTCOME_UNMATCHED: 1}}
    assert (tried.total, counts(tried.rules)) == (2, expected)
    assert [list(each.sample_customer_ids) for each in tried.rules] == [["c-1"], ["c-2"]]
    await boss.migrations.PutMigrationPlan(put_request())
    run_id = (await boss.migrations.StartMigration(start_request())).run.run_id
    advance = pb.AdvanceMigrationRequest(request_id="advance", run_id=run_id)
    done = await boss.migrations.AdvanceMigration(advance)
    assert (done.done, done.state) == (2, plan_pb.MIGRATION_RUN_STATE_DONE)
    assert await boss.migrations.AdvanceMigration(advance) == done
    run = (await boss.migrations.GetMigrationRun(pb.GetMigrationRunRequest(run_id=run_id))).run
    assert (run.done, counts(run.rules)) == (2, expected)
    undo = pb.UndoMigrationRequest(request_id="undo", run_id=run_id, occurred_at=to_proto(day(2)))
    assert (await boss.migrations.UndoMigration(undo)).run.state == plan_pb.MIGRATION_RUN_STATE_UNDOING
    await boss.migrations.AdvanceMigration(pb.AdvanceMigrationRequest(request_id="back", run_id=run_id, rounds=1))
    (listed,) = (await boss.migrations.ListMigrationRuns(pb.ListMigrationRunsRequest())).runs
    assert listed.state == plan_pb.MIGRATION_RUN_STATE_UNDONE
    only = pb.ListMigrationMovesRequest(run_id=run_id, undo=plan_pb.MIGRATION_UNDO_UNDONE)
    (move,) = (await boss.migrations.ListMigrationMoves(only)).moves
    assert (move.customer_id, move.rule_id, list(move.packages)) == ("c-1", "gold", ["gold-pack"])


BAD: list[tuple[str, Message, list[str]]] = [
    ("PutMigrationPlan", put_request(plan_id="a b"), ["plan.plan_id"]),
    ("PutMigrationPlan", put_request(display_name="a\x00"), ["plan.display_name"]),
    ("PutMigrationPlan", put_request(spend_days=-1), ["plan.spend_days"]),
    ("PutMigrationPlan", put_request(spend_days=2**31 - 1), ["plan.spend_days"]),
    ("PutMigrationPlan", put_request(rule(rule_id="")), ["plan.rules[0].rule_id"]),
    ("PutMigrationPlan", put_request(rule("1 +")), ["plan.rules[0].condition"]),
    ("PutMigrationPlan", put_request(rule("")), ["plan.rules[0].condition"]),
    ("PutMigrationPlan", put_request(rule("x" * 4001)), ["plan.rules[0].condition"]),
    ("PutMigrationPlan", put_request(rule("\x00")), ["plan.rules[0].condition"]),
    ("PutMigrationPlan", put_request(rule(target=None)), ["plan.rules[0].target.tier_id"]),
    (
        "PutMigrationPlan",
        put_request(rule(target=plan_pb.MigrationTarget(tier_id="none"))),
        ["plan.rules[0].target.tier_id"],
    ),
    (
        "PutMigrationPlan",
        put_request(default_target=plan_pb.MigrationTarget(program_id="none", tier_id="a")),
        ["plan.default_target.program_id"],
    ),
    ("PutMigrationPlan", pb.PutMigrationPlanRequest(plan=plan()), ["request_id"]),
    ("GetMigrationPlan", pb.GetMigrationPlanRequest(plan_id="/"), ["plan_id"]),
    ("GetMigrationPlan", pb.GetMigrationPlanRequest(plan_id="plan", version=-1), ["version"]),
    ("ListMigrationPlans", pb.ListMigrationPlansRequest(page_size=501), ["page_size"]),
    ("DryRunMigration", pb.DryRunMigrationRequest(plan=plan()), ["as_of"]),
    ("DryRunMigration", pb.DryRunMigrationRequest(plan=plan(), as_of=OUT_OF_RANGE), ["as_of"]),
    ("DryRunMigration", pb.DryRunMigrationRequest(as_of=to_proto(day(1))), ["plan_id"]),
    ("DryRunMigration", pb.DryRunMigrationRequest(plan=plan(), as_of=to_proto(day(1)), samples=21), ["samples"]),
    (
        "DryRunMigration",
        pb.DryRunMigrationRequest(plan=plan(rule("foo")), as_of=to_proto(day(1))),
        ["plan.rules[0].condition"],
    ),
    ("StartMigration", start_request(plan_id=""), ["plan_id"]),
    ("StartMigration", start_request(version=-(2**63)), ["version"]),
    ("StartMigration", start_request(occurred_at=None), ["occurred_at"]),
    ("StartMigration", start_request(request_id=""), ["request_id"]),
    ("AdvanceMigration", pb.AdvanceMigrationRequest(request_id="r", run_id="a b"), ["run_id"]),
    ("AdvanceMigration", pb.AdvanceMigrationRequest(request_id="r", run_id="a", rounds=-1), ["rounds"]),
    ("AdvanceMigration", pb.AdvanceMigrationRequest(run_id="a"), ["request_id"]),
    ("GetMigrationRun", pb.GetMigrationRunRequest(), ["run_id"]),
    ("ListMigrationRuns", pb.ListMigrationRunsRequest(page_token="§"), ["page_token"]),
    ("ListMigrationMoves", pb.ListMigrationMovesRequest(run_id=""), ["run_id"]),
    ("ListMigrationMoves", pb.ListMigrationMovesRequest(run_id="a", outcome=UNHEARD_OF), ["outcome"]),
    ("ListMigrationMoves", pb.ListMigrationMovesRequest(run_id="a", undo=UNHEARD_OF), ["undo"]),
    ("ListMigrationMoves", pb.ListMigrationMovesRequest(run_id="a", page_size=-1), ["page_size"]),
    ("UndoMigration", pb.UndoMigrationRequest(request_id="r", run_id="{}", occurred_at=to_proto(day(1))), ["run_id"]),
    ("UndoMigration", pb.UndoMigrationRequest(request_id="r", run_id="a"), ["occurred_at"]),
]

UNKNOWN: list[tuple[str, Message, str]] = [
    ("GetMigrationPlan", pb.GetMigrationPlanRequest(plan_id="none"), "PLAN_NOT_FOUND"),
    ("DryRunMigration", pb.DryRunMigrationRequest(plan_id="none", as_of=to_proto(day(1))), "PLAN_NOT_FOUND"),
    ("StartMigration", start_request(plan_id="none"), "PLAN_NOT_FOUND"),
    ("AdvanceMigration", pb.AdvanceMigrationRequest(request_id="r", run_id="none"), "RUN_NOT_FOUND"),
    ("GetMigrationRun", pb.GetMigrationRunRequest(run_id="none"), "RUN_NOT_FOUND"),
    ("ListMigrationMoves", pb.ListMigrationMovesRequest(run_id="none"), "RUN_NOT_FOUND"),
    (
        "UndoMigration",
        pb.UndoMigrationRequest(request_id="r", run_id="none", occurred_at=to_proto(day(1))),
        "RUN_NOT_FOUND",
    ),
]


async def test_bad_input_names_its_field_and_stores_nothing(served: Serving, boss: Stubs) -> None:
    await package_customers(boss)
    await refuses_bad_input(served, boss, BAD, UNKNOWN)
    assert methods_of(pb) - {"ValidateMigrationPlan"} == {name for name, _, _ in BAD}
    member = Stubs.of(served.channel("member.admin", subject="c-1", customer_id="c-1"))
    assert (await refused(member, "StartMigration", start_request())).code is Code.PERMISSION_DENIED
