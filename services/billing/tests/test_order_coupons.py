"""Orders with coupons and points: set aside elsewhere, charged once, and given up whole when anything is refused."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest
from billing.api.placing import Placing
from billing.domain.deduction import CouponPart, PointsExceedOrder
from billing.domain.ids import OrderId, ProductId, SubscriptionId
from billing.domain.order import Basket, OrderItem, OrderState, OrderWasRejected, PlaceOrder
from billing.domain.price import Price
from billing.domain.product import Cadence, CycleUnit, Product, ProductKind
from billing.domain.reserving import MemberUnavailable, Reservation, Reserved, ReservedLine
from billing.domain.standing import AccountSuspended
from billing.store.order import find_order
from billing.use_cases.catalog import put_price, put_product
from billing.use_cases.order import advance_orders
from billing.use_cases.quote import Sale
from billing.use_cases.standing import ChangeState, suspend_account
from billing.wire import FACTS
from chassis.errors import Refusal
from chassis.money import Money
from chassis.work import Ask, Transaction, Work
from sqlalchemy import text
from touchstone.billing.v1 import catalog_pb2, order_events_pb2, order_pb2

from services.billing.tests.factories import ACCOUNT, CALENDAR, CUSTOMER, RECORDED_AT, Billing, cny, opening, recharge

AT = datetime(2026, 3, 17, 10, tzinfo=UTC)
SALE = Sale(CALENDAR, 1)
# 15 of 31 days of 99.00.
LIST_MINOR = 47_90
COUPON, POINTS = CouponPart(0, "coupon-1", "Welcome", 7_90), 500
RESERVED = Reserved((COUPON,), "hold-1", 5_00)


class Desk:
    """A member service that sets aside what it is told to, and remembers what it was asked."""

    def __init__(self, *answers: Reserved | Refusal) -> None:
        self._answers = list(answers)
        self.asked: list[Reservation] = []

    async def reserve(self, wanted: Reservation) -> Reserved:
        """The next answer; the last one again and again."""
        self.asked.append(wanted)
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if isinstance(answer, Refusal):
            raise answer
        return answer

    async def quote(self, wanted: Reservation) -> Reserved:
        """As if it were to be set aside."""
        return await self.reserve(wanted)


def basket(*, points: int = POINTS) -> Basket:
    """TV by the month with a coupon and points."""
    item = OrderItem(ProductId("tv"), 1, SubscriptionId("sub-1"))
    return Basket(
        account_id=ACCOUNT, customer_id=CUSTOMER, items=(item,), coupon_ids=("coupon-1",), points=points, at=AT
    )


def asked(
    request_id: str = "r-1", *, order_id: str = "o-1", expected: Money | None = None, points: int = POINTS
) -> Ask[PlaceOrder]:
    """The wish of BOSS."""
    wanted = PlaceOrder(order_id=OrderId(order_id), basket=basket(points=points), expected_total=expected)
    return Ask("boss", request_id, b"the same", wanted)


async def prepared(work: Work, yuan: int = 100) -> Billing:
    """TV by the month is sold, and the account has money."""

    async def sell(transaction: Transaction) -> None:
        product = Product(
            product_id=ProductId("tv"),
            display_name="TV",
            display_name_zh="",
            family="tv",
            kind=ProductKind.RECURRING,
            cadence=Cadence(1, CycleUnit.MONTH),
            unit="",
            refundable=True,
            retired=False,
        )
        await put_product(transaction, product)
        begins = datetime(2026, 1, 1, tzinfo=UTC)
        price = Price(product_id=ProductId("tv"), currency="CNY", effective_from=begins, amount_minor=99_00)
        await put_price(transaction, price)

    await work.run(sell)
    billing = Billing(work)
    await billing.open(opening())
    await billing.move(recharge(yuan * 100))
    return billing


async def told(work: Work) -> Sequence[object]:
    """What became of orders, as the member service hears it."""
    kinds = {each.DESCRIPTOR.full_name: each for each in (order_events_pb2.OrderPlaced, order_events_pb2.OrderRejected)}
    async with work.reading() as connection:
        rows = await connection.execute(text("SELECT event_type, payload FROM outbox ORDER BY id"))
        return [kinds[row.event_type].FromString(row.payload) for row in rows if row.event_type in kinds]


async def state_of(work: Work) -> tuple[OrderState, str] | None:
    """Where the order stands, and why."""
    async with work.reading() as connection:
        order = await find_order(connection, OrderId("o-1"))
    return (order.state, order.rejected_because) if order else None


async def charges(work: Work) -> int:
    """What was charged, in minor units."""
    async with work.reading() as connection:
        return int((await connection.execute(text("SELECT coalesce(sum(amount_minor), 0) FROM charges"))).scalar_one())


async def test_coupons_and_points_come_off(work: Work) -> None:
    billing, desk = await prepared(work), Desk(RESERVED)
    placed = await Placing(work, SALE, desk).place(asked(expected=cny(35_00)))
    lines = [(line.kind, line.reference, line.amount.minor_units) for line in placed.order.reckoning.lines]
    assert lines[2:] == [
        (order_kind("COUPON"), "coupon-1", -7_90),
        (order_kind("POINTS"), "hold-1", -5_00),
    ]
    assert placed.order.reckoning.total.minor_units == LIST_MINOR - 7_90 - 5_00
    assert placed.balance_after.minor_units == 65_00
    assert placed.order.state == order_pb2.ORDER_STATE_PLACED
    (line,) = desk.asked[0].lines
    assert line == ReservedLine(ProductId("tv"), "tv", 1, LIST_MINOR)
    (event,) = await told(work)
    assert isinstance(event, order_events_pb2.OrderPlaced)
    assert (list(event.coupon_ids), event.points_hold_id, event.total.minor_units) == (["coupon-1"], "hold-1", 35_00)
    assert await billing.proof() == []


def order_kind(name: str) -> int:
    """The number of a kind of line."""
    return int(catalog_pb2.ReckoningLineKind.Value(f"RECKONING_LINE_KIND_{name}"))


async def test_an_order_that_the_member_service_does_not_answer_waits_for_its_repeat(work: Work) -> None:
    """What it set aside is not known, so that nothing is freed before it may have come to be."""
    await prepared(work)
    desk = Desk(MemberUnavailable("down"), RESERVED)
    with pytest.raises(MemberUnavailable):
        await Placing(work, SALE, desk).place(asked())
    assert await state_of(work) == (OrderState.RESERVING, "")
    assert await told(work) == []
    await Placing(work, SALE, desk).place(asked())
    assert await state_of(work) == (OrderState.PLACED, "")
    assert await charges(work) == 35_00


async def test_what_the_member_service_refuses_is_given_up(work: Work) -> None:
    billing, refusal = await prepared(work), Refusal("not good any more")
    with pytest.raises(Refusal):
        await Placing(work, SALE, Desk(refusal)).place(asked())
    assert await state_of(work) == (OrderState.REJECTED, refusal.reason)
    (event,) = await told(work)
    assert isinstance(event, order_events_pb2.OrderRejected)
    assert (list(event.coupon_ids), event.because) == (["coupon-1"], refusal.reason)
    assert await charges(work) == 0
    assert await billing.proof() == []


@pytest.mark.parametrize(
    ("yuan", "expected", "reason"), [(34, None, "INSUFFICIENT_BALANCE"), (100, cny(36_00), "TOTAL_DIFFERS")]
)
async def test_what_cannot_be_charged_is_freed(work: Work, yuan: int, expected: Money | None, reason: str) -> None:
    await prepared(work, yuan)
    placing = Placing(work, SALE, Desk(RESERVED))
    with pytest.raises(Refusal) as refused:
        await placing.place(asked(expected=expected))
    assert refused.value.reason == reason
    (event,) = await told(work)
    assert isinstance(event, order_events_pb2.OrderRejected)
    assert (event.points_hold_id, event.because) == ("hold-1", reason)
    with pytest.raises(Refusal) as again:
        await placing.place(asked("r-2"))
    assert (again.value.reason, again.value.metadata["because"]) == ("ORDER_WAS_REJECTED", reason)
    assert len(await told(work)) == 1
    assert await charges(work) == 0


async def test_points_worth_more_than_is_left_are_not_spent_for_less(work: Work) -> None:
    """All that is set aside is spent, so that the rest would be lost."""
    await prepared(work)
    placing = Placing(work, SALE, Desk(RESERVED._replace(points_worth_minor=LIST_MINOR - 7_90 + 1)))
    for ask_it in (placing.place(asked()), placing.quote(basket())):
        with pytest.raises(PointsExceedOrder) as refused:
            await ask_it
        assert refused.value.metadata == {"worth_minor": "4001", "left_minor": "4000"}
    (event,) = await told(work)
    assert isinstance(event, order_events_pb2.OrderRejected)
    assert (event.points_hold_id, event.because) == ("hold-1", "POINTS_EXCEED_ORDER")
    assert await charges(work) == 0


async def test_twenty_twins_are_one_order(work: Work) -> None:
    billing = await prepared(work)
    placing = Placing(work, SALE, Desk(RESERVED))
    replies = await asyncio.gather(*(placing.place(asked()) for _ in range(20)))
    assert len({reply.SerializeToString() for reply in replies}) == 1
    assert await charges(work) == 35_00
    assert len(await told(work)) == 1
    repeat = await placing.place(asked())
    assert repeat == replies[0]
    with pytest.raises(Refusal) as other:
        await placing.place(asked("r-2"))
    assert other.value.reason == "ORDER_EXISTS"
    assert await state_of(work) == (OrderState.PLACED, "")
    assert await billing.proof() == []


class Killed(BaseException):
    """The process ends here."""


class Dying(Desk):
    """The process ends after the order was stored, before the member service has answered."""

    async def reserve(self, wanted: Reservation) -> Reserved:
        """Nothing after this is done."""
        raise Killed


async def test_a_repeat_goes_on_where_a_crash_ended_it(work: Work) -> None:
    await prepared(work)
    with pytest.raises(Killed):
        await Placing(work, SALE, Dying(RESERVED)).place(asked())
    assert await state_of(work) == (OrderState.RESERVING, "")
    with pytest.raises(Refusal) as other:
        await Placing(work, SALE, Desk(RESERVED)).place(asked("r-2", points=1))
    assert other.value.reason == "ORDER_EXISTS"
    desk = Desk(RESERVED)
    await Placing(work, SALE, desk).place(asked())
    assert await state_of(work) == (OrderState.PLACED, "")
    assert [(each.occurred_at, each.until) for each in desk.asked] == [(AT, AT + timedelta(days=1))]


async def test_what_is_set_aside_is_kept_long_enough_to_be_told(work: Work) -> None:
    """By the time of recording, however long ago the order was; what was left for long is not charged any more."""
    await prepared(work)
    dying, later = Dying(RESERVED), AT + timedelta(days=3)
    with pytest.raises(Killed):
        await Placing(at(work, later), SALE, dying).place(asked())
    desk = Desk(RESERVED)
    with pytest.raises(OrderWasRejected) as left:
        await Placing(at(work, later + timedelta(hours=1, microseconds=1)), SALE, desk).place(asked())
    assert left.value.metadata["because"] == "LEFT"
    assert [each.until for each in desk.asked] == [later + timedelta(days=1)]
    assert await state_of(work) == (OrderState.REJECTED, "LEFT")
    assert await charges(work) == 0


async def test_a_repeat_is_answered_though_the_account_is_suspended_meanwhile(work: Work) -> None:
    await prepared(work)
    placing = Placing(work, SALE, Desk(RESERVED))
    first = await placing.place(asked())
    wanted = ChangeState(account_id=ACCOUNT, reason="debt", occurred_at=AT)
    await work.run(lambda transaction: suspend_account(transaction, wanted))
    assert await placing.place(asked()) == first
    with pytest.raises(AccountSuspended):
        await placing.place(asked("r-2", order_id="o-2"))


async def test_what_is_left_is_given_up_a_minute_later(work: Work) -> None:
    billing = await prepared(work)
    with pytest.raises(Killed):
        await Placing(work, SALE, Dying(RESERVED)).place(asked())
    assert await advanced(work, RECORDED_AT) == 0
    assert await advanced(work, RECORDED_AT + timedelta(minutes=1)) == 0
    assert await advanced(work, RECORDED_AT + timedelta(minutes=1, microseconds=1)) == 1
    assert await advanced(work, RECORDED_AT + timedelta(days=1)) == 0
    assert await state_of(work) == (OrderState.REJECTED, "LEFT")
    assert len(await told(work)) == 1
    with pytest.raises(Refusal) as again:
        await Placing(work, SALE, Desk(RESERVED)).place(asked())
    assert again.value.reason == "ORDER_WAS_REJECTED"
    assert await billing.proof() == []


async def advanced(work: Work, recorded_at: datetime) -> int:
    """How many orders are given up by a round at an instant of system time, long after they were placed."""
    return await at(work, recorded_at).run(lambda transaction: advance_orders(transaction, AT + timedelta(days=1)))


def at(work: Work, recorded_at: datetime) -> Work:
    """The same database at an instant of system time."""
    return Work(work._engine, FACTS, now=lambda: recorded_at)


async def test_a_quote_sets_nothing_aside(work: Work) -> None:
    await prepared(work, 34)
    quote = await Placing(work, SALE, Desk(RESERVED)).quote(basket())
    assert (quote.reckoned.reckoning.total_minor, quote.affordable) == (35_00, False)
    assert await state_of(work) is None
