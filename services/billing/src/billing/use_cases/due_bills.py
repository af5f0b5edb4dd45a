"""Bills that waited: for the next day or anchor day of their plan, or for payments that seemed to cover the gap."""

from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple

from chassis.calendar import Calendar
from chassis.work import Transaction

from billing.domain.account import Account
from billing.domain.entry import NOWHERE
from billing.domain.ids import AccountId
from billing.domain.movement import Stand
from billing.domain.plan import plan_at
from billing.domain.settlement import Settlement
from billing.domain.threshold import CrossingCause, Step
from billing.store.account import accounts_for_update
from billing.store.balance import where_they_stand
from billing.store.bill import originals_of_stays
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
    enough is on its way or no plan says what to ask for. An account that came back meanwhile has nothing to be billed
    for."""
    connection = transaction.connection
    ids = await accounts_to_bill(connection, as_of, ROUND)
    if not ids:
        return Billed(0, 0)
    accounts = await accounts_for_update(connection, ids)
    plans = await plans_since(connection, {account.plan_id for account in accounts.values()}, as_of)
    stands = await where_they_stand(connection, accounts)
    tabs = await open_tabs(connection, list(accounts.values()), plans=plans, calendar=calendar, asks=True)
    originals = await originals_of_stays(connection, accounts)
    settling = Settlement(tabs, plans, calendar, new_bill_id)
    found = []
    for account_id, account in accounts.items():
        plan, step = plan_at(plans, account.plan_id, as_of), _step(account, stands, as_of)
        found.append(tuple(settling.issue(tabs[account_id], plan, step, original=originals.get(account_id))))
    issued = 0
    for effects in await append_effects(transaction, tabs, found):
        issued += len(effects)
        tell(transaction, effects)
    return Billed(len(accounts), issued)


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
