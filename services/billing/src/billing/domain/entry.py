"""Entries: what happened to accounts, in the order of booking, and how their threshold machines turned over it. Pure.

The steps of one account come in the order of its versions, because the ledger booked them under its lock.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import NamedTuple

from chassis.errors import Refusal

from billing.domain.account import Account
from billing.domain.bill import Bill
from billing.domain.ids import AccountId, SubscriptionId, TransactionId
from billing.domain.movement import (
    PAYMENT,
    TAKEN_AGAIN_BY,
    Billing,
    Booking,
    Limit,
    Movement,
    MovementKind,
    Stand,
    due_steps,
)
from billing.domain.plan import Plans, plan_at
from billing.domain.threshold import Crossing, Step, Turn, Turned, take

NOWHERE = Stand(0, 0)
"""Where a balance stands that nothing moved yet."""


class Entry(NamedTuple):
    """Something that happened to accounts, in its place in the order of booking: a movement, an expiry, another plan.

    `billed_minor` is what of a movement a supplement asks for, or credit notes take back. `taken_again` says that a
    later entry takes again what this one gives back. `payment_id` names the payment through a channel that it books.
    `cycle_of` is the subscription whose cycle is not due any more after it, `account_version` the last of its account.
    """

    account_id: AccountId
    occurred_at: datetime
    steps: tuple[Step, ...]
    transaction_id: TransactionId | None = None
    settles: Bill | None = None
    billing: Billing = Billing.PLAIN
    billed_minor: int = 0
    note: str = ""
    taken_again: bool = False
    payment_id: str | None = None
    cycle_of: SubscriptionId | None = None
    account_version: int = 0

    @property
    def own_version(self) -> int:
        """The version of its last step on its own account; where it had none, that of the next one there."""
        own = [step.account_version for step in self.steps if step.account_id == self.account_id]
        return own[-1] if own else self.account_version + 1


def entry_of(
    movement: Movement, outcome: Booking | Refusal, stand: Stand, accounts: Mapping[AccountId, Account]
) -> Entry:
    """A movement in its place; one that was refused is nothing, but for a recurring charge that the account owes."""
    if isinstance(outcome, Refusal):
        return Entry(movement.account_id, movement.occurred_at, due_steps(movement, outcome, stand, accounts))
    own = sum(share.amount.minor_units for share in outcome.shares if share.account_id == movement.account_id)
    return Entry(
        account_id=movement.account_id,
        occurred_at=movement.occurred_at,
        steps=outcome.steps,
        transaction_id=movement.transaction_id if movement.booked else None,
        settles=movement.settles,
        billing=movement.billing,
        billed_minor=own if movement.billed_minor is None else movement.billed_minor,
        note=movement.note,
        taken_again=TAKEN_AGAIN_BY in movement.about,
        payment_id=movement.about.get(PAYMENT),
        cycle_of=movement.cycle_of,
        account_version=stand.account_version,
    )


def dues_over(
    movements: Sequence[Movement],
    outcomes: Sequence[Booking | Refusal],
    stands: Sequence[Stand],
    accounts: Mapping[AccountId, Account],
) -> list[Movement]:
    """What brings accounts back of which no movement says it: a cycle was due that others paid, or that was called
    off, and without it they are at their threshold. The return has a version of its own, later than the fall's."""
    found = {}
    for movement, outcome, stand in zip(movements, outcomes, stands, strict=True):
        account = accounts.get(movement.account_id)
        crossing = account.crossing if account is not None else None
        if isinstance(outcome, Refusal) or account is None or crossing is None:
            continue
        later, measure = crossing.without(movement.cycle_of), stand.balance_minor + account.credit_limit_minor
        moved = any(step.account_id == account.account_id for step in outcome.steps)
        if later != crossing and not moved and measure >= later.threshold_minor:
            found[account.account_id] = _due_over(movement, account, crossing)
    return list(found.values())


def _due_over(movement: Movement, account: Account, crossing: Crossing) -> Movement:
    return Movement(
        identity=f"{account.account_id}:{crossing.account_version}",
        account_id=account.account_id,
        kind=MovementKind.DUE_OVER,
        act=Limit(account.money(account.credit_limit_minor)),
        note=movement.note,
        occurred_at=movement.occurred_at,
    )


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


def turn(accounts: Mapping[AccountId, Account], plans: Plans, entries: Sequence[Entry]) -> list[tuple[Turned, ...]]:
    """Take each account's threshold machine over its steps. The plan that acts is that of the entry's business time.
    What is given back only to be taken again brings nobody back: the step that takes it says where the account stands.
    What is not due any more counts no more from the last step of its entry on.
    """
    crossings: dict[AccountId, Crossing | None] = {}
    found = []
    for place, entry in enumerate(entries):
        goes_on = _moved_later(entries[place + 1 :]) if entry.taken_again else set()
        turns = []
        for step in entry.steps:
            account = accounts[step.account_id]
            crossing = crossings.get(step.account_id, account.crossing)
            if crossing is not None and step.account_id == entry.account_id:
                crossing = crossing.without(entry.cycle_of) if step.account_version == entry.own_version else crossing
            if crossing is not None and step.account_id in goes_on:
                turns.append(Turned(step, Turn.NONE, crossing))
                continue
            plan = plan_at(plans, account.plan_id, entry.occurred_at) if crossing is None else None
            turned = take(crossing, plan.threshold_minor(account) if plan else None, step)
            crossings[step.account_id] = turned.crossing
            turns.append(turned)
        still = crossings.get(entry.account_id, accounts[entry.account_id].crossing) if entry.cycle_of else None
        if still is not None:
            crossings[entry.account_id] = still.without(entry.cycle_of)
        found.append(tuple(turns))
    return found


def _moved_later(entries: Sequence[Entry]) -> set[AccountId]:
    return {step.account_id for entry in entries for step in entry.steps}


def concerned(
    accounts: Mapping[AccountId, Account], entries: Sequence[Entry], turns: Sequence[tuple[Turned, ...]]
) -> set[AccountId]:
    """The accounts about whose bills something is to be decided; for most batches there are none."""
    found = {each.step.account_id for turned in turns for each in turned if each.turn is not Turn.NONE}
    for entry in entries:
        crossing = accounts[entry.account_id].crossing if entry.account_id in accounts else None
        corrects = entry.billing in (Billing.SUPPLEMENT, Billing.CREDIT) and crossing is not None
        over = crossing is not None and crossing.without(entry.cycle_of) != crossing
        if entry.settles is not None or corrects or over:
            found.add(entry.account_id)
    return found
