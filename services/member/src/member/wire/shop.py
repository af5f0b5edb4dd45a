"""The rewards shop between protobuf and the domain."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from chassis import clock, times
from chassis.auth import current_caller
from chassis.errors import InvalidArgument
from chassis.ids import check_id, check_text
from chassis.outbox import Routed
from google.protobuf.message import Message
from touchstone.member.v1 import shop_events_pb2, shop_pb2
from touchstone.member.v1 import shop_service_pb2 as pb

from member.domain.program import GENERAL, ProgramId, TierId
from member.domain.shop import (
    MAX_LANGUAGE_CHARACTERS,
    Item,
    ItemId,
    ItemKind,
    ItemText,
    Obstacle,
    Offer,
    Order,
    OrderId,
    OrderState,
    ShopOrderChanged,
    TierPrice,
)
from member.store.shop import StockChange
from member.use_cases.shop import AddCodes, Browse, ChangeStock, PutItem
from member.use_cases.shop_orders import EndOrder, PlaceOrder
from member.wire.clubs import optional_to_proto, person_id_from_proto
from member.wire.customers import customer_id_from_proto
from member.wire.memberships import holder_from_proto
from member.wire.points import transaction_id_of

_KINDS = {
    ItemKind.GIFT: shop_pb2.SHOP_ITEM_KIND_GIFT,
    ItemKind.COUPON: shop_pb2.SHOP_ITEM_KIND_COUPON,
    ItemKind.CASH_OFF: shop_pb2.SHOP_ITEM_KIND_CASH_OFF,
    ItemKind.CODE: shop_pb2.SHOP_ITEM_KIND_CODE,
}
_KINDS_KNOWN = {number: kind for kind, number in _KINDS.items()}
_STATES = {
    OrderState.OPEN: shop_pb2.SHOP_ORDER_STATE_OPEN,
    OrderState.FULFILLED: shop_pb2.SHOP_ORDER_STATE_FULFILLED,
    OrderState.CANCELLED: shop_pb2.SHOP_ORDER_STATE_CANCELLED,
}
_OBSTACLES = {
    Obstacle.NOT_FOR_YOUR_TIER: pb.SHOP_OBSTACLE_NOT_FOR_YOUR_TIER,
    Obstacle.LIMIT_REACHED: pb.SHOP_OBSTACLE_LIMIT_REACHED,
    Obstacle.OUT_OF_STOCK: pb.SHOP_OBSTACLE_OUT_OF_STOCK,
    Obstacle.NOT_ENOUGH_POINTS: pb.SHOP_OBSTACLE_NOT_ENOUGH_POINTS,
}


def item_id_from_proto(item_id: str) -> ItemId:
    """An item's id, or InvalidArgument naming item_id."""
    return ItemId(check_id("item_id", item_id))


def put_item_from_proto(request: pb.PutShopItemRequest) -> PutItem:
    """The item to put, or InvalidArgument naming every field that is wrong."""
    item, template_id = request.item, request.item.coupon_template_id
    kind = _KINDS_KNOWN.get(item.kind)
    if kind is None:
        raise InvalidArgument("item.kind", "is required: what the item is")
    until = times.from_proto(item.valid_until, "item.valid_until") if item.HasField("valid_until") else None
    return PutItem(
        Item(
            ItemId(check_id("item.item_id", item.item_id)),
            kind,
            tuple(ItemText(text.language, text.title, text.description) for text in item.texts),
            item.picture_url,
            ProgramId(check_id("item.program_id", item.program_id)) if item.program_id else GENERAL,
            _prices(item),
            per_member_limit=item.per_member_limit,
            template_id=check_id("item.coupon_template_id", template_id) if template_id else "",
            fulfil_within_days=item.fulfil_within_days,
            valid_from=times.from_proto(item.valid_from, "item.valid_from"),
            valid_until=until,
            withdrawn=item.withdrawn,
        ),
        put_by=current_caller().subject,
    )


def item_to_proto(item: Item) -> shop_pb2.ShopItem:
    """The item as operators see it."""
    return shop_pb2.ShopItem(
        item_id=item.item_id,
        kind=_KINDS[item.kind],
        texts=[_text(text) for text in item.texts],
        picture_url=item.picture_url,
        program_id=item.program_id,
        prices=[shop_pb2.ShopItemPrice(tier_id=price.tier_id, points=price.points) for price in item.prices],
        per_member_limit=item.per_member_limit,
        coupon_template_id=item.template_id,
        fulfil_within_days=item.fulfil_within_days,
        valid_from=times.to_proto(item.valid_from),
        valid_until=optional_to_proto(item.valid_until),
        withdrawn=item.withdrawn,
        stock=item.stock,
        revision=item.revision,
    )


