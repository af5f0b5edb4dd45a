"""A plain model of one account's bills: what is open after every act, told in as few words as there are rules."""

from dataclasses import dataclass, field
from typing import NamedTuple

from hypothesis import strategies as st


class Act(NamedTuple):
    """One act of a history; what it is about is read as the kind needs it."""

    kind: str
    amount: int


class Open(NamedTuple):
    """A document that is asked for."""

    kind: str
    remaining: int


KINDS = ("charge", "charge", "recharge", "order", "refund", "pay", "pay", "note", "plan", "limit")
PLANS = {"": (None, 0), "low": (10_00, 30_00), "basic": (50_00, 100_00), "flat": (50_00, 50_00)}
PLAN_NAMES = tuple(PLANS)


def histories(length: int) -> st.SearchStrategy[list[Act]]:
    """Acts in any order; amounts up to 70 yuan."""
    return st.lists(st.builds(Act, st.sampled_from(KINDS), st.integers(1, 70_00)), max_size=length)


@dataclass
class BillModel:
    """The account, from a balance of 100 yuan on the basic plan."""

    balance: int = 100_00
    limit: int = 0
    plan: str = "basic"
    crossed: int | None = None
    open: list[Open] = field(default_factory=list)
    documents: int = 0

    def allows(self, act: Act) -> bool:
        """Whether the act is taken: nothing goes below the limit, and only what is open is paid or credited."""
        if act.kind in {"pay", "note"}:
            return bool(self.open)
        if act.kind == "limit":
            return self.balance + act.amount >= 0
        return act.kind not in {"charge", "order"} or act.amount <= self.balance + self.limit

    def chosen(self, act: Act) -> int:
        """Which open document an act is about."""
        return act.amount % len(self.open)

    def take(self, act: Act) -> None:
        """What the act leaves."""
        before, asked = self.balance + self.limit, bool(self.open)
        match act.kind:
            case "charge" | "order":
                self.balance -= act.amount
            case "recharge" | "refund":
                self.balance += act.amount
            case "limit":
                self.limit = act.amount
            case "plan":
                self._hang(PLAN_NAMES[act.amount % len(PLAN_NAMES)])
                return
            case "note":
                self._credit(self.chosen(act), min(act.amount, self.open[self.chosen(act)].remaining))
                return
            case "pay":
                self.balance += self.open.pop(self.chosen(act)).remaining
        if act.kind == "refund" and self.crossed is not None:
            self._refund(act.amount)
        self._look(act, fell=self.balance + self.limit < before, asked=asked)

    def _look(self, act: Act, *, fell: bool, asked: bool) -> None:
        measure, (threshold, _) = self.balance + self.limit, PLANS[self.plan]
        if self.crossed is not None and measure >= self.crossed:
            self.crossed, self.open = None, []
        elif self.crossed is None and threshold is not None and fell and measure < threshold:
            self._cross(threshold)
        elif self.crossed is not None and act.kind == "order" and any(each.kind == "original" for each in self.open):
            self._append("supplement", min(act.amount, self._gap() - sum(each.remaining for each in self.open)))
        elif self.crossed is not None and asked and not self.open:
            self._append("supplement", self._gap())

    def _gap(self) -> int:
        """What a bill asks for now if nothing is asked for yet; nothing without a plan or without need."""
        threshold, target = PLANS[self.plan]
        need = (self.crossed or 0) - self.balance - self.limit
        return max(target - self.balance, need) if threshold is not None and need > 0 else 0

    def _cross(self, threshold: int) -> None:
        self.crossed = threshold
        self._append("original", self._gap())

    def _append(self, kind: str, amount: int) -> None:
        if amount > 0:
            self.open.append(Open(kind, amount))
            self.documents += 1

    def _hang(self, plan: str) -> None:
        changed, self.plan = plan != self.plan, plan
        threshold, _ = PLANS[plan]
        if changed and self.crossed is None and threshold is not None and self.balance + self.limit < threshold:
            self._cross(threshold)

    def _refund(self, amount: int) -> None:
        for place in reversed(range(len(self.open))):
            taken = min(amount, self.open[place].remaining)
            amount -= taken
            if taken:
                self._credit(place, taken)

    def _credit(self, place: int, amount: int) -> None:
        self.documents += 1
        left = self.open[place]._replace(remaining=self.open[place].remaining - amount)
        self.open[place : place + 1] = [left] if left.remaining else []
