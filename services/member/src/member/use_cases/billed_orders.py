"""Orders that billing placed or gave up: what was set aside here for them is spent, or free again."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from chassis.calendar import Calendar
from chassis.errors import Refusal
from chassis.work import Transaction
from ledger import SourceReused

from member.domain.coupon import OrderId
from member.domain.customer import CustomerId
from member.domain.points import HoldEnd
from member.store import customers
from member.use_cases.coupon_uses import EndReservation, redeem_reserved, release_coupons
from member.use_cases.spending import ConfirmHold, ReleaseHold, confirm_many, release_many


@dataclass(frozen=True, slots=True)
class BilledOrder:
    """An order as billing tells of it: whether coupons were set aside, and the hold of points, empty for none."""

    customer_id: CustomerId
    order_id: OrderId
    has_coupons: bool
    hold_id: str
    occurred_at: datetime


async def spend_for_orders(transaction: Transaction, orders: Sequence[BilledOrder], *, calendar: Calendar) -> None:
    """Spends what is set aside, once however often it is told. Raises ReservationNotOpen, HoldExpired and the like
    where it is not any more: the price was given, so that somebody has to look at it."""
    orders = await _of_whom_they_are_now(transaction, orders)
    outcomes: list[object] = [
        *await redeem_reserved(transaction, _ends(orders), calendar=calendar, told=True),
        *await confirm_many(
            transaction,
            [ConfirmHold(each.customer_id, _end(each, "placed"), None) for each in orders if each.hold_id],
        ),
    ]
    for outcome in outcomes:
        if isinstance(outcome, Refusal) and not isinstance(outcome, SourceReused):
            raise outcome


async def free_for_orders(transaction: Transaction, orders: Sequence[BilledOrder], *, calendar: Calendar) -> None:
    """Frees what is set aside; what never was, or ended by itself, is free already."""
    orders = await _of_whom_they_are_now(transaction, orders)
    await release_coupons(transaction, _ends(orders), calendar=calendar)
    await release_many(
        transaction, [ReleaseHold(each.customer_id, _end(each, "rejected")) for each in orders if each.hold_id]
    )


async def _of_whom_they_are_now(transaction: Transaction, orders: Sequence[BilledOrder]) -> list[BilledOrder]:
    """What a customer that was merged away had set aside went over to the one that stands for it now."""
    into = await customers.merged_into(transaction.connection, {each.customer_id for each in orders})
    return [replace(each, customer_id=into.get(each.customer_id, each.customer_id)) for each in orders]


def _ends(orders: Sequence[BilledOrder]) -> list[EndReservation]:
    return [EndReservation(each.customer_id, each.order_id, each.occurred_at) for each in orders if each.has_coupons]


def _end(order: BilledOrder, how: str) -> HoldEnd:
    return HoldEnd(f"order:{order.order_id}:{how}", order.hold_id, order.occurred_at)
