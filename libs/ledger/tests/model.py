"""The plainest household of accounts one can think of: every point that may expire is a token of its own in a list.

Slow and without bookkeeping, so that it has little to get wrong; the engine and the database must always agree with it.
An account is settled when it is touched, as of the business time of what touches it, and what is refused leaves no
trace: so things may happen at any business time, in any order.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import NamedTuple

from ledger import Shortfall

NO_TIME = timedelta(0)


class Token(NamedTuple):
    """Tokens sort in the order in which they are spent."""

    priority: int
    expires_at: float
    lot: int


@dataclass
class Purse:
    """One account: its tokens, what never expires, and the lots whose expiry is booked; `lots` counts holds as well."""

    tokens: list[Token] = field(default_factory=list)
    loose: int = 0
    floor: int = 0
    held: int = 0
    lots: int = 0
    gone: frozenset[int] = frozenset()

    @property
    def available(self) -> int:
        return len(self.tokens) + self.loose

    def copy(self) -> "Purse":
        return Purse(self.tokens[:], self.loose, self.floor, self.held, self.lots, self.gone)

    @property
    def by_expiry(self) -> Counter[float]:
        """What is left, by the instant at which it expires."""
        return Counter([token.expires_at for token in self.tokens])

    def take(self, amount: int, first: int | None = None) -> list[Token | None]:
        """What was taken, the last taken last; a loose point is None."""
        order = sorted(self.tokens, key=lambda token: (token.lot != first, token)) if first else sorted(self.tokens)
        taken, self.tokens = order[:amount], order[amount:]
        self.loose -= amount - len(taken)
        return [*taken, *[None] * (amount - len(taken))]

    def put(self, tokens: Iterable[Token]) -> list[Token]:
        """What is owed is paid first, with the soonest to expire; the rest is put. Returns what was put."""
        coming = sorted(tokens, key=lambda token: (token.expires_at, token.lot))
        paid = min(max(self.floor - self.loose, 0), len(coming))
        self.loose += paid
        self.tokens += coming[paid:]
        return coming[paid:]

    def grant(self, amount: int, expires_at: float, priority: int) -> int | None:
        """The number of the new lot; None where it all went to what was owed."""
        self.lots += 1
        return self.lots if self.put([Token(priority, expires_at, self.lots)] * amount) else None


@dataclass
class ModelHold:
    who: str
    taken: list[Token | None]
    expires_at: datetime
    number: int
    state: str = "open"


class Credit(NamedTuple):
    """Points that somebody was given, and the lot that they came to."""

    who: str
    lot: int | None
    amount: int


@dataclass
class ModelOriginal:
    """What may be undone: `stack` is what was taken from whom, the last taken on top, and the last credit comes last.
    Each shrinks with what is reversed."""

    left: int
    stack: list[tuple[str, Token | None]] = field(default_factory=list)
    credits: list[Credit] = field(default_factory=list)


class Step(NamedTuple):
    """A change of one account, dated in business time; an expiry is that of one lot."""

    at: datetime
    who: str
    amount: int
    held_change: int
    expiry: bool = False


class Refused(Exception):
    """The name of the refusal."""


def _granted(asked: int | None, least: int | None, free: int) -> int:
    """All that is asked, which None says is all there is; or, where less will do, what there is."""
    if free < (least or asked or 1):
        raise Refused("InsufficientBalance")
    return free if asked is None else min(asked, free)


class Household:
    """Several accounts. Every act returns the name of the refusal, or None."""

    def __init__(self, *names: str) -> None:
        self.purses = {name: Purse() for name in names}
        self.holds: dict[str, ModelHold] = {}
        self.originals: dict[str, ModelOriginal] = {}
        self.steps: list[Step] = []

    def copy(self) -> "Household":
        new = Household()
        new.purses = {who: purse.copy() for who, purse in self.purses.items()}
        new.holds, new.originals, new.steps = self.holds.copy(), self.originals.copy(), self.steps[:]
        return new

    def standing(self, who: str, at: datetime) -> tuple[int, int]:
        """Balance and held at an instant, in the past or in the future."""
        then = Household()
        then.purses, then.holds = {who: self.purses[who].copy()}, self.holds.copy()
        then._settle(who, at)
        later = [step for step in self.steps if step.who == who and step.at > at]
        purse = then.purses[who]
        balance = purse.available + purse.held - sum(step.amount for step in later)
        return balance, purse.held - sum(step.held_change for step in later)

    def settle(self, who: str, at: datetime) -> None:
        self._act(at, [who], lambda new: None)

    def earn(self, name: str, who: str, amount: int, *, at: datetime, expires: datetime | None, priority: int) -> None:
        def act(new: Household) -> None:
            end = expires.timestamp() if expires else float("inf")
            lot = new.purses[who].grant(amount, end, priority)
            new._note(at, who, amount)
            new.originals[name] = ModelOriginal(amount, credits=[Credit(who, lot, amount)])

        self._act(at, [who], act)

    def add(self, name: str, who: str, amount: int, *, at: datetime) -> None:
        def act(new: Household) -> None:
            new.purses[who].loose += amount
            new._note(at, who, amount)
            new.originals[name] = ModelOriginal(amount, credits=[Credit(who, None, amount)])

        self._act(at, [who], act)

    def draw(
        self,
        name: str,
        payers: Sequence[str],
        to: str | None,
        amount: int | None,
        *,
        at: datetime,
        least: int | None = None,
    ) -> str | None:
        """Points to another account, or out of the household where `to` is None."""
        if least and amount and least > amount:
            return "InvalidArgument"

        def act(new: Household) -> None:
            free = {who: max(new.purses[who].available - new.purses[who].floor, 0) for who in payers}
            wanted = _granted(amount, least, sum(free.values()))
            stack: list[tuple[str, Token | None]] = []
            for who in payers:
                part = min(free[who], wanted - len(stack))
                stack += [(who, token) for token in new.purses[who].take(part)]
                new._note(at, who, -part)
            new.originals[name] = ModelOriginal(wanted, stack=stack)
            if to is not None:
                new.originals[name].credits = new._receive(to, [token for _, token in stack], at)

        return self._act(at, payers if to is None else [*payers, to], act)

    def hold(
        self, name: str, who: str, amount: int, *, at: datetime, expires: datetime, least: int | None = None
    ) -> str | None:
        if least and least > amount:
            return "InvalidArgument"

        def act(new: Household) -> None:
            purse = new.purses[who]
            granted = _granted(amount, least, purse.available - purse.floor)
            purse.lots += 1
            new.holds[name] = ModelHold(who, purse.take(granted), expires, purse.lots)
            purse.held += granted
            new._note(at, who, 0, granted)

        return self._act(at, [who], act)

    def end(
        self, name: str | None, of: str, amount: int | None, *, at: datetime, regrant: timedelta = NO_TIME
    ) -> str | None:
        """Capture `amount` (all when None) under `name`, or release when there is no name."""
        if of not in self.holds:
            return "HoldNotFound"

        def act(new: Household) -> None:
            hold = new.holds[of]
            if hold.state != "open":
                raise Refused("HoldExpired" if hold.state == "expired" else "HoldEnded")
            captured = 0 if name is None else len(hold.taken) if amount is None else amount
            if captured > len(hold.taken):
                raise Refused("CaptureExceedsHold")
            if name is not None:
                new.originals[name] = ModelOriginal(captured, [(hold.who, token) for token in hold.taken[:captured]])
            new._end(of, captured, at, "ended", regrant)

        return self._act(at, [self.holds[of].who], act)

    def reverse(
        self, of: str, asked: int | None, shortfall: Shortfall, *, at: datetime, regrant: timedelta, most_owed: int
    ) -> str | None:
        known = self.originals.get(of)
        if known is None:
            return "TransactionNotFound"
        amount = known.left if asked is None else asked
        if known.left == 0 or amount > known.left:
            return "ReversalExceedsOriginal" if known.left else "AlreadyReversed"

        def act(new: Household) -> None:
            original = new.originals[of] = ModelOriginal(known.left - amount, known.stack[:], known.credits[:])
            moved = amount
            if original.credits:
                moved = new._take_back(original, amount, shortfall, most_owed, at)
            if original.stack:
                back = [original.stack.pop() for _ in range(amount)][:moved]
                for who in dict.fromkeys(who for who, _ in back):
                    mine = [token for whose, token in back if whose == who]
                    new._settle(who, at)
                    new._note(at, who, len(mine))
                    new._free(who, mine, at, regrant)
                    new._settle(who, at)

        return self._act(at, [], act)

    def set_floor(self, who: str, floor: int, *, at: datetime) -> str | None:
        def act(new: Household) -> None:
            if new.purses[who].loose < floor:
                raise Refused("FloorAboveBalance")
            new.purses[who].floor = floor

        return self._act(at, [who], act)

    def _act(self, at: datetime, touched: Iterable[str], act: "Callable[[Household], None]") -> str | None:
        new = self.copy()
        names = list(dict.fromkeys(touched))
        try:
            for who in names:
                new._settle(who, at)
            act(new)
            for who in names:
                new._settle(who, at)
        except Refused as refusal:
            return str(refusal)
        self.__dict__ = new.__dict__
        return None

    def _note(self, at: datetime, who: str, amount: int, held_change: int = 0, *, expiry: bool = False) -> None:
        self.steps.append(Step(at, who, amount, held_change, expiry))

    def _settle(self, who: str, at: datetime) -> None:
        """What is due, the oldest first; what that frees may be due as well, and comes after it."""
        while due := sorted(self._due(who, at)):
            for expires_at, number, name in due:
                if name is None:
                    self._expire_lot(who, number, datetime.fromtimestamp(expires_at, at.tzinfo))
                else:
                    self._end(name, 0, self.holds[name].expires_at, "expired", NO_TIME)

    def _due(self, who: str, at: datetime) -> Iterator[tuple[float, int, str | None]]:
        now = at.timestamp()
        for token in set(self.purses[who].tokens):
            if token.expires_at <= now:
                yield token.expires_at, token.lot, None
        for name, hold in self.holds.items():
            if hold.who == who and hold.state == "open" and hold.expires_at <= at:
                yield hold.expires_at.timestamp(), hold.number, name

    def _expire_lot(self, who: str, lot: int, at: datetime) -> None:
        purse = self.purses[who]
        left = [token for token in purse.tokens if token.lot != lot]
        self._note(at, who, len(left) - len(purse.tokens), expiry=True)
        purse.tokens = left
        purse.gone |= {lot}

    def _end(self, name: str, captured: int, at: datetime, state: str, regrant: timedelta) -> None:
        hold = self.holds[name]
        self.holds[name] = replace(hold, state=state)
        self.purses[hold.who].held -= len(hold.taken)
        self._note(at, hold.who, -captured, -len(hold.taken))
        self._free(hold.who, hold.taken[captured:], at, regrant)

    def _free(self, who: str, back: Sequence[Token | None], at: datetime, regrant: timedelta) -> None:
        """Loose first, which is what an owing account is short of; then alive ones, and new ones for the dead."""
        purse = self.purses[who]
        tokens = [token for token in back if token]
        purse.loose += len(back) - len(tokens)
        alive = [t for t in tokens if t.expires_at > at.timestamp() and t.lot not in purse.gone]
        purse.lots += 1
        again = Token(0, (at + regrant).timestamp(), purse.lots)
        purse.put([*alive, *[again] * (len(tokens) - len(alive))])

    def _receive(self, to: str, tokens: Sequence[Token | None], at: datetime) -> list[Credit]:
        purse, received = self.purses[to], []
        self._note(at, to, len(tokens))
        for terms, amount in Counter((t.priority, t.expires_at) if t else None for t in tokens).items():
            if terms is None:
                purse.loose += amount
            lot = purse.grant(amount, terms[1], terms[0]) if terms else None
            received.append(Credit(to, lot, amount))
        return received

    def _take_back(
        self, original: ModelOriginal, amount: int, shortfall: Shortfall, most_owed: int, at: datetime
    ) -> int:
        moved = 0
        while amount:
            who, lot, given = original.credits.pop()
            part = min(given, amount)
            amount -= part
            if part < given:
                original.credits.append(Credit(who, lot, given - part))
            self._settle(who, at)
            purse = self.purses[who]
            free = purse.available - purse.floor
            if shortfall is Shortfall.REFUSE and part > free:
                raise Refused("InsufficientBalance")
            if shortfall is Shortfall.ONLY_WHAT_IS_LEFT and lot is not None:
                part = min(part, sum(token.lot == lot for token in purse.tokens))
            elif shortfall is not Shortfall.REFUSE:
                part = min(part, max(free + (most_owed if shortfall is Shortfall.OWE else 0), 0))
            purse.take(part, first=lot)
            self._note(at, who, -part)
            moved += part
        return moved
