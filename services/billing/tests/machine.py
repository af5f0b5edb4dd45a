"""A state machine that plays an account and its payer against the plain model, at any business time.

The acts of a room are a mixin: a list of acts that a machine adds to its own.
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any, ClassVar

from chassis.testing.games import DRAWN, Parts, numbers_of
from hypothesis import note
from hypothesis.stateful import RuleBasedStateMachine, rule

from services.billing.tests.model import OWN, PARENT, Look, Town

LIFETIMES = (1, 2, 5, 5, 9, 40)
LIMITS = (0, 0, 15, 40)


@cache
def day(number: int) -> datetime:
    """A day of the games' calendar."""
    return datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=number)


class BillingParts(Parts):
    """What acts are made of."""

    @property
    def amount(self) -> int:
        return 1 + self.below(40)

    @property
    def late(self) -> int:
        return (0, 0, 0, 1, 4)[self.below(5)]

    @property
    def who(self) -> str:
        return (OWN, OWN, PARENT)[self.below(3)]

    def some(self, known: list[str]) -> str:
        """As often the newest as any; sometimes nothing that there is."""
        if not known or not self.below(12):
            return "nothing"
        return known[-1] if self.below(2) else known[self.below(len(known))]


class AccountsMachine(RuleBasedStateMachine):
    """Recharges, gifts, charges, reservations, limits, payers, reversals, refunds and expiries. Subclasses say what
    does it: each act returns the refusal's name, or None."""

    def __init__(self) -> None:
        super().__init__()
        self.model = Town()
        self.now = 10
        self.named = 0
        self.recharges: list[str] = []
        self.charges: list[str] = []

    def name(self) -> str:
        """A name of its own."""
        self.named += 1
        return f"t{self.named}"

    def expect(self, answer: str | None, refusal: str | None) -> bool:
        """The act was refused or not as in the model, and left the accounts and all that is asked of them as the model
        has them."""
        assert (answer is None) == (refusal is None), (answer, refusal)
        assert self.look() == self.model.look()
        return answer is None

    @rule(drawn=DRAWN)
    def act(self, drawn: bytes) -> None:
        for parts in map(BillingParts, numbers_of(drawn)):
            act = self.ACTS[parts.below(len(self.ACTS))]
            note(f"# {act.__name__}")
            act(self, parts)

    def let_time_pass(self, parts: BillingParts) -> None:
        self.now += 1 + parts.below(3)

    def recharge(self, parts: BillingParts) -> None:
        name, who, amount, on = self.name(), parts.who, parts.amount, self.now - parts.late
        refusal = self.model.recharge(name, who, amount, at=day(on))
        if self.expect(self.do_recharge(name, who, amount, on=on), refusal):
            self.recharges.append(name)

    def gift(self, parts: BillingParts) -> None:
        name, amount, on, priority = self.name(), parts.amount, self.now - parts.late, parts.below(2)
        expires = on + LIFETIMES[parts.below(len(LIFETIMES))]
        refusal = self.model.gift(name, amount, at=day(on), expires=day(expires), priority=priority)
        self.expect(self.do_gift(name, amount, on=on, expires=expires, priority=priority), refusal)

    def revoke(self, parts: BillingParts) -> None:
        of, on = parts.some(list(self.model.gifts)), self.now - parts.late
        self.expect(self.do_revoke(self.name(), of, on=on), self.model.revoke(of, at=day(on)))

    def charge(self, parts: BillingParts) -> None:
        name, who, amount, on = self.name(), parts.who, parts.amount, self.now - parts.late
        refusal = self.model.charge(name, who, amount, at=day(on))
        if self.expect(self.do_charge(name, who, amount, on=on), refusal):
            self.charges.append(name)

    def refund(self, parts: BillingParts) -> None:
        of, on, amount = parts.some(self.charges), self.now - parts.late, (None, parts.amount)[parts.below(2)]
        self.expect(self.do_refund(self.name(), of, amount, on=on), self.model.refund(of, amount, at=day(on)))

    def reserve(self, parts: BillingParts) -> None:
        name, amount, on = self.name(), parts.amount, self.now - parts.late
        least = 1 + parts.below(amount)
        refusal = self.model.reserve(name, amount, least, at=day(on), expires=day(on + 1))
        self.expect(self.do_reserve(name, amount, least, on=on, expires=on + 1), refusal)

    def commit(self, parts: BillingParts) -> None:
        name, of, on = self.name(), parts.some(list(self.model.household.holds)), self.now - parts.late
        used = 1 + parts.below(self.model.granted(of)) if of != "nothing" else 1
        refusal = self.model.commit(name, of, used, at=day(on))
        self.expect(self.do_commit(name, of, used, on=on), refusal)

    def release(self, parts: BillingParts) -> None:
        of, on = parts.some(list(self.model.household.holds)), self.now - parts.late
        self.expect(self.do_release(self.name(), of, on=on), self.model.release(of, at=day(on)))

    def set_limit(self, parts: BillingParts) -> None:
        who, limit, on = parts.who, LIMITS[parts.below(len(LIMITS))], self.now
        refusal = self.model.set_limit(who, limit, at=day(on))
        self.expect(self.do_set_limit(self.name(), who, limit, on=on), refusal)

    def reverse(self, parts: BillingParts) -> None:
        of, on, owe = parts.some(self.recharges), self.now - parts.late, bool(parts.below(2))
        amount = (None, parts.amount)[parts.below(2)]
        refusal = self.model.reverse(of, amount, owe=owe, at=day(on))
        self.expect(self.do_reverse(self.name(), of, amount, owe=owe, on=on), refusal)

    def put_payers(self, parts: BillingParts) -> None:
        self.model.payers = ((), (PARENT,))[parts.below(2)]
        self.do_put_payers(self.model.payers, on=self.now)

    def expire(self, _: BillingParts) -> None:
        self.model.expire(day(self.now))
        self.do_expire(self.now)
        self.expect(None, None)

    ACTS: ClassVar[tuple[Callable[[Any, BillingParts], None], ...]] = (
        let_time_pass,
        let_time_pass,
        recharge,
        recharge,
        gift,
        revoke,
        charge,
        charge,
        refund,
        reserve,
        commit,
        release,
        set_limit,
        reverse,
        put_payers,
        expire,
    )

    def look(self) -> Look:
        """How the accounts stand with everything that is booked."""
        raise NotImplementedError

    def do_recharge(self, name: str, who: str, amount: int, *, on: int) -> str | None:
        raise NotImplementedError

    def do_gift(self, name: str, amount: int, *, on: int, expires: int, priority: int) -> str | None:
        raise NotImplementedError

    def do_revoke(self, name: str, of: str, *, on: int) -> str | None:
        raise NotImplementedError

    def do_charge(self, name: str, who: str, amount: int, *, on: int) -> str | None:
        raise NotImplementedError

    def do_refund(self, name: str, of: str, amount: int | None, *, on: int) -> str | None:
        raise NotImplementedError

    def do_reserve(self, name: str, amount: int, least: int, *, on: int, expires: int) -> str | None:
        raise NotImplementedError

    def do_commit(self, name: str, of: str, used: int, *, on: int) -> str | None:
        raise NotImplementedError

    def do_release(self, name: str, of: str, *, on: int) -> str | None:
        raise NotImplementedError

    def do_set_limit(self, name: str, who: str, limit: int, *, on: int) -> str | None:
        raise NotImplementedError

    def do_reverse(self, name: str, of: str, amount: int | None, *, owe: bool, on: int) -> str | None:
        raise NotImplementedError

    def do_put_payers(self, payers: tuple[str, ...], *, on: int) -> None:
        raise NotImplementedError

    def do_expire(self, on: int) -> None:
        raise NotImplementedError
