"""A membership program as one document: its tiers, what each asks for and gives, and how members move between them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import NamedTuple, NewType
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from chassis.calendar import LATEST, Calendar, Period
from chassis.errors import FieldViolation, InvalidArgument, NotFound, Refusal
from chassis.violations import range_violations

from member.domain.benefit import Benefit, benefit_violations
from member.domain.kinds import EARNED
from member.domain.requirement import (
    MAX_POINTS_REQUIRED,
    Measure,
    Measured,
    Points,
    PointsIn,
    Requirement,
    Window,
    is_met,
    leaves,
    requirement_violations,
)
from member.domain.text import MAX_NAME_CHARACTERS, line_violations

ProgramId = NewType("ProgramId", str)
TierId = NewType("TierId", str)

GENERAL = ProgramId("general")

MAX_TIERS = 20
MAX_DAYS = 3_660
MAX_EARN_RATE_PERCENT = 10_000
MAX_VALIDITY_YEARS = 10

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


class VersionNotFound(NotFound):
    """The program has no version of this number."""

    def __init__(self, program_id: ProgramId, version: int) -> None:
        super().__init__("the program has no such version", program_id=program_id, version=str(version))


class ActivationTooOld(Refusal):
    """Tiers were judged at this instant or later by another version; what was judged is not judged anew."""

    def __init__(self, program_id: ProgramId, evaluated_as_of: datetime) -> None:
        super().__init__(
            "tiers of the program were already judged at this instant or later",
            program_id=program_id,
            evaluated_as_of=evaluated_as_of.isoformat(),
        )


@dataclass(frozen=True, slots=True)
class Tier:
    """One tier. `earn_rate_percent` is points for 100 units of the currency: 120 means 120 points for 100 yuan.

    It asks for `requirement`, or where that is None for `points_required` points of any kind in the program's window.
    """

    tier_id: TierId
    display_name: str
    rank: int
    points_required: int
    earn_rate_percent: int
    requirement: Requirement | None = None
    benefits: tuple[Benefit, ...] = ()


@dataclass(frozen=True, slots=True)
class Moves:
    """How members move between tiers. A tier reached holds at least `validity_days`, or to the end of the calendar year
    (1: of the one in which it was reached, 2: of the next); then `grace_days` more after it was first found lost.

    All members are judged by themselves whenever a period of the calendar begins, and with EVER only when asked for.
    """

    upgrades_at_once: bool = False
    validity_days: int = 0
    validity_years: int = 0
    grace_days: int = 0
    warning_days: int = 0
    soft_landing: bool = False
    evaluated_every: Period = Period.EVER


@dataclass(frozen=True, slots=True)
class Program:
    """A version of a program; `tiers` stand by rank, and the first asks for nothing, so that everybody holds one.

    `revision` is the version's number. Days and years are those of `time_zone`, so that a version judges alike
    wherever and whenever it is asked."""

    program_id: ProgramId
    display_name: str
    tiers: tuple[Tier, ...]
    window_days: int
    points_lifetime_days: int
    revision: int = 0
    moves: Moves = field(default_factory=Moves)
    time_zone: str = "UTC"

    @property
    def first_tier(self) -> Tier:
        """Where everybody starts."""
        return self.tiers[0]

    @property
    def calendar(self) -> Calendar:
        """The calendar by which the program counts."""
        return Calendar(ZoneInfo(self.time_zone))

    @property
    def points_measure(self) -> PointsIn:
        """Points of every kind in the program's own window: what a membership shows as counting for its tier."""
        return PointsIn(EARNED, Window(days=self.window_days))

    def tier(self, tier_id: TierId) -> Tier:
        """The tier with this id, which the program must have."""
        return next(tier for tier in self.tiers if tier.tier_id == tier_id)

    def requirement(self, tier: Tier) -> Requirement | None:
        """What the tier asks for; None where it asks for nothing."""
        if tier.requirement is not None:
            return tier.requirement
        return Points(tier.points_required, Window(days=self.window_days)) if tier.points_required else None

    def measures(self, tiers: Sequence[Tier]) -> tuple[Measure, ...]:
        """What has to be known of a member to judge whether it meets these tiers, each once."""
        asked = [requirement for tier in tiers if (requirement := self.requirement(tier))]
        return tuple(dict.fromkeys(leaf.measure for requirement in asked for leaf in leaves(requirement)))

    def tier_reached(self, measured: Measured, as_of: datetime) -> Tier:
        """The best tier whose requirement is met by what was measured at the instant; the first where none is."""
        for tier in reversed(self.tiers):
            requirement = self.requirement(tier)
            if requirement is None or is_met(requirement, measured, as_of):
                return tier
        return self.first_tier

    def next_tier(self, tier: Tier) -> Tier | None:
        """The tier one rank better; None at the top."""
        return next((better for better in self.tiers if better.rank == tier.rank + 1), None)

    def valid_until(self, reached_at: datetime) -> datetime | None:
        """Until when (exclusive) a tier reached at an instant holds whatever comes; None where nothing is promised."""
        if self.moves.validity_days:
            return min(LATEST, reached_at + timedelta(days=self.moves.validity_days))
        if not self.moves.validity_years:
            return None
        end = self.calendar.span(Period.YEAR, reached_at).end
        for _ in range(self.moves.validity_years - 1):
            end = self.calendar.span(Period.YEAR, end).end
        return end

    def warned_until(self, as_of: datetime) -> datetime:
        """Members are warned at an instant of what ends not later than this one."""
        return min(LATEST, as_of + timedelta(days=self.moves.warning_days))

    def points_expire_at(self, earned_at: datetime) -> datetime | None:
        """When points earned at an instant expire; None where they never do, or not before the calendar ends."""
        lifetime = timedelta(days=self.points_lifetime_days)
        if not lifetime or earned_at > _END_OF_TIME - lifetime:
            return None
        return earned_at + lifetime


