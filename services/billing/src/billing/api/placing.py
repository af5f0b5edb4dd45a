"""Orders with coupons and points: stored, set aside at the member service, and then charged or given up.

The member service is asked between two transactions, never inside one. A crash between them, and a member service that
does not answer, leave an order that reserves: a repeat of the request goes on with it, and AdvanceOrders gives it up.
What was set aside is confirmed or freed by the event that tells what became of the order.
"""

from functools import partial

from chassis.errors import Refusal
from chassis.work import Ask, Transaction, Work
from touchstone.billing.v1 import order_service_pb2 as pb

from billing.domain.order import Basket, PlaceOrder
from billing.domain.reserving import MemberUnavailable, Reserved, Reserves
from billing.use_cases import order as orders
from billing.use_cases.quote import Quote, Sale, ask_quote, quote_of
from billing.wire import order as wire

NOTHING = Reserved()


class Placing:
    """Quotes and places orders, with the member service where they need it."""

    def __init__(self, work: Work, sale: Sale, member: Reserves | None) -> None:
        self._work = work
        self._sale = sale
        self._member = member

    async def quote(self, basket: Basket) -> Quote:
        """What an order would come to."""
        async with self._work.reading() as connection:
            asked = await ask_quote(connection, basket, self._sale)
        return quote_of(asked, await self._known().quote(asked.reservation) if basket.reserves else NOTHING)

    async def place(self, asked: Ask[PlaceOrder]) -> pb.PlaceOrderResponse:
        """The order as it was charged, once for a request."""
        wanted = asked.command
        if not wanted.basket.reserves:
            return await self._work.answer("place_order", asked, self._charge, pb.PlaceOrderResponse)
        member = self._known()
        reservation = await self._work.run(lambda transaction: orders.begin_order(transaction, wanted, self._sale))
        reserved = NOTHING
        try:
            if reservation is not None:
                reserved = await member.reserve(reservation)
            finish = partial(self._finish, reserved=reserved)
            return await self._work.answer("place_order", asked, finish, pb.PlaceOrderResponse)
        except MemberUnavailable:
            raise
        except Refusal as refusal:
            because = refusal.metadata.get("because", refusal.reason)
            given_up = orders.GivenUp(wanted.order_id, because, reserved.points_hold_id)
            await self._work.run(lambda transaction: orders.reject_order(transaction, given_up))
            raise

    def _known(self) -> Reserves:
        """Refuses MemberUnavailable where the process knows no member service."""
        if self._member is None:
            raise MemberUnavailable("no member service is known here: orders take no coupons and points")
        return self._member

    async def _charge(self, transaction: Transaction, wanted: PlaceOrder) -> pb.PlaceOrderResponse:
        return wire.ordered_to_proto(await orders.place_order(transaction, wanted, self._sale))

    async def _finish(self, transaction: Transaction, wanted: PlaceOrder, reserved: Reserved) -> pb.PlaceOrderResponse:
        return wire.ordered_to_proto(await orders.finish_order(transaction, wanted, reserved, self._sale))
