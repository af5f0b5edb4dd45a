"""Coupons: what a member has and can use, and for operators the templates, codes and issue jobs."""

from gateway.routing import create, get, post, put, router_of

_SERVICE = "member.v1.CouponService"
_TEMPLATE = "/coupon-templates/{template_id}"
_COUPONS = "/customers/{customer_id}/coupons"
_RESERVATION = "/customers/{customer_id}/coupon-reservations/{order_id}"
_REDEMPTION = "/customers/{customer_id}/coupon-redemptions/{order_id}"

router = router_of(
    "coupons",
    [
        get(_COUPONS, f"{_SERVICE}.ListCoupons"),
        create(_COUPONS, f"{_SERVICE}.IssueCoupon", part="coupon"),
        create(f"{_COUPONS}/claims", f"{_SERVICE}.ClaimCode", part="coupon"),
        post(f"{_COUPONS}/quote", f"{_SERVICE}.QuoteCoupons"),
        get(f"{_COUPONS}/{{coupon_id}}", f"{_SERVICE}.GetCoupon"),
        create(_RESERVATION, f"{_SERVICE}.ReserveCoupons"),
        post(f"{_RESERVATION}/redeem", f"{_SERVICE}.RedeemReservedCoupons"),
        post(f"{_RESERVATION}/release", f"{_SERVICE}.ReleaseCoupons"),
        create(_REDEMPTION, f"{_SERVICE}.RedeemCoupons"),
        post(f"{_REDEMPTION}/reverse", f"{_SERVICE}.ReverseCouponRedemption"),
        post("/coupon-codes/verify", f"{_SERVICE}.VerifyCode"),
        post("/coupons/{coupon_id}/void", f"{_SERVICE}.VoidCoupon", part="coupon"),
        get("/coupon-templates", f"{_SERVICE}.ListCouponTemplates"),
        get(_TEMPLATE, f"{_SERVICE}.GetCouponTemplate", part="template"),
        put(_TEMPLATE, f"{_SERVICE}.PutCouponTemplate", into="terms", part="template"),
        post(f"{_TEMPLATE}/activate", f"{_SERVICE}.ActivateCouponTemplate", part="template"),
        post(f"{_TEMPLATE}/end", f"{_SERVICE}.EndCouponTemplate", part="template"),
        get(f"{_TEMPLATE}/figures", f"{_SERVICE}.GetCouponFigures"),
        get(f"{_TEMPLATE}/audit", f"{_SERVICE}.ListCouponAudit"),
        create(f"{_TEMPLATE}/codes", f"{_SERVICE}.GenerateCouponCodes", part="batch"),
        create(f"{_TEMPLATE}/imported-codes", f"{_SERVICE}.ImportCouponCodes"),
        get("/coupon-code-batches/{batch_id}/coupons", f"{_SERVICE}.ListCouponCodes"),
        create(f"{_TEMPLATE}/issues", f"{_SERVICE}.StartCouponIssue", part="job"),
        get("/coupon-issues/{job_id}", f"{_SERVICE}.GetCouponIssue", part="job"),
        get("/coupon-issues/{job_id}/items", f"{_SERVICE}.ListCouponIssueItems"),
    ],
)
