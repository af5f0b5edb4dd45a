"""Memberships: enrolment, the tier, what is missing to the next and what keeps it; and who the members are."""

from gateway.routing import create, get, post, router_of

_MEMBERSHIP = "/customers/{customer_id}/membership"

router = router_of(
    "memberships",
    [
        create(_MEMBERSHIP, "member.v1.MembershipService.Enrol", part="member"),
        get(_MEMBERSHIP, "member.v1.MembershipService.GetMember", part="member"),
        post(f"{_MEMBERSHIP}/leave", "member.v1.MembershipService.Leave"),
        get(f"{_MEMBERSHIP}/forecast", "member.v1.MembershipService.ForecastTier"),
        get(f"{_MEMBERSHIP}/history", "member.v1.MembershipService.ListTierHistory"),
        get("/customers/{customer_id}/memberships", "member.v1.MembershipService.ListMemberships"),
        get("/programs/{program_id}/members", "member.v1.MembershipService.ListMembers"),
        get("/programs/{program_id}/member-counts", "member.v1.MembershipService.CountMembers"),
    ],
)
