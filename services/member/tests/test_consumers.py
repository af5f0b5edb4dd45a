"""Billing's events over a real broker: each has its effect once, however often it comes."""

from datetime import datetime
from typing import Any

from chassis.testing.serving import Serving
from chassis.times import to_proto
from touchstone.billing.v1 import account_events_pb2, billing_events_pb2, order_events_pb2
from touchstone.common.v1.common_pb2 import Money

from services.member.tests.billing import Billing
from services.member.tests.calls import SCOPES, Stubs
from services.member.tests.factories import day, enrolled, hold_request, rows, scalar, told


def recharged(
    amount_minor: int, *, at: datetime, customer_id: str = "c-1", transaction_id: str = ""
) -> billing_events_pb2.AccountRecharged:
    """A recharge that billing tells; without a transaction it is named by its event."""
    return billing_events_pb2.AccountRecharged(
        transaction_id=transaction_id,
        account_id="a-1",
        customer_id=customer_id,
        amount=Money(minor_units=amount_minor, currency="CNY"),
        occurred_at=to_proto(at),
        account_version=1,
    )


def charged(
    amount_minor: int, *, at: datetime, customer_id: str = "c-1", charge_id: str = ""
) -> billing_events_pb2.AccountCharged:
    """A charge that billing tells; without an id it is named by its event."""
    return billing_events_pb2.AccountCharged(
        charge_id=charge_id,
        account_id="a-1",
        customer_id=customer_id,
        amount=Money(minor_units=amount_minor, currency="CNY"),
        occurred_at=to_proto(at),
        account_version=1,
    )


def reversed_part(part: int, *, at: datetime, number: int) -> account_events_pb2.RechargeReversed:
    """So much of a recharge of 100 yuan is taken back."""
    return account_events_pb2.RechargeReversed(
        transaction_id=f"recharge_reversal:{number}",
        recharge_transaction_id="recharge:1",
        account_id="a-1",
        customer_id="c-1",
        amount=Money(minor_units=part, currency="CNY"),
        recharge_amount=Money(minor_units=100_00, currency="CNY"),
        occurred_at=to_proto(at),
    )


def refunded_part(part: int, *, at: datetime, number: int) -> account_events_pb2.ChargeRefunded:
    """So much of a charge of 60 yuan is given back."""
    return account_events_pb2.ChargeRefunded(
        refund_id=f"r-{number}",
        transaction_id=f"charge_refund:{number}",
        charge_id="x-1",
        account_id="a-1",
        customer_id="c-1",
        amount=Money(minor_units=part, currency="CNY"),
        charge_amount=Money(minor_units=60_00, currency="CNY"),
        occurred_at=to_proto(at),
    )


async def balance(served: Serving, customer_id: str = "c-1") -> Any:
    """Points as booked."""
    statement = (
        "SELECT balance FROM ledger_accounts JOIN members ON id = 'points:' || member_id WHERE customer_id = :customer"
    )
    return await scalar(served.work, statement, customer=customer_id)


async def test_an_event_published_thrice_gives_points_once(served: Serving, billing: Billing) -> None:
    await enrolled(served.work, "c-1")
    for again in range(3):
        await billing.tell(recharged(100_00, at=day(1)), event_id="e-1", again=again)
        await billing.tell(charged(30_50, at=day(2)), event_id="e-2", again=again)
        await served.settle()
    assert await balance(served) == 100 + 30
    assert await told(served.work, "PointsEarned") == 2
    sources = await rows(served.work, "SELECT source FROM ledger_transactions ORDER BY 1")
    assert sources == [("billing:e-1",), ("billing:e-2",)]


async def test_a_burst_of_events_gives_each_its_points(served: Serving, billing: Billing) -> None:
    ids = [f"c-{number}" for number in range(10)]
    await enrolled(served.work, *ids)
    for number in range(300):
        event = recharged(100, at=day(1), customer_id=ids[number % 10])
        await billing.tell(event, event_id=f"e-{number}")
    await served.settle()
    assert [await balance(served, each) for each in ids] == [30] * 10


async def test_a_payment_of_nobody_is_noted_and_one_of_nothing_is_not(served: Serving, billing: Billing) -> None:
    await billing.tell(recharged(100_00, at=day(1), customer_id="c-9"), event_id="e-1")
    await billing.tell(charged(0, at=day(1), customer_id="c-9"), event_id="e-2")
    await served.settle()
    noted = await rows(served.work, "SELECT source, customer_id, kind FROM unrewarded_payments")
    assert noted == [("billing:e-1", "c-9", "earn_recharge")]


