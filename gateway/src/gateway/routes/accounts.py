"""What accounts have beside their balance: its parts, gifts, payers and credit limits; recharges taken back."""

from gateway.routing import create, get, put, router_of

_ACCOUNT = "/customers/{customer_id}/accounts/{account_id}"
_ANY_ACCOUNT = "/accounts/{account_id}"

router = router_of(
    "accounts",
    [
        get(f"{_ACCOUNT}/balance", "billing.v1.AccountService.GetBalance", part="balance"),
        get(f"{_ACCOUNT}/gifts", "billing.v1.AccountService.ListGifts"),
        get(f"{_ACCOUNT}/payers", "billing.v1.AccountService.GetPayers"),
        create(f"{_ANY_ACCOUNT}/gifts", "billing.v1.AccountService.GrantGift"),
        put(f"{_ANY_ACCOUNT}/credit-limit", "billing.v1.AccountService.SetCreditLimit"),
        put(f"{_ANY_ACCOUNT}/payers", "billing.v1.AccountService.PutPayers"),
        create("/recharges/{transaction_id}/reversal", "billing.v1.AccountService.ReverseRecharge"),
    ],
)