def stock_change_from_proto(request: pb.ChangeShopStockRequest) -> ChangeStock:
    """The change of a stock, or InvalidArgument."""
    name = transaction_id_of("change_shop_stock", request.request_id)
    change = StockChange(name, item_id_from_proto(request.item_id), request.change, request.reason)
    return ChangeStock(change, put_by=current_caller().subject)


def codes_from_proto(request: pb.AddShopCodesRequest) -> AddCodes:
    """The codes to add, or InvalidArgument."""
    return AddCodes(item_id_from_proto(request.item_id), tuple(request.codes), put_by=current_caller().subject)


def browse_from_proto(request: pb.BrowseShopRequest) -> Browse:
    """Who looks at the shop, and at which instant, or InvalidArgument."""
    check_text("language", request.language, length_max=MAX_LANGUAGE_CHARACTERS)
    at = times.from_proto(request.as_of, "as_of") if request.HasField("as_of") else clock.now()
    return Browse(holder_from_proto(request), at)


def offer_to_proto(offer: Offer, language: str) -> pb.ShopOffer:
    """The item as a member sees it, in the language wanted where it has words in it."""
    item = offer.item
    return pb.ShopOffer(
        item_id=item.item_id,
        kind=_KINDS[item.kind],
        text=_text(item.text_in(language)),
        picture_url=item.picture_url,
        points=offer.points or 0,
        obstacles=[_OBSTACLES[each] for each in offer.obstacles],
        points_missing=offer.points_missing,
    )


def order_from_proto(request: pb.PlaceShopOrderRequest) -> PlaceOrder:
    """What is ordered, or InvalidArgument."""
    if request.points_expected < 0:
        raise InvalidArgument("points_expected", "must be 0 or more")
    return PlaceOrder(
        transaction_id_of("place_shop_order", request.request_id),
        customer_id_from_proto(request.customer_id),
        person_id_from_proto(request.person_id),
        item_id_from_proto(request.item_id),
        request.points_expected,
        times.from_proto(request.occurred_at, "occurred_at"),
    )


def cancel_from_proto(request: pb.CancelShopOrderRequest) -> EndOrder:
    """The order that its customer takes back, or InvalidArgument."""
    customer_id = customer_id_from_proto(request.customer_id)
    return EndOrder(
        OrderId(check_id("order_id", request.order_id)),
        customer_id,
        times.from_proto(request.occurred_at, "occurred_at"),
    )


def fulfil_from_proto(request: pb.FulfilShopOrderRequest) -> EndOrder:
    """The order that was handed over, or InvalidArgument."""
    order_id = OrderId(check_id("order_id", request.order_id))
    return EndOrder(order_id, None, times.from_proto(request.occurred_at, "occurred_at"))


def overdue_from_proto(request: pb.CancelOverdueOrdersRequest) -> datetime:
    """Until when orders are overdue, or InvalidArgument."""
    return times.from_proto(request.as_of, "as_of")


def overdue_to_proto(cancelled: int) -> pb.CancelOverdueOrdersResponse:
    """What one round cancelled."""
    return pb.CancelOverdueOrdersResponse(cancelled=cancelled)


def order_to_proto(order: Order) -> shop_pb2.ShopOrder:
    """The order."""
    return shop_pb2.ShopOrder(
        order_id=order.order_id,
        item_id=order.item_id,
        kind=_KINDS[order.kind],
        member_id=order.member_id,
        customer_id=order.holder.customer_id,
        person_id=order.holder.person_id,
        points=order.points,
        state=_STATES[order.state],
        placed_at=times.to_proto(order.placed_at),
        fulfil_until=optional_to_proto(order.fulfil_until),
        ended_at=optional_to_proto(order.ended_at),
        coupon_id=order.coupon_id,
        code=order.code,
        revision=order.revision,
    )


def shop_order_changed_to_proto(fact: ShopOrderChanged) -> shop_events_pb2.ShopOrderChanged:
    """The event of an order. A code is worth money and goes to its member alone."""
    return shop_events_pb2.ShopOrderChanged(
        order=order_to_proto(replace(fact.order, code="")), occurred_at=times.to_proto(fact.occurred_at)
    )


def _prices(item: shop_pb2.ShopItem) -> tuple[TierPrice, ...]:
    return tuple(
        TierPrice(TierId(check_id(f"item.prices[{index}].tier_id", price.tier_id)), price.points)
        for index, price in enumerate(item.prices)
    )


def _text(text: ItemText) -> shop_pb2.ShopItemText:
    return shop_pb2.ShopItemText(language=text.language, title=text.title, description=text.description)


FACTS: Mapping[type[Any], Callable[[Any], Message | Routed]] = {
    ShopOrderChanged: shop_order_changed_to_proto,
}
