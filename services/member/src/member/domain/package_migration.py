"""Package customers become members: plans of ordered rules, runs that apply them in rounds, and the way back."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple, NewType

import cel
from chassis.calendar import Calendar
from chassis.errors import FieldViolation, InvalidArgument, NotFound, Refusal
from chassis.violations import range_violations

from member.domain.customer import CustomerId
from member.domain.membership import Member, MemberId
from member.domain.package_rule import (
    PackageCustomer,
    compile_condition,
    condition_context,
    condition_violations,
    holds,
)
from member.domain.program import Program, ProgramId, TierId
from member.domain.text import MAX_NAME_CHARACTERS, line_violations

PlanId = NewType("PlanId", str)
RuleId = NewType("RuleId", str)
RunId = NewType("RunId", str)

# What stands where a rule's id would: nobody's rule, the plan's default.
BY_DEFAULT = RuleId("")

MAX_RULES = 100
MAX_SPEND_DAYS = 3_660
MAX_SAMPLES = 20


class PlanNotFound(NotFound):
    """No plan has this id, or no version this number."""

    def __init__(self, plan_id: PlanId) -> None:
        super().__init__("no plan has this id and version", plan_id=plan_id)


class RunNotFound(NotFound):
    """No run has this id."""

    def __init__(self, run_id: RunId) -> None:
        super().__init__("no run has this id", run_id=run_id)


class MigrationUnderWay(Refusal):
    """One run at a time is applied or undone."""

    def __init__(self) -> None:
        super().__init__("another run is being applied or undone")


class RunUndone(Refusal):
    """The run is being undone already, or was."""

    def __init__(self, run_id: RunId) -> None:
        super().__init__("the run is being undone already, or was", run_id=run_id)


class PlanOutdated(Refusal):
    """A program has changed since the plan was put, and no longer has a tier that the plan names."""

    def __init__(self, plan_id: PlanId, problems: Sequence[FieldViolation]) -> None:
        super().__init__("the plan names tiers that its programs no longer have", plan_id=plan_id)
        self.violations = tuple(problems)


@dataclass(frozen=True, slots=True)
class Target:
    """Where a rule puts customers."""

    program_id: ProgramId
    tier_id: TierId


@dataclass(frozen=True, slots=True)
class MappingRule:
    """Customers for whom the condition holds go to the target."""

    rule_id: RuleId
    condition: str
    target: Target


@dataclass(frozen=True, slots=True)
class MigrationPlan:
    """Ordered rules, of which the first that holds decides; `default` is for whom none does, None leaves them alone.

    Conditions count money of the last `spend_days`. Who is a member of the target's program already is moved to its
    tier where `moves_members` says so, and else left alone.
    """

    plan_id: PlanId
    display_name: str
    rules: tuple[MappingRule, ...]
    default: Target | None
    spend_days: int
    moves_members: bool
    version: int = 0

    def targets(self) -> Iterator[tuple[str, Target]]:
        """Every target with the field that names it."""
        for index, rule in enumerate(self.rules):
            yield f"plan.rules[{index}].target", rule.target
        if self.default is not None:
            yield "plan.default_target", self.default


class RunState(StrEnum):
    """How far a run is."""

    RUNNING = "running"
    DONE = "done"
    UNDOING = "undoing"
    UNDONE = "undone"


class Outcome(StrEnum):
    """What a run does with a customer."""

    ENROLLED = "enrolled"
    MOVED = "moved"
    ALREADY_THERE = "already_there"
    LEFT_ALONE = "left_alone"
    UNMATCHED = "unmatched"
    REFUSED = "refused"


class Undo(StrEnum):
    """What became of a customer's move when the run was undone."""

    NOT_ASKED = "not_asked"
    UNDONE = "undone"
    KEPT = "kept"


class Judged(NamedTuple):
    """What the rules make of one customer; `undecided` are rules before it whose condition could not be decided."""

    customer: PackageCustomer
    rule_id: RuleId
    target: Target | None
    undecided: tuple[RuleId, ...]


@dataclass(frozen=True, slots=True)
class Planned:
    """What is to be done with one customer, and the membership that it has in the target's program."""

    judged: Judged
    outcome: Outcome
    member: Member | None


