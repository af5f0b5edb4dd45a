"""What a tier gives beside points: discounts, bonus points, priority, visits counted by period, and perks in words."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NewType, TypeAlias, assert_never

from chassis.calendar import Period
from chassis.errors import FieldViolation
from chassis.money import MAX_BASIS_POINTS
from chassis.violations import range_violations

from member.domain.text import MAX_NAME_CHARACTERS, line_violations

BenefitId = NewType("BenefitId", str)
ProductFamily = NewType("ProductFamily", str)

# Every product that no other benefit names.
EVERY_PRODUCT = ProductFamily("")

MAX_BENEFITS = 50
MAX_MULTIPLIER_PERCENT = 1_000
MAX_LEVEL = 100
MAX_USES = 1_000
MAX_PERK_CHARACTERS = 500


@dataclass(frozen=True, slots=True)
class Discount:
    """So many hundredths of a percent off the products of a family: 500 is five percent."""

    family: ProductFamily
    basis_points: int


@dataclass(frozen=True, slots=True)
class EarnRate:
    """Products of a family earn so many percent of the points they would earn: 150 is half as many again."""

    family: ProductFamily
    multiplier_percent: int


@dataclass(frozen=True, slots=True)
class ServicePriority:
    """The level of the hotline's queue; a greater one is served first."""

    level: int


@dataclass(frozen=True, slots=True)
class EventPriority:
    """The level at which members may register for activities; a greater one goes first."""

    level: int


@dataclass(frozen=True, slots=True)
class Quota:
    """Something that may be used so many times in each period of the operator's calendar, such as a lounge."""

    period: Period
    uses: int


@dataclass(frozen=True, slots=True)
class Perk:
    """Whatever can be said in words only."""

    text: str


Terms: TypeAlias = Discount | EarnRate | ServicePriority | EventPriority | Quota | Perk


@dataclass(frozen=True, slots=True)
class Benefit:
    """One benefit. The id stays the same from tier to tier where it is the same thing, so that what a member used of
    a quota counts on after a move."""

    benefit_id: BenefitId
    display_name: str
    terms: Terms


def benefit_violations(field: str, benefits: Sequence[Benefit]) -> Iterator[FieldViolation]:
    """What is wrong with the benefits of one tier."""
    if len(benefits) > MAX_BENEFITS:
        yield FieldViolation(field, f"must have at most {MAX_BENEFITS} items")
    seen: set[BenefitId] = set()
    for index, benefit in enumerate(benefits):
        yield from one_benefit_violations(f"{field}[{index}]", benefit)
        if benefit.benefit_id in seen:
            yield FieldViolation(f"{field}[{index}].benefit_id", "must not repeat within the tier")
        seen.add(benefit.benefit_id)


def one_benefit_violations(field: str, benefit: Benefit) -> Iterator[FieldViolation]:
    """What is wrong with a benefit on its own."""
    yield from line_violations(f"{field}.display_name", benefit.display_name, most=MAX_NAME_CHARACTERS)
    match benefit.terms:
        case Discount(_, basis_points):
            yield from range_violations(f"{field}.discount.basis_points", basis_points, least=1, most=MAX_BASIS_POINTS)
        case EarnRate(_, multiplier_percent):
            yield from range_violations(
                f"{field}.earn_rate.multiplier_percent", multiplier_percent, least=101, most=MAX_MULTIPLIER_PERCENT
            )
        case ServicePriority(level):
            yield from range_violations(f"{field}.service_priority.level", level, least=1, most=MAX_LEVEL)
        case EventPriority(level):
            yield from range_violations(f"{field}.event_priority.level", level, least=1, most=MAX_LEVEL)
        case Quota(_, uses):
            yield from range_violations(f"{field}.quota.uses", uses, least=1, most=MAX_USES)
        case Perk(text):
            yield from line_violations(f"{field}.perk.text", text, most=MAX_PERK_CHARACTERS)
        case _:
            assert_never(benefit.terms)
