"""Orders, and what coupons take off them, in integers.

Coupons are applied in one fixed order, whatever order they were named in: products for nothing first, then shares, then
amounts; among those of one kind the one with less to work on (the list price of what it covers in this order) first,
then by template and version, then the sooner to expire, then by id. Each sees what those before it have left. What a
coupon gives is split over the lines that it covers by what is left on them, with the method of the largest remainder:
the parts sum to the whole, and no line falls below zero.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple, assert_never

from chassis.errors import FieldViolation, InvalidArgument
from chassis.ids import check_id
from chassis.money import AMOUNT_MAX, check_currency

from member.domain.coupon import CouponId
from member.domain.coupon_template import AmountOff, FreeProduct, PercentOff, TemplateId, Terms

MAX_COUPONS = 20
MAX_LINES = 200
MAX_QUANTITY = 10**6

_WHOLE = 10_000


class OrderLine(NamedTuple):
    """So many units of a product, at list price."""

    product_id: str
    family: str
    unit_price_minor: int
    quantity: int

    @property
    def price_minor(self) -> int:
        """The list price of the line."""
        return self.unit_price_minor * self.quantity


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be paid, in one currency; `channel` is where it is ordered, empty where that is not said."""

    currency: str
    lines: tuple[OrderLine, ...]
    channel: str = ""

    @property
    def price_minor(self) -> int:
        """The list price of the order."""
        return sum(line.price_minor for line in self.lines)


class Candidate(NamedTuple):
    """A coupon with its terms; of the coupons with one key in `quotas` only so many may be used together."""

    coupon_id: CouponId
    template_id: TemplateId
    version: int
    terms: Terms
    valid_to: datetime
    quotas: tuple[tuple[str, int], ...] = ()

    @property
    def kind(self) -> tuple[str, int, tuple[tuple[str, int], ...]]:
        """Coupons of one kind differ in nothing but their expiry."""
        return self.template_id, self.version, self.quotas

    @property
    def urgency(self) -> tuple[datetime, str]:
        """The sooner to expire first."""
        return self.valid_to, self.coupon_id


class Part(NamedTuple):
    """What a coupon takes off each line of the order."""

    coupon_id: CouponId
    by_line: tuple[int, ...]

    @property
    def total_minor(self) -> int:
        """What the coupon takes off."""
        return sum(self.by_line)


@dataclass(frozen=True, slots=True)
class Priced:
    """An order with coupons applied, in the order in which they were."""

    parts: tuple[Part, ...]

    @property
    def discount_minor(self) -> int:
        """What all of them take off."""
        return sum(part.total_minor for part in self.parts)


def check_order(order: Order) -> None:
    """Refuses, with InvalidArgument, an order whose lines or amounts cannot be."""
    violations = list(_violations(order))
    if violations:
        raise InvalidArgument.many(violations)


def covered(terms: Terms, order: Order) -> list[int]:
    """The lines that the terms' scope covers: those that count towards the minimum."""
    return [place for place, line in enumerate(order.lines) if terms.scope.covers(line.product_id, line.family)]


def worked_on(terms: Terms, order: Order) -> list[int]:
    """The lines that something may be taken off."""
    if isinstance(terms.discount, FreeProduct):
        wanted = terms.discount.product_id
        return [place for place, line in enumerate(order.lines) if line.product_id == wanted]
    return covered(terms, order)


def in_order(candidates: Sequence[Candidate], order: Order) -> list[Candidate]:
    """The coupons in the order in which they are applied."""

    def key(one: Candidate) -> tuple[int, int, str, int, tuple[datetime, str]]:
        worked = sum(order.lines[place].price_minor for place in worked_on(one.terms, order))
        return _rank(one.terms), worked, one.template_id, one.version, one.urgency

    return sorted(candidates, key=key)


def apply_coupons(candidates: Sequence[Candidate], order: Order) -> Priced:
    """What these coupons take off the order together."""
    till = Till(order)
    return Priced(tuple(Part(one.coupon_id, tuple(till.take(one.terms))) for one in in_order(candidates, order)))


