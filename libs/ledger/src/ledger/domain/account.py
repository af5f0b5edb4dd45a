"""One account: balance, lots and holds, and the steps that change them.

Each step moves the account to its next version and answers with its `Line`. An account is at every version as if

    balance - held == loose + sum of the open lots' remaining,  and  loose >= floor - owed

where *loose* is what never expires. Debits take open lots first (priority, then expiry, then age) and loose last; a
hold takes its lots with it, so that expiry never touches what is held. Only a reversal makes an account owe; whatever
comes in, also into lots, pays that back first, so that an account which owes has nothing in lots.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import NamedTuple, assert_never

from ledger.domain.command import BALANCE_LIMIT, AccountId, Asset, HoldId, LotTerms, Shortfall
from ledger.domain.posting import Line, LotMove
from ledger.domain.refusal import AmountOverflow, CaptureExceedsHold, FloorAboveBalance, InsufficientBalance

FOREVER = datetime.max.replace(tzinfo=UTC)


class HoldState(StrEnum):
    """A hold ends once, in one of three ways."""

    OPEN = "open"
    CAPTURED = "captured"
    RELEASED = "released"
    EXPIRED = "expired"


class Lot(NamedTuple):
    """A grant, named by the account version that made it. `expired` says its expiry is booked."""

    version: int
    granted: int
    remaining: int
    terms: LotTerms
    expired: bool = False

    def gone_at(self, instant: datetime) -> bool:
        """Whether the lot is past its (exclusive) expiry."""
        return self.expired or (self.terms.expires_at is not None and self.terms.expires_at <= instant)


class Hold(NamedTuple):
    """An amount set aside. `taken` are the moves that took it out of lots; what they do not cover was loose."""

    id: HoldId
    account: AccountId
    version: int
    amount: int
    expires_at: datetime
    state: HoldState
    taken: tuple[LotMove, ...] = ()


def _order_of_taking(lot: Lot) -> tuple[int, datetime, int]:
    return (lot.terms.priority, lot.terms.expires_at or FOREVER, lot.version)


def _order_of_expiry(item: Lot | Hold) -> tuple[datetime, int]:
    expires_at = item.expires_at if isinstance(item, Hold) else item.terms.expires_at
    return (expires_at or FOREVER, item.version)


def first_taken(taken: Iterable[LotMove], amount: int) -> tuple[LotMove, ...]:
    """The moves that made up the first `amount` of a debit."""
    moves = []
    for move in taken:
        part = min(-move.amount, amount)
        if part > 0:
            moves.append(LotMove(move.lot, -part))
        amount -= part
    return tuple(moves)


def insufficient(accounts: Sequence["Account"], asked: int) -> InsufficientBalance:
    """The refusal where accounts together have less than is asked; the first of them is named."""
    available = accounts[0].available if len(accounts) == 1 else sum(max(each.available, 0) for each in accounts)
    return InsufficientBalance(
        f"{available} available, {asked} asked", account=accounts[0].id, available=str(available), asked=str(asked)
    )


def undone(taken: tuple[LotMove, ...], whole: int, *, skip: int, amount: int) -> list[LotMove]:
    """What goes back to which lot when `amount` of a debit of `whole` is undone, after `skip` of it was undone before.

    The last taken goes back first: loose, then the lots from the last to the first. The loose part is not listed.
    """
    loose = whole + sum(move.amount for move in taken)
    amount -= min(amount, max(loose - skip, 0))
    skip = max(skip - loose, 0)
    back = []
    for lot, taken_amount in reversed(taken):
        skipped = min(-taken_amount, skip)
        part = min(-taken_amount - skipped, amount)
        skip, amount = skip - skipped, amount - part
        if part:
            back.append(LotMove(lot, part))
    return back


@dataclass(slots=True)
class Account:
    """A working copy inside one batch; the store loads it under its row lock and writes it back."""

    id: AccountId
    asset: Asset
    balance: int = 0
    held: int = 0
    in_lots: int = 0
    floor: int = 0
    version: int = 0
    owed: int = 0
    lots: dict[int, Lot] = field(default_factory=dict)
    holds: dict[HoldId, Hold] = field(default_factory=dict)

    def copy(self) -> "Account":
        """An equal account that can change without changing this one."""
        return Account(
            self.id,
            self.asset,
            self.balance,
            self.held,
            self.in_lots,
            self.floor,
            self.version,
            self.owed,
            self.lots.copy(),
            self.holds.copy(),
        )

    @property
    def available(self) -> int:
        """What can be taken; less than 0 while the account owes."""
        return self.balance - self.held - self.floor

    def credit(self, amount: int, terms: LotTerms | None = None) -> Line:
        """Add to the loose balance, or grant a lot."""
        return self._step(amount, granting=(amount, terms) if terms else None)

    def debit(self, amount: int) -> Line:
        """Take from the open lots and then from the loose balance. Refuses InsufficientBalance."""
        self._check_available(amount)
        return self._step(-amount, moves=self._taking(amount, None))

    def take_back(self, amount: int, *, first: int | None) -> Line:
        """Take what `reclaimable` allowed: from the lot `first`, then from the others, then from the loose balance,
        which may come to owe."""
        return self._step(-amount, moves=self._taking(amount, first))

    def terms_of(self, line: Line) -> list[tuple[LotTerms | None, int]]:
        """What a debit took, by the terms it was held under, in the order of taking; the loose part has none."""
        parts: dict[LotTerms | None, int] = {}
        for lot, amount in line.moves:
            terms = self.lots[lot].terms
            parts[terms] = parts.get(terms, 0) - amount
        loose = -line.amount - sum(parts.values())
        return [*parts.items(), (None, loose)] if loose else list(parts.items())

    def hold(self, hold_id: HoldId, amount: int, expires_at: datetime) -> Line:
        """Set an amount aside with its lots. Refuses InsufficientBalance."""
        self._check_available(amount)
        line = self._step(0, held_change=amount, moves=self._taking(amount, None))
        self.holds[hold_id] = Hold(
            hold_id, self.id, line.account_version, amount, expires_at, HoldState.OPEN, line.moves
        )
        return line

    def end_hold(self, hold: Hold, state: HoldState, *, captured: int, regrant_until: datetime, at: datetime) -> Line:
        """Take the captured part off the balance and free the rest. Refuses CaptureExceedsHold."""
        if captured > hold.amount:
            raise CaptureExceedsHold(f"the hold is of {hold.amount}", hold=hold.id, held=str(hold.amount))
        self.holds[hold.id] = hold._replace(state=state)
        back = undone(hold.taken, hold.amount, skip=0, amount=hold.amount - captured)
        return self._giving_back(-captured, back, held_change=-hold.amount, at=at, regrant_until=regrant_until)

    def give_back(self, amount: int, back: list[LotMove], *, at: datetime, regrant_for: timedelta) -> Line:
        """Undo a debit: to the lots it came from, to a new lot for those that have expired, the rest loose."""
        return self._giving_back(amount, back, held_change=0, at=at, regrant_until=at + regrant_for)

    def reclaimable(self, amount: int, shortfall: Shortfall, *, lot: int | None, most_owed: int) -> int:
        """How much of an undone credit can be taken. Refuses InsufficientBalance only under REFUSE."""
        match shortfall:
            case Shortfall.REFUSE:
                self._check_available(amount)
                return amount
            case Shortfall.ONLY_WHAT_IS_LEFT if lot is not None:
                return min(amount, self.lots[lot].remaining if lot in self.lots else 0)
            case Shortfall.ONLY_WHAT_IS_LEFT | Shortfall.DOWN_TO_FLOOR:
                return min(amount, max(self.available, 0))
            case Shortfall.OWE:
                return min(amount, max(self.available + most_owed, 0))
            case _:
                assert_never(shortfall)

    def set_floor(self, floor: int) -> Line:
        """Refuses FloorAboveBalance, so that no change of a credit limit leaves an account beyond it."""
        loose = self.balance - self.held - self.in_lots
        if loose < floor:
            raise FloorAboveBalance(f"{self.id} stands at {loose}", account=self.id, floor=str(floor))
        self.floor = floor
        return self._step(0)

    def due(self, instant: datetime) -> list[Lot | Hold]:
        """Open holds and unbooked lots whose expiry has come, oldest first."""
        holds = [h for h in self.holds.values() if h.state is HoldState.OPEN and h.expires_at <= instant]
        lots = [lot for lot in self.lots.values() if lot.remaining and lot.gone_at(instant)]
        return sorted([*holds, *lots], key=_order_of_expiry)

    def expire_lot(self, lot: Lot) -> Line:
        """Book what is left of a lot as gone."""
        self.lots[lot.version] = lot._replace(expired=True)
        return self._step(-lot.remaining, moves=(LotMove(lot.version, -lot.remaining),))

    def _check_available(self, amount: int) -> None:
        if amount > self.available:
            raise insufficient([self], amount)

    def _taking(self, amount: int, first: int | None) -> tuple[LotMove, ...]:
        if not self.in_lots:
            return ()
        lots = sorted((lot for lot in self.lots.values() if lot.remaining), key=_order_of_taking)
        lots.sort(key=lambda lot: lot.version != first)
        return first_taken((LotMove(lot.version, -lot.remaining) for lot in lots), amount)

    def _giving_back(
        self, amount: int, back: list[LotMove], *, held_change: int, at: datetime, regrant_until: datetime
    ) -> Line:
        alive = tuple(move for move in back if not self.lots[move.lot].gone_at(at))
        orphaned = sum(move.amount for move in back) - sum(move.amount for move in alive)
        granting = (orphaned, LotTerms(regrant_until)) if orphaned else None
        return self._step(amount, held_change=held_change, moves=alive, granting=granting)

    def _step(
        self,
        amount: int,
        *,
        held_change: int = 0,
        moves: tuple[LotMove, ...] = (),
        granting: tuple[int, LotTerms] | None = None,
    ) -> Line:
        moves, granting = self._paying(amount - held_change, moves, granting)
        self.version += 1
        self.balance += amount
        self.held += held_change
        if not -BALANCE_LIMIT <= self.balance <= BALANCE_LIMIT:
            raise AmountOverflow(f"{self.id} would leave the range of balances", account=self.id)
        if granting:
            granted, terms = granting
            self.lots[self.version] = Lot(self.version, granted, 0, terms)
            moves = (*moves, LotMove(self.version, granted))
        for lot, change in moves:
            self.lots[lot] = self.lots[lot]._replace(remaining=self.lots[lot].remaining + change)
            self.in_lots += change
        self.owed = max(0, self.floor + self.in_lots + self.held - self.balance)
        floor = self.floor - self.owed
        return Line(self.id, amount, held_change, self.version, self.balance, self.held, floor, moves)

    def _paying(
        self, change: int, moves: tuple[LotMove, ...], granting: tuple[int, LotTerms] | None
    ) -> tuple[tuple[LotMove, ...], tuple[int, LotTerms] | None]:
        """A step with what it brings into lots made less by what the account owes, the soonest to expire first."""
        if not self.owed:
            return moves, granting
        into_lots = sum(move.amount for move in moves) + (granting[0] if granting else 0)
        short = self.floor + self.in_lots + into_lots + self.held - self.balance - change
        coming = [(self.lots[move.lot].terms.expires_at or FOREVER, move) for move in moves if move.amount > 0]
        if granting:
            coming.append((granting[1].expires_at or FOREVER, LotMove(self.version + 1, granting[0])))
        left = {move.lot: move.amount for move in moves}
        for _, (lot, incoming) in sorted(coming):
            paid = min(max(short, 0), incoming)
            left[lot] = incoming - paid
            short -= paid
        granted = left.pop(self.version + 1, 0)
        return (
            tuple(LotMove(lot, amount) for lot, amount in left.items() if amount),
            (granted, granting[1]) if granting and granted else None,
        )
