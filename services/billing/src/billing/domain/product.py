"""Products: what is sold, and how it is charged."""

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from chassis.errors import FieldViolation, InvalidArgument, NotFound, Refusal
from chassis.violations import range_violations

from billing.domain.ids import ProductId

CYCLE_COUNT_MAX = 36


class ProductNotFound(NotFound):
    """No product has this identifier."""


class ProductKindFixed(Refusal):
    """A product keeps its kind, its cycle and its unit: prices and subscriptions are built on them."""


class ProductKindDiffers(Refusal):
    """What is asked is not done with products of this kind."""


class ProductRetired(Refusal):
    """A retired product is not sold any more; who has it keeps it."""


class ProductKind(StrEnum):
    """How a product is charged."""

    ONE_OFF = "one_off"
    RECURRING = "recurring"
    USAGE = "usage"


class CycleUnit(StrEnum):
    """The unit of a recurring product's cycle, of the operator's calendar."""

    DAY = "day"
    MONTH = "month"
    YEAR = "year"


class Cadence(NamedTuple):
    """How long a cycle is: so many days, months or years."""

    every: int
    unit: CycleUnit


@dataclass(frozen=True, slots=True, kw_only=True)
class Product:
    """Something that is sold. `cadence` is a recurring one's, `unit` a usage product's; `revision` 0 is not stored."""

    product_id: ProductId
    display_name: str
    display_name_zh: str
    family: str
    kind: ProductKind
    cadence: Cadence | None
    unit: str
    refundable: bool
    retired: bool
    revision: int = 0

    def __post_init__(self) -> None:
        found = []
        if (self.kind is ProductKind.RECURRING) != (self.cadence is not None):
            found.append(FieldViolation("product.cycle_unit", "must be said of a recurring product, and of no other"))
        if self.cadence is not None:
            found += range_violations("product.cycle_count", self.cadence.every, least=1, most=CYCLE_COUNT_MAX)
        if (self.kind is ProductKind.USAGE) != bool(self.unit):
            found.append(FieldViolation("product.unit", "must be said of a usage product, and of no other"))
        if found:
            raise InvalidArgument.many(found)

    def check_kind(self, kind: ProductKind) -> None:
        """Refuses ProductKindDiffers."""
        if self.kind is not kind:
            raise ProductKindDiffers(
                f"product {self.product_id} is {self.kind}, not {kind}", product_id=self.product_id, kind=self.kind
            )

    def check_sold(self) -> None:
        """Refuses ProductRetired."""
        if self.retired:
            raise ProductRetired(f"product {self.product_id} is no longer sold", product_id=self.product_id)


def product_not_found(product_id: ProductId) -> ProductNotFound:
    """The answer for a product that is not there."""
    return ProductNotFound(f"there is no product {product_id}", product_id=product_id)
