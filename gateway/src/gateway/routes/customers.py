"""Customers, their persons and service lines."""

from gateway.routing import get, put, router_of

_CUSTOMER = "/customers/{customer_id}"

router = router_of(
    "customers",
    [
        get(_CUSTOMER, "member.v1.CustomerService.GetCustomer", part="customer"),
        put(_CUSTOMER, "member.v1.CustomerService.UpsertCustomer", into="customer", part="customer"),
    ],
)