@dataclass(frozen=True, slots=True)
class ProgramActivated:
    """State: the version in force from `occurred_at` on; `revision` rises with every activation of the program."""

    program_id: ProgramId
    version: int
    occurred_at: datetime
    revision: int

    @property
    def aggregate_id(self) -> str:
        """The program orders its facts."""
        return self.program_id


class Timeline(NamedTuple):
    """Versions of a program, each with the instant from which it is in force, in the order of these instants."""

    spans: tuple[tuple[datetime, Program], ...]

    def at(self, instant: datetime) -> Program:
        """The version in force at an instant; the first one also before it began, so that there always is one."""
        found = self.spans[0][1]
        for active_from, program in self.spans:
            if active_from <= instant:
                found = program
        return found


def check_program(program: Program) -> None:
    """Refuses, with InvalidArgument and every fault at once, a program that could not judge or reward a member."""
    violations = list(program_violations(program))
    if violations:
        raise InvalidArgument.many(violations)


def program_violations(program: Program) -> Iterator[FieldViolation]:
    """Everything that keeps a program from judging and rewarding members."""
    yield from line_violations("program.display_name", program.display_name, most=MAX_NAME_CHARACTERS)
    yield from range_violations("program.window_days", program.window_days, least=1, most=MAX_DAYS)
    yield from range_violations("program.points_lifetime_days", program.points_lifetime_days, least=0, most=MAX_DAYS)
    yield from _moves_violations(program.moves)
    yield from _zone_violations(program.time_zone)
    if not 1 <= len(program.tiers) <= MAX_TIERS:
        yield FieldViolation("program.tiers", f"must have 1 to {MAX_TIERS} items")
    seen: set[TierId] = set()
    required = -1
    for index, tier in enumerate(program.tiers):
        name = f"program.tiers[{index}]"
        yield from _tier_violations(name, tier, index)
        yield from _points_violations(name, tier, index, required)
        if tier.tier_id in seen:
            yield FieldViolation(f"{name}.tier_id", "must not repeat within the program")
        seen.add(tier.tier_id)
        required = tier.points_required if tier.requirement is None else required


def _tier_violations(name: str, tier: Tier, index: int) -> Iterator[FieldViolation]:
    yield from line_violations(f"{name}.display_name", tier.display_name, most=MAX_NAME_CHARACTERS)
    yield from range_violations(
        f"{name}.earn_rate_percent", tier.earn_rate_percent, least=0, most=MAX_EARN_RATE_PERCENT
    )
    yield from benefit_violations(f"{name}.benefits", tier.benefits)
    if tier.rank != index:
        yield FieldViolation(f"{name}.rank", f"must be {index}: ranks count from 0 in the order of the tiers")
    if tier.requirement is not None:
        yield from requirement_violations(f"{name}.requirement", tier.requirement)


def _points_violations(name: str, tier: Tier, index: int, required_below: int) -> Iterator[FieldViolation]:
    if index == 0 and tier.requirement is not None:
        yield FieldViolation(f"{name}.requirement", "must not be set in the first tier")
    if index == 0 and tier.points_required != 0:
        yield FieldViolation(f"{name}.points_required", "must be 0 in the first tier")
    elif index > 0 and tier.requirement is not None and tier.points_required != 0:
        yield FieldViolation(f"{name}.points_required", "must be 0 where a requirement is set")
    elif index > 0 and tier.requirement is None and not required_below < tier.points_required <= MAX_POINTS_REQUIRED:
        yield FieldViolation(f"{name}.points_required", f"must be more than in the tier below, {required_below}")


def _moves_violations(moves: Moves) -> Iterator[FieldViolation]:
    yield from range_violations("program.moves.validity_days", moves.validity_days, least=0, most=MAX_DAYS)
    yield from range_violations("program.moves.validity_years", moves.validity_years, least=0, most=MAX_VALIDITY_YEARS)
    yield from range_violations("program.moves.grace_days", moves.grace_days, least=0, most=MAX_DAYS)
    yield from range_violations("program.moves.warning_days", moves.warning_days, least=0, most=MAX_DAYS)
    if moves.validity_days and moves.validity_years:
        yield FieldViolation("program.moves.validity_years", "must be 0 where validity_days are set")


def _zone_violations(zone: str) -> Iterator[FieldViolation]:
    try:
        ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        yield FieldViolation("program.time_zone", "must be a time zone of the IANA database, such as Asia/Shanghai")
