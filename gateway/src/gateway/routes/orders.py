"""Orders, and subscriptions in mid-cycle."""

from gateway.routing import get, post, put, router_of

_CUSTOMER = "/customers/{customer_id}"
_ORDER = f"{_CUSTOMER}/orders/{{order_id}}"
_SUBSCRIPTION = f"{_CUSTOMER}/subscriptions/{{subscription_id}}"

router = router_of(
    "orders",
    [
        post(f"{_CUSTOMER}/accounts/{{account_id}}/order-quote", "billing.v1.OrderService.QuoteOrder"),
        get(f"{_CUSTOMER}/orders", "billing.v1.OrderService.ListOrders"),
        put(_ORDER, "billing.v1.OrderService.PlaceOrder"),
        get(_ORDER, "billing.v1.OrderService.GetOrder", part="order"),
        get(f"{_CUSTOMER}/subscriptions", "billing.v1.OrderService.ListSubscriptions"),
        get(_SUBSCRIPTION, "billing.v1.OrderService.GetSubscription", part="subscription"),
        post(f"{_SUBSCRIPTION}/change", "billing.v1.OrderService.ChangeSubscription"),
        post(f"{_SUBSCRIPTION}/cancellation", "billing.v1.OrderService.CancelSubscription"),
    ],
)
