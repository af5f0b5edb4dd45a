"""Bad input of OrderService over real gRPC: each refusal names its field or its reason, and nothing is stored."""

from typing import Any

from chassis.money import AMOUNT_MAX
from chassis.testing.calls import methods_of, refuses_bad_input
from chassis.testing.serving import Serving
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from touchstone.billing.v1 import order_service_pb2 as pb

from services.billing.tests.calls import cny, refused
from services.billing.tests.catalog import instant
from services.billing.tests.orders import MID_MARCH, cancel, change, item, order, orders_of, rich
from services.billing.tests.test_bad_catalog import Named

OUT_OF_RANGE = Timestamp(seconds=-1)
AT_THE_END = Timestamp(seconds=250_300_000_000)
NOT_IDS = ["", "a b", "x" * 65, "../etc", "a\x00b"]


def quote(**changed: Any) -> pb.QuoteOrderRequest:
    """Asks what TV by the month would cost."""
    values: dict[str, Any] = {"account_id": "acc-1", "items": [item()], "as_of": MID_MARCH}
    return pb.QuoteOrderRequest(**values | changed)


BAD: list[tuple[str, Message, list[str]]] = [
    *(("PlaceOrder", order("r", order_id=bad), ["order_id"]) for bad in NOT_IDS),
    *(("PlaceOrder", order("r", account_id=bad), ["account_id"]) for bad in NOT_IDS),
    *(("PlaceOrder", order("r", items=[item(bad)]), ["items[0].product_id"]) for bad in NOT_IDS),
    *(("CancelSubscription", cancel("r", subscription_id=bad), ["subscription_id"]) for bad in NOT_IDS),
    *(("ChangeSubscription", change("r", subscription_id=bad), ["subscription_id"]) for bad in NOT_IDS),
    ("PlaceOrder", order(""), ["request_id"]),
    ("PlaceOrder", order("r" * 129), ["request_id"]),
    ("PlaceOrder", order("r", customer_id="a b"), ["customer_id"]),
    ("PlaceOrder", order("r", items=[]), ["items"]),
    ("PlaceOrder", order("r", items=[item("box")] * 51), ["items"]),
    ("PlaceOrder", order("r", items=[item(quantity=-1)]), ["items[0].quantity"]),
    ("PlaceOrder", order("r", items=[item(quantity=1001)]), ["items[0].quantity"]),
    ("PlaceOrder", order("r", items=[item("box"), item(subscription_id="*")]), ["items[1].subscription_id"]),
    ("PlaceOrder", order("r", items=[item(), item()]), ["items[1].subscription_id"]),
    ("PlaceOrder", order("r", order_id="o-9", items=[item(subscription_id="")]), ["items[0].subscription_id"]),
    ("PlaceOrder", order("r", order_id="o-9", items=[item("box", subscription_id="s")]), ["items[0].subscription_id"]),
    ("PlaceOrder", order("r", items=[item(subscriber_id="a b")]), ["items[0].subscriber_id"]),
    ("PlaceOrder", order("r", expected_total=cny(-1)), ["expected_total.minor_units"]),
    ("PlaceOrder", order("r", expected_total=cny(AMOUNT_MAX + 1)), ["expected_total.minor_units"]),
    ("PlaceOrder", order("r", occurred_at=None), ["occurred_at"]),
    ("PlaceOrder", order("r", occurred_at=OUT_OF_RANGE), ["occurred_at"]),
    ("PlaceOrder", order("r", occurred_at=AT_THE_END), ["occurred_at"]),
    ("PlaceOrder", order("r", coupon_ids=["c-1", "a b"]), ["coupon_ids[1]"]),
    ("PlaceOrder", order("r", coupon_ids=["c-1", "c-1"]), ["coupon_ids[1]"]),
    ("PlaceOrder", order("r", coupon_ids=[f"c-{n}" for n in range(21)]), ["coupon_ids"]),
    ("PlaceOrder", order("r", points=-1), ["points"]),
    ("PlaceOrder", order("r", points=2**63 - 1), ["points"]),
    ("AdvanceOrders", pb.AdvanceOrdersRequest(as_of=MID_MARCH), ["request_id"]),
    ("AdvanceOrders", pb.AdvanceOrdersRequest(request_id="r"), ["as_of"]),
    ("AdvanceOrders", pb.AdvanceOrdersRequest(request_id="r", as_of=OUT_OF_RANGE), ["as_of"]),
    ("BatchPlaceOrders", pb.BatchPlaceOrdersRequest(requests=[order()] * 1001), ["requests"]),
    ("QuoteOrder", quote(account_id=""), ["account_id"]),
    ("QuoteOrder", quote(coupon_ids=["*"]), ["coupon_ids[0]"]),
    ("QuoteOrder", quote(points=-1), ["points"]),
    ("QuoteOrder", quote(customer_id="/"), ["customer_id"]),
    ("QuoteOrder", quote(items=[]), ["items"]),
    ("QuoteOrder", quote(as_of=OUT_OF_RANGE), ["as_of"]),
    ("GetOrder", pb.GetOrderRequest(), ["order_id"]),
    ("GetOrder", pb.GetOrderRequest(order_id="o-1", customer_id="a b"), ["customer_id"]),
    ("ListOrders", pb.ListOrdersRequest(customer_id="a b"), ["customer_id"]),
    ("ListOrders", pb.ListOrdersRequest(account_id="a b"), ["account_id"]),
    ("ListOrders", pb.ListOrdersRequest(page_size=501), ["page_size"]),
    ("ListOrders", pb.ListOrdersRequest(page_token="eHl6"), ["page_token"]),
    ("GetSubscription", pb.GetSubscriptionRequest(), ["subscription_id"]),
    ("GetSubscription", pb.GetSubscriptionRequest(subscription_id="s", customer_id="a b"), ["customer_id"]),
    ("ListSubscriptions", pb.ListSubscriptionsRequest(account_id="a b"), ["account_id"]),
    ("ListSubscriptions", pb.ListSubscriptionsRequest(page_size=-1), ["page_size"]),
    ("ListSubscriptions", pb.ListSubscriptionsRequest(page_token="*"), ["page_token"]),
    ("ChangeSubscription", change(""), ["request_id"]),
    ("ChangeSubscription", change("r", product_id="a b"), ["product_id"]),
    ("ChangeSubscription", change("r", quantity=-1), ["quantity"]),
    ("ChangeSubscription", change("r", quantity=1001), ["quantity"]),
    ("ChangeSubscription", change("r", quantity=1), ["product_id"]),
    ("ChangeSubscription", change("r", occurred_at=None), ["occurred_at"]),
    ("ChangeSubscription", change("r", occurred_at=AT_THE_END), ["occurred_at"]),
    ("CancelSubscription", cancel("with space"), ["request_id"]),
    ("CancelSubscription", cancel("r", customer_id="a b"), ["customer_id"]),
    ("CancelSubscription", cancel("r", reason="x" * 501), ["reason"]),
    ("CancelSubscription", cancel("r", reason="a\nb"), ["reason"]),
    ("CancelSubscription", cancel("r", occurred_at=None), ["occurred_at"]),
    ("CancelSubscription", cancel("r", occurred_at=AT_THE_END), ["occurred_at"]),
    ("BatchCancelSubscriptions", pb.BatchCancelSubscriptionsRequest(requests=[cancel()] * 1001), ["requests"]),
]
UNKNOWN: list[tuple[str, Message, str]] = [
    ("QuoteOrder", quote(account_id="none"), "ACCOUNT_NOT_FOUND"),
    ("QuoteOrder", quote(customer_id="another"), "ACCOUNT_NOT_FOUND"),
    ("QuoteOrder", quote(items=[item("none")]), "PRODUCT_NOT_FOUND"),
    ("PlaceOrder", order("r", order_id="o-2", account_id="none"), "ACCOUNT_NOT_FOUND"),
    ("PlaceOrder", order("r"), "ORDER_EXISTS"),
    ("PlaceOrder", order("r", order_id="o-2"), "SUBSCRIPTION_EXISTS"),
    ("GetOrder", pb.GetOrderRequest(order_id="none"), "ORDER_NOT_FOUND"),
    ("GetOrder", pb.GetOrderRequest(order_id="o-1", customer_id="another"), "ORDER_NOT_FOUND"),
    ("GetSubscription", pb.GetSubscriptionRequest(subscription_id="none"), "SUBSCRIPTION_NOT_FOUND"),
    ("CancelSubscription", cancel("r", customer_id="another"), "SUBSCRIPTION_NOT_FOUND"),
    ("ChangeSubscription", change("r", subscription_id="none"), "SUBSCRIPTION_NOT_FOUND"),
    ("ChangeSubscription", change("r", occurred_at=instant(2025, 1, 1)), "PRICE_NOT_FOUND"),
]


async def test_bad_input_is_refused_and_leaves_nothing(served: Serving) -> None:
    orders = await rich(served)
    await orders.PlaceOrder(order("first"))
    await refuses_bad_input(served, Named(orders), BAD, UNKNOWN)


def test_every_method_is_tried() -> None:
    assert {name for name, _, _ in BAD} == methods_of(pb)


async def test_every_call_needs_its_scope(served: Serving) -> None:
    requests = {name: request for name, request, _ in BAD}
    stub = orders_of(served, "billing.recharge")
    for name, request in requests.items():
        assert (await refused(getattr(stub, name), request)).reason == "SCOPE_MISSING", name
