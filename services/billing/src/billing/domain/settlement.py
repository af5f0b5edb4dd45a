"""Settlement: what a batch of booked steps means for thresholds and bills. Pure, and in the order of booking.

A bill lives as long as the stay that it was issued for. What crosses issues the one original of its stay, or lets it
wait; an order in mid-cycle appends a supplement, a refund credit notes; a payment closes the bill it pays; and when the
account is back, whatever is still open is no longer asked for.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from chassis.calendar import Calendar
from chassis.money import Money

from billing.domain.account import Account, AccountState, Because, Service
from billing.domain.asking import ASK_AGAIN_AFTER, Gap, bill_at, due_at, to_add, to_ask
from billing.domain.bill import Bill, BillKind, CloseReason, PlanVersion
from billing.domain.effects import Closed, Credited, DueOver, Effect, Fell, Issued, Paid, Restored, StateChanged
from billing.domain.entry import Entry
from billing.domain.ids import AccountId, BillId
from billing.domain.movement import Billing
from billing.domain.overdue import first_step_at
from billing.domain.plan import BillPlan, Plans, plan_at
from billing.domain.threshold import Crossing, CrossingCause, Step, Turn, Turned

USED_MEANWHILE = "used while the bill was open"


@dataclass(slots=True)
class Tab:
    """What is asked of an account, and what is on its way: read behind its lock, and kept up as a batch goes along.
    `pending_of` is what else is on its way for documents that are open when it is read: once one is asked for no more,
    it comes all the same. `settled_up` is the bill that was the last to be asked for, once it is paid or taken
    back and the stay goes on.
    """

    account: Account
    documents: list[Bill] = field(default_factory=list)
    last_issued_at: datetime | None = None
    pending_minor: int = 0
    cycles_minor: int = 0
    pending_of: Mapping[BillId, int] = field(default_factory=dict, init=False)
    settled_up: Bill | None = field(default=None, init=False)

    @property
    def on_its_way(self) -> int:
        """Pending payments, and what open bills ask for; payments of these are a part of it."""
        asked = {bill.bill_id: bill.remaining.minor_units for bill in self.documents}
        left = sum(minor_units for bill_id, minor_units in self.pending_of.items() if bill_id not in asked)
        return self.pending_minor + left + sum(asked.values())

    def gap(self, crossing: Crossing, step: Step) -> Gap:
        """How the account stands after a step."""
        return Gap(
            crossing.threshold_minor, step.measure, step.balance_after, self.on_its_way, cycles=self.cycles_minor
        )


def _expired_before(turns: Iterable[Turned]) -> tuple[list[Turned], list[Turned]]:
    """What expired of each account before the movement reached it, and all the rest. The versions by which turns are in
    order are those of each account: between accounts they say nothing."""
    expired: list[Turned] = []
    rest: list[Turned] = []
    moved: set[AccountId] = set()
    for each in turns:
        if each.step.cause is CrossingCause.EXPIRY and each.step.account_id not in moved:
            expired.append(each)
        else:
            moved.add(each.step.account_id)
            rest.append(each)
    return expired, rest


class Settlement:
    """Decides, entry after entry, what becomes of the bills of the accounts concerned.

    `tabs` are of those accounts and hold their state afterwards. Bills are numbered by the caller, in the order of the
    effects: only that many are drawn from the book.
    """

    def __init__(
        self, tabs: Mapping[AccountId, Tab], plans: Plans, calendar: Calendar, new_bill_id: Callable[[], BillId]
    ) -> None:
        self._tabs, self._plans, self._calendar, self._new_bill_id = tabs, plans, calendar, new_bill_id
        self._to_be_paid: set[BillId] = set()

    def settle(self, entries: Sequence[Entry], turns: Sequence[tuple[Turned, ...]]) -> list[tuple[Effect, ...]]:
        """The effects of each entry. What is to be paid in this batch is not closed before its payment came."""
        self._to_be_paid = {entry.settles.bill_id for entry in entries if entry.settles is not None}
        return [tuple(self._settled(entry, turned)) for entry, turned in zip(entries, turns, strict=True)]

    def _settled(self, entry: Entry, turns: tuple[Turned, ...]) -> Iterator[Effect]:
        touched = {each.step.account_id for each in turns} | {entry.account_id}
        if touched.isdisjoint(self._tabs):
            return
        asked = {bill.bill_id for each in touched & self._tabs.keys() for bill in self._tabs[each].documents}
        expired, own = _expired_before(turns)
        yield from self._turned(entry, expired)
        if entry.settles is not None:
            yield from self._paid(entry, entry.settles)
        tab = self._tabs.get(entry.account_id)
        if tab is not None and entry.billing is Billing.CREDIT:
            yield from self._credited(entry, tab, turns)
        stood = tab.account.crossing if tab is not None else None
        if tab is not None:
            yield from self._due_over(entry, tab)
        yield from self._turned(entry, own)
        if tab is not None and tab.account.crossing is not None:
            if entry.billing is Billing.SUPPLEMENT and stood is not None:
                yield from self._supplement(entry, tab, turns)
            if tab.settled_up is not None and not entry.taken_again:
                yield from self._asked_on(entry, tab, tab.settled_up, turns)
        for account_id in sorted(touched & self._tabs.keys()):
            yield from self._served_again(entry, self._tabs[account_id], asked)

    def _due_over(self, entry: Entry, tab: Tab) -> Iterator[Effect]:
        crossing = tab.account.crossing
        if crossing is not None and crossing.due is not None and crossing.without(entry.cycle_of) != crossing:
            tab.account = replace(tab.account, crossing=crossing.without(entry.cycle_of))
            yield DueOver(
                entry.account_id, crossing.account_version, crossing.due, entry.own_version, entry.occurred_at
            )

    def _turned(self, entry: Entry, turns: Iterable[Turned]) -> Iterator[Effect]:
        for turned in turns:
            if turned.turn is Turn.RESTORED:
                yield from self._restored(entry, self._tabs[turned.step.account_id], turned)
            elif turned.turn is Turn.CROSSED:
                yield from self._crossed(entry, self._tabs[turned.step.account_id], turned)

    def _crossed(self, entry: Entry, tab: Tab, turned: Turned) -> Iterator[Effect]:
        """The original, or when to issue it: when the plan bills again, or when what is on its way should be there."""
        crossing, step, account = turned.crossing, turned.step, tab.account
        plan = plan_at(self._plans, account.plan_id, entry.occurred_at)
        assert plan is not None, "only a plan's threshold is crossed"
        assert crossing is not None, "what crossed has a crossing"
        at = bill_at(plan, self._calendar, crossed_at=step.occurred_at, last_issued_at=tab.last_issued_at)
        asked = to_ask(plan, tab.gap(crossing, step))
        if at == step.occurred_at and not asked:
            at += ASK_AGAIN_AFTER
        if at > step.occurred_at:
            tab.account = replace(account, crossing=crossing._replace(bill_at=at))
            yield Fell(tab.account, turned, None)
            return
        tab.account = replace(account, crossing=crossing)
        bill = self._original(tab, plan, step, asked)
        yield Fell(tab.account, turned, bill.bill_id)
        yield Issued(bill)

    def _original(self, tab: Tab, plan: BillPlan, step: Step, asked: int) -> Bill:
        bill = self._bill(tab, plan, step, amount_minor=asked, issued_at=step.occurred_at)
        tab.documents.append(bill)
        tab.last_issued_at = bill.issued_at
        tab.account = replace(tab.account, overdue_at=first_step_at(bill, plan, self._calendar))
        return bill

    def issue(self, tab: Tab, plan: BillPlan | None, step: Step, *, original: BillId | None = None) -> Iterator[Effect]:
        """The bill of a crossing that waited, for what is missing at the step: the original of its stay, or a
        supplement where it had that. Put off again where enough is on its way, or no plan says what to ask for."""
        crossing = tab.account.crossing
        assert crossing is not None, "only a crossing is billed"
        asked = to_ask(plan, tab.gap(crossing, step)) if plan is not None else 0
        at = None if asked else step.occurred_at + ASK_AGAIN_AFTER
        tab.account = replace(tab.account, crossing=crossing._replace(bill_at=at))
        if plan is None or not asked:
            return
        if original is None:
            yield Issued(self._original(tab, plan, step, asked))
            return
        bill = self._bill(tab, plan, step, amount_minor=asked, issued_at=step.occurred_at)
        yield self._supplemented(tab, replace(bill, corrects=original, reason=USED_MEANWHILE), plan)

    def credit(self, tab: Tab, bill: Bill, amount: Money, note: Entry) -> Iterator[Effect]:
        """A credit note for an open bill; the bill is closed when nothing is left of it."""
        credited = bill.credited(amount.minor_units)
        yield Credited(self._note(bill, amount, note), credited)
        place = tab.documents.index(bill)
        if credited.remaining.minor_units:
            tab.documents[place] = credited
            return
        del tab.documents[place]
        version = max((step.account_version for step in note.steps), default=None)
        yield Closed(credited.closed(note.occurred_at), CloseReason.CREDITED, version)
        self._asks_less(tab, credited, note.occurred_at)
        yield from self._served_again(note, tab, {each.bill_id for each in tab.documents})

    def _credited(self, entry: Entry, tab: Tab, turns: Sequence[Turned]) -> Iterator[Effect]:
        """Credit notes for a refund into the balance, the newest bill first."""
        left = entry.billed_minor
        for bill in reversed(list(tab.documents)):
            amount = min(left, bill.remaining.minor_units)
            if amount > 0 and bill.bill_id not in self._to_be_paid:
                left -= amount
                yield from self.credit(tab, bill, Money(amount, bill.amount.currency), entry)

    def _restored(self, entry: Entry, tab: Tab, turned: Turned) -> Iterator[Effect]:
        tab.account = replace(tab.account, crossing=None, overdue_at=None)
        tab.settled_up = None
        yield Restored(tab.account, turned)
        closing = [bill for bill in tab.documents if bill.bill_id not in self._to_be_paid]
        tab.documents = [bill for bill in tab.documents if bill.bill_id in self._to_be_paid]
        for bill in closing:
            closed = bill.closed(turned.step.occurred_at)
            yield Closed(closed, CloseReason.RESTORED, turned.step.account_version)

    def _paid(self, entry: Entry, paid: Bill) -> Iterator[Effect]:
        tab = self._tabs[paid.account_id]
        self._to_be_paid.discard(paid.bill_id)
        tab.documents = [bill for bill in tab.documents if bill.bill_id != paid.bill_id]
        yield Paid(paid, paid.uncredited, entry.transaction_id)
        self._asks_less(tab, paid, entry.occurred_at)

    def _supplement(self, entry: Entry, tab: Tab, turns: Sequence[Turned]) -> Iterator[Effect]:
        """More is asked for, while the stay has an open original: what the order added, as far as it is missing."""
        original = next((bill for bill in tab.documents if bill.kind is BillKind.ORIGINAL), None)
        if original is not None:
            yield from self._more(entry, tab, turns, of=original.bill_id, at_most=entry.billed_minor)

    def _asked_on(self, entry: Entry, tab: Tab, last: Bill, turns: Sequence[Turned]) -> Iterator[Effect]:
        """Nothing is asked any more and the account is still below: what was used since is asked for, or never would
        be. Where enough is on its way it is looked at again, in case that comes to nothing."""
        yield from self._more(entry, tab, turns, of=last.corrects or last.bill_id, at_most=None)
        crossing = tab.account.crossing
        if crossing is not None and not tab.documents:
            later = crossing._replace(bill_at=entry.occurred_at + ASK_AGAIN_AFTER)
            tab.account = replace(tab.account, crossing=later)
        tab.settled_up = None

    def _more(
        self, entry: Entry, tab: Tab, turns: Sequence[Turned], *, of: BillId, at_most: int | None
    ) -> Iterator[Effect]:
        plan = plan_at(self._plans, tab.account.plan_id, entry.occurred_at)
        own = [each.step for each in turns if each.step.account_id == entry.account_id]
        crossing = tab.account.crossing
        if plan is None or not own or crossing is None:
            return
        step = own[-1]
        gap = tab.gap(crossing, step)
        amount = to_ask(plan, gap) if at_most is None else min(to_add(plan, gap), at_most)
        if amount > 0:
            bill = self._bill(tab, plan, step, amount_minor=amount, issued_at=entry.occurred_at)
            reason = USED_MEANWHILE if at_most is None else entry.note
            bill = replace(bill, corrects=of, transaction_id=entry.transaction_id, reason=reason)
            yield self._supplemented(tab, bill, plan)

    def _supplemented(self, tab: Tab, bill: Bill, plan: BillPlan) -> Issued:
        """A supplement; where it is all that is asked for, the overdue steps are its own."""
        supplement = replace(bill, kind=BillKind.SUPPLEMENT)
        if not tab.documents:
            tab.account = replace(tab.account, overdue_at=first_step_at(supplement, plan, self._calendar))
        tab.documents.append(supplement)
        return Issued(supplement)

    def _asks_less(self, tab: Tab, last: Bill, at: datetime) -> None:
        """With the last open bill its overdue steps go. Where another is open, its own are worked out by the next
        round."""
        crossing = tab.account.crossing
        if crossing is None:
            return
        look_at = min(at, tab.account.overdue_at or at) if tab.documents else None
        tab.account = replace(tab.account, overdue_at=look_at)
        if not tab.documents and crossing.bill_at is None:
            tab.settled_up = last

    def _served_again(self, entry: Entry, tab: Tab, asked: Collection[BillId]) -> Iterator[Effect]:
        """An account that was suspended over a bill is served again once nothing is left of what was asked for. What is
        asked for anew has its own days."""
        service = tab.account.service
        overdue = service.state is AccountState.SUSPENDED and service.because is Because.OVERDUE
        if overdue and not any(bill.bill_id in asked for bill in tab.documents):
            resumed = Service(AccountState.ACTIVE, service.revision + 1, Because.RESTORED, entry.occurred_at)
            tab.account = replace(tab.account, service=resumed)
            yield StateChanged(tab.account, entry.occurred_at)

    def _bill(self, tab: Tab, plan: BillPlan, step: Step, *, amount_minor: int, issued_at: datetime) -> Bill:
        account, crossing = tab.account, tab.account.crossing
        assert crossing is not None, "bills are of stays"
        return Bill(
            bill_id=self._new_bill_id(),
            bill_number=0,
            account_id=account.account_id,
            customer_id=account.customer_id,
            amount=account.money(amount_minor),
            balance_at_issue=account.money(step.balance_after),
            threshold=account.money(crossing.threshold_minor),
            transaction_id=step.transaction_id,
            issued_at=issued_at,
            due_at=due_at(self._calendar, issued_at, plan.due_days),
            cause=crossing.cause,
            plan=PlanVersion(plan.plan_id, plan.revision),
            crossing_version=crossing.account_version,
            credit_limit_minor=step.credit_limit,
        )

    def _note(self, bill: Bill, amount: Money, entry: Entry) -> Bill:
        return replace(
            bill,
            bill_id=self._new_bill_id(),
            bill_number=0,
            amount=amount,
            transaction_id=entry.transaction_id,
            issued_at=entry.occurred_at,
            due_at=entry.occurred_at,
            kind=BillKind.CREDIT_NOTE,
            corrects=bill.bill_id,
            reason=entry.note,
            credited_minor=0,
        )
