"""Alliance merchants: what is agreed, a member's code, and the till that reads it."""

from gateway.routing import create, get, post, put, router_of

_MERCHANT = "/merchants/{merchant_id}"
_SERVICE = "member.v1.MerchantService"

router = router_of(
    "merchants",
    [
        get("/customers/{customer_id}/merchants", f"{_SERVICE}.ListMerchants"),
        get(_MERCHANT, f"{_SERVICE}.GetMerchant", part="merchant"),
        put(_MERCHANT, f"{_SERVICE}.PutMerchant", into="merchant", part="merchant"),
        get(f"{_MERCHANT}/settlement", f"{_SERVICE}.GetSettlement"),
        create("/customers/{customer_id}/member-codes", f"{_SERVICE}.IssueMemberCode"),
        post("/till/codes/verify", f"{_SERVICE}.VerifyMemberCode"),
        create("/till/sales", f"{_SERVICE}.RecordMerchantSale", part="line"),
        post("/till/sales/{receipt_number}/reverse", f"{_SERVICE}.ReverseMerchantSale", part="line"),
    ],
)
