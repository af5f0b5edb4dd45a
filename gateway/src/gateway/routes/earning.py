"""Earning rules: their administration, what an occasion would give a member, and points that ripen."""

from gateway.routing import create, get, post, put, router_of

_RULE = "/earning-rules/{rule_id}"
_POLICY = "/programs/{program_id}/earning-policy"
_POINTS = "/customers/{customer_id}/points"

router = router_of(
    "earning",
    [
        get("/earning-rules", "member.v1.EarningService.ListEarningRules"),
        get(_RULE, "member.v1.EarningService.GetEarningRule", part="version"),
        create("/earning-rules", "member.v1.EarningService.PutEarningRule", part="version"),
        post(f"{_RULE}/end", "member.v1.EarningService.EndEarningRule", part="version"),
        get(_POLICY, "member.v1.EarningService.GetEarningPolicy", part="policy"),
        put(_POLICY, "member.v1.EarningService.PutEarningPolicy", part="policy", into="policy"),
        post(f"{_POINTS}/preview", "member.v1.EarningService.PreviewEarning"),
        get(f"{_POINTS}/pending", "member.v1.EarningService.ListPendingPoints"),
    ],
)
