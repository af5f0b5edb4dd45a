"""Settlement: what a batch of booked movements means for thresholds and bills. Pure, and in the order of booking.

The steps of one account come in the order of its versions, because the ledger booked them under its lock.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import NamedTuple

from chassis.errors import Refusal
from chassis.money import Money

from billing.domain.account import Account
from billing.domain.bill import Bill
from billing.domain.ids import AccountId, BillId, PlanId, TransactionId
from billing.domain.movement import Billing, Booking, Debit, InsufficientBalance, Limit, Movement, Stand
from billing.domain.plan import BillPlan
from billing.domain.threshold import CrossingCause, Step, Turn, Turned, amount_to_ask, take

Plans = Mapping[PlanId, BillPlan]

NOWHERE = Stand(0, 0)
"""Where a balance stands that nothing moved yet."""


class Demand(NamedTuple):
    """A crossing that calls for a bill: which step crossed, whose it is, and what to ask for."""

    turned: Turned
    account: Account
    amount: Money
    due_days: int

    def bill(self, bill_id: BillId, bill_number: int) -> Bill:
        """The bill, under its number in the book."""
        step, account = self.turned.step, self.account
        return Bill(
            bill_id=bill_id,
            bill_number=bill_number,
            account_id=account.account_id,
            customer_id=account.customer_id,
            amount=self.amount,
            balance_at_issue=account.money(step.balance_after),
            threshold=account.money(self.turned.met_minor),
            transaction_id=step.transaction_id or TransactionId(""),
            issued_at=step.occurred_at,
            due_at=step.occurred_at + timedelta(days=self.due_days),
        )


def settle(standing: dict[AccountId, Account], plans: Plans, steps: Iterable[Step]) -> tuple[Turned, ...]:
    """Take each account's threshold machine over its steps; `standing` is left as the accounts are after them."""
    found = []
    for step in steps:
        account = standing[step.account_id]
        plan = plans.get(account.plan_id) if account.plan_id else None
        turned = take(account.crossing, plan.threshold.minor_units if plan else None, step)
        if turned.turn is not Turn.NONE:
            standing[step.account_id] = replace(account, crossing=turned.crossing)
        found.append(turned)
    return tuple(found)


def stand_after(
    standing: dict[AccountId, Account], movement: Movement, outcome: Booking | Refusal, turns: Sequence[Turned]
) -> None:
    """Leaves `standing` as the accounts are after a movement: their crossings, and a credit limit that it set."""
    if isinstance(movement.act, Limit) and isinstance(outcome, Booking):
        account = standing[movement.account_id]
        limit_minor = movement.act.credit_limit.minor_units
        standing[movement.account_id] = replace(account, credit_limit_minor=limit_minor)
    for turned in turns:
        if turned.turn is not Turn.NONE:
            account_id = turned.step.account_id
            standing[account_id] = replace(standing[account_id], crossing=turned.crossing)


def due_steps(
    movement: Movement, outcome: Refusal, stand: Stand, accounts: Mapping[AccountId, Account]
) -> tuple[Step, ...]:
    """A recurring charge that is refused for want of balance counts as gone: that may cross the threshold."""
    if not isinstance(outcome, InsufficientBalance) or movement.billing is not Billing.DUE:
        return ()
    if not isinstance(movement.act, Debit):
        return ()
    measured = stand.balance_minor + accounts[movement.account_id].credit_limit_minor
    due_minor = movement.act.amount.minor_units
    return (
        Step(
            account_id=movement.account_id,
            cause=CrossingCause.DUE_CHARGE,
            measured_before=measured,
            measured_after=measured - due_minor,
            balance_after=stand.balance_minor,
            account_version=stand.account_version,
            occurred_at=movement.occurred_at,
            due_minor=due_minor,
        ),
    )


def demands(
    crossed: Iterable[Turned],
    accounts: Mapping[AccountId, Account],
    plans: Plans,
    open_bills_minor: Mapping[AccountId, int],
) -> list[Demand]:
    """The bills that crossings call for. `open_bills_minor` is what the open bills of each account asked for before."""
    asked_minor = dict(open_bills_minor)
    found = []
    for turned in crossed:
        account = accounts[turned.step.account_id]
        if turned.turn is not Turn.CROSSED or account.plan_id is None:
            continue
        plan = plans[account.plan_id]
        open_minor = asked_minor.get(account.account_id, 0)
        measure = turned.step.measure - turned.step.due_minor
        amount_minor = amount_to_ask(plan.target_balance.minor_units, measure, open_minor)
        if amount_minor:
            asked_minor[account.account_id] = open_minor + amount_minor
            found.append(Demand(turned, account, account.money(amount_minor), plan.due_days))
    return found
