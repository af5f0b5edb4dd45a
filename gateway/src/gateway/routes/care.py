"""Customer managers, holidays, rules of care, and the care that was told."""

from gateway.routing import delete, get, put, router_of

_MANAGER = "/customers/{customer_id}/manager"
_SERVICE = "member.v1.CareService"

router = router_of(
    "care",
    [
        put(_MANAGER, f"{_SERVICE}.AssignManager", part="assignment"),
        delete(_MANAGER, f"{_SERVICE}.UnassignManager", part="assignment"),
        get("/customers/{customer_id}/managers", f"{_SERVICE}.ListManagerHistory"),
        get("/managers/{manager_id}/customers", f"{_SERVICE}.ListManagedCustomers"),
        get("/holidays", f"{_SERVICE}.ListHolidays"),
        put("/holidays/{holiday_id}", f"{_SERVICE}.PutHoliday", into="holiday", part="holiday"),
        get("/care-rules", f"{_SERVICE}.ListCareRules"),
        put("/care-rules/{rule_id}", f"{_SERVICE}.PutCareRule", into="rule", part="rule"),
        get("/care", f"{_SERVICE}.ListCare"),
    ],
)
