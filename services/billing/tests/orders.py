"""Orders, changes and cancellations as BOSS asks for them, each with what does not matter already filled in."""

from typing import Any

from chassis.testing.serving import Serving
from touchstone.billing.v1 import order_pb2
from touchstone.billing.v1 import order_service_pb2 as pb
from touchstone.billing.v1 import order_service_pb2_grpc as order_grpc

from services.billing.tests.calls import boss, cny, opened, put_plan, recharged
from services.billing.tests.catalog import instant, stocked

BOSS = ("billing.write", "billing.read", "billing.jobs")
MID_MARCH = instant(2026, 3, 17, 10)


def orders_of(served: Serving, *scopes: str, customer_id: str | None = None) -> Any:
    """The calls about orders, for a caller with these scopes or BOSS."""
    subject = customer_id or "boss"
    return order_grpc.OrderServiceStub(served.channel(*(scopes or BOSS), subject=subject, customer_id=customer_id))


def item(product_id: str = "tv-basic", **changed: Any) -> order_pb2.OrderItem:
    """TV by the month."""
    values: dict[str, Any] = {"product_id": product_id}
    if product_id.startswith("tv"):
        values["subscription_id"] = "sub-1"
    return order_pb2.OrderItem(**values | changed)


def order(request_id: str = "order-1", **changed: Any) -> pb.PlaceOrderRequest:
    """Orders TV by the month from the middle of March."""
    values: dict[str, Any] = {
        "order_id": "o-1",
        "account_id": "acc-1",
        "items": [item()],
        "occurred_at": MID_MARCH,
    }
    return pb.PlaceOrderRequest(request_id=request_id, **values | changed)


def cancel(request_id: str = "cancel-1", **changed: Any) -> pb.CancelSubscriptionRequest:
    """Cancels it on the 20th."""
    values: dict[str, Any] = {"subscription_id": "sub-1", "occurred_at": instant(2026, 3, 20, 10)}
    return pb.CancelSubscriptionRequest(request_id=request_id, **values | changed)


def change(request_id: str = "change-1", **changed: Any) -> pb.ChangeSubscriptionRequest:
    """Makes two of it on the 20th."""
    values: dict[str, Any] = {"subscription_id": "sub-1", "quantity": 2, "occurred_at": instant(2026, 3, 20, 10)}
    if "product_id" in changed:
        del values["quantity"]
    return pb.ChangeSubscriptionRequest(request_id=request_id, **values | changed)


async def rich(served: Serving, yuan: int = 500) -> Any:
    """The calls about orders, where products are sold and an account without a plan has money."""
    await stocked(served)
    calls = boss(served)
    await calls.bills.PutBillPlan(put_plan())
    await calls.accounts.OpenAccount(opened(plan_id=""))
    await calls.accounts.Recharge(recharged(amount=cny(yuan * 100)))
    return orders_of(served)
