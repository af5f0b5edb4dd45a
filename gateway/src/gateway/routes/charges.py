"""Charges, what is set aside, and usage, as customers look at them."""

from gateway.routing import get, router_of

_CUSTOMER = "/customers/{customer_id}"
_ACCOUNT = f"{_CUSTOMER}/accounts/{{account_id}}"

router = router_of(
    "charges",
    [
        get(f"{_ACCOUNT}/charges", "billing.v1.ChargingService.ListCharges"),
        get(f"{_CUSTOMER}/charges/{{charge_id}}", "billing.v1.ChargingService.GetCharge", part="charge"),
        get(f"{_ACCOUNT}/reservations", "billing.v1.ChargingService.ListReservations"),
        get(f"{_ACCOUNT}/usage", "billing.v1.UsageService.ListUsage"),
    ],
)
