"""What may be undone of a transaction, and in which order: what was moved last goes back first."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from chassis.errors import InvalidArgument

from ledger.domain.command import AMOUNT_LIMIT, AccountId, Source
from ledger.domain.posting import LotMove
from ledger.domain.refusal import AlreadyReversed, NotReversible, ReversalExceedsOriginal


class Leg(NamedTuple):
    """One entry of a transaction that may be reversed. `lot` is the lot it granted, `taken` what it took from lots."""

    account: AccountId
    amount: int
    lot: int | None = None
    taken: tuple[LotMove, ...] = ()


class Part(NamedTuple):
    """How much of a leg is undone now, after `skip` of it was undone before."""

    leg: Leg
    skip: int
    amount: int


class Original(NamedTuple):
    """A booked transaction, as far as a reversal must know it."""

    source: Source
    legs: tuple[Leg, ...]
    reversible: bool
    reversed_amount: int

    @property
    def total(self) -> int:
        """What the transaction moved."""
        return sum(leg.amount for leg in self.legs if leg.amount > 0)

    def credits_undone(self, amount: int) -> Iterator[Part]:
        """What is taken back from whom for `amount`."""
        return _last_first((leg for leg in self.legs if leg.amount > 0), self.reversed_amount, amount)

    def debits_undone(self, amount: int) -> Iterator[Part]:
        """What is given back to whom where `amount` was taken back."""
        return _last_first((leg for leg in self.legs if leg.amount < 0), self.reversed_amount, amount)

    def reversible_amount(self, asked: int | None) -> int:
        """What is asked, all that is left where None. Refuses NotReversible, AlreadyReversed, ReversalExceedsOriginal,
        and a part of what was credited to several accounts: it would fall on one of them alone."""
        if not self.reversible or not self.total:
            raise NotReversible(f"{self.source} is corrected by a new transaction", source=self.source)
        left = self.total - self.reversed_amount
        if left == 0:
            raise AlreadyReversed(f"{self.source} is reversed already", source=self.source)
        amount = left if asked is None else asked
        if not 0 < amount <= AMOUNT_LIMIT:
            raise InvalidArgument("amount", f"must be from 1 to {AMOUNT_LIMIT}")
        if amount > left:
            raise ReversalExceedsOriginal(f"{left} of {self.source} is left to reverse", left=str(left))
        if amount != self.total and len({leg.account for leg in self.legs if leg.amount > 0}) > 1:
            raise InvalidArgument("amount", "a transaction that credits several accounts is reversed as a whole")
        return amount


def _last_first(legs: Iterable[Leg], skip: int, amount: int) -> Iterator[Part]:
    for leg in reversed(tuple(legs)):
        skipped = min(abs(leg.amount), skip)
        part = min(abs(leg.amount) - skipped, amount)
        skip, amount = skip - skipped, amount - part
        if part:
            yield Part(leg, skipped, part)
