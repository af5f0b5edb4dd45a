"""The plainest billing one can think of: a household that keeps every fen as a token or loose, a list of who pays, and
a note of whether the account on the plan stands below its threshold. Rules and database must always agree with it.
"""

from datetime import datetime, timedelta
from typing import NamedTuple

from ledger import Shortfall

from libs.ledger.tests.model import Household

OWN, PARENT = "own", "parent"
THRESHOLD = 30
REGRANT = timedelta(days=30)


class Look(NamedTuple):
    """Balance and held of the account on the plan and of its payer; whether the first stands below its threshold, and
    how often it fell there."""

    own: tuple[int, int]
    parent: tuple[int, int]
    below: bool
    stays: int


class Town:
    """Two accounts, one of them on a plan. Every act returns the name of its refusal, or None."""

    def __init__(self) -> None:
        self.household = Household(OWN, PARENT)
        self.payers: tuple[str, ...] = ()
        self.below = False
        self.stays = 0
        self.gifts: dict[str, int | None] = {}
        self._balance = 0
        self._seen = 0

    @property
    def limit(self) -> int:
        """How far the account on the plan may go below zero."""
        return -self.household.purses[OWN].floor

    def look(self) -> Look:
        """How the accounts stand with everything that is booked."""
        own, parent = (self.household.purses[who] for who in (OWN, PARENT))
        return Look(
            (own.available + own.held, own.held), (parent.available + parent.held, parent.held), self.below, self.stays
        )

    def recharge(self, name: str, who: str, amount: int, *, at: datetime) -> str | None:
        self.household.add(name, who, amount, at=at)
        return self._look(None)

    def gift(self, name: str, amount: int, *, at: datetime, expires: datetime, priority: int) -> str | None:
        self.household.earn(name, OWN, amount, at=at, expires=expires, priority=priority)
        self.gifts[name] = self.household.originals[name].credits[0].lot
        return self._look(None)

    def charge(self, name: str, who: str, amount: int, *, at: datetime) -> str | None:
        payers = [*self.payers, who] if who == OWN else [who]
        return self._look(self.household.draw(name, payers, None, amount, at=at))

    def reserve(self, name: str, amount: int, least: int, *, at: datetime, expires: datetime) -> str | None:
        return self._look(self.household.hold(name, OWN, amount, at=at, expires=expires, least=least))

    def granted(self, name: str) -> int:
        """How much was set aside."""
        return len(self.household.holds[name].taken)

    def commit(self, name: str, of: str, used: int, *, at: datetime) -> str | None:
        return self._look(self.household.end(name, of, used, at=at))

    def release(self, of: str, *, at: datetime) -> str | None:
        return self._look(self.household.end(None, of, None, at=at))

    def set_limit(self, who: str, limit: int, *, at: datetime) -> str | None:
        before = self.limit
        refusal = self.household.set_floor(who, -limit, at=at)
        self._follow(before)
        self._measured(lowered=self.limit < before)
        return refusal

    def reverse(self, of: str, amount: int | None, *, owe: bool, at: datetime) -> str | None:
        shortfall = Shortfall.OWE if owe else Shortfall.REFUSE
        return self._look(self.household.reverse(of, amount, shortfall, at=at, regrant=REGRANT, most_owed=10**9))

    def refund(self, of: str, amount: int | None, *, at: datetime) -> str | None:
        return self.reverse(of, amount, owe=False, at=at)

    def revoke(self, of: str, *, at: datetime) -> str | None:
        then = self.household.copy()
        then.settle(OWN, at)
        if of not in self.gifts or not any(token.lot == self.gifts[of] for token in then.purses[OWN].tokens):
            return "GiftUsedUp"
        return self._look(
            self.household.reverse(of, None, Shortfall.ONLY_WHAT_IS_LEFT, at=at, regrant=REGRANT, most_owed=0)
        )

    def expire(self, at: datetime) -> None:
        for who in (OWN, PARENT):
            self.household.settle(who, at)
        self._look(None)

    def _look(self, refusal: str | None) -> str | None:
        self._follow(self.limit)
        return refusal

    def _follow(self, limit: int) -> None:
        """Every change of the balance since the last look, one after the other."""
        steps = self.household.steps[self._seen :]
        self._seen = len(self.household.steps)
        for step in steps:
            if step.who == OWN and step.amount:
                self._balance += step.amount
                self._measured(lowered=step.amount < 0, limit=limit)

    def _measured(self, *, lowered: bool, limit: int | None = None) -> None:
        measure = self._balance + (self.limit if limit is None else limit)
        if self.below:
            self.below = measure < THRESHOLD
        elif lowered and measure < THRESHOLD:
            self.below = True
            self.stays += 1
