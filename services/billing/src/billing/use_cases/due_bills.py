"""Bills that waited: for the next day or anchor day of their plan, or for payments that seemed to cover the gap."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from typing import NamedTuple

from chassis.calendar import Calendar
from chassis.work import Transaction

from billing.domain.account import Account
from billing.domain.effects import Effect
from billing.domain.ids import AccountId
from billing.domain.movement import Stand
from billing.domain.plan import Plans, plan_at
from billing.domain.settlement import NOWHERE, Settlement, Tab
from billing.domain.threshold import CrossingCause, Step
from billing.store.account import accounts_for_update
from billing.store.balance import where_they_stand
from billing.store.plan import plans_since
from billing.store.standing import accounts_to_bill
from billing.use_cases.settlement import append_effects, new_bill_id, open_tabs, tell

ROUND = 500


class Billed(NamedTuple):
    """What a round did: accounts looked at, and bills issued."""

    accounts: int
    bills: int


async def issue_due_bills(transaction: Transaction, as_of: datetime, calendar: Calendar) -> Billed:
    """One round over crossings whose bill is due: each is billed for what is missing now, or waits another hour where
    enough is on its way. An account that came back meanwhile has nothing to be billed for."""
    connection = transaction.connection
    ids = await accounts_to_bill(connection, as_of, ROUND)
    if not ids:
        return Billed(0, 0)
    accounts = await accounts_for_update(connection, ids)
    plans = await plans_since(connection, {account.plan_id for account in accounts.values()}, as_of)
    stands = await where_they_stand(connection, accounts)
    tabs = await open_tabs(connection, list(accounts.values()), plans=plans, calendar=calendar, asks=True)
    settling = Settlement(tabs, plans, calendar, new_bill_id)
    found = [
        tuple(_issued(settling, tabs[each.account_id], plans, _step(each, stands, as_of))) for each in accounts.values()
    ]
    issued = 0
    for effects in await append_effects(transaction, tabs, found):
        issued += len(effects)
        tell(transaction, effects)
    return Billed(len(accounts), issued)


def _issued(settling: Settlement, tab: Tab, plans: Plans, step: Step) -> Iterator[Effect]:
    plan = plan_at(plans, tab.account.plan_id, step.occurred_at)
    if plan is not None:
        yield from settling.issue(tab, plan, step)
    elif (crossing := tab.account.crossing) is not None:
        # Without a plan nobody says what to ask for: the stay ends unbilled.
        tab.account = replace(tab.account, crossing=crossing._replace(bill_at=None))


def _step(account: Account, stands: Mapping[AccountId, Stand], as_of: datetime) -> Step:
    """How the account stands now; nothing moves it."""
    stand = stands.get(account.account_id, NOWHERE)
    measure = stand.balance_minor + account.credit_limit_minor
    return Step(
        account_id=account.account_id,
        cause=account.crossing.cause if account.crossing else CrossingCause.DEBIT,
        measured_before=measure,
        measured_after=measure,
        balance_after=stand.balance_minor,
        account_version=stand.account_version,
        occurred_at=as_of,
    )
