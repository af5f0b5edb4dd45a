"""Bill plans: below which measure a bill is issued, how often at most, what it asks for, until when, and what then.

A plan is kept in versions. The one that acts is the greatest revision whose `effective_from` has come at a business
time; a revision without one acts on everything booked after it was put.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from chassis.errors import FieldViolation, NotFound, Refusal
from chassis.money import Money
from chassis.violations import count_violations, range_violations, refuse_any

from billing.domain.account import Account, OpenAccount
from billing.domain.ids import PlanId

DUE_DAYS_MAX = 3650
STEPS_MAX = 10
WINDOW_DAYS = 30
_REMINDED_BEFORE_DAYS_MAX = 365
_CYCLES_MAX = 12
_ANCHOR_DAY_MAX = 31
_SPEND_DAYS_MAX = 365


class PlanNotFound(NotFound):
    """No bill plan has this identifier."""


class PlanCurrencyFixed(Refusal):
    """A plan keeps its currency: accounts of that currency may hang on it."""


class PlanCurrencyDiffers(Refusal):
    """An account takes only a plan in its own currency."""


class BillCycle(StrEnum):
    """How often an account is billed at most."""

    IMMEDIATE = "immediate"
    DAILY = "daily"
    MONTHLY = "monthly"


class AmountKind(StrEnum):
    """What a bill asks for; the whole gap in any case."""

    TARGET_BALANCE = "target_balance"
    FIXED = "fixed"
    RECURRING_CYCLES = "recurring_cycles"
    SHORTFALL = "shortfall"


class OverdueAction(StrEnum):
    """What is done about a bill that is not paid in time."""

    REMIND = "remind"
    SUSPEND = "suspend"


class OverdueStep(NamedTuple):
    """One step, so many days of the operator's calendar after the due day; a reminder may come before it."""

    days_after_due: int
    action: OverdueAction


class SpendThreshold(NamedTuple):
    """A threshold of so many days of average spend, over so many whole days before today, within bounds."""

    days: int
    window_days: int
    minimum: Money
    maximum: Money | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BillPlan:
    """One version of a plan. `revision` rises with every change; 0 is a plan not yet stored."""

    plan_id: PlanId
    display_name: str
    threshold: Money
    target_balance: Money
    due_days: int
    revision: int = 0
    spend: SpendThreshold | None = None
    cycle: BillCycle = BillCycle.IMMEDIATE
    anchor_day: int = 1
    amount_kind: AmountKind = AmountKind.TARGET_BALANCE
    fixed_amount: Money | None = None
    recurring_cycles: int = 0
    overdue_steps: tuple[OverdueStep, ...] = ()
    effective_from: datetime | None = None

    def __post_init__(self) -> None:
        self.threshold.not_negative("plan.threshold")
        self.target_balance.not_negative("plan.target_balance")
        refuse_any(
            [
                *_money_violations(self),
                *range_violations("plan.due_days", self.due_days, least=0, most=DUE_DAYS_MAX),
                *range_violations("plan.anchor_day", self.anchor_day, least=1, most=_ANCHOR_DAY_MAX),
                *_amount_violations(self),
                *_spend_violations(self),
                *_step_violations(self.overdue_steps),
            ]
        )

    @property
    def currency(self) -> str:
        """Currency of the plan and of every account on it."""
        return self.threshold.currency

    def check_suits(self, account: Account | OpenAccount) -> None:
        """Refuses PlanCurrencyDiffers for an account kept in another currency."""
        if account.currency != self.currency:
            raise PlanCurrencyDiffers(
                f"plan {self.plan_id} is in {self.currency}, the account in {account.currency}",
                plan_id=self.plan_id,
                currency=self.currency,
            )

    def threshold_minor(self, account: Account) -> int:
        """The threshold for this account: by its spend where the plan says so and it is known, else the plan's."""
        if self.spend is not None and account.day_threshold is not None:
            return account.day_threshold.threshold_minor
        return self.threshold.minor_units

    def acts_at(self, instant: datetime) -> bool:
        """Whether this version has come into force."""
        return self.effective_from is None or self.effective_from <= instant


Plans = Mapping[PlanId, Sequence[BillPlan]]
"""Versions of plans, each plan's newest first."""


def plan_at(plans: Plans, plan_id: PlanId | None, instant: datetime) -> BillPlan | None:
    """The version of an account's plan that acts at a business time; None without a plan, or before its first."""
    versions = plans.get(plan_id, ()) if plan_id is not None else ()
    return next((version for version in versions if version.acts_at(instant)), None)


def plan_not_found(plan_id: PlanId) -> PlanNotFound:
    """The answer for a plan that is not there."""
    return PlanNotFound(f"there is no bill plan {plan_id}", plan_id=plan_id)


def _money_violations(plan: BillPlan) -> Iterator[FieldViolation]:
    if plan.target_balance.currency != plan.currency:
        yield FieldViolation("plan.target_balance.currency", "must be that of the threshold")
    if plan.target_balance.minor_units < plan.threshold.minor_units:
        yield FieldViolation("plan.target_balance.minor_units", "must be at least the threshold")


def _amount_violations(plan: BillPlan) -> Iterator[FieldViolation]:
    if (plan.fixed_amount is not None) != (plan.amount_kind is AmountKind.FIXED):
        yield FieldViolation("plan.fixed_amount", "belongs to a plan that asks for a fixed sum, and to no other")
    if plan.fixed_amount is not None:
        plan.fixed_amount.positive("plan.fixed_amount")
        if plan.fixed_amount.currency != plan.currency:
            yield FieldViolation("plan.fixed_amount.currency", "must be that of the threshold")
    counted = plan.amount_kind is AmountKind.RECURRING_CYCLES
    most = _CYCLES_MAX if counted else 0
    yield from range_violations("plan.recurring_cycles", plan.recurring_cycles, least=int(counted), most=most)


def _spend_violations(plan: BillPlan) -> Iterator[FieldViolation]:
    if plan.spend is None:
        return
    field = "plan.spend_threshold"
    yield from range_violations(f"{field}.days", plan.spend.days, least=1, most=_SPEND_DAYS_MAX)
    yield from range_violations(f"{field}.window_days", plan.spend.window_days, least=1, most=_SPEND_DAYS_MAX)
    for name, bound in (("minimum", plan.spend.minimum), ("maximum", plan.spend.maximum)):
        if bound is not None:
            bound.not_negative(f"{field}.{name}")
            if bound.currency != plan.currency:
                yield FieldViolation(f"{field}.{name}.currency", "must be that of the threshold")
    if plan.spend.maximum is not None and plan.spend.maximum.minor_units < plan.spend.minimum.minor_units:
        yield FieldViolation(f"{field}.maximum.minor_units", "must be at least the minimum")


def _step_violations(steps: Sequence[OverdueStep]) -> Iterator[FieldViolation]:
    yield from count_violations("plan.overdue_steps", steps, most=STEPS_MAX)
    for place, step in enumerate(steps):
        field = f"plan.overdue_steps[{place}].days_after_due"
        least = 0 if step.action is OverdueAction.SUSPEND else -_REMINDED_BEFORE_DAYS_MAX
        yield from range_violations(field, step.days_after_due, least=least, most=DUE_DAYS_MAX)
        if place and step.days_after_due <= steps[place - 1].days_after_due:
            yield FieldViolation(field, "must be later than that of the step before")
