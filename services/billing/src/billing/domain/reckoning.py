"""Reckonings: how an amount came about. The lines sum to the total, to the last minor unit."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from chassis.money import MAX_BASIS_POINTS

from billing.domain.price import UnitPrice
from billing.domain.rounding import round_share


class LineKind(StrEnum):
    """What a line of a reckoning is."""

    LIST = "list"
    PRORATION = "proration"
    TIER_DISCOUNT = "tier_discount"
    COUPON = "coupon"
    POINTS = "points"
    ROUNDING = "rounding"


LISTED = frozenset({LineKind.LIST, LineKind.PRORATION, LineKind.ROUNDING})
"""What stands without discounts, coupons and points."""


class Line(NamedTuple):
    """One line; negative takes off. `quantity` counts units or days, `of_quantity` the days of the cycle;
    `reference` is the discount, the coupon or the hold of points."""

    kind: LineKind
    product_id: str
    description: str
    amount_minor: int
    quantity: int = 0
    of_quantity: int = 0
    unit_price: UnitPrice | None = None
    reference: str = ""
    price_version: int = 0


@dataclass(frozen=True, slots=True)
class Reckoning:
    """Lines with their sum; `tax_minor` is contained in it. A negative total gives back."""

    currency: str
    lines: tuple[Line, ...]
    total_minor: int
    tax_minor: int

    @property
    def list_total_minor(self) -> int:
        """What it would be without discounts, coupons and points."""
        return sum(line.amount_minor for line in self.lines if line.kind in LISTED)


class Reckoned(NamedTuple):
    """A reckoning under its identity, that of its charge; `rated_at` is the instant whose prices it went by."""

    reckoning_id: str
    rated_at: datetime
    reckoning: Reckoning


def reckon(currency: str, lines: Sequence[Line], tax_basis_points: int) -> Reckoning:
    """The reckoning of lines that are whole already."""
    total_minor = sum([line.amount_minor for line in lines])
    return Reckoning(currency, tuple(lines), total_minor, contained_tax(total_minor, tax_basis_points))


def contained_tax(total_minor: int, tax_basis_points: int) -> int:
    """The tax in an amount that contains it, rounded half up; shown, never added. What is given back contains as much
    as what was taken."""
    if not tax_basis_points:
        return 0
    tax_minor = round_share(abs(total_minor), tax_basis_points, MAX_BASIS_POINTS + tax_basis_points)
    return tax_minor if total_minor >= 0 else -tax_minor


def taken_off(reckoning: Reckoning, off: Line, tax_basis_points: int) -> Reckoning:
    """With a coupon or points on top, which never take more than is left; without a line where that is nothing."""
    amount_minor = min(-off.amount_minor, max(reckoning.total_minor, 0))
    if amount_minor <= 0:
        return reckoning
    return reckon(reckoning.currency, (*reckoning.lines, off._replace(amount_minor=-amount_minor)), tax_basis_points)


def together(currency: str, reckonings: Iterable[Reckoning]) -> Reckoning:
    """Several as one: all their lines, each total rounded already."""
    parts = list(reckonings)
    return Reckoning(
        currency,
        tuple(line for part in parts for line in part.lines),
        sum(part.total_minor for part in parts),
        sum(part.tax_minor for part in parts),
    )
