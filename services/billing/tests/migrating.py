"""Balance migration for tests: plausible plans and balances, and the use cases each in a transaction of its own."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from billing.domain.balance_migration import (
    BalanceId,
    EarmarkedBalance,
    EarmarkedRule,
    Line,
    LoadBalances,
    Loading,
    MigrationPlan,
    MigrationPlanId,
    MigrationRunId,
    Target,
)
from billing.domain.ids import AccountId
from billing.use_cases import balance_migration as use_cases
from chassis.paging import Page
from chassis.work import Work

from services.billing.tests.factories import ACCOUNT, CALENDAR, OCCURRED_AT

PLAN_ID = MigrationPlanId("universal")
RUN = MigrationRunId("run-1")

CASH = EarmarkedRule(earmark="broadband", target=Target.CASH)
GIFT = EarmarkedRule(earmark="promotion", target=Target.GIFT, rate_denominator=3, gift_days=30, priority=7)
DROPPED = EarmarkedRule(earmark="trial", target=Target.DROPPED)


def a_migration(*rules: EarmarkedRule, **changed: Any) -> MigrationPlan:
    """Broadband's balances become cash, promotions a third in gift credit, trials nothing."""
    values: dict[str, Any] = {"plan_id": PLAN_ID, "display_name": "One balance", "currency": "CNY"}
    return MigrationPlan(rules=rules or (CASH, GIFT, DROPPED), **values | changed)


def a_balance(
    balance_id: str, amount: int, earmark: str = "broadband", *, account: str = ACCOUNT, until: datetime | None = None
) -> EarmarkedBalance:
    """A balance as BOSS has it."""
    return EarmarkedBalance(BalanceId(balance_id), AccountId(account), earmark, amount, until)


class Migrating:
    """The use cases of balance migration."""

    def __init__(self, work: Work) -> None:
        self.work = work

    async def put(self, plan: MigrationPlan) -> MigrationPlan:
        """Puts a plan."""
        return await self.work.run(lambda transaction: use_cases.put_plan(transaction, plan))

    async def load(
        self, *balances: EarmarkedBalance, plan_id: MigrationPlanId = PLAN_ID, currency: str = "CNY"
    ) -> use_cases.LoadedBalances:
        """Loads balances."""
        command = LoadBalances(plan_id, tuple(Loading(balance, currency) for balance in balances))
        return await self.work.run(lambda transaction: use_cases.load_balances(transaction, command))

    async def start(
        self,
        run_id: MigrationRunId = RUN,
        *,
        dry: bool = False,
        plan_id: MigrationPlanId = PLAN_ID,
        at: datetime = OCCURRED_AT,
    ) -> use_cases.Progress:
        """Starts a run."""
        command = use_cases.StartRun(run_id, plan_id, dry, at, "ops")
        return await self.work.run(lambda transaction: use_cases.start_run(transaction, command))

    async def undo(self, run_id: MigrationRunId = RUN, *, at: datetime = OCCURRED_AT) -> use_cases.Progress:
        """Begins to undo a run."""
        command = use_cases.UndoRun(run_id, at, "wrong file", "ops-2")
        return await self.work.run(lambda transaction: use_cases.undo_run(transaction, command))

    async def advance(self, run_id: MigrationRunId | None = None, *, most: int = 1000) -> int:
        """One round."""
        return await self.work.run(lambda transaction: use_cases.advance_run(transaction, run_id, CALENDAR, most=most))

    async def through(self, run_id: MigrationRunId = RUN, *, most: int = 1000) -> use_cases.Progress:
        """Rounds until nothing is left."""
        while await self.advance(run_id, most=most):
            pass
        return await self.progress(run_id)

    async def progress(self, run_id: MigrationRunId = RUN) -> use_cases.Progress:
        """How far a run is."""
        async with self.work.reading() as connection:
            return await use_cases.get_run(connection, run_id)

    async def report(self, run_id: MigrationRunId = RUN, *, refused: bool = False) -> Sequence[Line]:
        """A run's report."""
        async with self.work.reading() as connection:
            return (await use_cases.run_lines(connection, run_id, Page(100, None), refused=refused)).lines
