"""What is done about bills that are not paid in time: reminders and suspensions, as the plan says that each was issued
under. The oldest open bill of an account is the one that counts."""

from dataclasses import replace
from datetime import datetime
from typing import NamedTuple

from chassis.calendar import Calendar
from chassis.work import Transaction

from billing.domain.account import Account, AccountState, Because, Service
from billing.domain.bill import Bill
from billing.domain.bill_facts import bill_reminded
from billing.domain.effects import StateChanged
from billing.domain.ids import BillId
from billing.domain.overdue import DueStep, Overdue, overdue_now
from billing.domain.plan import BillPlan, OverdueAction
from billing.store.account import accounts_for_update, set_stays
from billing.store.bill import open_bills
from billing.store.plan import find_versions
from billing.store.standing import StepDone, accounts_overdue, add_states, add_steps, steps_done
from billing.use_cases.settlement import tell

ROUND = 500


class Chased(NamedTuple):
    """What a round did: accounts looked at, reminders told and accounts suspended."""

    accounts: int
    reminders: int
    suspended: int


class _Case(NamedTuple):
    account: Account
    bill: Bill | None
    overdue: Overdue


async def run_overdue_steps(transaction: Transaction, as_of: datetime, calendar: Calendar) -> Chased:
    """One round over accounts about whose bill a step is due. Each step of a bill is done once."""
    connection = transaction.connection
    ids = await accounts_overdue(connection, as_of, ROUND)
    if not ids:
        return Chased(0, 0, 0)
    accounts = await accounts_for_update(connection, ids)
    oldest = {account_id: bills[0] for account_id, bills in (await open_bills(connection, accounts)).items()}
    plans = await find_versions(connection, {bill.plan for bill in oldest.values() if bill.plan is not None})
    done = await steps_done(connection, {bill.bill_id for bill in oldest.values()})
    cases = []
    for account in accounts.values():
        bill = oldest.get(account.account_id)
        plan = plans.get(bill.plan) if bill is not None and bill.plan is not None else None
        overdue = _overdue(bill, plan, calendar, done=done.get(bill.bill_id, []) if bill else [], as_of=as_of)
        cases.append(_Case(account, bill, overdue))
    return await _do(transaction, cases, as_of)


def _overdue(
    bill: Bill | None, plan: BillPlan | None, calendar: Calendar, *, done: list[StepDone], as_of: datetime
) -> Overdue:
    if bill is None or plan is None:
        return Overdue((), None)
    last = {step.action: step.number for step in done}
    return overdue_now(bill, plan, calendar, done=last, as_of=as_of)


async def _do(transaction: Transaction, cases: list[_Case], as_of: datetime) -> Chased:
    """Reminds, suspends who is served, and stores what was done and what is next."""
    connection, recorded_at = transaction.connection, transaction.recorded_at
    changed, steps, effects, reminders = [], list[tuple[BillId, DueStep]](), list[StateChanged](), 0
    for account, bill, overdue in cases:
        after = replace(account, overdue_at=overdue.next_at)
        for step in overdue.to_do if bill is not None else ():
            assert bill is not None, "steps are of bills"
            steps.append((bill.bill_id, step))
            if step.action is OverdueAction.REMIND:
                reminders += 1
                transaction.emit(bill_reminded(bill, step=step.number, occurred_at=as_of))
            elif after.service.state is AccountState.ACTIVE:
                revision = after.service.revision + 1
                after = replace(after, service=Service(AccountState.SUSPENDED, revision, Because.OVERDUE, as_of))
                effects.append(StateChanged(after, as_of, bill))
        changed.append(after)
    await set_stays(connection, changed)
    await add_states(connection, effects, recorded_at)
    await add_steps(connection, steps, as_of, recorded_at)
    tell(transaction, effects)
    return Chased(len(cases), reminders, len(effects))
