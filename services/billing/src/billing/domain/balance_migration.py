"""Earmarked balances become universal ones: plans of rules, runs that apply them, and what old and new must come to.

A rate rounds down for each balance, and what it cuts off is counted in whole parts of a minor unit. So both sides are
equal to the last unit, whatever the rate is.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import NamedTuple, NewType

from chassis.calendar import Calendar
from chassis.errors import AlreadyExists, FieldViolation, NotFound, Refusal
from chassis.money import AMOUNT_MAX, Money, check_currency
from chassis.violations import count_violations, range_violations, refuse_any, repeat_violations

from billing.domain.gift import PRIORITY_MAX, Gift
from billing.domain.ids import AccountId, TransactionId
from billing.domain.movement import (
    OCCURRED_BEFORE,
    Credit,
    GiftTerms,
    Moved,
    Movement,
    MovementKind,
)

MigrationPlanId = NewType("MigrationPlanId", str)
MigrationRunId = NewType("MigrationRunId", str)
BalanceId = NewType("BalanceId", str)

RULES_MAX = 100
BALANCES_MAX = 5_000
RATE_MAX = 1_000_000
GIFT_DAYS_MAX = 36_500


class MigrationPlanNotFound(NotFound):
    """No plan of balance migration has this id."""


class MigrationPlanFrozen(Refusal):
    """A plan by which a run books is not changed any more."""


class MigrationPlanCurrencyFixed(Refusal):
    """A plan keeps the currency that it was put with: balances may be loaded in it."""


class MigrationRunNotFound(NotFound):
    """No run has this id."""


class MigrationRunExists(AlreadyExists):
    """A run has this id."""


class MigrationUnderWay(Refusal):
    """One run at a time is counted, applied or undone, and balances are not loaded for it meanwhile."""


class MigrationNotToUndo(Refusal):
    """A dry run has nothing to undo, and what is being undone, or was, is not undone again."""


class Target(StrEnum):
    """What an earmarked balance becomes."""

    CASH = "cash"
    GIFT = "gift"
    DROPPED = "dropped"


class Why(StrEnum):
    """Why a balance is not loaded, or not taken over."""

    ACCOUNT_NOT_FOUND = "ACCOUNT_NOT_FOUND"
    CURRENCY_DIFFERS = "CURRENCY_DIFFERS"
    EARMARK_WITHOUT_RULE = "EARMARK_WITHOUT_RULE"
    ALREADY_MIGRATED = "ALREADY_MIGRATED"
    EARMARK_EXPIRED = "EARMARK_EXPIRED"
    AMOUNT_TOO_LARGE = "AMOUNT_TOO_LARGE"


@dataclass(frozen=True, slots=True, kw_only=True)
class EarmarkedRule:
    """What the balances of one earmark become: `rate_numerator` minor units for `rate_denominator` of the old.

    A gift without an expiry of its own lives until `gift_days` after the day of the run are over; 0 is for ever.
    """

    earmark: str
    target: Target
    rate_numerator: int = 1
    rate_denominator: int = 1
    gift_days: int = 0
    priority: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class MigrationPlan:
    """A rule for each earmark; `revision` 0 is not stored yet."""

    plan_id: MigrationPlanId
    display_name: str
    currency: str
    rules: tuple[EarmarkedRule, ...]
    frozen: bool = False
    revision: int = 0

    def __post_init__(self) -> None:
        check_currency("plan.currency", self.currency)
        refuse_any(self._violations())

    def _violations(self) -> Iterator[FieldViolation]:
        yield from count_violations("plan.rules", self.rules, least=1, most=RULES_MAX)
        yield from repeat_violations("plan.rules", "earmark", [rule.earmark for rule in self.rules])
        for place, rule in enumerate(self.rules):
            for name, value, least, most in (
                ("rate_numerator", rule.rate_numerator, 1, RATE_MAX),
                ("rate_denominator", rule.rate_denominator, 1, RATE_MAX),
                ("gift_days", rule.gift_days, 0, GIFT_DAYS_MAX),
                ("priority", rule.priority, 0, PRIORITY_MAX),
            ):
                yield from range_violations(f"plan.rules[{place}].{name}", value, least=least, most=most)

    def rule(self, earmark: str) -> EarmarkedRule | None:
        """The rule of an earmark."""
        return next((rule for rule in self.rules if rule.earmark == earmark), None)

    def same_as(self, other: "MigrationPlan") -> bool:
        """Whether both say the same, whatever their revisions."""
        return (self.display_name, self.currency, self.rules) == (other.display_name, other.currency, other.rules)


class EarmarkedBalance(NamedTuple):
    """One balance as BOSS has it; 0 or more. `expires_at` is exclusive, None for ever."""

    balance_id: BalanceId
    account_id: AccountId
    earmark: str
    amount_minor: int
    expires_at: datetime | None


class Loading(NamedTuple):
    """A balance that is to be loaded, with its currency."""

    balance: EarmarkedBalance
    currency: str


@dataclass(frozen=True, slots=True)
class LoadBalances:
    """Wish of BOSS: balances for a plan, each of which may be refused alone."""

    plan_id: MigrationPlanId
    balances: tuple[Loading, ...]

    def __post_init__(self) -> None:
        refuse_any(self._violations())
        for place, (balance, currency) in enumerate(self.balances):
            Money(balance.amount_minor, currency).not_negative(f"balances[{place}].amount")

    def _violations(self) -> Iterator[FieldViolation]:
        yield from count_violations("balances", self.balances, least=1, most=BALANCES_MAX)
        yield from repeat_violations("balances", "balance_id", [each.balance.balance_id for each in self.balances])
        for place, (balance, _) in enumerate(self.balances):
            if balance.expires_at is not None and balance.expires_at >= OCCURRED_BEFORE:
                yield FieldViolation(f"balances[{place}].expires_at", f"must be before the year {OCCURRED_BEFORE.year}")


class RunState(StrEnum):
    """How far a run is."""

    RUNNING = "running"
    COUNTED = "counted"
    APPLIED = "applied"
    UNDOING = "undoing"
    UNDONE = "undone"


@dataclass(frozen=True, slots=True, kw_only=True)
class MigrationRun:
    """A plan being applied to all its balances at an instant of business time; `reached` is where its rounds are.

    `done` are the balances looked at, and while it is undone those taken back. `proven` is unset until it is through.
    """

    run_id: MigrationRunId
    plan: MigrationPlan
    dry: bool
    state: RunState
    total: int
    occurred_at: datetime
    started_by: str
    done: int = 0
    reached: str = ""
    proven: bool | None = None
    undone_at: datetime | None = None
    undone_by: str = ""
    undone_because: str = ""


class Decision(NamedTuple):
    """What a balance becomes, or why it is refused; `parts` of the rate's denominator were rounded off."""

    target: Target | None
    new_minor: int = 0
    parts: int = 0
    terms: GiftTerms | None = None
    refused: str | None = None


