"""CatalogService: products, prices and discounts, and what usage would cost."""

from typing import Any

import grpc
from chassis import clock
from chassis.calendar import Calendar
from chassis.paging import page_from_request
from chassis.times import from_proto_or
from chassis.work import Transaction, Work, ask
from touchstone.billing.v1 import catalog_service_pb2 as pb
from touchstone.billing.v1.catalog_service_pb2_grpc import CatalogServiceServicer

from billing.domain.discount import Discount
from billing.domain.price import Price
from billing.domain.product import Product
from billing.use_cases import catalog
from billing.use_cases.rating import quote_usage
from billing.wire import catalog as wire
from billing.wire.reckoning import reckoning_to_proto
from billing.wire.value import number_after

Context = grpc.aio.ServicerContext[Any, Any]


async def _put_product(transaction: Transaction, wanted: Product) -> pb.PutProductResponse:
    return pb.PutProductResponse(product=wire.product_to_proto(await catalog.put_product(transaction, wanted)))


async def _put_price(transaction: Transaction, wanted: Price) -> pb.PutPriceResponse:
    return pb.PutPriceResponse(price=wire.price_to_proto(await catalog.put_price(transaction, wanted)))


async def _put_discount(transaction: Transaction, wanted: Discount) -> pb.PutDiscountResponse:
    return pb.PutDiscountResponse(discount=wire.discount_to_proto(await catalog.put_discount(transaction, wanted)))


class CatalogApi(CatalogServiceServicer):
    """What the operator sells."""

    def __init__(self, work: Work, calendar: Calendar) -> None:
        self._work = work
        self._calendar = calendar

    async def PutProduct(self, request: pb.PutProductRequest, context: Context) -> pb.PutProductResponse:
        wanted = ask(request, wire.product_from_proto(request.product))
        return await self._work.answer("put_product", wanted, _put_product, pb.PutProductResponse)

    async def GetProduct(self, request: pb.GetProductRequest, context: Context) -> pb.GetProductResponse:
        product_id = wire.product_id_from_proto("product_id", request.product_id)
        as_of = from_proto_or(request.as_of, "as_of", clock.now())
        async with self._work.reading() as connection:
            return wire.priced_to_proto(await catalog.get_product(connection, product_id, as_of))

    async def ListProducts(self, request: pb.ListProductsRequest, context: Context) -> pb.ListProductsResponse:
        page, wanted = page_from_request(request), wire.product_filter_from_proto(request)
        async with self._work.reading() as connection:
            found = await catalog.products_page(connection, wanted, page)
        shown, token = page.cut(found, lambda one: one.product_id)
        return pb.ListProductsResponse(products=map(wire.product_to_proto, shown), next_page_token=token)

    async def PutPrice(self, request: pb.PutPriceRequest, context: Context) -> pb.PutPriceResponse:
        wanted = ask(request, wire.price_from_proto(request.price))
        return await self._work.answer("put_price", wanted, _put_price, pb.PutPriceResponse)

    async def ListPrices(self, request: pb.ListPricesRequest, context: Context) -> pb.ListPricesResponse:
        page = page_from_request(request)
        product_id, before = wire.product_id_from_proto("product_id", request.product_id), number_after(page)
        async with self._work.reading() as connection:
            found = await catalog.prices_page(connection, product_id, before=before, limit=page.wanted)
        shown, token = page.cut(found, lambda one: str(one.number))
        return pb.ListPricesResponse(prices=[wire.price_to_proto(each.price) for each in shown], next_page_token=token)

    async def PutDiscount(self, request: pb.PutDiscountRequest, context: Context) -> pb.PutDiscountResponse:
        wanted = ask(request, wire.discount_from_proto(request.discount))
        return await self._work.answer("put_discount", wanted, _put_discount, pb.PutDiscountResponse)

    async def ListDiscounts(self, request: pb.ListDiscountsRequest, context: Context) -> pb.ListDiscountsResponse:
        page = page_from_request(request)
        async with self._work.reading() as connection:
            found = await catalog.discounts_page(connection, page)
        shown, token = page.cut(found, lambda one: one.discount_id)
        return pb.ListDiscountsResponse(discounts=map(wire.discount_to_proto, shown), next_page_token=token)

    async def RateUsage(self, request: pb.RateUsageRequest, context: Context) -> pb.RateUsageResponse:
        wanted = wire.usage_wish_from_proto(request, clock.now())
        async with self._work.reading() as connection:
            reckoned = await quote_usage(connection, wanted, self._calendar)
        return pb.RateUsageResponse(reckoning=reckoning_to_proto(reckoned))
