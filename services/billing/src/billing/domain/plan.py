"""Bill plans: below which balance a bill is issued, up to which balance it asks, and until when."""

from dataclasses import dataclass

from chassis.errors import FieldViolation, InvalidArgument, NotFound, Refusal
from chassis.money import Money

from billing.domain.account import Account, OpenAccount
from billing.domain.ids import PlanId

DUE_DAYS_MAX = 3650


class PlanNotFound(NotFound):
    """No bill plan has this identifier."""


class PlanCurrencyFixed(Refusal):
    """A plan keeps its currency: accounts of that currency may hang on it."""


class PlanCurrencyDiffers(Refusal):
    """An account takes only a plan in its own currency."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BillPlan:
    """When and how much to bill. `revision` rises with every change; 0 is a plan not yet stored."""

    plan_id: PlanId
    display_name: str
    threshold: Money
    target_balance: Money
    due_days: int
    revision: int = 0

    def __post_init__(self) -> None:
        self.threshold.not_negative("plan.threshold")
        self.target_balance.not_negative("plan.target_balance")
        found = []
        if self.target_balance.currency != self.threshold.currency:
            found.append(FieldViolation("plan.target_balance.currency", "must be that of the threshold"))
        if self.target_balance.minor_units < self.threshold.minor_units:
            found.append(FieldViolation("plan.target_balance.minor_units", "must be at least the threshold"))
        if not 0 <= self.due_days <= DUE_DAYS_MAX:
            found.append(FieldViolation("plan.due_days", f"must be 0 to {DUE_DAYS_MAX}"))
        if found:
            raise InvalidArgument.many(found)

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


def plan_not_found(plan_id: PlanId) -> PlanNotFound:
    """The answer for a plan that is not there."""
    return PlanNotFound(f"there is no bill plan {plan_id}", plan_id=plan_id)
