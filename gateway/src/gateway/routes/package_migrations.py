"""Plans that make members of package customers, and their runs."""

from gateway.routing import create, get, post, put, router_of

_PLANS = "/package-migration-plans"
_PLAN = f"{_PLANS}/{{plan_id}}"
_RUN = "/package-migrations/{run_id}"

router = router_of(
    "package migration",
    [
        put(_PLAN, "member.v1.PackageMigrationService.PutMigrationPlan", into="plan", part="plan"),
        get(_PLAN, "member.v1.PackageMigrationService.GetMigrationPlan", part="plan"),
        get(_PLANS, "member.v1.PackageMigrationService.ListMigrationPlans"),
        post(
            "/package-migration-plans/validate", "member.v1.PackageMigrationService.ValidateMigrationPlan", into="plan"
        ),
        post(f"{_PLANS}/dry-run", "member.v1.PackageMigrationService.DryRunMigration"),
        create("/package-migrations", "member.v1.PackageMigrationService.StartMigration", part="run"),
        get("/package-migrations", "member.v1.PackageMigrationService.ListMigrationRuns"),
        get(_RUN, "member.v1.PackageMigrationService.GetMigrationRun", part="run"),
        get(f"{_RUN}/moves", "member.v1.PackageMigrationService.ListMigrationMoves"),
        post(f"{_RUN}/undo", "member.v1.PackageMigrationService.UndoMigration", part="run"),
    ],
)
