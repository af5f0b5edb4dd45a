"""Accounts, recharges, statements and bills."""

from gateway.routing import create, get, put, router_of

_CUSTOMER = "/customers/{customer_id}"
_ACCOUNT = f"{_CUSTOMER}/accounts/{{account_id}}"

router = router_of(
    "billing",
    [
        get(f"{_CUSTOMER}/accounts", "billing.v1.AccountService.ListAccounts"),
        put(_ACCOUNT, "billing.v1.AccountService.OpenAccount", part="account"),
        get(_ACCOUNT, "billing.v1.AccountService.GetAccount", part="account"),
        get(f"{_ACCOUNT}/entries", "billing.v1.AccountService.ListStatementEntries"),
        create(f"{_ACCOUNT}/recharges", "billing.v1.AccountService.Recharge"),
        get(f"{_CUSTOMER}/bills", "billing.v1.BillService.ListBills"),
        create(f"{_CUSTOMER}/bills/{{bill_id}}/payment", "billing.v1.BillService.PayBill"),
    ],
)
