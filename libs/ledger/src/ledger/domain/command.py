"""Commands: what a service asks of the ledger.

Amounts are integers (points, or minor units of money) and instants are aware UTC. `source` names the cause and becomes
the transaction's name: a second transaction with the same source is refused for ever, whatever the caller remembers.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import NamedTuple, NewType

AccountId = NewType("AccountId", str)
Asset = NewType("Asset", str)
Source = NewType("Source", str)
HoldId = NewType("HoldId", str)

Metadata = Mapping[str, str | int]
NO_METADATA: Metadata = MappingProxyType({})

AMOUNT_LIMIT = 10**15
"""No entry moves more than this either way."""

BALANCE_LIMIT = 10**18
"""No balance leaves this range either way: far inside 64 bits, so that no sum of two of them overflows."""

SOURCE_LENGTH = 250
"""Longest name of a transaction, in characters."""


class LotTerms(NamedTuple):
    """How long a grant lives. `expires_at` is exclusive: at that very instant the lot is gone; None lives for ever.

    Debits take the lowest `priority` first, and within one priority the lot that expires first.
    """

    expires_at: datetime | None
    priority: int = 0


class Entry(NamedTuple):
    """One leg: positive is a credit, negative a debit. A credit with `lot` opens a lot with these terms."""

    account: AccountId
    amount: int
    lot: LotTerms | None = None


class Shortfall(StrEnum):
    """What the reversal of a credit does when the account no longer has it all."""

    REFUSE = "refuse"
    """Take the granted lot first, then the others; refuse unless the whole amount is there."""
    ONLY_WHAT_IS_LEFT = "only_what_is_left"
    """Take what is left of the granted lot and nothing else (of a credit without lot: as DOWN_TO_FLOOR)."""
    DOWN_TO_FLOOR = "down_to_floor"
    """Take the granted lot first, then the others, as far as the balance goes."""
    OWE = "owe"
    """Take the granted lot first, then the others; what is missing then is owed, at most `most_owed` in all. What an
    account owes is paid back by the first that comes in, and nothing can be taken out before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """What every command says: its source, what sort of business it is, and when it happened in business time."""

    source: Source
    kind: str
    occurred_at: datetime
    metadata: Metadata = field(default_factory=lambda: NO_METADATA)


@dataclass(frozen=True, slots=True, kw_only=True)
class Post(Command):
    """Post balanced entries of one asset, in their order; at least one of them on an account with a balance."""

    entries: tuple[Entry, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Draw(Command):
    """Take `amount` (all that is available when None) from `payers` in their order, each as far as it goes, and give
    it to `to`. What was in lots arrives there in lots of the same terms, unless `to` is a system account.

    With `at_least` what there is will do, up to `amount`, and less than that much is refused."""

    payers: tuple[AccountId, ...]
    to: AccountId
    amount: int | None = None
    at_least: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MakeHold(Command):
    """Set an amount aside until `expires_at` (exclusive). The source is the hold's id. Its lots are set aside with it,
    so what is held does not expire while the hold is open.

    With `at_least` what there is will do, up to `amount`, and less than that much is refused; the line says how much it
    came to."""

    account: AccountId
    amount: int
    expires_at: datetime
    at_least: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfirmHold(Command):
    """Capture `amount` (all of it when None) to the account `to`, and free the rest. Ends the hold."""

    hold: HoldId
    to: AccountId
    amount: int | None = None
    regrant_for: timedelta = timedelta(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseHold(Command):
    """Free the whole hold. What came from a lot that has expired meanwhile becomes a new lot that lives for
    `regrant_for`; by default it expires at once."""

    hold: HoldId
    regrant_for: timedelta = timedelta(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reverse(Command):
    """Undo the transaction `of`: all that is not yet reversed, or `amount` of it, what was moved last first.

    A debit is given back to the lots it came from (to a new lot of `regrant_for` where one has expired meanwhile);
    a credit is taken back as `shortfall` says. The asked amount counts as reversed, also where less could be taken.
    """

    of: Source
    amount: int | None = None
    shortfall: Shortfall = Shortfall.REFUSE
    regrant_for: timedelta = timedelta(0)
    most_owed: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class SetFloor(Command):
    """Let the balance go down to `floor`: 0, or minus a credit limit."""

    account: AccountId
    floor: int


AnyCommand = Post | Draw | MakeHold | ConfirmHold | ReleaseHold | Reverse | SetFloor