class Item(NamedTuple):
    """What a run did with one balance. `applied` are neither refused nor of a dry run."""

    balance: EarmarkedBalance
    decision: Decision
    transaction_id: TransactionId | None = None
    applied: bool = False

    @property
    def is_gift(self) -> bool:
        """Whether it became gift credit."""
        return self.decision.target is Target.GIFT

    @property
    def undo_place(self) -> str:
        """Its place in the order of undoing: gift credit first, which takes from its own lot alone; cash may then take
        from all that is left."""
        return f"{0 if self.is_gift else 1}:{self.balance.balance_id}"


class TakenBack(NamedTuple):
    """What an undo took back of a balance, and what it could not."""

    balance_id: BalanceId
    taken_minor: int
    kept_minor: int
    transaction_id: TransactionId | None


class Line(NamedTuple):
    """A line of a run's report: what was done with a balance, and what was taken back of it."""

    item: Item
    undo: TakenBack | None


class Sum(NamedTuple):
    """What the balances of one earmark in a run come to, in minor units."""

    earmark: str
    balances: int
    refused_balances: int
    old_minor: int
    taken_over_minor: int
    dropped_minor: int
    refused_minor: int
    cash_minor: int
    gift_minor: int
    parts: int
    taken_back_minor: int = 0
    kept_minor: int = 0

    def equals(self, rule: EarmarkedRule | None) -> bool:
        """Whether old and new are the same at the rule's rate, to the last unit."""
        if self.old_minor != self.taken_over_minor + self.dropped_minor + self.refused_minor:
            return False
        if rule is None:
            return self.refused_minor == self.old_minor
        new_minor = self.cash_minor + self.gift_minor
        whole = self.taken_over_minor * rule.rate_numerator == new_minor * rule.rate_denominator + self.parts
        return whole and 0 <= self.parts <= self.balances * (rule.rate_denominator - 1)


class Loaded(NamedTuple):
    """What was loaded for one earmark of a plan."""

    balances: int
    amount_minor: int