@dataclass(frozen=True, slots=True)
class Move:
    """A line of a run's report: who was moved from what by which rule, and what became of it when it was undone.

    `packages` are what the customer held at the run's instant; `revision` is the membership's after the move, so that
    a later one is seen.
    """

    customer_id: CustomerId
    rule_id: RuleId
    outcome: Outcome
    packages: tuple[str, ...]
    target: Target | None = None
    member_id: MemberId | None = None
    previous_tier_id: TierId | None = None
    revision: int = 0
    reason: str = ""
    undo: Undo = Undo.NOT_ASKED
    undo_reason: str = ""


@dataclass(frozen=True, slots=True)
class MigrationRun:
    """A plan's version being applied at an instant of business time; `reached` is the last customer of its rounds."""

    run_id: RunId
    plan_id: PlanId
    version: int
    state: RunState
    occurred_at: datetime
    total: int
    done: int
    reached: CustomerId
    started_by: str
    undone_at: datetime | None = None
    undone_by: str = ""


@dataclass(slots=True)
class Tally:
    """Counts of one rule, with the first few customers."""

    outcomes: Counter[Outcome] = field(default_factory=Counter)
    undecided: int = 0
    samples: list[CustomerId] = field(default_factory=list)


class Compiled:
    """A plan with its conditions compiled: decides for one customer after the other."""

    def __init__(self, plan: MigrationPlan, as_of: datetime, calendar: Calendar) -> None:
        self.plan = plan
        self._as_of = as_of
        self._calendar = calendar
        self._rules: list[tuple[MappingRule, cel.Program]] = [
            (rule, compile_condition(rule.condition)) for rule in plan.rules
        ]

    def judge(self, customer: PackageCustomer) -> Judged:
        """The first rule that holds; the default where none does."""
        context = condition_context(customer, self._as_of, self._calendar)
        undecided: list[RuleId] = []
        for rule, program in self._rules:
            found = holds(program, context)
            if found:
                return Judged(customer, rule.rule_id, rule.target, tuple(undecided))
            if found is None:
                undecided.append(rule.rule_id)
        return Judged(customer, BY_DEFAULT, self.plan.default, tuple(undecided))

    def plan_for(self, judged: Judged, member: Member | None) -> Planned:
        """What is to be done with a customer who has this membership in the target's program."""
        if judged.target is None:
            return Planned(judged, Outcome.UNMATCHED, None)
        if member is None:
            return Planned(judged, Outcome.ENROLLED, None)
        if member.tier_id == judged.target.tier_id:
            return Planned(judged, Outcome.ALREADY_THERE, member)
        return Planned(judged, Outcome.MOVED if self.plan.moves_members else Outcome.LEFT_ALONE, member)


def check_plan(plan: MigrationPlan) -> None:
    """Refuses, with InvalidArgument and every fault at once, a plan that could not be applied to any program."""
    violations = list(_violations(plan))
    if violations:
        raise InvalidArgument.many(violations)


def target_violations(plan: MigrationPlan, known: Mapping[ProgramId, Program]) -> Iterator[FieldViolation]:
    """Targets that the programs do not have."""
    for name, target in plan.targets():
        program = known.get(target.program_id)
        if program is None:
            yield FieldViolation(f"{name}.program_id", "no program has this id")
        elif target.tier_id not in {tier.tier_id for tier in program.tiers}:
            yield FieldViolation(f"{name}.tier_id", "the program has no such tier")


def _violations(plan: MigrationPlan) -> Iterator[FieldViolation]:
    yield from line_violations("plan.display_name", plan.display_name, most=MAX_NAME_CHARACTERS)
    yield from range_violations("plan.spend_days", plan.spend_days, least=1, most=MAX_SPEND_DAYS)
    if len(plan.rules) > MAX_RULES:
        yield FieldViolation("plan.rules", f"must have at most {MAX_RULES} items")
        return
    if not plan.rules and plan.default is None:
        yield FieldViolation("plan.rules", "must have an item, or there must be a default")
    seen: set[RuleId] = set()
    for index, rule in enumerate(plan.rules):
        yield from condition_violations(f"plan.rules[{index}].condition", rule.condition)
        if rule.rule_id in seen:
            yield FieldViolation(f"plan.rules[{index}].rule_id", "must not repeat within the plan")
        seen.add(rule.rule_id)
