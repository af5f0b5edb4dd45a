"""Orders over real gRPC: charged as a whole or not at all, once, to the day, and explained."""

import asyncio
from typing import Any

import pytest
from chassis.rpc.errors import from_status
from chassis.testing.serving import Serving
from sqlalchemy import text
from touchstone.billing.v1 import account_service_pb2 as account_pb
from touchstone.billing.v1 import order_pb2
from touchstone.billing.v1 import order_service_pb2 as pb

from services.billing.tests.calls import boss, cny, opened, recharged, refused
from services.billing.tests.catalog import catalog_of, instant, put_price, put_product
from services.billing.tests.factories import Billing
from services.billing.tests.orders import MID_MARCH, item, order, orders_of, rich


async def balance(served: Serving, account_id: str = "acc-1") -> int:
    """What the account has."""
    reply = await boss(served).accounts.GetAccount(account_pb.GetAccountRequest(account_id=account_id))
    return int(reply.account.balance.minor_units)


async def test_an_order_is_charged_to_the_day_and_explains_itself(served: Serving) -> None:
    orders = await rich(served)
    wish = order(items=[item(subscriber_id="line-1"), item("box")], expected_total=cny(347_90))
    placed = await orders.PlaceOrder(wish)
    assert [(line.product_id, line.amount.minor_units) for line in placed.order.reckoning.lines] == [
        ("tv-basic", 99_00),
        ("tv-basic", -51_10),
        ("box", 300_00),
    ]
    assert placed.order.reckoning.total == cny(347_90)
    assert placed.order.state == order_pb2.ORDER_STATE_PLACED
    assert len(placed.order.charge_ids) == 2
    assert placed.balance_after == cny(152_10)
    assert list(placed.subscriptions) == [
        order_pb2.Subscription(
            subscription_id="sub-1",
            account_id="acc-1",
            customer_id="cus-1",
            product_id="tv-basic",
            quantity=1,
            subscriber_id="line-1",
            state=order_pb2.SUBSCRIPTION_STATE_ACTIVE,
            anchor_day=1,
            cycle_start="2026-03-17",
            cycle_end="2026-04-01",
            cycle_charged=cny(47_90),
            started_at=MID_MARCH,
            revision=1,
            order_id="o-1",
        )
    ]
    found = await orders.GetOrder(pb.GetOrderRequest(order_id="o-1", customer_id="cus-1"))
    assert found.order == placed.order
    subscription = await orders.GetSubscription(pb.GetSubscriptionRequest(subscription_id="sub-1"))
    assert subscription.subscription == placed.subscriptions[0]
    assert await Billing(served.work).proof() == []


async def test_a_quote_is_what_the_order_costs(served: Serving) -> None:
    orders = await rich(served, yuan=300)
    wish = pb.QuoteOrderRequest(account_id="acc-1", items=[item(), item("box")], as_of=MID_MARCH)
    quoted = await orders.QuoteOrder(wish)
    assert (quoted.spendable, quoted.affordable) == (cny(300_00), False)
    await boss(served).accounts.Recharge(recharged("more"))
    assert (await orders.QuoteOrder(wish)).affordable
    placed = await orders.PlaceOrder(order(items=[item(), item("box")]))
    assert placed.order.reckoning.lines == quoted.reckoning.lines
    assert placed.order.reckoning.total == quoted.reckoning.total


async def test_an_order_is_whole_or_nothing(served: Serving) -> None:
    orders = await rich(served, yuan=300)
    refusal = await refused(orders.PlaceOrder, order(items=[item(), item("box")]))
    assert refusal.reason == "INSUFFICIENT_BALANCE"
    assert await balance(served) == 300_00
    async with served.work.reading() as connection:
        for table in ("orders", "subscriptions", "charges", "reckonings"):
            assert (await connection.execute(text(f"SELECT count(*) FROM {table}"))).scalar_one() == 0, table


async def test_fifty_twins_are_one_order(served: Serving) -> None:
    orders = await rich(served)
    replies = await asyncio.gather(*(orders.PlaceOrder(order()) for _ in range(50)))
    assert len({reply.SerializeToString() for reply in replies}) == 1
    assert await balance(served) == 452_10


async def test_an_order_is_placed_once_under_its_name(served: Serving) -> None:
    orders = await rich(served)
    wishes = [order(f"r-{n}", items=[item(subscription_id=f"s-{n}")]) for n in range(10)]
    outcomes = await asyncio.gather(*(orders.PlaceOrder(wish) for wish in wishes), return_exceptions=True)
    assert sum(isinstance(outcome, pb.PlaceOrderResponse) for outcome in outcomes) == 1
    assert (await refused(orders.PlaceOrder, order("again"))).reason == "ORDER_EXISTS"
    used = order("other", order_id="o-2", items=[item(subscription_id=await _subscription(orders))])
    assert (await refused(orders.PlaceOrder, used)).reason == "SUBSCRIPTION_EXISTS"
    assert await balance(served) == 452_10


