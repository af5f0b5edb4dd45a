"""Settlement: what a batch of booked movements means for thresholds and bills. Pure, and in the order of booking.

The movements of one account come in the order of its versions, because the ledger booked them under its lock.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import NamedTuple

from chassis.money import Money

from billing.domain.account import Account
from billing.domain.bill import Bill
from billing.domain.ids import AccountId, BillId, PlanId
from billing.domain.movement import Moved, Movement
from billing.domain.plan import BillPlan
from billing.domain.threshold import Booked, Turn, amount_to_ask, observe

Plans = Mapping[PlanId, BillPlan]


class Demand(NamedTuple):
    """A crossing that calls for a bill: which movement crossed, and what to ask for."""

    moved: Moved
    amount: Money
    due_days: int

    def bill(self, bill_id: BillId, bill_number: int) -> Bill:
        """The bill, under its number in the book."""
        moved, account = self.moved, self.moved.account
        issued_at = moved.movement.occurred_at
        return Bill(
            bill_id=bill_id,
            bill_number=bill_number,
            account_id=account.account_id,
            customer_id=account.customer_id,
            amount=self.amount,
            balance_at_issue=moved.balance_after,
            threshold=moved.met,
            transaction_id=moved.movement.transaction_id,
            issued_at=issued_at,
            due_at=issued_at + timedelta(days=self.due_days),
        )


def settle(
    accounts: Mapping[AccountId, Account], plans: Plans, booked: Iterable[tuple[Movement, Booked]]
) -> list[Moved]:
    """Take each account's threshold machine over its movements."""
    standing = dict(accounts)
    settled = []
    for movement, step in booked:
        account = standing[movement.account_id]
        plan = plans.get(account.plan_id) if account.plan_id else None
        crossing, turn, met_minor = observe(account.crossing, plan.threshold.minor_units if plan else None, step)
        if turn is not Turn.NONE:
            account = standing[movement.account_id] = replace(account, crossing=crossing)
        settled.append(
            Moved(
                movement=movement,
                account=account,
                balance_after=account.money(step.balance_after),
                account_version=step.account_version,
                turn=turn,
                met=account.money(met_minor),
            )
        )
    return settled


def demands(settled: Iterable[Moved], plans: Plans, open_bills_minor: Mapping[AccountId, int]) -> list[Demand]:
    """The bills that crossings call for. `open_bills_minor` is what the open bills of each account asked for before."""
    asked_minor = dict(open_bills_minor)
    found = []
    for moved in settled:
        account = moved.account
        if moved.turn is not Turn.CROSSED or account.plan_id is None:
            continue
        plan = plans[account.plan_id]
        open_minor = asked_minor.get(account.account_id, 0)
        amount_minor = amount_to_ask(plan.target_balance.minor_units, moved.balance_after.minor_units, open_minor)
        if amount_minor:
            asked_minor[account.account_id] = open_minor + amount_minor
            found.append(Demand(moved, account.money(amount_minor), plan.due_days))
    return found
