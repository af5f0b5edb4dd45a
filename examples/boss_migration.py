"""BOSS over gRPC: package customers come in batches, become members by rules, and are what they were before.

Run it while `make up` runs. The customers have the same ids and request ids each time, so a second run repeats what is
known; the plan's run is a new one each time and is undone at the end.
"""

import shlex
import time
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Annotated, Any

import cyclopts
import grpc
from google.protobuf.timestamp_pb2 import Timestamp
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from touchstone.member.v1 import customer_service_pb2 as customer_pb
from touchstone.member.v1 import customer_service_pb2_grpc as customer_grpc
from touchstone.member.v1 import member_pb2 as member
from touchstone.member.v1 import membership_service_pb2 as membership_pb
from touchstone.member.v1 import membership_service_pb2_grpc as membership_grpc
from touchstone.member.v1 import package_migration_pb2 as plan_pb
from touchstone.member.v1 import package_migration_service_pb2 as pb
from touchstone.member.v1 import package_migration_service_pb2_grpc as migration_grpc

BATCH = 1000
CALL_SECONDS = 300.0
PLAN_ID = "boss-packages"
RULES = {
    "true-to-gold": (
        '"boss-gold" in customer.packages && lines.exists(l, l.kind == "tv" && l.years >= 5)',
        "gold",
    ),
    "gold-or-three-lines": ('"boss-gold" in customer.packages || customer.line_count >= 3', "silver"),
    "package": ('"boss-basic" in customer.packages', "standard"),
}
RUNNING = {plan_pb.MIGRATION_RUN_STATE_RUNNING, plan_pb.MIGRATION_RUN_STATE_UNDOING}
console = Console(highlight=False, soft_wrap=True)


class Boss:
    """The services that BOSS calls, with its token."""

    def __init__(self, channel: grpc.Channel, token: str) -> None:
        self.customers = customer_grpc.CustomerServiceStub(channel)
        self.memberships = membership_grpc.MembershipServiceStub(channel)
        self.migrations = migration_grpc.PackageMigrationServiceStub(channel)
        self._metadata = [("authorization", f"Bearer {token}")]

    def __call__(self, method: Any, request: Any) -> Any:
        """Calls, or ends with what the service says is wrong."""
        try:
            return method(request, metadata=self._metadata, timeout=CALL_SECONDS)
        except grpc.RpcError as error:
            raise SystemExit(f"{error.code().name}: {error.details()}") from None


def household(number: int) -> customer_pb.UpsertCustomerRequest:
    """The customer of a number: every tenth has the gold package, one to four lines, since 2010 to 2025."""
    since = _at(datetime(2010 + number % 16, 1 + number % 12, 1, tzinfo=UTC))
    package = member.HeldProduct(product_code="boss-gold" if number % 10 == 0 else "boss-basic", since=since)
    kinds = (member.SUBSCRIBER_KIND_TV, member.SUBSCRIBER_KIND_BROADBAND, *[member.SUBSCRIBER_KIND_MOBILE] * 2)
    lines = [
        member.Subscriber(
            subscriber_id=f"boss-{number:06}-{place}",
            kind=kind,
            in_service_since=since,
            products=[package] if place == 0 and number % 7 else [],
        )
        for place, kind in enumerate(kinds[: 1 + number % 4])
    ]
    customer = member.Customer(
        customer_id=f"boss-{number:06}",
        kind=member.CUSTOMER_KIND_HOUSEHOLD,
        display_name=f"Household {number}",
        subscribers=lines,
        registered_at=since,
    )
    return customer_pb.UpsertCustomerRequest(request_id=f"boss-{number:06}", customer=customer)


def upsert(boss: Boss, customers: int) -> None:
    """All customers, a thousand in a call; each has an outcome of its own."""
    started, refused = time.monotonic(), 0
    with _bar() as bar:
        shown = bar.add_task("customers", total=customers)
        for first in range(0, customers, BATCH):
            batch = [household(number) for number in range(first, min(first + BATCH, customers))]
            reply = boss(boss.customers.BatchUpsertCustomers, customer_pb.BatchUpsertCustomersRequest(requests=batch))
            refused += sum(each.WhichOneof("result") == "error" for each in reply.results)
            bar.advance(shown, len(batch))
    _pace("put", customers, started)
    console.print(f"{refused:,} refused")


def plan(rules: dict[str, tuple[str, str]]) -> plan_pb.MigrationPlan:
    """The plan: of its rules the first that holds decides; for whom none does, nothing is done."""
    return plan_pb.MigrationPlan(
        plan_id=PLAN_ID,
        display_name="Packages become tiers",
        rules=[
            plan_pb.MigrationRule(rule_id=rule_id, condition=condition, target=plan_pb.MigrationTarget(tier_id=tier_id))
            for rule_id, (condition, tier_id) in rules.items()
        ],
        spend_days=365,
    )


def put_plan(boss: Boss, stamp: str) -> None:
    """A plan with a faulty rule is refused with its place; the right one is put."""
    faulty = {**RULES, "enterprises": ('customer.kind == "enterprise" && customer.tenure_years >', "gold")}
    for name, wanted in (("faulty", plan(faulty)), ("right", plan(RULES))):
        asked = pb.ValidateMigrationPlanRequest(plan=wanted)
        problems = boss(boss.migrations.ValidateMigrationPlan, asked).problems
        for each in problems:
            console.print(f"[yellow]the {name} plan: {each.field}: {each.description}")
        if not problems:
            put = pb.PutMigrationPlanRequest(request_id=f"plan-{stamp}", plan=wanted)
            version = boss(boss.migrations.PutMigrationPlan, put).plan.version
            console.print(f"[green]the {name} plan is put as version {version}")


