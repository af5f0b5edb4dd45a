"""Programs: their versions, which of them is in force, and what one would change."""

from gateway.routing import create, get, post, put, router_of

_PROGRAM = "/programs/{program_id}"

router = router_of(
    "programs",
    [
        get(_PROGRAM, "member.v1.MembershipService.GetProgram", part="program"),
        put(_PROGRAM, "member.v1.MembershipService.PutProgram", into="program", part="program"),
        create(f"{_PROGRAM}/versions", "member.v1.MembershipService.DraftProgram", into="program", part="version"),
        post(f"{_PROGRAM}/validation", "member.v1.MembershipService.ValidateProgram", into="program"),
        get(f"{_PROGRAM}/versions", "member.v1.MembershipService.ListProgramVersions"),
        get(f"{_PROGRAM}/differences", "member.v1.MembershipService.DiffPrograms"),
        get(f"{_PROGRAM}/versions/{{version}}/preview", "member.v1.MembershipService.PreviewProgram"),
        create(f"{_PROGRAM}/activations", "member.v1.MembershipService.ActivateProgram", part="activation"),
        get(f"{_PROGRAM}/activations", "member.v1.MembershipService.ListProgramActivations"),
    ],
)
