"""Customers, their persons and service lines, and what is known and forgotten of them."""

from gateway.routing import get, post, put, router_of

_CUSTOMER = "/customers/{customer_id}"
_SERVICE = "member.v1.CustomerService"

router = router_of(
    "customers",
    [
        get("/customers", f"{_SERVICE}.ListCustomers"),
        get(_CUSTOMER, f"{_SERVICE}.GetCustomer", part="customer"),
        put(_CUSTOMER, f"{_SERVICE}.UpsertCustomer", into="customer", part="customer"),
        get(f"{_CUSTOMER}/merges", f"{_SERVICE}.ListMerges"),
        get(f"{_CUSTOMER}/export", f"{_SERVICE}.ExportCustomer"),
        post(f"{_CUSTOMER}/erase", f"{_SERVICE}.EraseCustomer"),
    ],
)
