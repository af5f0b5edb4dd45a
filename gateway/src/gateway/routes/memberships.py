"""Memberships: enrolment, the tier, and what is missing to the next."""

from gateway.routing import create, get, router_of

_MEMBERSHIP = "/customers/{customer_id}/membership"

router = router_of(
    "memberships",
    [
        create(_MEMBERSHIP, "member.v1.MembershipService.Enrol", part="member"),
        get(_MEMBERSHIP, "member.v1.MembershipService.GetMember", part="member"),
    ],
)
