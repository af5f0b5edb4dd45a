"""Coupons and points on top of what was rated: what the member service set aside, taken off item by item.

Neither takes more than is left of an item; coupons come before points.
"""

from collections.abc import Sequence
from fractions import Fraction
from typing import NamedTuple

from chassis.errors import Refusal

from billing.domain.price import Price
from billing.domain.product import Product
from billing.domain.reckoning import Line, LineKind, Reckoning, taken_off
from billing.domain.rounding import spread


class PointsExceedOrder(Refusal):
    """The points are worth more than the order comes to without them; all of them would be spent for that. Metadata
    `worth_minor` and `left_minor` say how much is how much."""


class Rated(NamedTuple):
    """An item of an order with how it was priced."""

    product: Product
    price: Price
    reckoning: Reckoning


class CouponPart(NamedTuple):
    """What a coupon takes off one item, as the member service says; more than 0."""

    item: int
    coupon_id: str
    display_name: str
    amount_minor: int


def less_coupons(rated: Sequence[Rated], parts: Sequence[CouponPart]) -> list[Rated]:
    """With coupons taken off, in the order in which they were applied."""
    items = list(rated)
    for part in parts:
        words = part.display_name or "coupon"
        items[part.item] = _less(items[part.item], LineKind.COUPON, words, part.coupon_id, part.amount_minor)
    return items


def check_worth(rated: Sequence[Rated], worth_minor: int) -> None:
    """Refuses PointsExceedOrder."""
    left_minor = sum(max(item.reckoning.total_minor, 0) for item in rated)
    if worth_minor > left_minor:
        raise PointsExceedOrder(
            f"the points are worth {worth_minor} in minor units, and {left_minor} are left of the order",
            worth_minor=str(worth_minor),
            left_minor=str(left_minor),
        )


def less_points(rated: Sequence[Rated], hold_id: str, worth_minor: int) -> list[Rated]:
    """With points taken off, spread over the items by what is left of them."""
    left = [max(item.reckoning.total_minor, 0) for item in rated]
    amount_minor = min(worth_minor, sum(left))
    if amount_minor <= 0:
        return list(rated)
    shares = spread(amount_minor, [Fraction(each) for each in left])
    return [_less(item, LineKind.POINTS, "points", hold_id, share) for item, share in zip(rated, shares, strict=True)]


def _less(item: Rated, kind: LineKind, words: str, reference: str, amount_minor: int) -> Rated:
    line = Line(kind, item.product.product_id, words, -amount_minor, reference=reference)
    return item._replace(reckoning=taken_off(item.reckoning, line, item.price.tax_basis_points))
