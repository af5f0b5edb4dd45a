"""Whole histories of an account's bills against the plain model: on the rules alone, and through PostgreSQL."""

from collections.abc import Callable
from itertools import count
from random import Random

import pytest
from billing.domain.account import Account
from billing.domain.bill import Bill
from billing.domain.effects import documents
from billing.domain.ids import BillId, PlanId
from billing.domain.movement import Billing as BillingOf
from billing.domain.movement import Credit, Debit, Limit, Movement, MovementKind
from billing.domain.plan import Plans
from billing.domain.settlement import Entry, Settlement, Tab, concerned, turn
from billing.domain.threshold import CrossingCause, Step
from billing.store.account import find_account
from billing.store.bill import open_bills
from billing.use_cases.bill import CreditBill, PayBill, issue_credit_note, pay_bills
from billing.use_cases.movement import apply_whole
from billing.use_cases.plan import SetAccountPlan, set_account_plans
from chassis.errors import Refusal
from chassis.ids import new_id
from chassis.work import Transaction, Work
from hypothesis import HealthCheck, given, settings
from sqlalchemy import text

from services.billing.tests.bill_model import KINDS, PLAN_NAMES, PLANS, Act, BillModel, Open, histories
from services.billing.tests.factories import (
    ACCOUNT,
    CALENDAR,
    OCCURRED_AT,
    Billing,
    a_plan,
    account_with,
    cny,
    opening,
    recharge,
)

BASIC = PlanId("basic")
BILLINGS = {"order": BillingOf.SUPPLEMENT, "refund": BillingOf.CREDIT}
THE_PLANS: Plans = {
    PlanId(name): [a_plan(threshold, target, plan_id=name)]
    for name, (threshold, target) in PLANS.items()
    if threshold is not None
}


def shown(bills: list[Bill]) -> list[Open]:
    """What is open, as the model says it."""
    return [Open(bill.kind.value, bill.remaining.minor_units) for bill in bills]


class Rules:
    """Plays on the settlement alone."""

    def __init__(self) -> None:
        self.account: Account = account_with(plan_id=BASIC)
        self.open: list[Bill] = []
        self.documents = 0
        self.balance, self.limit, self.version = 100_00, 0, 1
        self._ids = (BillId(f"bill-{number:06}") for number in count())

    def take(self, act: Act) -> None:
        """Settles what the act books."""
        match act.kind:
            case "plan":
                self._hang(PlanId(PLAN_NAMES[act.amount % len(PLAN_NAMES)]))
            case "note":
                self._note(self.open[act.amount % len(self.open)], act.amount)
            case "limit":
                self.limit, before = act.amount, self.limit
                self._settle(self._step(0, CrossingCause.CREDIT_LIMIT, limit_before=before))
            case "pay":
                bill = self.open[act.amount % len(self.open)]
                self._settle(self._step(bill.remaining.minor_units), settles=bill.paid(OCCURRED_AT))
            case _:
                change = -act.amount if act.kind in {"charge", "order"} else act.amount
                billing = BILLINGS.get(act.kind, BillingOf.PLAIN)
                self._settle(self._step(change), billing=billing, billed_minor=act.amount)

    def _step(self, change: int, cause: CrossingCause = CrossingCause.DEBIT, limit_before: int | None = None) -> Step:
        before = self.balance + (self.limit if limit_before is None else limit_before)
        self.balance += change
        self.version += 1
        return Step(ACCOUNT, cause, before, self.balance + self.limit, self.balance, self.version, OCCURRED_AT)

    def _hang(self, plan_id: PlanId) -> None:
        changed = plan_id != (self.account.plan_id or "") and self.account.crossing is None
        self.account = account_with(plan_id=plan_id or None, crossing=self.account.crossing)
        if changed:
            measure = self.balance + self.limit
            at = (self.version, OCCURRED_AT)
            self._settle(Step(ACCOUNT, CrossingCause.PLAN, measure, measure, self.balance, *at))

    def _settle(self, step: Step, **meant: object) -> None:
        entries = [Entry(ACCOUNT, OCCURRED_AT, (step,), **meant)]  # type: ignore[arg-type]
        accounts = {ACCOUNT: self.account}
        turned = turn(accounts, THE_PLANS, entries)
        tabs = {key: Tab(self.account, list(self.open)) for key in concerned(accounts, entries, turned)}
        settling = Settlement(tabs, THE_PLANS, CALENDAR, lambda: next(self._ids))
        for effects in settling.settle(entries, turned):
            self.documents += len(documents(effects))
        self._keep(tabs.get(ACCOUNT))

    def _note(self, bill: Bill, amount: int) -> None:
        tab = Tab(self.account, list(self.open))
        settling = Settlement({ACCOUNT: tab}, THE_PLANS, CALENDAR, lambda: next(self._ids))
        taken = cny(min(amount, bill.remaining.minor_units))
        self.documents += len(documents(settling.credit(tab, bill, taken, Entry(ACCOUNT, OCCURRED_AT, ()))))
        self._keep(tab)

    def _keep(self, tab: Tab | None) -> None:
        if tab is not None:
            self.account, self.open = tab.account, tab.documents


