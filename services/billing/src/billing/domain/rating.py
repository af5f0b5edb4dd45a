"""Rating: what something comes to, line by line. Pure; prices, days and tiers held come in as they were at the instant.

The order is fixed: list price, the days that are not owned, the tier's discount; then, as the member service says,
coupons and points. Everything is exact until the total, which is rounded half up once; the lines are fitted to it.
"""

from collections.abc import Sequence
from fractions import Fraction
from typing import NamedTuple, assert_never

from chassis.errors import InvalidArgument
from chassis.money import AMOUNT_MAX, MAX_BASIS_POINTS

from billing.domain.discount import Discount
from billing.domain.price import Price, PriceTier, TierMode, UnitPrice, cumulative_price, graduated, packages, tier_of
from billing.domain.product import Product
from billing.domain.reckoning import Line, LineKind, Reckoning, contained_tax, reckon
from billing.domain.rounding import round_half_up, round_parts


class Stretch(NamedTuple):
    """So many days of a cycle that has so many as a whole."""

    days: int
    of_days: int


WHOLE = Stretch(1, 1)


class _Exact(NamedTuple):
    """A line before it is rounded."""

    line: Line
    amount: Fraction


def rate_once(product: Product, price: Price, *, quantity: int, discount: Discount | None) -> Reckoning:
    """A one-off product."""
    return rate_cycle(product, price, quantity=quantity, stretch=WHOLE, discount=discount)


def rate_cycle(
    product: Product, price: Price, *, quantity: int, stretch: Stretch, discount: Discount | None
) -> Reckoning:
    """A cycle of a recurring product, or the days of it that are owned."""
    if price.amount_minor is None:
        raise ValueError(f"price of {product.product_id} is by units")
    listed_minor = quantity * price.amount_minor
    first = Line(
        LineKind.LIST,
        product.product_id,
        product.display_name,
        listed_minor,
        quantity,
        unit_price=UnitPrice(price.amount_minor),
        price_version=price.version,
    )
    if discount is None and stretch.days == stretch.of_days:
        # Nearly every cycle of a recurring run: no fraction is needed.
        tax_minor = contained_tax(listed_minor, price.tax_basis_points)
        return Reckoning(price.currency, (first,), listed_minor, tax_minor)
    exact = [_Exact(first, Fraction(listed_minor))]
    if stretch.days != stretch.of_days:
        exact.append(_unowned(product, stretch, listed_minor))
    if discount is not None:
        exact.append(_less(product, discount, sum((each.amount for each in exact), Fraction(0))))
    return _fitted(price, exact, round_half_up(sum((each.amount for each in exact), Fraction(0))))


def rate_usage(price: Price, *, before: int, quantity: int) -> Fraction:
    """What units come to after those that the month has already, exactly: `cumulative_price` of all less that of those
    before. Negative quantities take back. Under volume prices more units may come to less."""
    return cumulative_price(price, before + quantity) - cumulative_price(price, before)


def usage_minor(price: Price, *, before: int, quantity: int) -> int:
    """What is charged for units after those before: the month's charges sum exactly to its rounded whole."""
    after = round_half_up(cumulative_price(price, before + quantity))
    return after - round_half_up(cumulative_price(price, before))


def reckon_usage(product: Product, price: Price, *, before: int, quantity: int) -> Reckoning:
    """How `usage_minor` comes about: the units of each tier that they fall into."""
    lines = _usage_lines(product, price, before, before + quantity)
    return _fitted(price, lines, usage_minor(price, before=before, quantity=quantity))


def check_amount(reckoning: Reckoning, field: str) -> None:
    """Refuses what comes to more than can be charged, naming the field that made it so much."""
    if abs(reckoning.total_minor) > AMOUNT_MAX or abs(reckoning.list_total_minor) > AMOUNT_MAX:
        raise InvalidArgument(field, f"comes to more than {AMOUNT_MAX} minor units")