class Till:
    """What is left to pay on each line while coupons are applied one after another."""

    def __init__(self, order: Order) -> None:
        self.order = order
        self.left = [line.price_minor for line in order.lines]
        self.paid_units = [line.quantity for line in order.lines]

    def copy(self) -> "Till":
        """Another till that stands where this one does."""
        twin = Till.__new__(Till)
        twin.order, twin.left, twin.paid_units = self.order, self.left[:], self.paid_units[:]
        return twin

    def take(self, terms: Terms) -> list[int]:
        """Apply one coupon; what it took off each line."""
        discount, places = terms.discount, worked_on(terms, self.order)
        taken = [0] * len(self.left)
        match discount:
            case FreeProduct():
                for place, units in self._dearest(places, discount.quantity):
                    self.paid_units[place] -= units
                    taken[place] = units * self.order.lines[place].unit_price_minor
            case PercentOff() | AmountOff():
                weights = [self.left[place] for place in places]
                for place, part in zip(places, split(worth(discount, sum(weights)), weights), strict=True):
                    taken[place] = part
            case _:
                assert_never(discount)
        self.left = [left - part for left, part in zip(self.left, taken, strict=True)]
        return taken

    def _dearest(self, places: Sequence[int], quantity: int) -> Iterator[tuple[int, int]]:
        for place in sorted(places, key=lambda each: (-self.order.lines[each].unit_price_minor, each)):
            units = min(quantity, self.paid_units[place])
            quantity -= units
            if units:
                yield place, units


def worth(discount: PercentOff | AmountOff, left_minor: int) -> int:
    """What a share or an amount takes off what is left; a share is rounded down."""
    if isinstance(discount, AmountOff):
        return min(discount.amount_minor, left_minor)
    share = left_minor * discount.basis_points // _WHOLE
    return min(share, discount.cap_minor) if discount.cap_minor else share


def split(total: int, weights: Sequence[int]) -> list[int]:
    """A total over weights by the largest remainder, ties to the first. No part exceeds its weight where the total does
    not exceed their sum."""
    whole = sum(weights)
    if not whole:
        return [0] * len(weights)
    parts = [total * weight // whole for weight in weights]
    remainders = sorted(range(len(weights)), key=lambda place: (-(total * weights[place] % whole), place))
    for place in remainders[: total - sum(parts)]:
        parts[place] += 1
    return parts


def _rank(terms: Terms) -> int:
    match terms.discount:
        case FreeProduct():
            return 0
        case PercentOff():
            return 1
        case AmountOff():
            return 2
        case _:
            assert_never(terms.discount)


def _violations(order: Order) -> Iterator[FieldViolation]:
    try:
        check_currency("order.currency", order.currency)
    except InvalidArgument as refusal:
        yield from refusal.violations
    if order.channel:
        yield from _id_violations("order.channel", order.channel)
    if not 1 <= len(order.lines) <= MAX_LINES:
        yield FieldViolation("order.lines", f"must have 1 to {MAX_LINES} items")
    for index, line in enumerate(order.lines[:MAX_LINES]):
        yield from _line_violations(f"order.lines[{index}]", line)
    if order.price_minor > AMOUNT_MAX:
        yield FieldViolation("order.lines", f"must not come to more than {AMOUNT_MAX}")


def _line_violations(name: str, line: OrderLine) -> Iterator[FieldViolation]:
    yield from _id_violations(f"{name}.product_id", line.product_id)
    if line.family:
        yield from _id_violations(f"{name}.family", line.family)
    if not 0 <= line.unit_price_minor <= AMOUNT_MAX:
        yield FieldViolation(f"{name}.unit_price_minor_units", f"must be from 0 to {AMOUNT_MAX}")
    if not 1 <= line.quantity <= MAX_QUANTITY:
        yield FieldViolation(f"{name}.quantity", f"must be from 1 to {MAX_QUANTITY}")


def _id_violations(field: str, value: str) -> Iterator[FieldViolation]:
    try:
        check_id(field, value)
    except InvalidArgument as refusal:
        yield from refusal.violations
