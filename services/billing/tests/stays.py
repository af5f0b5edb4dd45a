"""Stays without a database: entries of one account settled one after another, and what they did."""

from datetime import timedelta
from itertools import count
from typing import Any

from billing.domain.account import Account
from billing.domain.bill import Bill, BillKind
from billing.domain.effects import Effect, documents
from billing.domain.entry import Entry, concerned, turn
from billing.domain.ids import BillId, TransactionId
from billing.domain.movement import Billing
from billing.domain.plan import BillPlan, Plans
from billing.domain.settlement import Settlement, Tab
from billing.domain.threshold import CrossingCause, Step

from services.billing.tests.factories import ACCOUNT, CALENDAR, OCCURRED_AT, PLAN, a_plan, an_account

HOUR = timedelta(hours=1)


def step(
    before: int, after: int, version: int = 2, *, cause: CrossingCause = CrossingCause.DEBIT, **changed: Any
) -> Step:
    """A change of a balance without a credit limit."""
    plain = Step(ACCOUNT, cause, before, after, after, version, OCCURRED_AT, 0, TransactionId(f"charge:{version}"))
    return plain._replace(**changed)


class Stays:
    """Settles entries of one account on a plan, one batch after another."""

    def __init__(self, plan: BillPlan | None = None, account: Account | None = None, **tab: Any) -> None:
        self.plans: Plans = {PLAN: [plan or a_plan()]}
        self.account = account or an_account()
        self.open: list[Bill] = []
        self.tab = tab
        self.last: Bill | None = None
        self._names = (BillId(f"bill-{number}") for number in count(1))

    def settle(self, *entries: Entry) -> list[Effect]:
        """What entries did, in order."""
        accounts = {ACCOUNT: self.account}
        turned = turn(accounts, self.plans, entries)
        tabs = {
            account_id: Tab(self.account, list(self.open), self.last.issued_at if self.last else None, **self.tab)
            for account_id in concerned(accounts, entries, turned)
        }
        settling = Settlement(tabs, self.plans, CALENDAR, lambda: next(self._names))
        effects = [effect for of_entry in settling.settle(entries, turned) for effect in of_entry]
        for tab in tabs.values():
            self.account, self.open = tab.account, tab.documents
        self.last = next((bill for bill in documents(effects) if bill.kind is BillKind.ORIGINAL), self.last)
        return effects


def entry(*steps: Step, billing: Billing = Billing.PLAIN, settles: Bill | None = None, billed: int = 0) -> Entry:
    """Something booked with these steps."""
    at = steps[-1].occurred_at if steps else OCCURRED_AT
    source = steps[-1].transaction_id if steps else None
    return Entry(ACCOUNT, at, steps, source, settles, billing, billed, "why")


def crossed(plan: BillPlan | None = None) -> Stays:
    """The account after a debit from 100 to 40 yuan: a bill of 60 on the basic plan."""
    stays = Stays(plan)
    stays.settle(entry(step(100_00, 40_00)))
    return stays


def kinds(effects: list[Effect]) -> list[type[Effect]]:
    """What happened, in order."""
    return [type(effect) for effect in effects]


def amounts(effects: list[Effect]) -> list[int]:
    """What the documents among effects are about."""
    return [bill.amount.minor_units for bill in documents(effects)]


def issued_later(stays: Stays, balance: int, **about: BillId) -> tuple[list[Effect], Tab]:
    """The round that bills what waited."""
    tab = Tab(stays.account, list(stays.open), None, **stays.tab)
    settling = Settlement({ACCOUNT: tab}, stays.plans, CALENDAR, lambda: BillId("late"))
    at = OCCURRED_AT + HOUR
    now = step(balance, balance, 5, occurred_at=at, transaction_id=None)
    return list(settling.issue(tab, stays.plans[PLAN][0], now, **about)), tab