async def test_two_accounts_do_not_take_one_subscription(served: Serving) -> None:
    orders = await rich(served)
    calls = boss(served)
    await calls.accounts.OpenAccount(opened("open-2", account_id="acc-2", plan_id=""))
    await calls.accounts.Recharge(recharged("r-2", account_id="acc-2"))
    wishes = [order(f"r-{n}", order_id=f"o-{n}", account_id=f"acc-{n}") for n in (1, 2)]
    outcomes = await asyncio.gather(*(orders.PlaceOrder(wish) for wish in wishes), return_exceptions=True)
    assert sum(isinstance(outcome, pb.PlaceOrderResponse) for outcome in outcomes) == 1
    lost = next(n for n, outcome in enumerate(outcomes) if not isinstance(outcome, pb.PlaceOrderResponse))
    assert (await refused(orders.PlaceOrder, wishes[lost])).reason == "SUBSCRIPTION_EXISTS"
    assert [await balance(served, "acc-1"), await balance(served, "acc-2")][lost] == [500_00, 100_00][lost]


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"account_id": "none"}, "ACCOUNT_NOT_FOUND"),
        ({"customer_id": "another"}, "ACCOUNT_NOT_FOUND"),
        ({"items": [item("none")]}, "PRODUCT_NOT_FOUND"),
        ({"items": [item("old")]}, "PRODUCT_RETIRED"),
        ({"items": [item("calls")]}, "PRODUCT_KIND_DIFFERS"),
        ({"items": [item("box", subscription_id="sub-2")]}, "INVALID_ARGUMENT"),
        ({"items": [item(subscription_id="")]}, "INVALID_ARGUMENT"),
        ({"occurred_at": instant(2025, 12, 31)}, "PRICE_NOT_FOUND"),
        ({"expected_total": cny(47_91)}, "TOTAL_DIFFERS"),
    ],
)
async def test_what_cannot_be_ordered(served: Serving, changed: dict[str, Any], reason: str) -> None:
    orders = await rich(served)
    await catalog_of(served).PutProduct(put_product("old", product_id="old", retired=True))
    assert (await refused(orders.PlaceOrder, order(**changed))).reason == reason
    assert await balance(served) == 500_00


async def test_a_member_orders_for_itself_alone(served: Serving) -> None:
    await rich(served)
    own = orders_of(served, "billing.order", "billing.read", customer_id="cus-1")
    foreign = orders_of(served, "billing.order", "billing.read", customer_id="cus-2")
    wish = order(customer_id="cus-1")
    assert (await refused(foreign.PlaceOrder, wish)).reason == "NOT_YOUR_CUSTOMER"
    await orders_of(served).PlaceOrder(wish)
    got = await own.GetOrder(pb.GetOrderRequest(order_id="o-1", customer_id="cus-1"))
    assert got.order.customer_id == "cus-1"
    for name, request in (
        ("GetOrder", pb.GetOrderRequest(order_id="o-1", customer_id="cus-2")),
        ("GetSubscription", pb.GetSubscriptionRequest(subscription_id="sub-1", customer_id="cus-2")),
    ):
        assert (await refused(getattr(foreign, name), request)).reason.endswith("_NOT_FOUND")
    listed = await foreign.ListOrders(pb.ListOrdersRequest(customer_id="cus-2"))
    assert not listed.orders
    assert not (await foreign.ListSubscriptions(pb.ListSubscriptionsRequest(customer_id="cus-2"))).subscriptions


async def test_a_batch_of_orders_has_an_outcome_for_each(served: Serving) -> None:
    orders = await rich(served)
    wishes = [
        order("r-1", order_id="o-1", items=[item(subscription_id="s-1")]),
        order("r-2", order_id="o-2", items=[item("box"), item("box"), item(subscription_id="s-2")]),
        order("r-3", order_id="-", items=[item(subscription_id="s-3")]),
        order("r-4", order_id="o-4", items=[item("box")]),
        order("r-5", order_id="o-5", items=[item("box")], coupon_ids=["c-1"]),
        order("r-6", order_id="o-6", items=[item("box")], points=1),
    ]
    reply = await orders.BatchPlaceOrders(pb.BatchPlaceOrdersRequest(requests=wishes))
    assert [each.WhichOneof("result") for each in reply.results] == [
        "response",
        "error",
        "error",
        "response",
        "error",
        "error",
    ]
    reasons = [from_status(each.error).reason for each in reply.results[1:3]]
    assert reasons == ["INSUFFICIENT_BALANCE", "INVALID_ARGUMENT"]
    faults = [from_status(each.error).violations[0].field for each in reply.results[4:]]
    assert faults == ["coupon_ids", "points"]
    assert await balance(served) == 500_00 - 47_90 - 300_00
    first = await orders.ListOrders(pb.ListOrdersRequest(account_id="acc-1", page_size=1))
    rest = await orders.ListOrders(pb.ListOrdersRequest(page_size=1, page_token=first.next_page_token))
    assert [page.orders[0].order_id for page in (first, rest)] == ["o-4", "o-1"]
    assert not rest.next_page_token


async def test_a_free_product_is_ordered_with_an_empty_balance(served: Serving) -> None:
    orders = await rich(served, yuan=1)
    catalog = catalog_of(served)
    await catalog.PutProduct(put_product("free", product_id="tv-free"))
    await catalog.PutPrice(put_price("free", product_id="tv-free", amount=cny(0)))
    placed = await orders.PlaceOrder(order(items=[item("tv-free")]))
    assert placed.order.reckoning.total == cny(0)
    assert placed.subscriptions[0].cycle_charged == cny(0)


async def _subscription(orders: Any) -> str:
    reply = await orders.ListSubscriptions(pb.ListSubscriptionsRequest())
    return str(reply.subscriptions[0].subscription_id)
