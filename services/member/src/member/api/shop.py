"""ShopService: the rewards shop, its stock and its orders."""

from functools import partial
from typing import Any

from chassis.calendar import Calendar
from chassis.paging import page_from_request
from chassis.rounds import answer_in_rounds
from chassis.work import Work, ask
from grpc.aio import ServicerContext
from touchstone.member.v1 import shop_service_pb2 as pb
from touchstone.member.v1 import shop_service_pb2_grpc as pb_grpc

from member.api.rendering import one
from member.domain.shop import Item, Order
from member.use_cases import shop, shop_orders
from member.wire import shop as wire
from member.wire.customers import customer_id_from_proto

_OVERDUE = one(shop_orders.cancel_overdue, wire.overdue_to_proto)


class ShopApi(pb_grpc.ShopServiceServicer):
    """The calls of ShopService."""

    def __init__(self, work: Work, calendar: Calendar) -> None:
        self._work = work
        self._calendar = calendar

    async def PutShopItem(
        self, request: pb.PutShopItemRequest, context: ServicerContext[Any, Any]
    ) -> pb.PutShopItemResponse:
        def render(item: Item) -> pb.PutShopItemResponse:
            return pb.PutShopItemResponse(item=wire.item_to_proto(item))

        asked = ask(request, wire.put_item_from_proto(request))
        return await self._work.answer("put_shop_item", asked, one(shop.put_item, render), pb.PutShopItemResponse)

    async def GetShopItem(
        self, request: pb.GetShopItemRequest, context: ServicerContext[Any, Any]
    ) -> pb.GetShopItemResponse:
        item_id = wire.item_id_from_proto(request.item_id)
        async with self._work.reading() as connection:
            return pb.GetShopItemResponse(item=wire.item_to_proto(await shop.get_item(connection, item_id)))

    async def ListShopItems(
        self, request: pb.ListShopItemsRequest, context: ServicerContext[Any, Any]
    ) -> pb.ListShopItemsResponse:
        page = page_from_request(request)
        async with self._work.reading() as connection:
            found = await shop.list_items(connection, page)
        shown, token = page.cut(found, lambda one: one.item_id)
        return pb.ListShopItemsResponse(items=[wire.item_to_proto(item) for item in shown], next_page_token=token)

    async def ChangeShopStock(
        self, request: pb.ChangeShopStockRequest, context: ServicerContext[Any, Any]
    ) -> pb.ChangeShopStockResponse:
        def render(item: Item) -> pb.ChangeShopStockResponse:
            return pb.ChangeShopStockResponse(item=wire.item_to_proto(item))

        act = one(shop.change_stock, render)
        asked = ask(request, wire.stock_change_from_proto(request))
        return await self._work.answer("change_shop_stock", asked, act, pb.ChangeShopStockResponse)

    async def AddShopCodes(
        self, request: pb.AddShopCodesRequest, context: ServicerContext[Any, Any]
    ) -> pb.AddShopCodesResponse:
        def render(item: Item) -> pb.AddShopCodesResponse:
            return pb.AddShopCodesResponse(item=wire.item_to_proto(item))

        asked = ask(request, wire.codes_from_proto(request))
        return await self._work.answer("add_shop_codes", asked, one(shop.add_codes, render), pb.AddShopCodesResponse)

    async def BrowseShop(
        self, request: pb.BrowseShopRequest, context: ServicerContext[Any, Any]
    ) -> pb.BrowseShopResponse:
        asked = wire.browse_from_proto(request)
        page = page_from_request(request)
        async with self._work.reading() as connection:
            shelf = await shop.browse(connection, asked, page)
        shown, token = page.cut(shelf.offers, lambda offer: offer.item.item_id)
        return pb.BrowseShopResponse(
            points_available=shelf.points_available,
            offers=[wire.offer_to_proto(offer, request.language) for offer in shown],
            next_page_token=token,
        )

    async def PlaceShopOrder(
        self, request: pb.PlaceShopOrderRequest, context: ServicerContext[Any, Any]
    ) -> pb.PlaceShopOrderResponse:
        def render(order: Order) -> pb.PlaceShopOrderResponse:
            return pb.PlaceShopOrderResponse(order=wire.order_to_proto(order))

        act = one(partial(shop_orders.place_order, calendar=self._calendar), render)
        asked = ask(request, wire.order_from_proto(request))
        return await self._work.answer("place_shop_order", asked, act, pb.PlaceShopOrderResponse)

    async def CancelShopOrder(
        self, request: pb.CancelShopOrderRequest, context: ServicerContext[Any, Any]
    ) -> pb.CancelShopOrderResponse:
        def render(order: Order) -> pb.CancelShopOrderResponse:
            return pb.CancelShopOrderResponse(order=wire.order_to_proto(order))

        act = one(shop_orders.cancel_order, render)
        asked = ask(request, wire.cancel_from_proto(request))
        return await self._work.answer("cancel_shop_order", asked, act, pb.CancelShopOrderResponse)

    async def FulfilShopOrder(
        self, request: pb.FulfilShopOrderRequest, context: ServicerContext[Any, Any]
    ) -> pb.FulfilShopOrderResponse:
        def render(order: Order) -> pb.FulfilShopOrderResponse:
            return pb.FulfilShopOrderResponse(order=wire.order_to_proto(order))

        act = one(shop_orders.fulfil_order, render)
        asked = ask(request, wire.fulfil_from_proto(request))
        return await self._work.answer("fulfil_shop_order", asked, act, pb.FulfilShopOrderResponse)

    async def ListShopOrders(
        self, request: pb.ListShopOrdersRequest, context: ServicerContext[Any, Any]
    ) -> pb.ListShopOrdersResponse:
        customer_id = customer_id_from_proto(request.customer_id)
        page = page_from_request(request)
        async with self._work.reading() as connection:
            found = await shop_orders.list_of_customer(connection, customer_id, page)
        shown, token = page.cut(found, lambda one: one.order_id)
        return pb.ListShopOrdersResponse(orders=[wire.order_to_proto(each) for each in shown], next_page_token=token)

    async def ListOrdersToFulfil(
        self, request: pb.ListOrdersToFulfilRequest, context: ServicerContext[Any, Any]
    ) -> pb.ListOrdersToFulfilResponse:
        item_id = wire.item_id_from_proto(request.item_id) if request.item_id else None
        page = page_from_request(request)
        async with self._work.reading() as connection:
            found = await shop_orders.list_open(connection, item_id, page)
        shown, token = page.cut(found, lambda one: one.order_id)
        return pb.ListOrdersToFulfilResponse(
            orders=[wire.order_to_proto(each) for each in shown], next_page_token=token
        )

    async def CancelOverdueOrders(
        self, request: pb.CancelOverdueOrdersRequest, context: ServicerContext[Any, Any]
    ) -> pb.CancelOverdueOrdersResponse:
        asked = ask(request, wire.overdue_from_proto(request))
        total = pb.CancelOverdueOrdersResponse()
        async for done in answer_in_rounds(
            self._work, "cancel_overdue_orders", asked=asked, act=_OVERDUE, reply_type=pb.CancelOverdueOrdersResponse
        ):
            if not done.cancelled:
                break
            total.cancelled += done.cancelled
        return total
