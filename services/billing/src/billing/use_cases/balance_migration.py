"""Earmarked balances become universal ones: plans, what is loaded for them, runs in rounds, and the way back.

A round is one transaction: the balances behind the last one are booked and noted, and the run remembers how far it
came. A process that is killed loses the round it was at; no balance is booked twice. A dry run takes the same way and
books nothing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import NamedTuple

from chassis.calendar import Calendar
from chassis.errors import InvalidArgument, Refusal
from chassis.paging import Page
from chassis.work import Transaction

from billing.domain.balance_migration import (
    BalanceId,
    Decision,
    EarmarkedBalance,
    Item,
    Line,
    LoadBalances,
    Loading,
    MigrationNotToUndo,
    MigrationPlan,
    MigrationPlanCurrencyFixed,
    MigrationPlanFrozen,
    MigrationPlanId,
    MigrationRun,
    MigrationRunExists,
    MigrationRunId,
    MigrationUnderWay,
    RunState,
    Sum,
    TakenBack,
    Why,
    decide,
    gift_of,
    migration,
    plan_not_found,
    proves,
    run_not_found,
)
from billing.domain.ids import AccountId
from billing.domain.migration_facts import balance_migrated
from billing.domain.migration_undo import takings, undone_together
from billing.domain.movement import Moved, check_occurred_at
from billing.store import Connection
from billing.store import balance_migration as store
from billing.store.balance import standings
from billing.store.gift import add_gifts
from billing.store.migration_item import add_items, add_taken_back, items_to_undo, list_lines
from billing.use_cases.movement import apply_movements, lock_accounts

BALANCES_PER_ROUND = 1_000


@dataclass(frozen=True, slots=True)
class StartRun:
    """Wish to apply a plan to all its balances, or to count what that would do."""

    run_id: MigrationRunId
    plan_id: MigrationPlanId
    dry: bool
    occurred_at: datetime
    started_by: str

    def __post_init__(self) -> None:
        check_occurred_at(self.occurred_at)


@dataclass(frozen=True, slots=True)
class UndoRun:
    """Wish to take back what a run put in."""

    run_id: MigrationRunId
    occurred_at: datetime
    because: str
    undone_by: str

    def __post_init__(self) -> None:
        check_occurred_at(self.occurred_at)


class LoadedBalances(NamedTuple):
    """How many balances were loaded, and why others were not."""

    loaded: int
    refused: dict[BalanceId, Why]


class Progress(NamedTuple):
    """A run with what its balances come to so far."""

    run: MigrationRun
    sums: list[Sum]


class Lines(NamedTuple):
    """Lines of a run's report, and the currency of their amounts."""

    currency: str
    lines: list[Line]


async def put_plan(transaction: Transaction, wanted: MigrationPlan) -> MigrationPlan:
    """Stores a new plan, or the next revision of one; what is known already makes none. Refuses MigrationPlanFrozen,
    MigrationPlanCurrencyFixed."""
    connection, recorded_at = transaction.connection, transaction.recorded_at
    if await store.add_plan(connection, wanted, recorded_at):
        return replace(wanted, revision=1)
    known = await store.plan_for_update(connection, wanted.plan_id)
    assert known is not None, "plans are never taken away"
    if known.same_as(wanted):
        return known
    if known.frozen:
        raise MigrationPlanFrozen(f"a run books by plan {wanted.plan_id}", plan_id=wanted.plan_id)
    if known.currency != wanted.currency:
        raise MigrationPlanCurrencyFixed(f"plan {wanted.plan_id} is in {known.currency}", plan_id=wanted.plan_id)
    changed = replace(wanted, revision=known.revision + 1)
    await store.change_plan(connection, changed, recorded_at)
    return changed


async def get_plan(connection: Connection, plan_id: MigrationPlanId) -> MigrationPlan:
    """Refuses MigrationPlanNotFound."""
    plan = await store.find_plan(connection, plan_id)
    if plan is None:
        raise plan_not_found(plan_id)
    return plan


async def load_balances(transaction: Transaction, command: LoadBalances) -> LoadedBalances:
    """Loads what can be loaded. Refuses MigrationPlanNotFound, and MigrationUnderWay while a run looks at the plan's
    balances."""
    connection = transaction.connection
    plan = await store.plan_shared(connection, command.plan_id)
    if plan is None:
        raise plan_not_found(command.plan_id)
    if await store.plan_under_way(connection, plan.plan_id):
        raise MigrationUnderWay(f"a run of plan {plan.plan_id} is under way", plan_id=plan.plan_id)
    balances = [each.balance for each in command.balances]
    currencies = await store.currencies_of(connection, {balance.account_id for balance in balances})
    applied = await store.applied_balances(connection, {balance.balance_id for balance in balances})
    refused = {
        each.balance.balance_id: why
        for each in command.balances
        if (why := _why_not_loaded(each, plan, currencies, is_applied=each.balance.balance_id in applied))
    }
    taken = [balance for balance in balances if balance.balance_id not in refused]
    await store.load_balances(connection, plan.plan_id, taken, transaction.recorded_at)
    return LoadedBalances(len(taken), refused)


