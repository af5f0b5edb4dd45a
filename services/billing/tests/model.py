"""The plainest billing one can think of: a household that keeps every fen as a token or loose, a list of who pays, and
the bills of the account that is on a plan. Rules and database must always agree with it.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from ledger import Shortfall

from libs.ledger.tests.model import Household
from services.billing.tests.papers import DAY, BillModel, Change, Sent

OWN, PARENT = "own", "parent"
KINDS = ("original", "supplement", "credit_note")
REGRANT = timedelta(days=30)
MISSED = {"open": "the bill asks for less", "paid": "another paid the bill", "closed": "the stay is over"}


class Asked(NamedTuple):
    """A document that is open."""

    kind: str
    remaining: int


class Look(NamedTuple):
    """Balance and held of the account on the plan and of its payer; whether the first stands below its threshold, what
    is asked of it, the oldest first, and how many documents of each of `KINDS` its book has."""

    own: tuple[int, int]
    parent: tuple[int, int]
    below: bool
    asked: Sequence[Asked]
    documents: tuple[int, int, int]


class Town:
    """Two accounts, one of them on a plan. Every act returns the name of its refusal, or None."""

    def __init__(self) -> None:
        self.household = Household(OWN, PARENT)
        self.payers: tuple[str, ...] = ()
        self.bills = BillModel()
        self.gifts: dict[str, int | None] = {}
        self._seen = 0

    def look(self) -> Look:
        """How the accounts stand with everything that is booked."""
        own, parent = (self.household.purses[who] for who in (OWN, PARENT))
        kinds = [paper.kind for paper in self.bills.papers]
        originals, supplements, notes = map(kinds.count, KINDS)
        return Look(
            (own.available + own.held, own.held),
            (parent.available + parent.held, parent.held),
            self.bills.crossed is not None,
            [Asked(paper.kind, paper.remaining) for paper in self.bills.open],
            (originals, supplements, notes),
        )

    def recharge(self, name: str, who: str, amount: int, *, at: datetime) -> str | None:
        self.household.add(name, who, amount, at=at)
        return self._follow(None, at)

    def gift(self, name: str, amount: int, *, at: datetime, expires: datetime, priority: int) -> str | None:
        self.household.earn(name, OWN, amount, at=at, expires=expires, priority=priority)
        self.gifts[name] = self.household.originals[name].credits[0].lot
        return self._follow(None, at)

    def charge(self, name: str, who: str, amount: int, *, at: datetime, as_: str = "") -> str | None:
        payers = [*self.payers, who] if who == OWN else [who]
        return self._follow(self.household.draw(name, payers, None, amount, at=at), at, as_=as_)

    def order(self, name: str, amount: int, *, at: datetime) -> str | None:
        return self.charge(name, OWN, amount, at=at, as_="order") if amount else None

    def reserve(self, name: str, amount: int, least: int, *, at: datetime, expires: datetime) -> str | None:
        return self._follow(self.household.hold(name, OWN, amount, at=at, expires=expires, least=least), at)

    def granted(self, name: str) -> int:
        """How much was set aside."""
        return len(self.household.holds[name].taken)

    def commit(self, name: str, of: str, used: int, *, at: datetime) -> str | None:
        return self._follow(self.household.end(name, of, used, at=at), at)

    def release(self, of: str, *, at: datetime) -> str | None:
        return self._follow(self.household.end(None, of, None, at=at), at)

    def set_limit(self, who: str, limit: int, *, at: datetime) -> str | None:
        refusal = self._follow(self.household.set_floor(who, -limit, at=at), at)
        if refusal is None and who == OWN:
            self.bills.set_limit(limit, at)
        return refusal

    def reverse(self, of: str, amount: int | None, *, owe: bool, at: datetime, as_: str = "") -> str | None:
        shortfall = Shortfall.OWE if owe else Shortfall.REFUSE
        refusal = self.household.reverse(of, amount, shortfall, at=at, regrant=REGRANT, most_owed=10**9)
        return self._follow(refusal, at, as_=as_)

    def refund(self, of: str, amount: int | None, *, at: datetime) -> str | None:
        return self.reverse(of, amount, owe=False, at=at, as_="refund") if amount != 0 else None

    def revoke(self, of: str, *, at: datetime) -> str | None:
        then = self.household.copy()
        then.settle(OWN, at)
        if of not in self.gifts or not any(token.lot == self.gifts[of] for token in then.purses[OWN].tokens):
            return "GiftUsedUp"
        refusal = self.household.reverse(of, None, Shortfall.ONLY_WHAT_IS_LEFT, at=at, regrant=REGRANT, most_owed=0)
        return self._follow(refusal, at)

    def expire(self, at: datetime) -> None:
        for who in (OWN, PARENT):
            self.household.settle(who, at)
        self._follow(None, at)

    def set_plan(self, plan: str, *, at: datetime) -> None:
        self.bills.set_plan(plan, at)

    def pay(self, name: str, number: int, *, at: datetime) -> str | None:
        """A document by the recharge that it asks for."""
        refusal = self.bills.refusal(number)
        return refusal or self._come_in(name, self.bills.papers[number].remaining, at, pays=number)

    def note(self, number: int, amount: int | None) -> str | None:
        """An operator's credit note, of all that remains where no amount is said."""
        refusal = self.bills.refusal(number)
        if refusal is not None:
            return refusal
        remaining = self.bills.papers[number].remaining
        if amount is not None and amount > remaining:
            return "CreditExceedsBill"
        self.bills.note(number, amount or remaining)
        return None

    def send(self, name: str, number: int | None, amount: int, *, at: datetime) -> str | None:
        """A payment through a channel begins: of a document whole, or of any amount."""
        if number is not None:
            refusal = self.bills.refusal(number)
            if refusal is not None:
                return refusal
            amount = self.bills.papers[number].remaining
        self.bills.sent[name] = Sent(amount, number, at)
        return None

    def succeed(self, name: str, *, at: datetime) -> None:
        """The money came, whatever was said before: it pays its document while that is open and asks for so much."""
        sent = self.bills.sent[name]
        if sent.state != "on its way":
            self.bills.seen.add("paid twice" if sent.state == "succeeded" else "paid late")
        if sent.state == "succeeded":
            return
        paper = None if sent.of is None else self.bills.papers[sent.of]
        at = max(at, sent.since)
        if paper is not None and paper.state == "open" and paper.remaining == sent.amount:
            self.bills.seen.add("paid through a channel")
            sent.state = "succeeded"
            self._come_in(name, sent.amount, at, pays=sent.of)
        else:
            if paper is not None:
                self.bills.seen.add(f"paid though {MISSED[paper.state]}")
            self._come_in(name, sent.amount, at)
            sent.state = "succeeded"

    def end(self, name: str) -> None:
        """Declined, or its time is over: of what did not succeed yet."""
        sent = self.bills.sent[name]
        if sent.state == "on its way":
            sent.state = "ended"

    def give_up(self, name: str) -> str | None:
        sent = self.bills.sent[name]
        if sent.state not in {"on its way", "given up"}:
            return "PaymentEnded"
        sent.state = "given up"
        return None

    def end_late(self, at: datetime) -> None:
        """The round over payments: who did not pay within a day pays no more."""
        for name, sent in self.bills.sent.items():
            if sent.since + DAY <= at:
                self.end(name)

    def charge_back(self, name: str, amount: int, *, at: datetime) -> None:
        """The payer's bank takes back what came in and is not taken back yet."""
        sent = self.bills.sent[name]
        if sent.state == "succeeded" and amount <= sent.amount - sent.back:
            sent.back += amount
            self.reverse(name, amount, owe=True, at=max(at, sent.since))

    def _come_in(self, name: str, amount: int, at: datetime, *, pays: int | None = None) -> str | None:
        self.household.add(name, OWN, amount, at=at)
        return self._follow(None, at, pays=pays)

    def _follow(self, refusal: str | None, at: datetime, *, pays: int | None = None, as_: str = "") -> str | None:
        """Tells the bills of every change since the last act."""
        news = self.household.steps[self._seen :]
        steps = [step for step in news if step.who == OWN and (step.amount or step.held_change)]
        self._seen = len(self.household.steps)
        if steps:
            self.bills.moved = True
            own = sum(abs(step.amount) for step in steps if not step.expiry)
            changes = [Change(step.at, step.amount, step.expiry) for step in steps if step.amount]
            self.bills.follow(changes, at, pays=pays, as_=as_, own=own)
        return refusal
