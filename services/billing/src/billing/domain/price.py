"""Prices: of a one-off product or a cycle one amount, of usage a table of tiers. Each currency has versions of its own.

A version acts on cycles and usage that begin at or after `effective_from`; what was charged is never priced again.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from fractions import Fraction
from typing import NamedTuple, assert_never

from chassis.errors import FieldViolation, InvalidArgument, NotFound, Refusal
from chassis.money import AMOUNT_MAX, MAX_BASIS_POINTS, check_currency
from chassis.violations import count_violations, range_violations, refuse_any

from billing.domain.ids import ProductId
from billing.domain.product import Product, ProductKind

TIERS_MAX = 20
UNITS_MAX = 10**12
_NANOS = 10**9


class PriceNotFound(NotFound):
    """The product has no price in this currency at this instant."""


class PriceInForce(Refusal):
    """A version that acts already is never changed; a new one begins after it."""


class TierMode(StrEnum):
    """How tiers of a usage price work."""

    GRADUATED = "graduated"
    """Each unit at the price of the tier it falls into."""
    VOLUME = "volume"
    """All units at the price of the tier that the whole falls into."""
    PACKAGE = "package"
    """Whole packages, begun ones counted as whole."""


class UnitPrice(NamedTuple):
    """A price finer than the minor unit: whole ones, and billionths of one."""

    minor_units: int
    nanos: int = 0

    @property
    def exact(self) -> Fraction:
        """In minor units."""
        return Fraction(self.minor_units * _NANOS + self.nanos, _NANOS)


class PriceTier(NamedTuple):
    """Units of the month up to and with `up_to`, None without end; `flat_minor` once, when the tier is entered."""

    up_to: int | None
    unit_price: UnitPrice
    flat_minor: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """One version of a product's price. `amount_minor` is set, or else `tier_mode` and `tiers`; `version` 0 is not
    stored yet. Tax is contained in the price, in hundredths of a percent."""

    product_id: ProductId
    currency: str
    effective_from: datetime
    amount_minor: int | None = None
    tier_mode: TierMode | None = None
    tiers: tuple[PriceTier, ...] = ()
    package_size: int = 0
    tax_basis_points: int = 0
    version: int = 0

    def __post_init__(self) -> None:
        check_currency("price.currency", self.currency)
        refuse_any(self._violations())

    def check_suits(self, product: Product) -> None:
        """Refuses tiers for anything but usage, and an amount for usage."""
        tiered = product.kind is ProductKind.USAGE
        if tiered and self.tier_mode is None:
            raise InvalidArgument("price.tiers", "must be said of a usage product")
        if not tiered and self.amount_minor is None:
            raise InvalidArgument("price.amount", f"must be said of a {product.kind} product")

    def _violations(self) -> Iterator[FieldViolation]:
        yield from range_violations("price.tax_basis_points", self.tax_basis_points, least=0, most=MAX_BASIS_POINTS)
        if self.amount_minor is not None:
            yield from range_violations("price.amount.minor_units", self.amount_minor, least=0, most=AMOUNT_MAX)
            if self.tier_mode is not None or self.tiers or self.package_size:
                yield FieldViolation("price.tiers", "must not be said beside an amount")
            return
        if self.tier_mode is None:
            yield FieldViolation("price.tier_mode", "must be said where there is no amount")
            return
        yield from _tier_violations(self.tiers)
        yield from self._package_violations()

    def _package_violations(self) -> Iterator[FieldViolation]:
        if self.tier_mode is not TierMode.PACKAGE:
            if self.package_size:
                yield FieldViolation("price.package_size", "must be said of packages only")
            return
        yield from range_violations("price.package_size", self.package_size, least=1, most=UNITS_MAX)
        if len(self.tiers) > 1:
            yield FieldViolation("price.tiers", "must be one where packages are sold")


def _tier_violations(tiers: Sequence[PriceTier]) -> Iterator[FieldViolation]:
    """What is wrong with a table: it rises, and its last tier alone is without end."""
    yield from count_violations("price.tiers", tiers, least=1, most=TIERS_MAX)
    before = 0
    for place, tier in enumerate(tiers):
        field = f"price.tiers[{place}]"
        if (tier.up_to is None) != (place == len(tiers) - 1):
            yield FieldViolation(f"{field}.up_to", "must be 0 in the last tier, and in no other")
        elif tier.up_to is not None:
            yield from range_violations(f"{field}.up_to", tier.up_to, least=before + 1, most=UNITS_MAX)
            before = max(tier.up_to, before)
        price = tier.unit_price
        yield from range_violations(f"{field}.unit_price.minor_units", price.minor_units, least=0, most=AMOUNT_MAX)
        yield from range_violations(f"{field}.unit_price.nanos", price.nanos, least=0, most=_NANOS - 1)
        yield from range_violations(f"{field}.flat.minor_units", tier.flat_minor, least=0, most=AMOUNT_MAX)


def cumulative_price(price: Price, units: int) -> Fraction:
    """What so many units of a month come to together, exactly, in minor units. No units cost nothing."""
    if price.tier_mode is None:
        raise ValueError(f"price of {price.product_id} has no tiers")
    if units <= 0:
        return Fraction(0)
    match price.tier_mode:
        case TierMode.GRADUATED:
            return sum((part.amount for part in graduated(price.tiers, units)), Fraction(0))
        case TierMode.VOLUME:
            tier = tier_of(price.tiers, units)
            return units * tier.unit_price.exact + tier.flat_minor
        case TierMode.PACKAGE:
            tier = price.tiers[0]
            return packages(price, units) * tier.unit_price.exact + tier.flat_minor
        case _:
            assert_never(price.tier_mode)


class TierPart(NamedTuple):
    """The units of a month that fall into one tier."""

    tier: PriceTier
    units: int

    @property
    def amount(self) -> Fraction:
        """What they come to, with what the tier costs once."""
        return self.units * self.tier.unit_price.exact + (self.tier.flat_minor if self.units else 0)


def graduated(tiers: Sequence[PriceTier], units: int) -> list[TierPart]:
    """The units of each tier, every tier of the table in its order."""
    parts = []
    before = 0
    for tier in tiers:
        within = max(min(units, tier.up_to) if tier.up_to is not None else units, before)
        parts.append(TierPart(tier, within - before))
        before = within
    return parts


def tier_of(tiers: Sequence[PriceTier], units: int) -> PriceTier:
    """The tier that a number of units falls into."""
    return next(tier for tier in tiers if tier.up_to is None or units <= tier.up_to)


def packages(price: Price, units: int) -> int:
    """Packages begun by so many units."""
    return -(-units // price.package_size)


def price_not_found(product_id: ProductId, currency: str) -> PriceNotFound:
    """The answer where a product cannot be priced."""
    return PriceNotFound(
        f"product {product_id} has no price in {currency} then", product_id=product_id, currency=currency
    )