async def test_a_malformed_event_is_put_aside_and_its_neighbours_are_handled(served: Serving, billing: Billing) -> None:
    await enrolled(served.work, "c-1")
    await billing.tell(recharged(100_00, at=day(1)), event_id="good-1")
    await billing.tell(recharged(-5, at=day(1)), event_id="bad-amount")
    await billing.tell(recharged(0, at=day(1)), event_id="bad-zero")
    await billing.tell(charged(100, at=day(1), customer_id="c 1"), event_id="bad-id")
    await billing.tell(charged(100_00, at=day(2)), event_id="good-2")
    await served.settle()
    assert await balance(served) == 200
    letters = await rows(served.work, "SELECT event_id, error FROM dead_letters ORDER BY 1")
    assert [event_id for event_id, _ in letters] == ["bad-amount", "bad-id", "bad-zero"]
    assert "amount.minor_units" in letters[0][1]
    assert "customer_id" in letters[1][1]


async def test_what_is_given_back_takes_its_points_back_once(served: Serving, billing: Billing) -> None:
    await enrolled(served.work, "c-1")
    for again in range(2):
        await billing.tell(recharged(100_00, at=day(1), transaction_id="recharge:1"), event_id="e-1", again=again)
        await billing.tell(charged(60_00, at=day(1), charge_id="x-1"), event_id="e-2", again=again)
        await billing.tell(reversed_part(25_01, at=day(2), number=1), event_id="e-3", again=again)
        await billing.tell(refunded_part(10_00, at=day(2), number=1), event_id="e-4", again=again)
        await served.settle()
    assert await balance(served) == 100 + 60 - 25 - 10
    await billing.tell(reversed_part(74_99, at=day(3), number=2), event_id="e-5")
    await billing.tell(refunded_part(50_00, at=day(3), number=2), event_id="e-6")
    await served.settle()
    assert await balance(served) == 0
    assert await told(served.work, "PointsReversed") == 4


async def test_what_is_given_back_may_be_heard_of_first(served: Serving, billing: Billing) -> None:
    await enrolled(served.work, "c-1")
    await billing.tell(reversed_part(40_00, at=day(2), number=1), event_id="e-1")
    await billing.tell(refunded_part(60_00, at=day(2), number=1), event_id="e-2")
    await served.settle()
    await billing.tell(recharged(100_00, at=day(1), transaction_id="recharge:1"), event_id="e-3")
    await billing.tell(charged(60_00, at=day(1), charge_id="x-1"), event_id="e-4")
    await served.settle()
    assert await balance(served) == 60


async def test_more_than_was_paid_is_not_given_back(served: Serving, billing: Billing) -> None:
    await enrolled(served.work, "c-1")
    await billing.tell(recharged(100_00, at=day(1), transaction_id="recharge:1"), event_id="e-1")
    await billing.tell(reversed_part(100_01, at=day(2), number=1), event_id="too-much")
    await billing.tell(reversed_part(0, at=day(2), number=2), event_id="nothing")
    await served.settle()
    assert await balance(served) == 100
    letters = await rows(served.work, "SELECT event_id FROM dead_letters ORDER BY 1")
    assert letters == [("nothing",), ("too-much",)]


async def test_an_order_for_which_nothing_was_set_aside_is_heard_and_done(served: Serving, billing: Billing) -> None:
    """Most orders have neither coupons nor points; some have points alone."""
    await enrolled(served.work, "c-1")
    at = to_proto(day(1))
    placed = order_events_pb2.OrderPlaced(order_id="o-1", account_id="a-1", customer_id="c-1", occurred_at=at)
    rejected = order_events_pb2.OrderRejected(
        order_id="o-2", account_id="a-1", customer_id="c-1", points_hold_id="unknown", occurred_at=at
    )
    await billing.tell(placed, event_id="e-1")
    await billing.tell(rejected, event_id="e-2")
    await served.settle()
    heard = "SELECT request_id FROM handled_requests WHERE caller = 'event:billing' ORDER BY 1"
    assert await rows(served.work, heard) == [("e-1",), ("e-2",)]
    assert await rows(served.work, "SELECT event_id FROM dead_letters") == []


async def test_a_hold_that_billing_never_heard_of_is_freed_with_its_order(served: Serving, billing: Billing) -> None:
    await enrolled(served.work, "c-1")
    await billing.tell(recharged(100_00, at=day(1)), event_id="e-1")
    await served.settle()
    asking = Stubs.of(served.channel(*SCOPES, subject="billing"))
    await asking.points.HoldPoints(hold_request(60, request_id="order-points:o-1"))
    rejected = order_events_pb2.OrderRejected(
        order_id="o-1", account_id="a-1", customer_id="c-1", occurred_at=to_proto(day(2))
    )
    await billing.tell(rejected, event_id="e-2")
    await served.settle()
    states = await rows(served.work, "SELECT state, amount FROM ledger_holds")
    assert states == [("released", 60)]