async def start_run(transaction: Transaction, command: StartRun) -> Progress:
    """Starts a run; one that books freezes its plan. Refuses MigrationPlanNotFound, MigrationRunExists,
    MigrationUnderWay."""
    connection = transaction.connection
    plan = await store.plan_for_update(connection, command.plan_id)
    if plan is None:
        raise plan_not_found(command.plan_id)
    if await store.find_run(connection, command.run_id) is not None:
        raise MigrationRunExists(f"there is a run {command.run_id}", run_id=command.run_id)
    run = MigrationRun(
        run_id=command.run_id,
        plan=plan,
        dry=command.dry,
        state=RunState.RUNNING,
        total=await store.count_loaded(connection, plan.plan_id),
        occurred_at=command.occurred_at,
        started_by=command.started_by,
    )
    if not await store.add_run(connection, run, transaction.recorded_at):
        raise MigrationUnderWay("another run is under way")
    if not run.dry:
        await store.freeze_plan(connection, plan.plan_id)
    return Progress(run, [])


async def undo_run(transaction: Transaction, command: UndoRun) -> Progress:
    """Begins to take back what a run put in, also where it is not through. Refuses MigrationRunNotFound,
    MigrationNotToUndo, MigrationUnderWay."""
    connection = transaction.connection
    run = await store.run_for_update(connection, command.run_id)
    if run is None:
        raise run_not_found(command.run_id)
    if run.dry or run.state in (RunState.UNDOING, RunState.UNDONE):
        raise MigrationNotToUndo(f"run {run.run_id} is {'dry' if run.dry else run.state}", run_id=run.run_id)
    if command.occurred_at < run.occurred_at:
        raise InvalidArgument("occurred_at", "must not be before the instant of the run")
    if await store.another_under_way(connection, run.run_id):
        raise MigrationUnderWay("another run is under way")
    undoing = replace(
        run,
        state=RunState.UNDOING,
        done=0,
        reached="",
        proven=None,
        undone_at=command.occurred_at,
        undone_by=command.undone_by,
        undone_because=command.because,
    )
    await store.save_run(connection, undoing)
    return Progress(undoing, await store.sums_of(connection, run.run_id))


async def advance_run(
    transaction: Transaction, run_id: MigrationRunId | None, calendar: Calendar, *, most: int = BALANCES_PER_ROUND
) -> int:
    """One round of a run, or of the one that is under way; how many balances it did, 0 when nothing is left. Refuses
    MigrationRunNotFound."""
    run = await store.run_for_update(transaction.connection, run_id)
    if run is None and run_id is not None:
        raise run_not_found(run_id)
    if run is not None and run.state is RunState.RUNNING:
        return await _apply(transaction, run, calendar, most)
    if run is not None and run.state is RunState.UNDOING:
        return await _undo(transaction, run, calendar, most)
    return 0


async def get_run(connection: Connection, run_id: MigrationRunId) -> Progress:
    """Refuses MigrationRunNotFound."""
    run = await store.find_run(connection, run_id)
    if run is None:
        raise run_not_found(run_id)
    return Progress(run, await store.sums_of(connection, run_id))


async def run_lines(connection: Connection, run: MigrationRunId, page: Page, *, refused: bool) -> Lines:
    """A run's report by balance, one more than the page holds. Refuses MigrationRunNotFound."""
    found = await store.find_run(connection, run)
    if found is None:
        raise run_not_found(run)
    lines = await list_lines(connection, run, refused=refused, after=page.after or "", limit=page.wanted)
    return Lines(found.plan.currency, lines)


def _why_not_loaded(
    wanted: Loading, plan: MigrationPlan, currencies: Mapping[AccountId, str], *, is_applied: bool
) -> Why | None:
    currency = currencies.get(wanted.balance.account_id)
    if currency is None:
        return Why.ACCOUNT_NOT_FOUND
    if not currency == plan.currency == wanted.currency:
        return Why.CURRENCY_DIFFERS
    if plan.rule(wanted.balance.earmark) is None:
        return Why.EARMARK_WITHOUT_RULE
    return Why.ALREADY_MIGRATED if is_applied else None


