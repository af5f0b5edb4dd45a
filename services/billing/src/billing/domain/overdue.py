"""What is done about a bill that is not paid in time. Steps count days of the operator's calendar from its due day."""

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import NamedTuple

from chassis.calendar import Calendar

from billing.domain.bill import Bill
from billing.domain.plan import BillPlan, OverdueAction


class DueStep(NamedTuple):
    """A step of a plan for one bill; `number` counts from 1."""

    number: int
    action: OverdueAction
    due_at: datetime


class Overdue(NamedTuple):
    """What is to be done now, and when the next step is due; None when nothing is left."""

    to_do: tuple[DueStep, ...]
    next_at: datetime | None


def is_overdue(bill: Bill, calendar: Calendar, as_of: datetime) -> bool:
    """Whether the day on which the bill is due has passed."""
    return calendar.day_of(as_of) > calendar.day_of(bill.due_at)


def steps_of(bill: Bill, plan: BillPlan, calendar: Calendar) -> Iterator[DueStep]:
    """The plan's steps for a bill, each at the beginning of its day."""
    due_day = calendar.day_of(bill.due_at)
    for number, step in enumerate(plan.overdue_steps, 1):
        yield DueStep(number, step.action, calendar.start_of(due_day + timedelta(days=step.days_after_due)))


def first_step_at(bill: Bill, plan: BillPlan, calendar: Calendar) -> datetime | None:
    """When the first step is due; None for a plan that does nothing."""
    return next((step.due_at for step in steps_of(bill, plan, calendar)), None)


def overdue_now(
    bill: Bill, plan: BillPlan, calendar: Calendar, *, done: Mapping[OverdueAction, int], as_of: datetime
) -> Overdue:
    """Each step is done once, and what was missed is not made up for: of several of one kind the latest that is due is
    done. `done` says which number of each kind was done last."""
    left = [step for step in steps_of(bill, plan, calendar) if step.number > done.get(step.action, 0)]
    due = {step.action: step for step in left if step.due_at <= as_of}
    to_do = tuple(sorted(due.values(), key=lambda step: step.number))
    return Overdue(to_do, next((step.due_at for step in left if step.due_at > as_of), None))