class Booked(NamedTuple):
    """What the ledger says of one earmark of a run."""

    credited_minor: int = 0
    taken_back_minor: int = 0


def decide(
    balance: EarmarkedBalance, plan: MigrationPlan, at: datetime, calendar: Calendar, *, applied: bool
) -> Decision:
    """What becomes of a balance at an instant; `applied` says that another run took it over, or this plan's before."""
    rule = plan.rule(balance.earmark)
    if applied:
        return Decision(None, refused=Why.ALREADY_MIGRATED)
    if rule is None:
        return Decision(None, refused=Why.EARMARK_WITHOUT_RULE)
    if rule.target is Target.DROPPED:
        return Decision(Target.DROPPED)
    if balance.expires_at is not None and balance.expires_at <= at:
        return Decision(None, refused=Why.EARMARK_EXPIRED)
    new_minor, parts = divmod(balance.amount_minor * rule.rate_numerator, rule.rate_denominator)
    if new_minor > AMOUNT_MAX:
        return Decision(None, refused=Why.AMOUNT_TOO_LARGE)
    if rule.target is Target.CASH:
        return Decision(Target.CASH, new_minor, parts)
    return Decision(Target.GIFT, new_minor, parts, GiftTerms(_expiry(balance, rule, at, calendar), rule.priority))


def migration(run: MigrationRun, item: Item) -> Movement:
    """The movement that books a balance. It is no recharge: it gives no points."""
    balance, decision = item.balance, item.decision
    return Movement(
        identity=migration_identity(run.run_id, balance.balance_id),
        account_id=balance.account_id,
        kind=MovementKind.MIGRATION,
        act=Credit(Money(decision.new_minor, run.plan.currency), decision.terms),
        note=balance.earmark,
        occurred_at=run.occurred_at,
        about={"run_id": run.run_id, "balance_id": balance.balance_id},
    )


def gift_of(item: Item, moved: Moved) -> Gift:
    """The gift that a balance became, as gifts are looked at; it is called after its earmark."""
    terms = item.decision.terms
    assert terms is not None
    return Gift(
        gift_id=moved.movement.transaction_id,
        account_id=item.balance.account_id,
        lot=moved.account_version,
        granted=moved.amount,
        remaining=moved.amount,
        terms=terms,
        reason=item.balance.earmark,
        granted_at=moved.movement.occurred_at,
    )


def proves(run: MigrationRun, sums: Sequence[Sum], loaded: Mapping[str, Loaded], booked: Mapping[str, Booked]) -> bool:
    """Whether a run that is through had every balance once, old and new equal at the rates, and the ledger has what it
    says; of one undone, whether what was taken back and what was kept are all that had come in."""
    if run.state is not RunState.UNDONE:
        looked_at = {each.earmark: Loaded(each.balances, each.old_minor) for each in sums}
        if looked_at != dict(loaded) or run.done != run.total:
            return False
    if set(booked) - {each.earmark for each in sums}:
        return False
    return all(_proves(run, each, booked.get(each.earmark, Booked())) for each in sums)


def _proves(run: MigrationRun, total: Sum, booked: Booked) -> bool:
    new_minor = total.cash_minor + total.gift_minor
    if not total.equals(run.plan.rule(total.earmark)):
        return False
    if booked.credited_minor != (0 if run.dry else new_minor) or booked.taken_back_minor != total.taken_back_minor:
        return False
    return run.state is not RunState.UNDONE or total.taken_back_minor + total.kept_minor == new_minor


def _expiry(balance: EarmarkedBalance, rule: EarmarkedRule, at: datetime, calendar: Calendar) -> datetime | None:
    if balance.expires_at is not None or not rule.gift_days:
        return balance.expires_at
    return calendar.start_of(calendar.day_of(at) + timedelta(days=rule.gift_days + 1))


def migration_identity(run_id: MigrationRunId, balance_id: BalanceId) -> str:
    """What the movements of a balance in a run are named after. No id has a slash, so no two pairs have one name."""
    return f"{run_id}/{balance_id}"


def plan_not_found(plan_id: MigrationPlanId) -> MigrationPlanNotFound:
    """The answer for a plan that is not there."""
    return MigrationPlanNotFound(f"there is no plan {plan_id}", plan_id=plan_id)


def run_not_found(run_id: MigrationRunId) -> MigrationRunNotFound:
    """The answer for a run that is not there."""
    return MigrationRunNotFound(f"there is no run {run_id}", run_id=run_id)