async def _apply(transaction: Transaction, run: MigrationRun, calendar: Calendar, most: int) -> int:
    connection = transaction.connection
    balances = await store.next_balances(connection, run, most)
    if balances:
        items = await _book(transaction, run, await _decided(connection, run, balances, calendar), calendar)
        await add_items(connection, run.run_id, items, transaction.recorded_at)
    done = run.done + len(balances)
    if len(balances) == most:
        await store.save_run(connection, replace(run, done=done, reached=balances[-1].balance_id))
    else:
        state = RunState.COUNTED if run.dry else RunState.APPLIED
        await _finish(connection, replace(run, state=state, done=done))
    return len(balances)


async def _decided(
    connection: Connection, run: MigrationRun, balances: Sequence[EarmarkedBalance], calendar: Calendar
) -> list[Item]:
    applied = await store.applied_balances(connection, {balance.balance_id for balance in balances})
    return [
        Item(balance, decide(balance, run.plan, run.occurred_at, calendar, applied=balance.balance_id in applied))
        for balance in balances
    ]


async def _book(transaction: Transaction, run: MigrationRun, items: Sequence[Item], calendar: Calendar) -> list[Item]:
    """Books what comes to something, unless the run is dry; what the books refuse is refused."""
    if run.dry:
        return list(items)
    coming = [item for item in items if item.decision.new_minor]
    outcomes = await apply_movements(transaction, [migration(run, item) for item in coming], calendar)
    by_balance = {item.balance.balance_id: each for item, each in zip(coming, outcomes, strict=True)}
    booked = [_booked(item, by_balance.get(item.balance.balance_id)) for item in items]
    gifts = []
    for item, outcome in zip(coming, outcomes, strict=True):
        if isinstance(outcome, Moved):
            transaction.emit(balance_migrated(run, item, outcome))
            gifts += [gift_of(item, outcome)] if item.decision.terms else []
    await add_gifts(transaction.connection, gifts, transaction.recorded_at)
    return booked


def _booked(item: Item, outcome: Moved | Refusal | None) -> Item:
    if isinstance(outcome, Refusal):
        return item._replace(decision=Decision(None, refused=outcome.reason))
    transaction_id = outcome.transaction_id if outcome else None
    return item._replace(transaction_id=transaction_id, applied=item.decision.refused is None)


async def _undo(transaction: Transaction, run: MigrationRun, calendar: Calendar, most: int) -> int:
    connection = transaction.connection
    found = await items_to_undo(connection, run, most)
    items = undone_together(found)
    if items:
        taken = await _take_back(transaction, run, items, calendar)
        await add_taken_back(connection, run.run_id, taken, transaction.recorded_at)
    done = run.done + len(items)
    if len(found) == most or len(items) < len(found):
        await store.save_run(connection, replace(run, done=done, reached=items[-1].undo_place))
    else:
        await _finish(connection, replace(run, state=RunState.UNDONE, done=done))
    return len(items)


async def _take_back(
    transaction: Transaction, run: MigrationRun, items: Sequence[Item], calendar: Calendar
) -> list[TakenBack]:
    booked = [item for item in items if item.transaction_id is not None]
    accounts = await lock_accounts(transaction, {item.balance.account_id for item in booked})
    stand = await standings(transaction.connection, accounts.values())
    there_minor = {
        key: max(each.parts.balance.minor_units - each.parts.held.minor_units, 0) for key, each in stand.items()
    }
    taking = takings(run, booked, there_minor)
    outcomes = await apply_movements(transaction, [movement for _, movement in taking], calendar, accounts=accounts)
    moved: dict[BalanceId, Moved] = {}
    for (item, _), outcome in zip(taking, outcomes, strict=True):
        if isinstance(outcome, Moved):
            moved[item.balance.balance_id] = outcome
        if isinstance(outcome, Moved) and outcome.amount.minor_units:
            transaction.emit(balance_migrated(run, item, outcome))
    return [_taken_back(item, moved.get(item.balance.balance_id)) for item in items]


def _taken_back(item: Item, moved: Moved | None) -> TakenBack:
    taken_minor = moved.amount.minor_units if moved else 0
    transaction_id = moved.transaction_id if moved else None
    return TakenBack(item.balance.balance_id, taken_minor, item.decision.new_minor - taken_minor, transaction_id)


async def _finish(connection: Connection, run: MigrationRun) -> None:
    """A run that is through is held against what was loaded and against the ledger."""
    proven = proves(
        run,
        await store.sums_of(connection, run.run_id),
        await store.loaded_sums(connection, run.plan.plan_id),
        await store.booked_sums(connection, run.run_id),
    )
    await store.save_run(connection, replace(run, proven=proven))