def _fitted(price: Price, exact: Sequence[_Exact], total_minor: int) -> Reckoning:
    parts = round_parts([each.amount for each in exact], total_minor)
    lines = [each.line._replace(amount_minor=part) for each, part in zip(exact, parts, strict=True)]
    return reckon(price.currency, lines, price.tax_basis_points)


def _unowned(product: Product, stretch: Stretch, listed_minor: int) -> _Exact:
    line = Line(
        LineKind.PRORATION,
        product.product_id,
        f"{stretch.days} of {stretch.of_days} days",
        0,
        stretch.days,
        stretch.of_days,
    )
    return _Exact(line, Fraction(listed_minor * (stretch.days - stretch.of_days), stretch.of_days))


def _less(product: Product, discount: Discount, amount: Fraction) -> _Exact:
    line = Line(LineKind.TIER_DISCOUNT, product.product_id, discount.display_name, 0, reference=discount.discount_id)
    return _Exact(line, -amount * discount.basis_points / MAX_BASIS_POINTS)


def _usage_lines(product: Product, price: Price, before: int, after: int) -> list[_Exact]:
    match price.tier_mode:
        case TierMode.GRADUATED:
            return _graduated_lines(product, price, before, after)
        case TierMode.VOLUME:
            return _volume_lines(product, price, before, after)
        case TierMode.PACKAGE:
            tier = price.tiers[0]
            begun = packages(price, after) - packages(price, before)
            entered = (after > 0) - (before > 0)
            words = f"packages of {price.package_size} {product.unit}"
            return _of_tier(product, price, tier, _Units(begun, entered, words))
        case None:
            raise ValueError(f"price of {product.product_id} has no tiers")
        case _:
            assert_never(price.tier_mode)


class _Units(NamedTuple):
    """Units of a tier, how often it was entered, and how to call it."""

    units: int
    entered: int
    words: str


def _graduated_lines(product: Product, price: Price, before: int, after: int) -> list[_Exact]:
    lines: list[_Exact] = []
    first = 1
    for old, new in zip(graduated(price.tiers, before), graduated(price.tiers, after), strict=True):
        up_to = new.tier.up_to
        words = f"{product.unit} {first} to {up_to}" if up_to is not None else f"{product.unit} {first} and more"
        units = _Units(new.units - old.units, (new.units > 0) - (old.units > 0), words)
        lines += _of_tier(product, price, new.tier, units)
        first = (up_to or 0) + 1
    return lines


def _volume_lines(product: Product, price: Price, before: int, after: int) -> list[_Exact]:
    """Within one tier what was added; past a border the whole at its new price, less what the units before came to."""
    same = before > 0 and after > 0 and tier_of(price.tiers, before) == tier_of(price.tiers, after)
    if same:
        tier = tier_of(price.tiers, after)
        return _of_tier(product, price, tier, _Units(after - before, 0, f"{product.unit} of {after} together"))
    lines: list[_Exact] = []
    if after > 0:
        words = f"{after} {product.unit} together"
        lines += _of_tier(product, price, tier_of(price.tiers, after), _Units(after, 1, words))
    if before > 0:
        words = f"less {before} {product.unit} before"
        lines += _of_tier(product, price, tier_of(price.tiers, before), _Units(-before, -1, words))
    return lines


def _of_tier(product: Product, price: Price, tier: PriceTier, units: _Units) -> list[_Exact]:
    lines: list[_Exact] = []
    if units.units:
        line = Line(
            LineKind.LIST,
            product.product_id,
            units.words,
            0,
            units.units,
            unit_price=tier.unit_price,
            price_version=price.version,
        )
        lines.append(_Exact(line, units.units * tier.unit_price.exact))
    if units.entered and tier.flat_minor:
        line = Line(
            LineKind.LIST,
            product.product_id,
            f"once, {units.words}",
            0,
            units.entered,
            unit_price=UnitPrice(tier.flat_minor),
            price_version=price.version,
        )
        lines.append(_Exact(line, Fraction(units.entered * tier.flat_minor)))
    return lines
