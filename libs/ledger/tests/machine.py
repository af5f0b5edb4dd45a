"""A state machine that plays one account against the model, in batches whose commands follow one another."""

from collections import Counter
from datetime import timedelta
from typing import Any

from chassis.errors import Refusal
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from ledger import AnyCommand, Posted, Shortfall

from .factories import add, confirm, day, earn, hold, release, reverse, set_floor, spend
from .model import Model

AMOUNTS = st.integers(1, 40)
LIFETIMES = st.sampled_from([1, 2, 5, 5, 9, None])
REGRANTS = st.sampled_from([0, 0, 3])


class LedgerMachine(RuleBasedStateMachine):
    """Collects commands; `carry_out` gives them to the ledger as one batch. Time goes on between batches and inside.

    Subclasses say what the ledger is: `carry_out`, `balance_at` and `open_lots`.
    """

    account = "points:anna"

    def __init__(self) -> None:
        super().__init__()
        self.model = Model()
        self.now = 0
        self.named = 0
        self.batch: list[AnyCommand] = []
        self.expected: list[str | None] = []
        self.past: dict[int, tuple[int, int]] = {}

    def carry_out(self, commands: list[AnyCommand]) -> list[Posted | Refusal]:
        raise NotImplementedError

    def balance_at(self, number: int) -> tuple[int, int]:
        """Balance and held."""
        raise NotImplementedError

    def open_lots(self) -> Counter[float]:
        """What is left, by the instant at which it expires."""
        raise NotImplementedError

    def name(self, of: str) -> str:
        self.named += 1
        return f"{self.account}/{of}{self.named}"

    def some(self, names: dict[str, Any], data: st.DataObject) -> str:
        return data.draw(st.sampled_from([*names, "nothing"]))

    def ask(self, command: AnyCommand, refusal: str | None) -> None:
        self.batch.append(command)
        self.expected.append(refusal)
        self.past.pop(self.now, None)

    def settle(self) -> Model:
        self.model.settle(day(self.now))
        return self.model

    @rule(days=st.integers(1, 3))
    def let_time_pass(self, days: int) -> None:
        self.now += days

    @rule(amount=AMOUNTS, lifetime=LIFETIMES, priority=st.integers(0, 1))
    def earn(self, amount: int, lifetime: int | None, priority: int) -> None:
        name, expires = self.name("earn"), None if lifetime is None else self.now + lifetime
        self.settle().earn(name, amount, None if expires is None else day(expires), priority)
        command = earn(name, amount, on=self.now, expires=expires, priority=priority, account=self.account)
        self.ask(command, None)

    @rule(amount=AMOUNTS)
    def add(self, amount: int) -> None:
        name = self.name("add")
        self.settle().add(name, amount)
        self.ask(add(name, amount, on=self.now, account=self.account), None)

    @rule(amount=AMOUNTS)
    def spend(self, amount: int) -> None:
        name = self.name("spend")
        refusal = self.settle().spend(name, amount)
        self.ask(spend(name, amount, on=self.now, account=self.account), refusal)

    @rule(amount=AMOUNTS, lifetime=st.integers(1, 6))
    def hold(self, amount: int, lifetime: int) -> None:
        name, expires = self.name("hold"), self.now + lifetime
        refusal = self.settle().hold(name, amount, day(expires))
        self.ask(hold(name, amount, on=self.now, expires=expires, account=self.account), refusal)

    @rule(amount=st.none() | AMOUNTS, data=st.data())
    def confirm(self, amount: int | None, data: st.DataObject) -> None:
        name, of = self.name("capture"), self.some(self.model.holds, data)
        refusal = self.settle().end(name, of, amount, day(self.now), timedelta(0))
        self.ask(confirm(name, of, amount, on=self.now), refusal)

    @rule(regrant=REGRANTS, data=st.data())
    def release(self, regrant: int, data: st.DataObject) -> None:
        name, of = self.name("release"), self.some(self.model.holds, data)
        refusal = self.settle().end(None, of, None, day(self.now), timedelta(days=regrant))
        self.ask(release(name, of, on=self.now, regrant_days=regrant), refusal)

    @rule(amount=st.none() | AMOUNTS, shortfall=st.sampled_from(Shortfall), regrant=REGRANTS, data=st.data())
    def reverse(self, amount: int | None, shortfall: Shortfall, regrant: int, data: st.DataObject) -> None:
        name, of = self.name("reversal"), self.some(self.model.originals, data)
        refusal = self.settle().reverse(of, amount, shortfall, day(self.now), timedelta(days=regrant))
        self.ask(reverse(name, of, amount, on=self.now, shortfall=shortfall, regrant_days=regrant), refusal)

    @rule(floor=st.sampled_from([0, -15, -30]))
    def set_floor(self, floor: int) -> None:
        refusal = self.settle().set_floor(floor)
        self.ask(set_floor(self.name("floor"), floor, on=self.now, account=self.account), refusal)

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
        for number in (self.now, self.now + 2, self.now + 30):
            then = self.model.at(day(number))
            assert self.balance_at(number) == (then.balance, then.held), number
        now = self.model.at(day(self.now))
        assert self.open_lots() == Counter(token.expires_at for token in now.tokens)
        self.past[self.now] = (now.balance, now.held)

    def teardown(self) -> None:
        if self.batch:
            self.post_the_batch()
            self.agrees_with_the_model()
        for number, told in self.past.items():
            assert self.balance_at(number) == told, f"day {number} was told otherwise at the time"
