"""Usage: units that were used, rated by the tiers of their month and charged.

A record costs what its month comes to with it less what the month came to without it, each rounded. So the charges of
a month sum exactly to its rounded whole, in whatever order records come, however late, and however they are corrected.
A correction takes the place of one record: the units of that one leave the month, and its own come in.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import NamedTuple, NewType

from chassis.errors import FieldViolation, InvalidArgument, NotFound, Refusal
from chassis.money import AMOUNT_MAX, Money
from chassis.violations import range_violations

from billing.domain.ids import AccountId, ChargeId, ProductId
from billing.domain.price import UNITS_MAX, Price
from billing.domain.rating import usage_minor

UsageId = NewType("UsageId", str)
SubscriberId = NewType("SubscriberId", str)


class UsageNotFound(NotFound):
    """No usage record has this identifier."""


class UsageIdReused(Refusal):
    """A record says other things than the one that came under its identifier before."""


class UsageReplaced(Refusal):
    """A record is corrected once; what corrects the correction names the correction."""


class UsageWasRejected(Refusal):
    """A record that was rejected counts for nothing, so there is nothing to correct: it comes again under a new id."""


class MonthOverflow(Refusal):
    """A month has at most 10^12 units of a product, and comes to at most 10^12 minor units."""


class UsageState(StrEnum):
    """Where a usage record stands."""

    CHARGED = "charged"
    REJECTED = "rejected"
    REPLACED = "replaced"


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageRecord:
    """Units as their source reports them; `subscriber_id` is empty for none."""

    usage_id: UsageId
    account_id: AccountId
    product_id: ProductId
    subscriber_id: SubscriberId
    quantity: int
    corrects: UsageId | None
    occurred_at: datetime

    def __post_init__(self) -> None:
        least = 0 if self.corrects else 1
        found = list(range_violations("usage.quantity", self.quantity, least=least, most=UNITS_MAX))
        if self.corrects == self.usage_id:
            found.append(FieldViolation("usage.corrects_usage_id", "must be another record"))
        if found:
            raise InvalidArgument.many(found)


class LineMonth(NamedTuple):
    """A product on a line in a month, told by its first day, of the operator's calendar."""

    account_id: AccountId
    subscriber_id: SubscriberId
    product_id: ProductId
    month: date


class CounterKey(NamedTuple):
    """What is counted together: a product on a line in a month, at one version of its price."""

    account_id: AccountId
    subscriber_id: SubscriberId
    product_id: ProductId
    month: date
    price_version: int

    @property
    def line_month(self) -> LineMonth:
        """Whatever the price."""
        return LineMonth(*self[:4])


class Counter(NamedTuple):
    """Units of a month so far, and what they came to."""

    quantity: int = 0
    charged_minor: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageStanding:
    """A record with what became of it. `counted` is where its units count, None for a rejected one; `charge_id` is
    that of its charge, which a record has that cost something; `amount` is negative where a correction gave back."""

    usage: UsageRecord
    counted: CounterKey | None
    amount: Money | None
    charge_id: ChargeId | None = None
    reason: str | None = None
    late: bool = False
    replaced_by: UsageId | None = None

    @property
    def state(self) -> UsageState:
        """Derived: what a correction named was replaced by it."""
        if self.counted is None:
            return UsageState.REJECTED
        return UsageState.REPLACED if self.replaced_by else UsageState.CHARGED

    def check_same(self, usage: UsageRecord) -> None:
        """Refuses UsageIdReused unless what came again is what came before."""
        if usage != self.usage:
            raise UsageIdReused(f"usage {usage.usage_id} came with other content", usage_id=usage.usage_id)

    def check_corrected_by(self, usage: UsageRecord) -> None:
        """Refuses a correction of what is replaced or was rejected, and one for another account, product or line."""
        if self.replaced_by is not None:
            raise UsageReplaced(
                f"usage {self.usage.usage_id} was replaced by {self.replaced_by}",
                usage_id=self.usage.usage_id,
                replaced_by=self.replaced_by,
            )
        if self.counted is None:
            raise UsageWasRejected(f"usage {self.usage.usage_id} was rejected", usage_id=self.usage.usage_id)
        same = {
            "account_id": usage.account_id == self.usage.account_id,
            "product_id": usage.product_id == self.usage.product_id,
            "subscriber_id": usage.subscriber_id == self.usage.subscriber_id,
        }
        if wrong := [name for name, equal in same.items() if not equal]:
            raise InvalidArgument.many(
                [FieldViolation(f"usage.{name}", "must be that of the record it corrects") for name in wrong]
            )


class Priced(NamedTuple):
    """Units, negative where they leave, that count under a key at its price."""

    key: CounterKey
    price: Price
    quantity: int


class CounterMove(NamedTuple):
    """Units that came to a counter or left it, after `before` others, and what that cost."""

    key: CounterKey
    price: Price
    before: int
    quantity: int
    cost_minor: int


class Counters:
    """The counters of a batch, as its records change them one after the other."""

    def __init__(self, stored: Mapping[CounterKey, Counter]) -> None:
        self._now = dict(stored)
        self.changed: dict[CounterKey, Counter] = {}

    def moves(self, parts: Iterable[Priced]) -> list[CounterMove]:
        """What a record would change, which changes nothing yet. Refuses MonthOverflow."""
        return [self._move(part) for part in _merged(parts)]

    def take(self, moves: Iterable[CounterMove]) -> None:
        """Keeps what a record changes."""
        for move in moves:
            quantity, charged_minor = self._now.get(move.key, Counter())
            counter = Counter(quantity + move.quantity, charged_minor + move.cost_minor)
            self._now[move.key] = self.changed[move.key] = counter

    def _move(self, part: Priced) -> CounterMove:
        before, charged_minor = self._now.get(part.key, Counter())
        cost_minor = usage_minor(part.price, before=before, quantity=part.quantity)
        if before + part.quantity > UNITS_MAX or charged_minor + cost_minor > AMOUNT_MAX:
            raise MonthOverflow(
                f"a month has at most {UNITS_MAX} units and comes to at most {AMOUNT_MAX}",
                product_id=part.key.product_id,
            )
        return CounterMove(part.key, part.price, before, part.quantity, cost_minor)


def _merged(parts: Iterable[Priced]) -> list[Priced]:
    """One part for each counter: a correction within one month moves by the difference."""
    merged: dict[CounterKey, Priced] = {}
    for part in parts:
        known = merged.get(part.key)
        merged[part.key] = part if known is None else part._replace(quantity=known.quantity + part.quantity)
    return list(merged.values())


def usage_not_found(usage_id: UsageId) -> UsageNotFound:
    """The answer for a record that is not there."""
    return UsageNotFound(f"there is no usage {usage_id}", usage_id=usage_id)
