"""Value scores of customers, and the runs they come from."""

from gateway.routing import get, router_of

router = router_of(
    "scoring",
    [
        get("/customers/{customer_id}/value", "scoring.v1.ScoreService.GetScore", part="score"),
        get("/scoring-runs", "scoring.v1.RunService.ListRuns"),
    ],
)
