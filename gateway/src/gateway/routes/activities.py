"""Activities: what operators put, who registers, who waits and who comes."""

from gateway.routing import create, get, post, put, router_of

_ACTIVITY = "/activities/{activity_id}"
_MINE = "/customers/{customer_id}/registrations"
_REGISTRATION = f"{_MINE}/{{registration_id}}"

router = router_of(
    "activities",
    [
        put(_ACTIVITY, "member.v1.ActivityService.PutActivity", into="activity", part="activity"),
        get(_ACTIVITY, "member.v1.ActivityService.GetActivity"),
        get("/activities", "member.v1.ActivityService.ListActivities"),
        post(f"{_ACTIVITY}/publish", "member.v1.ActivityService.PublishActivity", part="activity"),
        post(f"{_ACTIVITY}/cancel", "member.v1.ActivityService.CancelActivity"),
        get(f"{_ACTIVITY}/check-in-code", "member.v1.ActivityService.GetCheckInCode"),
        get(f"{_ACTIVITY}/registrations", "member.v1.ActivityService.ListAttendance"),
        create(_MINE, "member.v1.ActivityService.RegisterForActivity", part="registration"),
        get(_MINE, "member.v1.ActivityService.ListRegistrations"),
        post(f"{_REGISTRATION}/cancel", "member.v1.ActivityService.CancelRegistration"),
        post(f"{_REGISTRATION}/check-in", "member.v1.ActivityService.CheckIn"),
    ],
)