def dry_run(boss: Boss, now: datetime) -> None:
    """What the plan would do: counts and samples by rule, and nothing is touched."""
    started = time.monotonic()
    asked = pb.DryRunMigrationRequest(plan_id=PLAN_ID, as_of=_at(now), samples=2)
    answer = boss(boss.migrations.DryRunMigration, asked)
    _pace("tried", answer.total, started)
    _rules("Dry run", answer.rules)


def run(boss: Boss, stamp: str, now: datetime) -> str:
    """The plan applied to everybody, a round of a thousand in each transaction; the run's id."""
    asked = pb.StartMigrationRequest(request_id=f"run-{stamp}", plan_id=PLAN_ID, occurred_at=_at(now))
    begun = boss(boss.migrations.StartMigration, asked).run
    started = time.monotonic()
    _advance(boss, begun, "migrated", stamp)
    done = boss(boss.migrations.GetMigrationRun, pb.GetMigrationRunRequest(run_id=begun.run_id)).run
    _pace("migrated", done.total, started)
    _rules("What was done", done.rules)
    return str(begun.run_id)


def report(boss: Boss, run_id: str) -> None:
    """The first page of the report, a line for each customer."""
    asked = pb.ListMigrationMovesRequest(run_id=run_id, page_size=8, outcome=plan_pb.MIGRATION_OUTCOME_ENROLLED)
    table = Table("customer", "packages", "rule", "outcome", "tier", title="Report, first page", title_justify="left")
    for each in boss(boss.migrations.ListMigrationMoves, asked).moves:
        outcome = _outcome(each.outcome)
        table.add_row(each.customer_id, ", ".join(each.packages), each.rule_id, outcome, each.target.tier_id)
    console.print(table)


def undo(boss: Boss, run_id: str, stamp: str) -> None:
    """The way back: whom the run enrolled is a member no longer."""
    now = datetime.now(UTC)
    asked = pb.UndoMigrationRequest(request_id=f"undo-{stamp}", run_id=run_id, occurred_at=_at(now))
    started = time.monotonic()
    _advance(boss, boss(boss.migrations.UndoMigration, asked).run, "undone", f"{stamp}-back")
    done = boss(boss.migrations.GetMigrationRun, pb.GetMigrationRunRequest(run_id=run_id)).run
    _pace("undone", done.moves_undone, started)
    console.print(f"{done.moves_kept} moves stay")


def show_members(boss: Boss, when: str) -> None:
    """Members by tier."""
    tiers = boss(boss.memberships.CountMembers, membership_pb.CountMembersRequest()).tiers
    console.print(f"[bold]members {when}: " + ", ".join(f"{each.tier_id} {each.members:,}" for each in tiers))


def _advance(boss: Boss, begun: plan_pb.MigrationRun, name: str, stamp: str) -> None:
    """Has rounds done until the run is through. A service left alone does them by and by; this only hurries it."""
    with _bar() as bar:
        shown = bar.add_task(name, total=begun.total)
        for call in count():
            asked = pb.AdvanceMigrationRequest(request_id=f"{name}-{stamp}-{call}", run_id=begun.run_id, rounds=2)
            boss(boss.migrations.AdvanceMigration, asked)
            now = boss(boss.migrations.GetMigrationRun, pb.GetMigrationRunRequest(run_id=begun.run_id)).run
            bar.update(shown, completed=now.done)
            if now.state not in RUNNING:
                bar.update(shown, total=now.done)
                return


def _rules(title: str, rules: Any) -> None:
    table = Table("rule", "outcome", "customers", "such as", title=title, title_justify="left")
    for each in rules:
        samples = ", ".join(each.sample_customer_ids)
        for part in each.counts:
            table.add_row(each.rule_id or "none holds", _outcome(part.outcome), f"{part.customers:,}", samples)
    console.print(table)


def _outcome(number: "plan_pb.MigrationOutcome.ValueType") -> str:
    return plan_pb.MigrationOutcome.Name(number).removeprefix("MIGRATION_OUTCOME_").lower().replace("_", " ")


def _pace(done: str, customers: int, started: float) -> None:
    seconds = time.monotonic() - started
    console.print(f"[green]{customers:,} customers {done} in {seconds:.1f} s, {customers / seconds:,.0f} a second")


def _bar() -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    return Progress(*columns, console=console)


def _at(instant: datetime) -> Timestamp:
    stamp = Timestamp()
    stamp.FromDatetime(instant)
    return stamp


def main(
    *,
    customers: Annotated[int, cyclopts.Parameter(help="How many customers BOSS has.")] = 50_000,
    data: Annotated[Path, cyclopts.Parameter(help="Data folder of the platform.")] = Path(".local"),
) -> None:
    """Show BOSS at work: customers in batches, a migration by rules with its dry run, and its undoing."""
    words = shlex.split((data / "env").read_text(encoding="utf-8"), comments=True)  # export NAME=value …
    env = dict(word.split("=", 1) for word in words if "=" in word)
    now = datetime.now(UTC)
    stamp = f"{now:%Y%m%d%H%M%S}"
    with grpc.insecure_channel(env["MEMBER_GRPC"]) as channel:
        boss = Boss(channel, env["TOKEN"])
        upsert(boss, customers)
        put_plan(boss, stamp)
        dry_run(boss, now)
        show_members(boss, "before")
        run_id = run(boss, stamp, now)
        show_members(boss, "after")
        report(boss, run_id)
        undo(boss, run_id, stamp)
        show_members(boss, "in the end")


if __name__ == "__main__":
    cyclopts.run(main)