@settings(max_examples=2000, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(histories(50))
def test_the_rules_keep_to_the_plain_model(history: list[Act]) -> None:
    model, rules = BillModel(), Rules()
    for act in history:
        if model.allows(act):
            model.take(act)
            rules.take(act)
            assert shown(rules.open) == model.open, act
            assert rules.account.below_threshold == (model.crossed is not None)
    assert rules.documents == model.documents


class Books:
    """Plays through PostgreSQL, each act in a transaction of its own."""

    def __init__(self, work: Work) -> None:
        self.work = work

    async def open(self) -> list[Bill]:
        """What is asked of the account."""
        async with self.work.reading() as connection:
            return (await open_bills(connection, {ACCOUNT})).get(ACCOUNT, [])

    async def below(self) -> bool:
        """Whether the account is crossed."""
        async with self.work.reading() as connection:
            account = await find_account(connection, ACCOUNT)
        return account is not None and account.below_threshold

    async def documents(self) -> int:
        """How many documents the book has."""
        async with self.work.reading() as connection:
            return int((await connection.execute(text("SELECT count(*) FROM bills"))).scalar_one())

    async def take(self, act: Act) -> None:
        """Does the act."""
        bills = await self.open()
        bill = bills[act.amount % len(bills)] if bills and act.kind in {"pay", "note"} else None

        async def do(transaction: Transaction) -> None:
            if bill is not None:
                await _about_a_bill(transaction, act, bill)
            elif act.kind == "plan":
                name = PLAN_NAMES[act.amount % len(PLAN_NAMES)]
                wish = SetAccountPlan(account_id=ACCOUNT, plan_id=PlanId(name) or None, occurred_at=OCCURRED_AT)
                _done(await set_account_plans(transaction, [wish], calendar=CALENDAR))
            else:
                await apply_whole(transaction, [_movement(act)], CALENDAR)

        await self.work.run(do)


async def _about_a_bill(transaction: Transaction, act: Act, bill: Bill) -> None:
    if act.kind == "pay":
        wish = PayBill(bill_id=bill.bill_id, customer_id=None, channel="app", occurred_at=OCCURRED_AT)
        _done(await pay_bills(transaction, [wish], calendar=CALENDAR))
        return
    amount = cny(min(act.amount, bill.remaining.minor_units))
    credit = CreditBill(bill_id=bill.bill_id, amount=amount, reason="ours", occurred_at=OCCURRED_AT)
    await issue_credit_note(transaction, credit, calendar=CALENDAR)


def _done(outcomes: object) -> None:
    assert isinstance(outcomes, list)
    assert not [outcome for outcome in outcomes if isinstance(outcome, Refusal)]


def _movement(act: Act) -> Movement:
    makes: dict[str, Callable[[], tuple[MovementKind, Credit | Debit | Limit]]] = {
        "charge": lambda: (MovementKind.CHARGE, Debit(cny(act.amount))),
        "order": lambda: (MovementKind.CHARGE, Debit(cny(act.amount))),
        "recharge": lambda: (MovementKind.RECHARGE, Credit(cny(act.amount))),
        "refund": lambda: (MovementKind.RECHARGE, Credit(cny(act.amount))),
        "limit": lambda: (MovementKind.CREDIT_LIMIT, Limit(cny(act.amount))),
    }
    kind, what = makes[act.kind]()
    billing = BILLINGS.get(act.kind, BillingOf.PLAIN)
    return Movement(new_id(), ACCOUNT, kind, what, "why", OCCURRED_AT, billing=billing)


async def cleared(billing: Billing) -> None:
    """The account as every history begins with it."""
    async with billing.work.reading() as connection:
        assert not (await connection.execute(text("SELECT count(*) FROM accounts"))).scalar_one()
    for (plan,) in THE_PLANS.values():
        await billing.put_plan(plan)
    await billing.open(opening(plan_id=BASIC))
    await billing.move(recharge(100_00))


@pytest.mark.parametrize("part", range(4))
async def test_the_books_keep_to_the_plain_model(work: Work, part: int) -> None:
    await keeps_to_the_model(work, part)


@pytest.mark.soak
@pytest.mark.parametrize("part", range(4, 104))
async def test_the_books_keep_to_the_plain_model_for_long(work: Work, part: int) -> None:
    await keeps_to_the_model(work, part)


async def keeps_to_the_model(work: Work, part: int) -> None:
    """A long history through the books, looked at after each act and proven at its end."""
    billing, books = Billing(work), Books(work)
    await cleared(billing)
    model = BillModel()
    for act in drawn(part):
        if model.allows(act):
            model.take(act)
            await books.take(act)
            assert shown(await books.open()) == model.open, act
            assert await books.below() == (model.crossed is not None)
    assert await books.documents() == model.documents
    assert await billing.proof() == []


def drawn(part: int) -> list[Act]:
    """A long history, another for each part, and the same every time."""
    luck = Random(part)
    return [Act(luck.choice(KINDS), luck.randint(1, 70_00)) for _ in range(150)]
