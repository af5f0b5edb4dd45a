"""The plainest account one can think of: every point that may expire is a token of its own in a list.

Slow and without bookkeeping, so that it has little to get wrong; the engine and the database must always agree with it.
"""

from copy import deepcopy
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import NamedTuple

from ledger import Shortfall


class Token(NamedTuple):
    """Tokens sort in the order in which they are spent."""

    priority: int
    expires_at: float
    lot: int


@dataclass
class ModelHold:
    amount: int
    expires_at: datetime
    tokens: list[Token]
    state: str = "open"


@dataclass
class ModelOriginal:
    """`stack` is what a debit took, the last taken on top; a loose point is None. A credit has its lot's number."""

    total: int
    lot: int | None = None
    stack: list[Token | None] | None = None
    reversed_amount: int = 0


@dataclass
class Model:
    """One account. Every act returns the name of the refusal, or None."""

    tokens: list[Token] = field(default_factory=list)
    loose: int = 0
    floor: int = 0
    holds: dict[str, ModelHold] = field(default_factory=dict)
    originals: dict[str, ModelOriginal] = field(default_factory=dict)
    lots: int = 0

    @property
    def available(self) -> int:
        return len(self.tokens) + self.loose

    @property
    def held(self) -> int:
        return sum(hold.amount for hold in self.holds.values() if hold.state == "open")

    @property
    def balance(self) -> int:
        return self.available + self.held

    def at(self, instant: datetime) -> "Model":
        model = deepcopy(self)
        model.settle(instant)
        return model

    def settle(self, instant: datetime) -> None:
        for hold in self.holds.values():
            if hold.state == "open" and hold.expires_at <= instant:
                hold.state = "expired"
                self._free(hold.tokens, hold.amount - len(hold.tokens), hold.expires_at, timedelta(0))
        self.tokens = [token for token in self.tokens if token.expires_at > instant.timestamp()]

    def earn(self, name: str, amount: int, expires_at: datetime | None, priority: int) -> None:
        self.originals[name] = ModelOriginal(amount, lot=self._grant(amount, expires_at, priority))

    def add(self, name: str, amount: int) -> None:
        self.loose += amount
        self.originals[name] = ModelOriginal(amount)

    def spend(self, name: str, amount: int) -> str | None:
        if amount > self.available - self.floor:
            return "InsufficientBalance"
        tokens, loose = self._take(amount)
        self.originals[name] = ModelOriginal(amount, stack=[*tokens, *[None] * loose])
        return None

    def hold(self, name: str, amount: int, expires_at: datetime) -> str | None:
        if amount > self.available - self.floor:
            return "InsufficientBalance"
        tokens, _ = self._take(amount)
        self.holds[name] = ModelHold(amount, expires_at, tokens)
        return None

    def end(self, name: str | None, of: str, amount: int | None, now: datetime, regrant: timedelta) -> str | None:
        """Capture `amount` (all when None) under `name`, or release when there is no name."""
        hold = self.holds.get(of)
        if hold is None:
            return "HoldNotFound"
        if hold.state != "open":
            return "HoldExpired" if hold.state == "expired" else "HoldEnded"
        captured = 0 if name is None else hold.amount if amount is None else amount
        if captured > hold.amount:
            return "CaptureExceedsHold"
        everything: list[Token | None] = [*hold.tokens, *[None] * (hold.amount - len(hold.tokens))]
        if name is not None:
            self.originals[name] = ModelOriginal(captured, stack=everything[:captured])
        hold.state = "ended"
        rest = everything[captured:]
        self._free([token for token in rest if token], rest.count(None), now, regrant)
        return None

    def reverse(
        self, of: str, asked: int | None, shortfall: Shortfall, now: datetime, regrant: timedelta
    ) -> str | None:
        original = self.originals.get(of)
        if original is None:
            return "TransactionNotFound"
        left = original.total - original.reversed_amount
        if left == 0:
            return "AlreadyReversed"
        amount = left if asked is None else asked
        if amount > left:
            return "ReversalExceedsOriginal"
        if original.stack is not None:
            back = [original.stack.pop() for _ in range(amount)]
            self._free([token for token in back if token], back.count(None), now, regrant)
        else:
            taken = self._reclaimable(amount, shortfall, original.lot)
            if taken > self.available - self.floor:
                return "InsufficientBalance"
            self._take(taken, first=original.lot)
        original.reversed_amount += amount
        return None

    def set_floor(self, floor: int) -> str | None:
        if self.loose < floor:
            return "FloorAboveBalance"
        self.floor = floor
        return None

    def _reclaimable(self, amount: int, shortfall: Shortfall, lot: int | None) -> int:
        if shortfall is Shortfall.REFUSE:
            return amount
        if shortfall is Shortfall.ONLY_WHAT_IS_LEFT and lot is not None:
            return min(amount, sum(token.lot == lot for token in self.tokens))
        return min(amount, self.available - self.floor)

    def _grant(self, amount: int, expires_at: datetime | None, priority: int) -> int:
        self.lots += 1
        expires = expires_at.timestamp() if expires_at else float("inf")
        self.tokens += [Token(priority, expires, self.lots)] * amount
        return self.lots

    def _take(self, amount: int, first: int | None = None) -> tuple[list[Token], int]:
        order = sorted(self.tokens, key=lambda token: (token.lot != first, token))
        taken, self.tokens = order[:amount], order[amount:]
        self.loose -= amount - len(taken)
        return taken, amount - len(taken)

    def _free(self, tokens: list[Token], loose: int, at: datetime, regrant: timedelta) -> None:
        alive = [token for token in tokens if token.expires_at > at.timestamp()]
        self.tokens += alive
        self.loose += loose
        if len(alive) < len(tokens) and regrant:
            self._grant(len(tokens) - len(alive), at + regrant, 0)
