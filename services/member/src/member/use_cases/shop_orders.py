"""Orders of the rewards shop: placed, fulfilled, cancelled, or cancelled because nobody fulfilled them."""

from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from chassis.calendar import Calendar
from chassis.errors import Refusal
from chassis.ids import new_id
from chassis.paging import Page
from chassis.work import Transaction
from ledger import HoldEnded, HoldExpired

from member.domain.coupon import CouponId
from member.domain.coupon_template import TemplateId
from member.domain.customer import CustomerId, PersonId
from member.domain.membership import Holder
from member.domain.points import HoldEnd
from member.domain.shop import (
    OF_COUPONS,
    Item,
    ItemId,
    ItemKind,
    ItemLimitReached,
    ItemNotOffered,
    Order,
    OrderId,
    OrderNotFound,
    OrderOverdue,
    OrderState,
    OutOfStock,
    ShopOrderChanged,
    price_for,
)
from member.domain.spending import Purpose
from member.store import Connection
from member.store import shop as store
from member.use_cases.coupons import IssueCoupon, issue_coupons
from member.use_cases.holding import Held, find_held_for_use
from member.use_cases.shop import get_item
from member.use_cases.spending import (
    ConfirmHold,
    HoldPoints,
    ReleaseHold,
    SpendPoints,
    confirm_hold,
    hold_points,
    release_hold,
    spend_points,
)

OVERDUE_PER_ROUND = 200

# What takes money off is a coupon here: the points that are spent on it are not turned into money by a rate.
_PURPOSES = {
    ItemKind.GIFT: Purpose.GIFT,
    ItemKind.COUPON: Purpose.COUPON,
    ItemKind.CASH_OFF: Purpose.COUPON,
    ItemKind.CODE: Purpose.OTHER,
}


@dataclass(frozen=True, slots=True)
class PlaceOrder:
    """Order one item. `points_expected` is the price that the member saw, 0 for whatever it is; `source` names the
    request, which places one order however often it comes."""

    source: str
    customer_id: CustomerId
    person_id: PersonId
    item_id: ItemId
    points_expected: int
    occurred_at: datetime


@dataclass(frozen=True, slots=True)
class EndOrder:
    """Fulfil or cancel an order; `customer_id` is whose it must be, None for an operator."""

    order_id: OrderId
    customer_id: CustomerId | None
    occurred_at: datetime


async def place_order(transaction: Transaction, command: PlaceOrder, *, calendar: Calendar) -> Order:
    """Order an item: of a gift the points are held, all else is paid and given in this transaction. What the request
    placed before is answered as it is now.

    Refuses ItemNotFound, MemberNotFound, CustomerNotFound, PersonNotFound, ItemNotOffered, NotForYourTier,
    PriceChanged, ItemLimitReached, OutOfStock, InsufficientBalance, and what the issuing of a coupon refuses. Takers of
    one item wait for each other, so that the last of a stock and the last of a member's limit have one winner.
    """
    connection = transaction.connection
    known = await store.find_order_by_source(connection, command.source)
    if known is not None:
        return known
    seen = await get_item(connection, command.item_id)
    held = await find_held_for_use(connection, Holder(command.customer_id, seen.program_id, command.person_id))
    await _check(transaction, seen, held, command)
    item = await store.take_one(connection, seen.item_id)
    if item is None:
        raise OutOfStock(seen.item_id)
    points = await _check(transaction, item, held, command)
    order = await _paid(transaction, item, _order(item, held, points, command.occurred_at), calendar)
    await store.insert_order(connection, order, source=command.source)
    if order.code:
        await store.give_code(connection, order)
    transaction.emit(ShopOrderChanged(order, command.occurred_at))
    return order


async def fulfil_order(transaction: Transaction, command: EndOrder) -> Order:
    """Say that a gift was handed over, and spend its points; OrderNotFound, OrderEnded, OrderOverdue."""
    found = await _found(transaction, command)
    order = found.fulfilled(max(command.occurred_at, found.placed_at))
    assert order.ended_at is not None
    end = HoldEnd(f"{order.order_id}:fulfilled", order.hold_id, order.ended_at)
    try:
        await confirm_hold(transaction, ConfirmHold(order.holder.customer_id, end, None))
    except (HoldEnded, HoldExpired):
        raise OrderOverdue(order.order_id, order.fulfil_until or order.ended_at) from None
    return await _saved(transaction, order)


