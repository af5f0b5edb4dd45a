"""What customers are entitled to, the use of benefits, and what operators grant."""

from gateway.routing import create, get, post, router_of

_CUSTOMER = "/customers/{customer_id}"
_USE = f"{_CUSTOMER}/benefit-uses/{{use_id}}"

router = router_of(
    "benefits",
    [
        get(f"{_CUSTOMER}/entitlements", "member.v1.BenefitService.GetEntitlements", part="entitlements"),
        get(f"{_CUSTOMER}/benefit-uses", "member.v1.BenefitService.ListBenefitUses"),
        create(f"{_CUSTOMER}/benefit-uses", "member.v1.BenefitService.UseBenefit", part="use"),
        create(f"{_CUSTOMER}/benefit-reservations", "member.v1.BenefitService.ReserveBenefit", part="use"),
        post(f"{_USE}/confirm", "member.v1.BenefitService.ConfirmBenefit", part="use"),
        post(f"{_USE}/release", "member.v1.BenefitService.ReleaseBenefit", part="use"),
        create(f"{_CUSTOMER}/benefit-grants", "member.v1.BenefitService.GrantBenefit", part="grant"),
        get(f"{_CUSTOMER}/benefit-grants", "member.v1.BenefitService.ListBenefitGrants"),
        post(f"{_CUSTOMER}/benefit-grants/{{grant_id}}/revoke", "member.v1.BenefitService.RevokeBenefit", part="grant"),
    ],
)
