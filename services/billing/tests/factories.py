"""Plausible values for tests, each with what does not matter already filled in."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

from billing.domain.account import Account, OpenAccount, Standing
from billing.domain.bill import Bill
from billing.domain.ids import AccountId, BillId, CustomerId, PlanId, TransactionId
from billing.domain.movement import Moved
from billing.domain.plan import BillPlan, SpendThreshold
from billing.domain.wish import Adjustment, Charge, Recharge
from billing.use_cases.account import open_accounts
from billing.use_cases.bill import PayBill, pay_bills
from billing.use_cases.movement import apply_movements
from billing.use_cases.plan import put_bill_plan
from billing.use_cases.proof import prove
from chassis.calendar import Calendar
from chassis.errors import Refusal
from chassis.ids import new_id
from chassis.money import Money
from chassis.proof import Check
from chassis.work import Transaction, Work

OCCURRED_AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
RECORDED_AT = datetime(2026, 3, 1, 13, tzinfo=UTC)
ACCOUNT, CUSTOMER, PLAN = AccountId("acc-1"), CustomerId("cus-1"), PlanId("basic")

CALENDAR = Calendar(ZoneInfo("UTC"))

D = TypeVar("D")


def cny(amount_minor: int) -> Money:
    """Yuan, in fen."""
    return Money(amount_minor, "CNY")


def a_plan(threshold: int = 50_00, target: int = 100_00, *, plan_id: str = PLAN, currency: str = "CNY") -> BillPlan:
    """A plan that bills below 50 yuan, up to 100, due in 14 days."""
    return BillPlan(
        plan_id=PlanId(plan_id),
        display_name="Basic",
        threshold=Money(threshold, currency),
        target_balance=Money(target, currency),
        due_days=14,
    )


def plan_with(**changed: Any) -> BillPlan:
    """The basic plan, changed."""
    if "spend" in changed:
        changed["spend"] = SpendThreshold(*changed["spend"])
    return replace(a_plan(), **changed)


def account_with(**changed: Any) -> Account:
    """The account, changed."""
    return replace(an_account(), **changed)


def an_account(account_id: str = ACCOUNT, *, plan_id: PlanId | None = PLAN) -> Account:
    """An account that was never billed."""
    return Account(
        account_id=AccountId(account_id), customer_id=CUSTOMER, currency="CNY", plan_id=plan_id, opened_at=OCCURRED_AT
    )


def opening(
    account_id: str = ACCOUNT, *, customer_id: str = CUSTOMER, currency: str = "CNY", plan_id: str | None = None
) -> OpenAccount:
    """A wish for an account."""
    return OpenAccount(
        account_id=AccountId(account_id),
        customer_id=CustomerId(customer_id),
        currency=currency,
        plan_id=PlanId(plan_id) if plan_id else None,
        occurred_at=OCCURRED_AT,
    )


def recharge(amount: int, account_id: str = ACCOUNT, *, customer_id: str | None = None) -> Recharge:
    """Money in."""
    return Recharge(
        account_id=AccountId(account_id),
        customer_id=CustomerId(customer_id) if customer_id else None,
        amount=cny(amount),
        channel="counter",
        occurred_at=OCCURRED_AT,
    )


def charge(amount: int, account_id: str = ACCOUNT, *, at: datetime = OCCURRED_AT, currency: str = "CNY") -> Charge:
    """Money out."""
    return Charge(
        account_id=AccountId(account_id), amount=Money(amount, currency), description="TV basic", occurred_at=at
    )


def adjustment(amount: int, account_id: str = ACCOUNT) -> Adjustment:
    """A correction, up or down."""
    return Adjustment(
        account_id=AccountId(account_id), amount=cny(amount), reason="typed twice", occurred_at=OCCURRED_AT
    )


def payment(bill_id: str, *, customer_id: str | None = None) -> PayBill:
    """A wish to close a bill."""
    return PayBill(
        bill_id=BillId(bill_id),
        customer_id=CustomerId(customer_id) if customer_id else None,
        channel="app",
        occurred_at=OCCURRED_AT,
    )


def a_bill(bill_id: str = "bill-1", *, number: int = 1, amount: int = 60_00, due_at: datetime = OCCURRED_AT) -> Bill:
    """An open bill."""
    return Bill(
        bill_id=BillId(bill_id),
        bill_number=number,
        account_id=ACCOUNT,
        customer_id=CUSTOMER,
        amount=cny(amount),
        balance_at_issue=cny(40_00),
        threshold=cny(50_00),
        transaction_id=TransactionId("charge:1"),
        issued_at=OCCURRED_AT,
        due_at=due_at,
    )


async def _move(transaction: Transaction, wanted: Sequence[Recharge | Charge | Adjustment]) -> list[Moved | Refusal]:
    return await apply_movements(transaction, [each.movement(new_id()) for each in wanted], CALENDAR)


class Billing:
    """The use cases, each in a transaction of its own."""

    def __init__(self, work: Work) -> None:
        self.work = work

    async def _many(
        self, use_case: Callable[[Transaction, Sequence[D]], Awaitable[list[Moved | Refusal]]], wanted: Sequence[D]
    ) -> list[Moved | Refusal]:
        async def act(transaction: Transaction) -> list[Moved | Refusal]:
            return await use_case(transaction, wanted)

        return await self.work.run(act)

    async def open(self, *wanted: OpenAccount) -> list[Standing | Refusal]:
        """Opens accounts in one batch."""

        async def act(transaction: Transaction) -> list[Standing | Refusal]:
            return await open_accounts(transaction, wanted)

        return await self.work.run(act)

    async def put_plan(self, plan: BillPlan) -> BillPlan:
        """Puts a plan."""

        async def act(transaction: Transaction) -> BillPlan:
            return await put_bill_plan(transaction, plan)

        return await self.work.run(act)

    async def move(self, *wanted: Recharge | Charge | Adjustment) -> list[Moved | Refusal]:
        """Moves balances in one batch, whatever it is made of."""
        return await self._many(_move, wanted)

    async def pay(self, *wanted: PayBill) -> list[Moved | Refusal]:
        """Pays bills in one batch."""
        return await self._many(partial(pay_bills, calendar=CALENDAR), wanted)

    async def proof(self) -> list[Check]:
        """The claims that do not hold."""
        async with self.work.reading() as connection:
            return [check for check in await prove(connection) if not check.holds]
