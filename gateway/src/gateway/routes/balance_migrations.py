"""Earmarked balances that become universal ones: plans, the balances loaded for them, and runs."""

from gateway.routing import create, get, post, put, router_of

_PLAN = "/balance-migration-plans/{plan_id}"
_RUN = "/balance-migrations/{run_id}"

router = router_of(
    "balance migration",
    [
        put(_PLAN, "billing.v1.BalanceMigrationService.PutBalanceMigrationPlan", into="plan", part="plan"),
        get(_PLAN, "billing.v1.BalanceMigrationService.GetBalanceMigrationPlan", part="plan"),
        post(f"{_PLAN}/balances", "billing.v1.BalanceMigrationService.LoadEarmarkedBalances"),
        create("/balance-migrations", "billing.v1.BalanceMigrationService.StartBalanceMigration", part="run"),
        get(_RUN, "billing.v1.BalanceMigrationService.GetBalanceMigration", part="run"),
        get(f"{_RUN}/items", "billing.v1.BalanceMigrationService.ListBalanceMigrationItems"),
        post(f"{_RUN}/undo", "billing.v1.BalanceMigrationService.UndoBalanceMigration", part="run"),
    ],
)
