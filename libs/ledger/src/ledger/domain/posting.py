"""Outcomes: what the ledger booked, told so that the caller needs no second look."""

from datetime import datetime
from typing import NamedTuple

from ledger.domain.command import NO_METADATA, AccountId, Asset, HoldId, Metadata, Source


class LotMove(NamedTuple):
    """A change of what is left in one lot. A lot is named by the account version that granted it."""

    lot: int
    amount: int


class Line(NamedTuple):
    """One step of one account: versions are dense, so that answers put in order replay the account's history."""

    account: AccountId
    amount: int
    held_change: int
    account_version: int
    balance_after: int
    held_after: int
    floor: int
    moves: tuple[LotMove, ...] = ()

    @property
    def balance_before(self) -> int:
        """The balance this step started from."""
        return self.balance_after - self.amount

    @property
    def available_before(self) -> int:
        """Balance less held, before the step."""
        return self.balance_after - self.amount - self.held_after + self.held_change

    @property
    def available_after(self) -> int:
        """Balance less held, after the step: what a threshold is compared with."""
        return self.balance_after - self.held_after


class SystemLine(NamedTuple):
    """The other leg, on a system account: it has no balance row, hence no version and no lock."""

    account: AccountId
    amount: int


class Posted(NamedTuple):
    """One transaction in the books. `settled` are the expiries that had to be booked around it, oldest first.

    `taken` is what a capture took out of lots, which its line does not show: the hold had taken it before."""

    source: Source
    kind: str
    asset: Asset
    occurred_at: datetime
    lines: tuple[Line, ...]
    system_lines: tuple[SystemLine, ...] = ()
    metadata: Metadata = NO_METADATA
    ends: HoldId | None = None
    taken: tuple[LotMove, ...] = ()
    reverses: Source | None = None
    reversed_before: int = 0
    reversed_amount: int = 0
    settled: tuple["Posted", ...] = ()
