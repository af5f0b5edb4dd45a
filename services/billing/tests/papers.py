"""A plain model of one account's bills: what is open after every act, told in as few words as there are rules."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, time, timedelta
from itertools import takewhile
from typing import NamedTuple

HOUR, DAY = timedelta(hours=1), timedelta(days=1)


class Offer(NamedTuple):
    """A plan: the threshold, and what it asks for: up to a balance, in sums, or what is missing alone."""

    threshold: int
    target: int | None = None
    sums: int | None = None
    daily: bool = False

    def asks(self, need: int, *, to_target: int) -> int:
        """What of a need is asked for; `to_target` is what the balance lacks of a balance of 0."""
        if need <= 0:
            return 0
        if self.sums:
            return -(-need // self.sums) * self.sums
        return need if self.target is None else max(self.target + to_target, need)


OFFERS: dict[str, Offer | None] = {
    "": None,
    "basic": Offer(30, target=60),
    "low": Offer(10, target=30),
    "flat": Offer(35, target=35),
    "sums": Offer(25, sums=20),
    "short": Offer(40),
    "daily": Offer(30, target=60, daily=True),
}


RARE = frozenset(
    {
        "an order asks for more",
        "a refund takes a bill back",
        "asked on when all is paid",
        "waits for what is on its way",
        "waits for the next day",
        "billed later",
        "paid through a channel",
        "paid late",
        "paid twice",
        "paid though another paid the bill",
        "paid though the bill asks for less",
        "paid though the stay is over",
    }
)
"""What many games must have shown, or they show too little."""


class Change(NamedTuple):
    """A change of the balance, in its order."""

    at: datetime
    amount: int
    expiry: bool


@dataclass
class Paper:
    """A document of the book; a credit note is closed from the start."""

    kind: str
    remaining: int
    state: str = "open"


@dataclass
class Sent:
    """A payment through a channel, of a document or of none."""

    amount: int
    of: int | None
    since: datetime
    state: str = "on its way"
    back: int = 0


@dataclass
class BillModel:
    """The bills of an account without credit limit that nothing moved yet."""

    plan: str = "basic"
    balance: int = 0
    limit: int = 0
    moved: bool = False
    crossed: int | None = None
    waits: datetime | None = None
    billed: bool = False
    last: datetime | None = None
    papers: list[Paper] = field(default_factory=list)
    sent: dict[str, Sent] = field(default_factory=dict)
    seen: set[str] = field(default_factory=set)

    @property
    def offer(self) -> Offer | None:
        return OFFERS[self.plan]

    @property
    def open(self) -> list[Paper]:
        """What is asked for, the oldest first."""
        return [paper for paper in self.papers if paper.state == "open"]

    @property
    def coming(self) -> int:
        """What is asked for, and what is on its way for nothing that is asked for."""
        return sum(paper.remaining for paper in self.open) + sum(self._for_nothing_open())

    def refusal(self, number: int) -> str | None:
        """Why a document is not paid, and not credited."""
        if number >= len(self.papers):
            return "BillNotFound"
        return {"open": None, "paid": "BillAlreadyPaid", "closed": "BillClosed"}[self.papers[number].state]

    def follow(
        self, changes: Sequence[Change], at: datetime, *, pays: int | None = None, as_: str = "", own: int = 0
    ) -> None:
        """One act: what expired before it, what it pays, or takes back as a "refund" of `own`, its own changes, and
        what these ask for more: as an "order" of `own`, or because nothing is asked for any more."""
        early = list(takewhile(lambda change: change.expiry, changes))
        for change in early:
            self._change(change)
        asked = bool(self.open)
        if pays is not None:
            self.papers[pays].state = "paid"
        if as_ == "refund":
            self._refund(own)
        stood = self.crossed is not None
        for change in changes[len(early) :]:
            self._change(change)
        if self.crossed is None:
            return
        if as_ == "order" and stood and any(paper.kind == "original" for paper in self.open):
            self.seen.add("an order asks for more")
            self._issue("supplement", min(own, max(self._asks(coming=0) - self.coming, 0)))
        if asked and not self.open:
            self._ask_on(at)

    def set_limit(self, limit: int, at: datetime) -> None:
        fell, self.limit = limit < self.limit, limit
        self.moved = True
        self._look(at, fell=fell)

    def set_plan(self, plan: str, at: datetime) -> None:
        other, self.plan = plan != self.plan, plan
        if other and self.moved and self.crossed is None:
            self._look(at, fell=True)

    def note(self, number: int, amount: int) -> None:
        """An operator takes back what a document asks for, or a part."""
        self.papers.append(Paper("credit_note", 0, "closed"))
        self.papers[number].remaining -= amount
        if not self.papers[number].remaining:
            self.papers[number].state = "closed"

    def bill_due(self, at: datetime) -> None:
        """The round over crossings that wait for their bill."""
        if self.waits is None or self.waits > at:
            return
        asked, self.waits = self._asks(self.coming), None
        if asked:
            self.seen.add("billed later")
            self._issue("supplement" if self.billed else "original", asked, at)
        else:
            self.waits = at + HOUR

    def _for_nothing_open(self) -> Iterator[int]:
        for each in self.sent.values():
            if each.state == "on its way" and (each.of is None or self.papers[each.of].state != "open"):
                yield each.amount

    def _change(self, change: Change) -> None:
        self.balance += change.amount
        self.moved = True
        self._look(change.at, fell=change.amount < 0)

    def _look(self, at: datetime, *, fell: bool) -> None:
        measure = self.balance + self.limit
        if self.crossed is not None:
            if measure >= self.crossed:
                self._restore()
        elif self.offer is not None and fell and measure < self.offer.threshold:
            self._cross(self.offer, at)

    def _restore(self) -> None:
        self.crossed, self.waits, self.billed = None, None, False
        for paper in self.open:
            paper.state = "closed"

    def _cross(self, offer: Offer, at: datetime) -> None:
        self.crossed = offer.threshold
        asked = self._asks(self.coming)
        if offer.daily and self.last and at.date() <= self.last.date():
            self.seen.add("waits for the next day")
            self.waits = datetime.combine(self.last.date(), time(), at.tzinfo) + DAY
        elif asked:
            self._issue("original", asked, at)
        else:
            self.seen.add("waits for what is on its way")
            self.waits = at + HOUR

    def _asks(self, coming: int) -> int:
        """What a bill asks for now; nothing without a plan."""
        assert self.crossed is not None
        need = self.crossed - self.balance - self.limit - coming
        return self.offer.asks(need, to_target=-self.balance - coming) if self.offer else 0

    def _ask_on(self, at: datetime) -> None:
        asked = self._asks(self.coming)
        if asked:
            self.seen.add("asked on when all is paid")
            self._issue("supplement", asked)
        else:
            self.waits = at + HOUR

    def _issue(self, kind: str, amount: int, at: datetime | None = None) -> None:
        if amount > 0:
            self.papers.append(Paper(kind, amount))
        if kind == "original" and at is not None:
            self.billed, self.last = True, max(at, self.last or at)

    def _refund(self, amount: int) -> None:
        """Credit notes, the newest document first."""
        for number in reversed(range(len(self.papers))):
            taken = min(amount, self.papers[number].remaining) if self.papers[number].state == "open" else 0
            amount -= taken
            if taken:
                self.seen.add("a refund takes a bill back")
                self.note(number, taken)
