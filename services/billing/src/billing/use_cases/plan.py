"""Bill plans: put and look up their versions, and hang accounts on them. Another plan may cross at once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import NamedTuple

from chassis.calendar import Calendar
from chassis.errors import Refusal
from chassis.work import Transaction

from billing.domain.account import Account, Standing, account_not_found
from billing.domain.bill import Bill
from billing.domain.entry import Entry
from billing.domain.ids import AccountId, PlanId
from billing.domain.movement import check_occurred_at
from billing.domain.plan import BillPlan, PlanCurrencyFixed, plan_at, plan_not_found
from billing.domain.threshold import CrossingCause, Step
from billing.store import Connection
from billing.store import plan as plan_store
from billing.store.account import accounts_for_update, set_plans
from billing.store.balance import standings
from billing.use_cases.settlement import Settled, settle, tell


@dataclass(frozen=True, slots=True, kw_only=True)
class SetAccountPlan:
    """Wish to hang an account on a plan, or on none."""

    account_id: AccountId
    plan_id: PlanId | None
    occurred_at: datetime

    def __post_init__(self) -> None:
        check_occurred_at(self.occurred_at)


class PlanSet(NamedTuple):
    """An account on its plan, and the bill it had for crossing its threshold at once."""

    standing: Standing
    bill: Bill | None


async def put_bill_plan(transaction: Transaction, wanted: BillPlan) -> BillPlan:
    """Stores a new plan, or the next version of one; it acts on the next crossing. Refuses PlanCurrencyFixed."""
    revision = await plan_store.put_plan(transaction.connection, wanted, transaction.recorded_at)
    if revision is None:
        raise PlanCurrencyFixed(f"plan {wanted.plan_id} is in another currency", plan_id=wanted.plan_id)
    return replace(wanted, revision=revision)


async def get_bill_plan(connection: Connection, plan_id: PlanId, *, revision: int, as_of: datetime) -> BillPlan:
    """A version of a plan; 0 is the one that acts, or the newest before the first does. Refuses PlanNotFound."""
    if revision:
        exact = await plan_store.find_versions(connection, [(plan_id, revision)])
        found = exact.get((plan_id, revision))
    else:
        plans = await plan_store.plans_since(connection, [plan_id], as_of)
        found = plan_at(plans, plan_id, as_of) or next(iter(plans.get(plan_id, ())), None)
    if found is None:
        raise plan_not_found(plan_id)
    return found


async def plans_page(
    connection: Connection, as_of: datetime, *, after: PlanId | None, limit: int
) -> Sequence[BillPlan]:
    """Plans whose id follows `after`, each as it acts now."""
    return await plan_store.acting_plans(connection, as_of, after=after, limit=limit)


async def versions_page(
    connection: Connection, plan_id: PlanId, *, before: int | None, limit: int
) -> Sequence[BillPlan]:
    """Versions of a plan below a revision, newest first. Refuses PlanNotFound."""
    found = await plan_store.plan_versions(connection, plan_id, before=before, limit=limit)
    if not found and before is None:
        raise plan_not_found(plan_id)
    return found


async def set_account_plans(
    transaction: Transaction, wanted: Sequence[SetAccountPlan], *, calendar: Calendar
) -> list[PlanSet | Refusal]:
    """Hangs accounts on plans, each alone. Refuses AccountNotFound, PlanNotFound, PlanCurrencyDiffers.

    An armed account that stands below the new plan's threshold crosses, but one that nothing moved yet. A crossing that
    stands is left standing: the new plan acts on the next one.
    """
    await accounts_for_update(transaction.connection, {each.account_id for each in wanted})
    outcomes: dict[int, PlanSet | Refusal] = {}
    left = dict(enumerate(wanted))
    while left:
        # Of two wishes for one account the second finds what the first made of it.
        first = {each.account_id: place for place, each in reversed(left.items())}
        wave = {place: left.pop(place) for place in sorted(first.values())}
        outcomes |= zip(wave, await _set_once(transaction, list(wave.values()), calendar), strict=True)
    return [outcomes[place] for place in range(len(wanted))]


async def _set_once(
    transaction: Transaction, wanted: Sequence[SetAccountPlan], calendar: Calendar
) -> list[PlanSet | Refusal]:
    """Wishes for different accounts."""
    connection = transaction.connection
    accounts = await accounts_for_update(connection, {each.account_id for each in wanted})
    plans = await plan_store.find_plans(connection, (each.plan_id for each in wanted))
    refusals = [_refusal(each, accounts.get(each.account_id), plans) for each in wanted]
    taken = [each for each, refusal in zip(wanted, refusals, strict=True) if refusal is None]
    found = await standings(connection, (accounts[each.account_id] for each in taken))
    await set_plans(connection, {each.account_id: each.plan_id for each in taken})
    changed = {each.account_id: _on_plan(accounts[each.account_id], each.plan_id) for each in taken}
    entries = [_entry(each, found[each.account_id]) for each in taken]
    settled = iter(zip(taken, await settle(transaction, changed, entries, calendar), strict=True))
    outcomes: list[PlanSet | Refusal] = []
    for refusal in refusals:
        if refusal is not None:
            outcomes.append(refusal)
            continue
        each, meant = next(settled)
        tell(transaction, meant.effects)
        outcomes.append(_plan_set(changed[each.account_id], found[each.account_id], meant))
    return outcomes


def _refusal(wanted: SetAccountPlan, account: Account | None, plans: Mapping[PlanId, BillPlan]) -> Refusal | None:
    if account is None:
        return account_not_found(wanted.account_id)
    try:
        if wanted.plan_id is not None:
            existing_plan(wanted.plan_id, plans).check_suits(account)
    except Refusal as refusal:
        return refusal
    return None


def existing_plan(plan_id: PlanId, plans: Mapping[PlanId, BillPlan]) -> BillPlan:
    """The plan of this name. Refuses PlanNotFound."""
    if plan_id not in plans:
        raise plan_not_found(plan_id)
    return plans[plan_id]


def _on_plan(account: Account, plan_id: PlanId | None) -> Account:
    return replace(account, plan_id=plan_id, day_threshold=None)


def _entry(wanted: SetAccountPlan, standing: Standing) -> Entry:
    """Another plan compares the same measure with another threshold; the same plan again compares nothing."""
    account, balance_minor = standing.account, standing.balance.minor_units
    measure = balance_minor + account.credit_limit_minor
    step = Step(
        account_id=account.account_id,
        cause=CrossingCause.PLAN,
        measured_before=measure,
        measured_after=measure,
        balance_after=balance_minor,
        account_version=standing.account_version,
        occurred_at=wanted.occurred_at,
    )
    steps = () if wanted.plan_id == account.plan_id or account.below_threshold else (step,)
    return Entry(account.account_id, wanted.occurred_at, steps)


def _plan_set(account: Account, standing: Standing, meant: Settled) -> PlanSet:
    crossing = next((turned.crossing for turned in meant.turns), account.crossing)
    return PlanSet(standing._replace(account=replace(account, crossing=crossing)), next(iter(meant.bills), None))
