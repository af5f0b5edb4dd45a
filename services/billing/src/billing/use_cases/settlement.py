"""Settlement: the second half of everything that books. It takes the threshold machines of locked accounts over what
was booked, and appends what that means for bills, in the same transaction.

For most batches that is nothing, and it costs one look at the plans. What is asked of accounts, and what is on its way,
is read behind their locks; the book that numbers bills is locked last, and only where a document is issued.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import NamedTuple

from chassis.calendar import Calendar
from chassis.ids import new_id
from chassis.work import Transaction

from billing.domain.account import Account
from billing.domain.bill import Bill
from billing.domain.bill_facts import fact_of
from billing.domain.effects import (
    Closed,
    DueOver,
    Effect,
    Issued,
    Paid,
    StateChanged,
    documents,
    numbered,
)
from billing.domain.entry import Entry, concerned, turn
from billing.domain.ids import AccountId, BillId
from billing.domain.movement import Billing
from billing.domain.plan import AmountKind, BillCycle, BillPlan, Plans
from billing.domain.settlement import Settlement, Tab
from billing.domain.threshold import Turn, Turned
from billing.store import Connection
from billing.store.account import set_stays
from billing.store.bill import add_bills, add_closures, add_payments, draw_bill_numbers, last_originals, open_bills
from billing.store.due import add_ended_dues
from billing.store.payment import pending_of_bills, pending_sums
from billing.store.plan import plans_since
from billing.store.standing import add_states
from billing.store.subscription import cycle_sums


class Settled(NamedTuple):
    """What an entry meant: how the machines turned, and what it did to bills. Not told yet."""

    turns: tuple[Turned, ...]
    effects: tuple[Effect, ...] = ()

    @property
    def bills(self) -> tuple[Bill, ...]:
        """The originals and supplements that it caused."""
        return tuple(effect.bill for effect in self.effects if isinstance(effect, Issued))


async def settle(
    transaction: Transaction, accounts: Mapping[AccountId, Account], entries: Sequence[Entry], calendar: Calendar
) -> list[Settled]:
    """Settles a batch of locked accounts, entry by entry; telling it is the caller's, after what it tells itself."""
    connection = transaction.connection
    if not any(entry.steps or entry.settles or entry.cycle_of for entry in entries):
        return [Settled(())] * len(entries)
    since = min(entry.occurred_at for entry in entries)
    plans = await plans_since(connection, {account.plan_id for account in accounts.values()}, since)
    turns = turn(accounts, plans, entries)
    affected = concerned(accounts, entries, turns)
    if not affected:
        return [Settled(turned) for turned in turns]
    wanted = [accounts[account_id] for account_id in sorted(affected)]
    asks = _asks(entries, turns)
    tabs = await open_tabs(connection, wanted, plans=plans, calendar=calendar, asks=asks)
    if asks:
        await _read_pending_of(connection, tabs.values(), entries)
    found = Settlement(tabs, plans, calendar, new_bill_id).settle(entries, turns)
    effects = await append_effects(transaction, tabs, found)
    return [Settled(turned, each) for turned, each in zip(turns, effects, strict=True)]


async def open_tabs(
    connection: Connection, accounts: Collection[Account], *, plans: Plans, calendar: Calendar, asks: bool
) -> dict[AccountId, Tab]:
    """What is asked of locked accounts; with `asks`, also what is on its way and what their plans need to ask for more.
    Of an account that is armed nothing is asked."""
    ids = {account.account_id for account in accounts}
    crossed = {account.account_id for account in accounts if account.below_threshold}
    asked = await open_bills(connection, crossed)
    pending = await pending_sums(connection, ids) if asks else {}
    by_cycle = _on(accounts, plans, lambda plan: plan.cycle is not BillCycle.IMMEDIATE) if asks else set()
    by_sum = _on(accounts, plans, lambda plan: plan.amount_kind is AmountKind.RECURRING_CYCLES) if asks else set()
    last = await last_originals(connection, by_cycle)
    cycles = await cycle_sums(connection, by_sum, calendar) if by_sum else {}
    return {
        account.account_id: Tab(
            account,
            asked.get(account.account_id, []),
            last.get(account.account_id),
            pending.get(account.account_id, 0),
            cycles.get(account.account_id, 0),
        )
        for account in accounts
    }


async def append_effects(
    transaction: Transaction, tabs: Mapping[AccountId, Tab], found: Iterable[tuple[Effect, ...]]
) -> list[tuple[Effect, ...]]:
    """Appends what effects say, documents under the next numbers of the book, and stores where the accounts stand."""
    connection, recorded_at = transaction.connection, transaction.recorded_at
    found = list(found)
    effects = [effect for of_entry in found for effect in of_entry]
    await set_stays(connection, [tab.account for tab in tabs.values()])
    await add_states(connection, [each for each in effects if isinstance(each, StateChanged)], recorded_at)
    issued = documents(effects)
    numbers = await draw_bill_numbers(connection, len(issued))
    by_id = {bill.bill_id: number for bill, number in zip(issued, numbers, strict=True)}
    told = [tuple(numbered(effect, by_id) for effect in of_entry) for of_entry in found]
    all_told = [effect for of_entry in told for effect in of_entry]
    await add_bills(connection, documents(all_told), recorded_at)
    await add_payments(connection, [each for each in all_told if isinstance(each, Paid)], recorded_at)
    await add_closures(connection, [each for each in all_told if isinstance(each, Closed)], recorded_at)
    await add_ended_dues(connection, [each for each in all_told if isinstance(each, DueOver)], recorded_at)
    return told


def tell(transaction: Transaction, effects: Iterable[Effect]) -> None:
    """Tells what effects did."""
    for effect in effects:
        if not isinstance(effect, DueOver):
            transaction.emit(fact_of(effect))


async def _read_pending_of(connection: Connection, tabs: Collection[Tab], entries: Sequence[Entry]) -> None:
    """What is on its way for open bills, but for what the entries book: it still comes if they close these bills."""
    coming_in = [entry.payment_id for entry in entries if entry.payment_id is not None]
    bills = [bill for tab in tabs for bill in tab.documents]
    pending_of = await pending_of_bills(connection, bills, coming_in=coming_in)
    for tab in tabs:
        tab.pending_of = {
            bill.bill_id: pending_of[bill.bill_id] for bill in tab.documents if bill.bill_id in pending_of
        }


def new_bill_id() -> BillId:
    """A bill's identity; its number is drawn later."""
    return BillId(new_id())


def _asks(entries: Sequence[Entry], turns: Sequence[tuple[Turned, ...]]) -> bool:
    """Whether more may be asked for; a batch that only brings accounts back needs not know what is on its way."""
    crossed = any(each.turn is Turn.CROSSED for turned in turns for each in turned)
    corrects = Billing.SUPPLEMENT, Billing.CREDIT
    return crossed or any(entry.billing in corrects or entry.settles is not None for entry in entries)


def _on(accounts: Collection[Account], plans: Plans, holds: Callable[[BillPlan], bool]) -> set[AccountId]:
    """The accounts on a plan of which this holds in a version that may act."""
    return {
        account.account_id
        for account in accounts
        if account.plan_id is not None and any(map(holds, plans.get(account.plan_id, ())))
    }
