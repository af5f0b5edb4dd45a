"""Discounts by the tier that a member holds. Of all that match the greatest is given; they are never added up."""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from chassis.errors import FieldViolation
from chassis.money import MAX_BASIS_POINTS
from chassis.violations import count_violations, range_violations, refuse_any, repeat_violations

from billing.domain.ids import CustomerId, DiscountId
from billing.domain.product import Product

SCOPE_MAX = 100


class HeldTier(NamedTuple):
    """A tier that a customer holds in a program."""

    program_id: str
    tier_id: str


class TiersHeld(NamedTuple):
    """What a customer as a whole holds, as the member service says; `revision` rises with every change."""

    customer_id: CustomerId
    tiers: tuple[HeldTier, ...]
    revision: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Discount:
    """So much less for who holds a tier. With neither products nor families it is for all; `effective_until` is
    exclusive, None for ever; `revision` 0 is not stored yet."""

    discount_id: DiscountId
    display_name: str
    held: HeldTier
    product_ids: tuple[str, ...] = ()
    families: tuple[str, ...] = ()
    basis_points: int
    effective_from: datetime
    effective_until: datetime | None = None
    revision: int = 0

    def __post_init__(self) -> None:
        refuse_any(self._violations())

    def _violations(self) -> Iterator[FieldViolation]:
        yield from range_violations("discount.basis_points", self.basis_points, least=1, most=MAX_BASIS_POINTS)
        for field, names in (("discount.product_ids", self.product_ids), ("discount.families", self.families)):
            yield from count_violations(field, names, most=SCOPE_MAX)
            yield from repeat_violations(field, "", names)
        if self.effective_until is not None and self.effective_until <= self.effective_from:
            yield FieldViolation("discount.effective_until", "must be after effective_from")

    def applies(self, product: Product, held: Collection[HeldTier], instant: datetime) -> bool:
        """Whether it is given on this product to who holds these tiers, at this instant."""
        if self.held not in held or instant < self.effective_from:
            return False
        if self.effective_until is not None and instant >= self.effective_until:
            return False
        named = bool(self.product_ids or self.families)
        return not named or product.product_id in self.product_ids or product.family in self.families


def best_discount(
    discounts: Iterable[Discount], product: Product, held: Collection[HeldTier], instant: datetime
) -> Discount | None:
    """The greatest that applies; of equal ones the first by id."""
    matching = [each for each in discounts if each.applies(product, held, instant)]
    return min(matching, key=lambda each: (-each.basis_points, each.discount_id), default=None)
