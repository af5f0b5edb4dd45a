"""A membership program: its tiers, what each asks for and what each gives."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import NewType

from chassis.errors import FieldViolation, InvalidArgument, NotFound, Refusal

from member.domain.text import MAX_NAME_CHARACTERS, line_violations

ProgramId = NewType("ProgramId", str)
TierId = NewType("TierId", str)

GENERAL = ProgramId("general")

MAX_TIERS = 20
MAX_POINTS_REQUIRED = 10**12
MAX_EARN_RATE_PERCENT = 10_000
MAX_DAYS = 3_660

_END_OF_TIME = datetime.max.replace(tzinfo=UTC)


class ProgramNotFound(NotFound):
    """No program has this id."""

    def __init__(self, program_id: ProgramId) -> None:
        super().__init__("no program has this id", program_id=program_id)


class TierInUse(Refusal):
    """A tier that members hold or once held cannot be taken out of the program."""

    def __init__(self, tier_id: TierId) -> None:
        super().__init__("members hold or once held this tier, so it cannot be taken out", tier_id=tier_id)


class EvaluationTooOld(Refusal):
    """Tiers were already judged at a later instant; judging at an earlier one would undo what was decided since."""

    def __init__(self, program_id: ProgramId, evaluated_as_of: datetime) -> None:
        super().__init__(
            "tiers of the program were already judged at a later instant",
            program_id=program_id,
            evaluated_as_of=evaluated_as_of.isoformat(),
        )


@dataclass(frozen=True, slots=True)
class Tier:
    """One tier. `earn_rate_percent` is points for 100 units of the currency: 120 means 120 points for 100 yuan."""

    tier_id: TierId
    display_name: str
    rank: int
    points_required: int
    earn_rate_percent: int


@dataclass(frozen=True, slots=True)
class Program:
    """A program; `tiers` stand by rank, and the first asks for nothing, so that everybody holds one."""

    program_id: ProgramId
    display_name: str
    tiers: tuple[Tier, ...]
    window_days: int
    points_lifetime_days: int
    revision: int = 0

    @property
    def first_tier(self) -> Tier:
        """Where everybody starts."""
        return self.tiers[0]

    def tier(self, tier_id: TierId) -> Tier:
        """The tier with this id, which the program must have."""
        return next(tier for tier in self.tiers if tier.tier_id == tier_id)

    def tier_reached(self, qualifying_points: int) -> Tier:
        """The best tier whose requirement the points meet; the first where they meet none."""
        reached = self.first_tier
        for tier in self.tiers:
            if tier.points_required <= qualifying_points:
                reached = tier
        return reached

    def next_tier(self, tier: Tier) -> Tier | None:
        """The tier one rank better; None at the top."""
        return next((better for better in self.tiers if better.rank == tier.rank + 1), None)

    def window_start(self, as_of: datetime) -> datetime:
        """Points earned after this instant, and not later than `as_of`, count for the tier."""
        return as_of - timedelta(days=self.window_days)

    def points_expire_at(self, earned_at: datetime) -> datetime | None:
        """When points earned at an instant expire; None where they never do, or not before the calendar ends."""
        lifetime = timedelta(days=self.points_lifetime_days)
        if not lifetime or earned_at > _END_OF_TIME - lifetime:
            return None
        return earned_at + lifetime


def check_program(program: Program) -> None:
    """Refuses, with InvalidArgument and every fault at once, a program that could not judge or reward a member."""
    violations = list(_violations(program))
    if violations:
        raise InvalidArgument.many(violations)


def _violations(program: Program) -> Iterator[FieldViolation]:
    yield from line_violations("program.display_name", program.display_name, most=MAX_NAME_CHARACTERS)
    yield from _range_violations("program.window_days", program.window_days, 1, MAX_DAYS)
    yield from _range_violations("program.points_lifetime_days", program.points_lifetime_days, 0, MAX_DAYS)
    if not 1 <= len(program.tiers) <= MAX_TIERS:
        yield FieldViolation("program.tiers", f"must have 1 to {MAX_TIERS} items")
    seen: set[TierId] = set()
    required = -1
    for index, tier in enumerate(program.tiers):
        field = f"program.tiers[{index}]"
        yield from _tier_violations(field, tier, index, required)
        if tier.tier_id in seen:
            yield FieldViolation(f"{field}.tier_id", "must not repeat within the program")
        seen.add(tier.tier_id)
        required = tier.points_required


def _tier_violations(field: str, tier: Tier, index: int, required_below: int) -> Iterator[FieldViolation]:
    yield from line_violations(f"{field}.display_name", tier.display_name, most=MAX_NAME_CHARACTERS)
    yield from _range_violations(f"{field}.earn_rate_percent", tier.earn_rate_percent, 0, MAX_EARN_RATE_PERCENT)
    if tier.rank != index:
        yield FieldViolation(f"{field}.rank", f"must be {index}: ranks count from 0 in the order of the tiers")
    if index == 0 and tier.points_required != 0:
        yield FieldViolation(f"{field}.points_required", "must be 0 in the first tier")
    elif index > 0 and not required_below < tier.points_required <= MAX_POINTS_REQUIRED:
        yield FieldViolation(f"{field}.points_required", f"must be more than in the tier below, {required_below}")


def _range_violations(field: str, value: int, least: int, most: int) -> Iterator[FieldViolation]:
    if not least <= value <= most:
        yield FieldViolation(field, f"must be from {least} to {most}")
