"""Points: the balance, the statement, and holds."""

from gateway.routing import create, get, post, router_of

_POINTS = "/customers/{customer_id}/points"
_HOLD = f"{_POINTS}/holds/{{hold_id}}"

router = router_of(
    "points",
    [
        get(_POINTS, "member.v1.PointsService.GetPointsBalance"),
        get(f"{_POINTS}/entries", "member.v1.PointsService.ListPointsEntries"),
        create(f"{_POINTS}/holds", "member.v1.PointsService.HoldPoints"),
        post(f"{_HOLD}/confirm", "member.v1.PointsService.ConfirmHold"),
        post(f"{_HOLD}/release", "member.v1.PointsService.ReleaseHold"),
    ],
)
