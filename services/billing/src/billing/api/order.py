"""OrderService: orders, and subscriptions in mid-cycle."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from functools import partial
from typing import Any, TypeVar

import grpc
from chassis import clock
from chassis.errors import InvalidArgument, Refusal
from chassis.gathering import BATCH_MAX
from chassis.paging import page_from_request
from chassis.rounds import answer_in_rounds
from chassis.rpc.errors import item_result
from chassis.times import from_proto
from chassis.work import Transaction, Work, ask
from google.protobuf.message import Message
from touchstone.billing.v1 import order_service_pb2 as pb
from touchstone.billing.v1.order_service_pb2_grpc import OrderServiceServicer

from billing.api.placing import Placing
from billing.domain.subscription import CancelSubscription, ChangeSubscription
from billing.use_cases import order as orders
from billing.use_cases import subscription as subscriptions
from billing.use_cases.quote import Sale
from billing.wire import order as wire
from billing.wire.value import number_after, owner_from_proto

Context = grpc.aio.ServicerContext[Any, Any]
R = TypeVar("R", bound=Message)
M = TypeVar("M", bound=Message)


async def _cancel(transaction: Transaction, wanted: CancelSubscription, sale: Sale) -> pb.CancelSubscriptionResponse:
    return wire.cancelled_to_proto(await subscriptions.cancel_subscription(transaction, wanted, sale))


async def _change(transaction: Transaction, wanted: ChangeSubscription, sale: Sale) -> pb.ChangeSubscriptionResponse:
    return wire.changed_to_proto(await subscriptions.change_subscription(transaction, wanted, sale))


async def _advance(transaction: Transaction, as_of: datetime) -> pb.AdvanceOrdersResponse:
    return pb.AdvanceOrdersResponse(rejected=await orders.advance_orders(transaction, as_of))


class OrderApi(OrderServiceServicer):
    """An order, a change and a cancellation each move balances as a whole or not at all: a transaction of its own."""

    def __init__(self, work: Work, sale: Sale, placing: Placing) -> None:
        self._work = work
        self._placing = placing
        self._cancel = partial(_cancel, sale=sale)
        self._change = partial(_change, sale=sale)

    async def QuoteOrder(self, request: pb.QuoteOrderRequest, context: Context) -> pb.QuoteOrderResponse:
        return wire.quote_to_proto(await self._placing.quote(wire.quote_from_proto(request, clock.now())))

    async def PlaceOrder(self, request: pb.PlaceOrderRequest, context: Context) -> pb.PlaceOrderResponse:
        return await self._placing.place(ask(request, wire.place_order_from_proto(request)))

    async def BatchPlaceOrders(
        self, request: pb.BatchPlaceOrdersRequest, context: Context
    ) -> pb.BatchPlaceOrdersResponse:
        outcomes = await _each(request.requests, self._placed)
        return pb.BatchPlaceOrdersResponse(results=map(item_result(pb.PlaceOrderResult), outcomes))

    async def GetOrder(self, request: pb.GetOrderRequest, context: Context) -> pb.GetOrderResponse:
        order_id, owner = wire.order_id_from_proto(request.order_id), owner_from_proto(request.customer_id)
        async with self._work.reading() as connection:
            shown = await orders.get_order(connection, order_id, owner)
        return pb.GetOrderResponse(order=wire.order_to_proto(shown))

    async def ListOrders(self, request: pb.ListOrdersRequest, context: Context) -> pb.ListOrdersResponse:
        page, wanted = page_from_request(request), wire.order_filter_from_proto(request)
        before = number_after(page)
        async with self._work.reading() as connection:
            found = await orders.orders_page(connection, wanted, before=before, limit=page.wanted)
        shown, token = page.cut(found, lambda one: str(one.order.number))
        return pb.ListOrdersResponse(orders=map(wire.order_to_proto, shown), next_page_token=token)

    async def GetSubscription(self, request: pb.GetSubscriptionRequest, context: Context) -> pb.GetSubscriptionResponse:
        subscription_id = wire.subscription_id_from_proto(request.subscription_id)
        owner = owner_from_proto(request.customer_id)
        async with self._work.reading() as connection:
            found = await subscriptions.get_subscription(connection, subscription_id, owner)
        return pb.GetSubscriptionResponse(subscription=wire.subscription_to_proto(found))

    async def ListSubscriptions(
        self, request: pb.ListSubscriptionsRequest, context: Context
    ) -> pb.ListSubscriptionsResponse:
        page, wanted = page_from_request(request), wire.subscription_filter_from_proto(request)
        async with self._work.reading() as connection:
            found = await subscriptions.subscriptions_page(connection, wanted, page)
        shown, token = page.cut(found, lambda one: one.subscription_id)
        return pb.ListSubscriptionsResponse(subscriptions=map(wire.subscription_to_proto, shown), next_page_token=token)

    async def ChangeSubscription(
        self, request: pb.ChangeSubscriptionRequest, context: Context
    ) -> pb.ChangeSubscriptionResponse:
        wanted = ask(request, wire.change_from_proto(request))
        return await self._work.answer("change_subscription", wanted, self._change, pb.ChangeSubscriptionResponse)

    async def CancelSubscription(
        self, request: pb.CancelSubscriptionRequest, context: Context
    ) -> pb.CancelSubscriptionResponse:
        return await self._cancelled(request)

    async def BatchCancelSubscriptions(
        self, request: pb.BatchCancelSubscriptionsRequest, context: Context
    ) -> pb.BatchCancelSubscriptionsResponse:
        outcomes = await _each(request.requests, self._cancelled)
        return pb.BatchCancelSubscriptionsResponse(results=map(item_result(pb.CancelSubscriptionResult), outcomes))

    async def AdvanceOrders(self, request: pb.AdvanceOrdersRequest, context: Context) -> pb.AdvanceOrdersResponse:
        asked = ask(request, from_proto(request.as_of, "as_of"))
        rejected = 0
        rounds = answer_in_rounds(
            self._work, "advance_orders", asked=asked, act=_advance, reply_type=pb.AdvanceOrdersResponse
        )
        async for reply in rounds:
            rejected += reply.rejected
            if reply.rejected < orders.LEFT_ROUND:
                break
        return pb.AdvanceOrdersResponse(rejected=rejected)

    async def _placed(self, request: pb.PlaceOrderRequest) -> pb.PlaceOrderResponse:
        return await self._placing.place(ask(request, wire.batch_order_from_proto(request)))

    async def _cancelled(self, request: pb.CancelSubscriptionRequest) -> pb.CancelSubscriptionResponse:
        wanted = ask(request, wire.cancel_from_proto(request))
        return await self._work.answer("cancel_subscription", wanted, self._cancel, pb.CancelSubscriptionResponse)


async def _each(requests: Sequence[R], answer: Callable[[R], Awaitable[M]]) -> list[M | Refusal]:
    """The items of a batch one after the other, each a whole of its own."""
    if len(requests) > BATCH_MAX:
        raise InvalidArgument("requests", f"must have at most {BATCH_MAX} items")
    outcomes: list[M | Refusal] = []
    for request in requests:
        try:
            outcomes.append(await answer(request))
        except Refusal as refusal:
            outcomes.append(refusal)
    return outcomes
