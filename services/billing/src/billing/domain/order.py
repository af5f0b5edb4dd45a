"""Orders: products that an account takes together, charged as a whole or not at all."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import NamedTuple

from chassis.errors import AlreadyExists, FieldViolation, InvalidArgument, NotFound, Refusal
from chassis.money import AMOUNT_MAX, Money
from chassis.violations import count_violations, range_violations, refuse_any, repeat_violations

from billing.domain.ids import AccountId, ChargeId, CustomerId, OrderId, ProductId, SubscriptionId
from billing.domain.movement import check_occurred_at
from billing.domain.product import Product, ProductKind, ProductKindDiffers

ITEMS_MAX = 50
QUANTITY_MAX = 1000
COUPONS_MAX = 20
FINISHED_WITHIN = timedelta(hours=1)
"""An order that reserves is charged so long after it was stored at the latest; coupons and points are kept longer."""
LEFT = "LEFT"
"""Why an order was given up that was left while reserving."""


class OrderNotFound(NotFound):
    """No such order, or not one of the customer named: the answer is the same."""


class OrderExists(AlreadyExists):
    """The order's identifier is in use."""


class OrderWasRejected(Refusal):
    """The order was given up; it is placed anew under another identifier. Metadata `because` says why."""


class TotalDiffers(Refusal):
    """The order comes to something else than the caller expects; metadata `total_minor` says to what."""


class OrderState(StrEnum):
    """Where an order stands."""

    RESERVING = "reserving"
    """Coupons and points are being set aside at the member service."""
    PLACED = "placed"
    REJECTED = "rejected"


class OrderItem(NamedTuple):
    """One product of an order. `subscription_id` is what a recurring one becomes, None of others."""

    product_id: ProductId
    quantity: int
    subscription_id: SubscriptionId | None = None
    subscriber_id: str = ""

    def check_suits(self, product: Product, field: str) -> None:
        """Refuses what is not sold any more, usage, and a subscription that is missing or not wanted."""
        product.check_sold()
        if product.kind is ProductKind.USAGE:
            raise ProductKindDiffers(
                f"product {product.product_id} is charged as it is used", product_id=product.product_id
            )
        if (product.kind is ProductKind.RECURRING) != (self.subscription_id is not None):
            needed = "is required of" if product.kind is ProductKind.RECURRING else "must be empty for"
            raise InvalidArgument(f"{field}.subscription_id", f"{needed} a {product.kind} product")


@dataclass(frozen=True, slots=True, kw_only=True)
class Basket:
    """What would be ordered, with what is to be taken off."""

    account_id: AccountId
    customer_id: CustomerId | None
    items: tuple[OrderItem, ...]
    coupon_ids: tuple[str, ...] = ()
    points: int = 0
    at: datetime

    def __post_init__(self) -> None:
        refuse_any(self._violations())
        check_occurred_at(self.at)

    @property
    def reserves(self) -> bool:
        """Whether the member service has to set something aside for it."""
        return bool(self.coupon_ids or self.points)

    def _violations(self) -> Iterator[FieldViolation]:
        yield from count_violations("items", self.items, least=1, most=ITEMS_MAX)
        for place, item in enumerate(self.items[:ITEMS_MAX]):
            yield from range_violations(f"items[{place}].quantity", item.quantity, least=1, most=QUANTITY_MAX)
        yield from _repeated_subscriptions(self.items)
        yield from count_violations("coupon_ids", self.coupon_ids, most=COUPONS_MAX)
        yield from repeat_violations("coupon_ids", "", self.coupon_ids)
        yield from range_violations("points", self.points, least=0, most=AMOUNT_MAX)


def _repeated_subscriptions(items: tuple[OrderItem, ...]) -> Iterator[FieldViolation]:
    seen = set()
    for place, item in enumerate(items):
        if item.subscription_id is not None and item.subscription_id in seen:
            yield FieldViolation(f"items[{place}].subscription_id", "must not repeat")
        seen.add(item.subscription_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaceOrder:
    """Wish to order."""

    order_id: OrderId
    basket: Basket
    expected_total: Money | None

    def check_total(self, total: Money) -> None:
        """Refuses TotalDiffers."""
        if self.expected_total is not None and self.expected_total != total:
            raise TotalDiffers(
                f"order {self.order_id} comes to {total.minor_units} {total.currency} in minor units",
                order_id=self.order_id,
                total_minor=str(total.minor_units),
                currency=total.currency,
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What a customer ordered. `charge_ids` are its charges, one for each item in their order, none before they are
    taken; `recorded_at` is when it was stored; `number` is its place in the order in which all came, 0 before that."""

    order_id: OrderId
    account_id: AccountId
    customer_id: CustomerId
    items: tuple[OrderItem, ...]
    coupon_ids: tuple[str, ...] = ()
    points: int = 0
    points_hold_id: str = ""
    state: OrderState
    charge_ids: tuple[ChargeId, ...] = ()
    rejected_because: str = ""
    placed_at: datetime
    recorded_at: datetime
    number: int = 0

    def check_same(self, wanted: PlaceOrder) -> None:
        """Refuses OrderExists for what is another order under the same identifier."""
        basket = wanted.basket
        known = (self.account_id, self.items, self.coupon_ids, self.points, self.placed_at)
        if known != (basket.account_id, basket.items, basket.coupon_ids, basket.points, basket.at):
            raise order_exists(self.order_id)
        if basket.customer_id is not None and basket.customer_id != self.customer_id:
            raise order_exists(self.order_id)

    def check_reserving(self) -> None:
        """Refuses OrderExists for one that is placed, OrderWasRejected for one that was given up."""
        if self.state is OrderState.PLACED:
            raise order_exists(self.order_id)
        if self.state is OrderState.REJECTED:
            raise OrderWasRejected(
                f"order {self.order_id} was given up", order_id=self.order_id, because=self.rejected_because
            )

    def check_kept(self, now: datetime) -> None:
        """Refuses OrderWasRejected for one that was left so long that what was set aside may be gone before it is told
        that the order was placed."""
        if now > self.recorded_at + FINISHED_WITHIN:
            raise OrderWasRejected(f"order {self.order_id} was left", order_id=self.order_id, because=LEFT)

    def check_owner(self, customer_id: CustomerId | None) -> None:
        """Refuses OrderNotFound when a customer is named and the order is another's."""
        if customer_id is not None and customer_id != self.customer_id:
            raise order_not_found(self.order_id)


def order_not_found(order_id: OrderId) -> OrderNotFound:
    """The one answer for an order that is missing or another's."""
    return OrderNotFound(f"there is no order {order_id}", order_id=order_id)


def order_exists(order_id: OrderId) -> OrderExists:
    """The answer to a second order under one identifier."""
    return OrderExists(f"order {order_id} was placed before", order_id=order_id)
