"""A state machine that plays two accounts against the model, in batches whose commands follow one another."""

from collections import Counter
from datetime import timedelta
from typing import Any

from chassis.errors import Refusal
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from ledger import AnyCommand, Posted, Shortfall

from .factories import REDEEMED, add, confirm, day, draw, earn, hold, release, reverse, set_floor, spend
from .model import Household

AMOUNTS = st.integers(1, 40)
LEAST = st.none() | st.integers(1, 45)
LIFETIMES = st.sampled_from([1, 2, 5, 5, 9, None])
REGRANTS = st.sampled_from([0, 0, 3])
LATE = st.sampled_from([0, 0, 0, 1, 4])
WHO = st.integers(0, 1)


class LedgerMachine(RuleBasedStateMachine):
    """Collects commands; `carry_out` gives them to the ledger as one batch. Time goes on between batches and inside,
    and a command may come a few days late.

    Subclasses say what the ledger is: `carry_out`, `balance_at` and `open_lots`.
    """

    accounts: tuple[str, str] = ("points:anna", "points:ben")

    def __init__(self) -> None:
        super().__init__()
        self.model = Household(*self.accounts)
        self.now = 0
        self.named = 0
        self.batch: list[AnyCommand] = []
        self.expected: list[str | None] = []

    def carry_out(self, commands: list[AnyCommand]) -> list[Posted | Refusal]:
        raise NotImplementedError

    def balance_at(self, account: str, number: int) -> tuple[int, int]:
        """Balance and held."""
        raise NotImplementedError

    def open_lots(self, account: str) -> Counter[float]:
        """What is left as booked, by the instant at which it expires."""
        raise NotImplementedError

    def expire_due(self) -> None:
        """Book what has expired by now."""
        raise NotImplementedError

    def name(self, of: str) -> str:
        self.named += 1
        return f"{self.accounts[0]}/{of}{self.named}"

    def some(self, names: dict[str, Any], data: st.DataObject) -> str:
        return data.draw(st.sampled_from([*names, "nothing"]))

    def ask(self, command: AnyCommand, refusal: str | None) -> None:
        self.batch.append(command)
        self.expected.append(refusal)

    @rule(days=st.integers(1, 3))
    def let_time_pass(self, days: int) -> None:
        self.now += days

    @rule(who=WHO, amount=AMOUNTS, lifetime=LIFETIMES, priority=st.integers(0, 1), late=LATE)
    def earn(self, who: int, amount: int, lifetime: int | None, priority: int, late: int) -> None:
        name, on, account = self.name("earn"), self.now - late, self.accounts[who]
        expires = None if lifetime is None else on + lifetime
        end = None if expires is None else day(expires)
        self.model.earn(name, account, amount, at=day(on), expires=end, priority=priority)
        self.ask(earn(name, amount, on=on, expires=expires, priority=priority, account=account), None)

    @rule(who=WHO, amount=AMOUNTS)
    def add(self, who: int, amount: int) -> None:
        name, account = self.name("add"), self.accounts[who]
        self.model.add(name, account, amount, at=day(self.now))
        self.ask(add(name, amount, on=self.now, account=account), None)

    @rule(who=WHO, amount=AMOUNTS, late=LATE)
    def spend(self, who: int, amount: int, late: int) -> None:
        name, on, account = self.name("spend"), self.now - late, self.accounts[who]
        refusal = self.model.draw(name, [account], None, amount, at=day(on))
        self.ask(spend(name, amount, on=on, account=account), refusal)

    @rule(first=WHO, amount=st.none() | AMOUNTS, late=LATE)
    def transfer(self, first: int, amount: int | None, late: int) -> None:
        name, on = self.name("transfer"), self.now - late
        giver, receiver = self.accounts[first], self.accounts[1 - first]
        refusal = self.model.draw(name, [giver], receiver, amount, at=day(on))
        self.ask(draw(name, [giver], amount, on=on, to=receiver), refusal)

    @rule(first=WHO, amount=st.none() | AMOUNTS, least=LEAST)
    def pay_together(self, first: int, amount: int | None, least: int | None) -> None:
        name, payers = self.name("pool"), [self.accounts[first], self.accounts[1 - first]]
        refusal = self.model.draw(name, payers, None, amount, at=day(self.now), least=least)
        self.ask(draw(name, payers, amount, on=self.now, to=REDEEMED, at_least=least), refusal)

    @rule(who=WHO, amount=AMOUNTS, least=LEAST, lifetime=st.integers(1, 6), late=LATE)
    def hold(self, who: int, amount: int, least: int | None, lifetime: int, late: int) -> None:
        name, on, account = self.name("hold"), self.now - late, self.accounts[who]
        refusal = self.model.hold(name, account, amount, at=day(on), expires=day(on + lifetime), least=least)
        self.ask(hold(name, amount, on=on, expires=on + lifetime, account=account, at_least=least), refusal)

    @rule(amount=st.none() | AMOUNTS, late=LATE, data=st.data())
    def confirm(self, amount: int | None, late: int, data: st.DataObject) -> None:
        name, on, of = self.name("capture"), self.now - late, self.some(self.model.holds, data)
        refusal = self.model.end(name, of, amount, at=day(on))
        self.ask(confirm(name, of, amount, on=on), refusal)

    @rule(regrant=REGRANTS, late=LATE, data=st.data())
    def release(self, regrant: int, late: int, data: st.DataObject) -> None:
        name, on, of = self.name("release"), self.now - late, self.some(self.model.holds, data)
        refusal = self.model.end(None, of, None, at=day(on), regrant=timedelta(days=regrant))
        self.ask(release(name, of, on=on, regrant_days=regrant), refusal)

    @rule(amount=st.none() | AMOUNTS, shortfall=st.sampled_from(Shortfall), regrant=REGRANTS, late=LATE, data=st.data())
    def reverse(self, amount: int | None, shortfall: Shortfall, regrant: int, late: int, data: st.DataObject) -> None:
        name, on, of = self.name("reversal"), self.now - late, self.some(self.model.originals, data)
        refusal = self.model.reverse(of, amount, shortfall, at=day(on), regrant=timedelta(days=regrant), most_owed=25)
        command = reverse(name, of, amount, on=on, shortfall=shortfall, regrant_days=regrant, most_owed=25)
        self.ask(command, refusal)

    @rule(who=WHO, floor=st.sampled_from([0, -15, -30]))
    def set_floor(self, who: int, floor: int) -> None:
        refusal = self.model.set_floor(self.accounts[who], floor, at=day(self.now))
        self.ask(set_floor(self.name("floor"), floor, on=self.now, account=self.accounts[who]), refusal)

    @precondition(lambda self: not self.batch)
    @rule()
    def expire(self) -> None:
        for account in self.accounts:
            self.model.settle(account, day(self.now))
        self.expire_due()

    @precondition(lambda self: self.batch)
    @rule()
    def post_the_batch(self) -> None:
        outcomes = self.carry_out(self.batch)
        got = [type(outcome).__name__ if isinstance(outcome, Refusal) else None for outcome in outcomes]
        assert got == self.expected, list(zip(self.batch, got, self.expected, strict=True))
        self.batch, self.expected = [], []

    @invariant()
    def agrees_with_the_model(self) -> None:
        if self.batch:
            return
        for account in self.accounts:
            for number in (self.now - 3, self.now, self.now + 2, self.now + 30):
                assert self.balance_at(account, number) == self.model.standing(account, day(number)), number
            assert self.open_lots(account) == self.model.purses[account].by_expiry

    def teardown(self) -> None:
        if self.batch:
            self.post_the_batch()
            self.agrees_with_the_model()
