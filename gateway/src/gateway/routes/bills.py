"""Bills and standings for channel apps; plans, corrections and suspensions for operators."""

from gateway.routing import create, delete, get, post, put, router_of

_CUSTOMER = "/customers/{customer_id}"

router = router_of(
    "bills",
    [
        get(f"{_CUSTOMER}/bills/{{bill_id}}", "billing.v1.BillService.GetBill"),
        get(
            f"{_CUSTOMER}/accounts/{{account_id}}/standing",
            "billing.v1.BillService.GetAccountStanding",
            part="standing",
        ),
        get("/bill-plans", "billing.v1.BillService.ListBillPlans"),
        put("/bill-plans/{plan_id}", "billing.v1.BillService.PutBillPlan", part="plan", into="plan"),
        get("/bill-plans/{plan_id}", "billing.v1.BillService.GetBillPlan", part="plan"),
        get("/bill-plans/{plan_id}/versions", "billing.v1.BillService.ListBillPlanVersions"),
        put("/accounts/{account_id}/plan", "billing.v1.BillService.SetAccountPlan"),
        create("/bills/{bill_id}/credit-note", "billing.v1.BillService.IssueCreditNote"),
        post("/accounts/{account_id}/suspension", "billing.v1.BillService.SuspendAccount", part="standing"),
        delete("/accounts/{account_id}/suspension", "billing.v1.BillService.ResumeAccount", part="standing"),
    ],
)
