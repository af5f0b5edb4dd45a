"""Points: the balance, the statement, holds, spending, transfers and pools; and the rules they are spent by."""

from gateway.routing import create, get, post, put, router_of

_POINTS = "/customers/{customer_id}/points"
_HOLD = f"{_POINTS}/holds/{{hold_id}}"

router = router_of(
    "points",
    [
        get(_POINTS, "member.v1.PointsService.GetPointsBalance"),
        get(f"{_POINTS}/entries", "member.v1.PointsService.ListPointsEntries"),
        get(f"{_POINTS}/statements/{{month}}", "member.v1.PointsService.GetPointsStatement", part="statement"),
        create(f"{_POINTS}/holds", "member.v1.PointsService.HoldPoints"),
        post(f"{_HOLD}/confirm", "member.v1.PointsService.ConfirmHold"),
        post(f"{_HOLD}/release", "member.v1.PointsService.ReleaseHold"),
        create(f"{_POINTS}/redemptions", "member.v1.PointsService.RedeemPoints"),
        create(f"{_POINTS}/reversals", "member.v1.PointsService.ReversePoints"),
        create(f"{_POINTS}/transfers", "member.v1.PointsService.TransferPoints"),
        get(f"{_POINTS}/pool", "member.v1.PointsService.GetPool"),
        put(f"{_POINTS}/pool", "member.v1.PointsService.PutPool", part="pool"),
        get("/programs/{program_id}/points-rules", "member.v1.PointsService.GetPointsRules", part="rules"),
        post(
            "/programs/{program_id}/points-rules", "member.v1.PointsService.PutPointsRules", into="rules", part="rules"
        ),
    ],
)