async def cancel_order(transaction: Transaction, command: EndOrder) -> Order:
    """Cancel an open order: its points are free again, and the item is back in stock. OrderNotFound, OrderEnded."""
    found = await _found(transaction, command)
    order = found.cancelled(max(command.occurred_at, found.placed_at))
    assert order.ended_at is not None
    await store.put_back(transaction.connection, [order.item_id])
    end = HoldEnd(f"{order.order_id}:cancelled", order.hold_id, order.ended_at)
    with suppress(HoldEnded, HoldExpired):  # of a hold that ended by itself the points are free already
        await release_hold(transaction, ReleaseHold(order.holder.customer_id, end))
    return await _saved(transaction, order)


async def cancel_overdue(transaction: Transaction, as_of: datetime) -> int:
    """Cancel one round of orders that were to be fulfilled by an instant, as of when they were; returns how many. Their
    holds ended by themselves at the same instant."""
    found = await store.overdue_for_update(transaction.connection, as_of, limit=OVERDUE_PER_ROUND)
    await store.put_back(transaction.connection, [order.item_id for order in found])
    for order in found:
        await _saved(transaction, order.cancelled(order.fulfil_until or as_of))
    return len(found)


async def list_of_customer(connection: Connection, customer_id: CustomerId, page: Page) -> list[Order]:
    """The orders of a customer and its persons, newest first, one more than the page holds where there are more."""
    return await store.list_of_customer(connection, customer_id, before=page.after, limit=page.wanted)


async def list_open(connection: Connection, item_id: ItemId | None, page: Page) -> list[Order]:
    """The orders that wait to be fulfilled, oldest first, one more than the page holds where there are more."""
    return await store.list_open(connection, item_id, after=page.after, limit=page.wanted)


async def _check(transaction: Transaction, item: Item, held: Held, command: PlaceOrder) -> int:
    """What the order costs, where the member may have the item."""
    if not item.is_offered(command.occurred_at) or item.program_id != held.member.program_id:
        raise ItemNotOffered(item.item_id)
    points = price_for(item, held.tier.tier_id, points_expected=command.points_expected)
    if item.per_member_limit:
        taken = await store.count_taken(transaction.connection, held.member.member_id, [item.item_id])
        if taken.get(item.item_id, 0) >= item.per_member_limit:
            raise ItemLimitReached(item.item_id)
    return points


def _order(item: Item, held: Held, points: int, at: datetime) -> Order:
    gift = item.kind is ItemKind.GIFT
    return Order(
        OrderId(new_id()),
        item.item_id,
        item.kind,
        held.member.member_id,
        held.member.holder,
        points=points,
        state=OrderState.OPEN if gift else OrderState.FULFILLED,
        placed_at=at,
        fulfil_until=item.fulfil_until(at),
        ended_at=None if gift else at,
    )


async def _paid(transaction: Transaction, item: Item, order: Order, calendar: Calendar) -> Order:
    """The order with its points held or spent, and with what it gives at once."""
    reason = f"shop item {item.item_id}"
    if order.fulfil_until is not None:
        held = HoldPoints(
            order.hold_id,
            order.holder,
            order.points,
            reason,
            order.placed_at,
            expires_at=order.fulfil_until,
            longest=timedelta.max,
        )
        await hold_points(transaction, held)
        return order
    purpose = _PURPOSES[item.kind]
    spend = SpendPoints(order.order_id, order.holder, order.points, reason, order.placed_at, purpose, order.order_id)
    await spend_points(transaction, spend)
    if item.kind in OF_COUPONS:
        return await _with_coupon(transaction, item, order, calendar)
    return replace(order, code=await store.free_code(transaction.connection, item.item_id))


async def _with_coupon(transaction: Transaction, item: Item, order: Order, calendar: Calendar) -> Order:
    coupon_id = CouponId(new_id())
    wanted = IssueCoupon(
        coupon_id, TemplateId(item.template_id), order.holder, order.placed_at, reason=f"shop item {item.item_id}"
    )
    (issued,) = await issue_coupons(transaction, [wanted], calendar=calendar)
    if isinstance(issued, Refusal):
        raise issued
    return replace(order, coupon_id=coupon_id)


async def _found(transaction: Transaction, command: EndOrder) -> Order:
    order = await store.find_order_for_update(transaction.connection, command.order_id)
    if order is None or command.customer_id not in (None, order.holder.customer_id):
        raise OrderNotFound(command.order_id)
    return order


async def _saved(transaction: Transaction, order: Order) -> Order:
    assert order.ended_at is not None
    await store.save_order(transaction.connection, order)
    transaction.emit(ShopOrderChanged(order, order.ended_at))
    return order
