"""How points are spent, taken back, given back and passed on, and by which rules of the program."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from chassis.errors import FieldViolation, InvalidArgument, NotFound, Refusal
from chassis.money import AMOUNT_MAX, Money

from member.domain.membership import Holder, MemberId
from member.domain.points import MAX_POINTS
from member.domain.program import MAX_DAYS, ProgramId


class Purpose(StrEnum):
    """What points are spent on."""

    CASH_OFF = "cash_off"
    GIFT = "gift"
    COUPON = "coupon"
    OTHER = "other"


class ReversalShortfall(StrEnum):
    """What taking points back does when they are spent already."""

    ONLY_WHAT_IS_LEFT = "only_what_is_left"
    DOWN_TO_ZERO = "down_to_zero"
    NEGATIVE = "negative"


class CashOffNotOffered(Refusal):
    """The program's rules give no money for points, or too little for these to come to anything."""


class TransferLimitReached(Refusal):
    """The membership would transfer more in one day of the operator's than the program's rules allow."""

    def __init__(self, limit: int, left: int) -> None:
        super().__init__(
            f"{left} of {limit} points may still be transferred on this day", limit=str(limit), left=str(left)
        )


class TransactionNotFound(NotFound):
    """No transaction with this id moved points of the customer; the answer does not say whether it exists at all."""

    def __init__(self, transaction_id: str) -> None:
        super().__init__("the customer has no such transaction", transaction_id=transaction_id)


@dataclass(frozen=True, slots=True)
class CashRate:
    """So many points are worth so much money."""

    points: int
    money: Money

    def worth(self, points: int) -> Money:
        """What points come to, rounded down to the minor unit."""
        return Money(points * self.money.minor_units // self.points, self.money.currency)


@dataclass(frozen=True, slots=True)
class PointsRules:
    """How points of a program are spent from `applies_from` (business time) on, until a later rule applies.

    `most_owed` is how far below zero reversals may take a member, `regrant_days` how long points live that come back
    to a grant which has expired meanwhile, `most_transferred_a_day` counts by the operator's days.
    """

    program_id: ProgramId
    applies_from: datetime
    shortfall: ReversalShortfall
    most_owed: int
    regrant_days: int
    most_transferred_a_day: int
    cash_rate: CashRate | None
    revision: int = 0

    @property
    def regrant_for(self) -> timedelta:
        """How long what comes back to an expired grant lives."""
        return timedelta(days=self.regrant_days)


def default_rules(program_id: ProgramId, applies_from: datetime) -> PointsRules:
    """The rules of a program that set none: nothing is owed, nothing is money, and nothing moves between members."""
    return PointsRules(program_id, applies_from, ReversalShortfall.ONLY_WHAT_IS_LEFT, 0, 0, 0, cash_rate=None)


def check_rules(rules: PointsRules) -> None:
    """Refuses with InvalidArgument, and every fault at once, rules that nobody could spend by."""
    ranges = [
        ("rules.most_owed_points", rules.most_owed, MAX_POINTS),
        ("rules.regrant_days", rules.regrant_days, MAX_DAYS),
        ("rules.most_transferred_points_a_day", rules.most_transferred_a_day, MAX_POINTS),
    ]
    violations = [
        FieldViolation(field, f"must be from 0 to {most}") for field, value, most in ranges if not 0 <= value <= most
    ]
    if rules.cash_rate is not None and not 1 <= rules.cash_rate.points <= MAX_POINTS:
        violations.append(FieldViolation("rules.cash_off_points", f"must be from 1 to {MAX_POINTS}"))
    if violations:
        raise InvalidArgument.many(violations)
    if rules.cash_rate is not None:
        rules.cash_rate.money.positive("rules.cash_off")


def cash_off(rules: PointsRules, points: int) -> Money:
    """What points are worth by the rules. Refuses CashOffNotOffered where that is nothing."""
    if rules.cash_rate is None:
        raise CashOffNotOffered("the program gives no money for points", program_id=rules.program_id)
    money = rules.cash_rate.worth(points)
    if not 0 < money.minor_units <= AMOUNT_MAX:
        raise CashOffNotOffered(
            f"{rules.cash_rate.points} points are worth {rules.cash_rate.money.minor_units} minor units of "
            f"{rules.cash_rate.money.currency}: {points} points cannot be taken",
            program_id=rules.program_id,
        )
    return money


@dataclass(frozen=True, slots=True)
class Spend:
    """Points to be spent at once, by memberships in their order."""

    transaction_id: str
    payers: tuple[MemberId, ...]
    points: int
    reason: str
    occurred_at: datetime
    purpose: Purpose
    reference: str = ""
    cash_off: Money | None = None


@dataclass(frozen=True, slots=True)
class Reversal:
    """A transaction to be undone, all that is left of it where `points` is None."""

    transaction_id: str
    of: str
    points: int | None
    reason: str
    occurred_at: datetime
    shortfall: ReversalShortfall
    most_owed: int
    regrant_for: timedelta


@dataclass(frozen=True, slots=True)
class Transfer:
    """Points to go from one membership to another, all that are free where `points` is None."""

    transaction_id: str
    giver: MemberId
    receiver: MemberId
    points: int | None
    reason: str
    occurred_at: datetime


@dataclass(frozen=True, slots=True)
class PointsReversed:
    """Effect: points of one membership were given back, or taken back (less than 0), by undoing a transaction."""

    member_id: MemberId
    holder: Holder
    points: int
    balance_after: int
    transaction_id: str
    reverses: str
    occurred_at: datetime
    account_version: int

    @property
    def aggregate_id(self) -> str:
        """The membership orders its facts."""
        return self.member_id


@dataclass(frozen=True, slots=True)
class Side:
    """One side of a transfer after it."""

    member_id: MemberId
    holder: Holder
    balance_after: int
    account_version: int


@dataclass(frozen=True, slots=True)
class PointsTransferred:
    """Effect: points went from one membership to another."""

    giver: Side
    receiver: Side
    points: int
    transaction_id: str
    occurred_at: datetime

    @property
    def aggregate_id(self) -> str:
        """The giver orders the fact."""
        return self.giver.member_id
