"""Plans that make members of package customers: put them, look at what is wrong with them, try them out."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import NamedTuple

from chassis.calendar import Calendar
from chassis.errors import FieldViolation, InvalidArgument
from chassis.paging import Page
from chassis.work import Transaction

from member.domain.customer import CustomerId
from member.domain.membership import Holder
from member.domain.package_migration import (
    BY_DEFAULT,
    MAX_SAMPLES,
    Compiled,
    Judged,
    MigrationPlan,
    Outcome,
    PlanId,
    Planned,
    PlanNotFound,
    RuleId,
    Tally,
    check_plan,
    target_violations,
)
from member.store import Connection, members, programs
from member.store import package_migrations as store

CUSTOMERS_PER_PAGE = 1_000


@dataclass(frozen=True, slots=True)
class PutPlan:
    """Create the plan or a new version of it."""

    plan: MigrationPlan
    put_by: str

    def __post_init__(self) -> None:
        check_plan(self.plan)


@dataclass(frozen=True, slots=True)
class DryRun:
    """Try a plan out at an instant, with so many customers named for each rule."""

    plan: MigrationPlan
    as_of: datetime
    samples: int

    def __post_init__(self) -> None:
        if not 0 <= self.samples <= MAX_SAMPLES:
            raise InvalidArgument("samples", f"must be from 0 to {MAX_SAMPLES}")
        check_plan(self.plan)


class Tried(NamedTuple):
    """What a plan would do: customers looked at, and what each rule comes to, the default last."""

    total: int
    rules: list[tuple[RuleId, Tally]]


async def put_plan(transaction: Transaction, command: PutPlan) -> MigrationPlan:
    """Put the plan. Putting what is known already makes no new version. InvalidArgument also for targets that the
    programs do not have."""
    connection = transaction.connection
    problems = await _target_problems(connection, command.plan)
    if problems:
        raise InvalidArgument.many(problems)
    await store.lock_plan(connection, command.plan.plan_id)
    known = await store.find_plan(connection, command.plan.plan_id, None)
    if known is not None and known == replace(command.plan, version=known.version):
        return known
    plan = replace(command.plan, version=known.version + 1 if known else 1)
    await store.insert_plan(connection, plan, put_by=command.put_by, recorded_at=transaction.recorded_at)
    return plan


async def get_plan(connection: Connection, plan_id: PlanId, version: int | None) -> MigrationPlan:
    """The plan in a version, or in its last; PlanNotFound."""
    plan = await store.find_plan(connection, plan_id, version)
    if plan is None:
        raise PlanNotFound(plan_id)
    return plan


async def list_plans(connection: Connection, page: Page) -> list[MigrationPlan]:
    """Plans by id, each in its last version, one more than the page holds where there are more."""
    return await store.list_plans(connection, after=page.after, limit=page.wanted)


async def validate_plan(connection: Connection, plan: MigrationPlan) -> list[FieldViolation]:
    """Everything that is wrong with the plan."""
    try:
        check_plan(plan)
    except InvalidArgument as refusal:
        return [*refusal.violations, *await _target_problems(connection, plan)]
    return await _target_problems(connection, plan)


async def dry_run(connection: Connection, command: DryRun, calendar: Calendar) -> Tried:
    """What the plan would do with everybody, on one snapshot; touches nothing."""
    problems = await _target_problems(connection, command.plan)
    if problems:
        raise InvalidArgument.many(problems)
    compiled = Compiled(command.plan, command.as_of, calendar)
    tallies = {rule_id: Tally() for rule_id in (*(rule.rule_id for rule in command.plan.rules), BY_DEFAULT)}
    total, after = 0, CustomerId("")
    while True:
        judged = await judge_next(connection, compiled, command.as_of, after=after)
        for planned in await plan_all(connection, compiled, judged):
            _count(tallies, planned, command.samples)
        total += len(judged)
        if len(judged) < CUSTOMERS_PER_PAGE:
            return Tried(total, list(tallies.items()))
        after = judged[-1].customer.customer_id
        await asyncio.sleep(0)  # other calls get their turn


async def judge_next(
    connection: Connection, compiled: Compiled, as_of: datetime, *, after: CustomerId, most: int = CUSTOMERS_PER_PAGE
) -> list[Judged]:
    """What the rules make of the next customers."""
    page = await store.next_customers(connection, compiled.plan, as_of, after=after, most=most)
    return [compiled.judge(customer) for customer in page]


async def plan_all(connection: Connection, compiled: Compiled, judged: Sequence[Judged]) -> list[Planned]:
    """What is to be done with each, in the light of the memberships that they have."""
    holders = [_holder(each) for each in judged]
    wanted = {holder for holder in holders if holder is not None}
    known = await members.find_members(connection, wanted) if wanted else {}
    return [
        compiled.plan_for(each, known.get(holder) if holder else None)
        for each, holder in zip(judged, holders, strict=True)
    ]


def undecided_of(judged: Sequence[Judged]) -> dict[RuleId, int]:
    """By rule, for how many its condition could not be decided."""
    return Counter(rule_id for each in judged for rule_id in each.undecided)


async def _target_problems(connection: Connection, plan: MigrationPlan) -> list[FieldViolation]:
    known = await programs.find_programs(connection, {target.program_id for _, target in plan.targets()})
    return list(target_violations(plan, known))


def _holder(judged: Judged) -> Holder | None:
    return Holder(judged.customer.customer_id, judged.target.program_id) if judged.target else None


def _count(tallies: dict[RuleId, Tally], planned: Planned, samples: int) -> None:
    tally = tallies[planned.judged.rule_id]
    tally.outcomes[Outcome(planned.outcome)] += 1
    if len(tally.samples) < samples:
        tally.samples.append(planned.judged.customer.customer_id)
    for rule_id in planned.judged.undecided:
        tallies[rule_id].undecided += 1
