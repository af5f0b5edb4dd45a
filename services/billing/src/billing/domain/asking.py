"""What a bill asks for, when it may be issued, and until when it is to be paid. Pure, and in days of the calendar."""

from datetime import UTC, date, datetime, timedelta
from typing import NamedTuple, assert_never

from chassis.calendar import Calendar, Span, add_months

from billing.domain.plan import AmountKind, BillCycle, BillPlan

ASK_AGAIN_AFTER = timedelta(hours=1)
"""A crossing that payments on their way seem to cover is looked at again after this."""


class Gap(NamedTuple):
    """How an account stands when it is asked: what came and what is about to come, in minor units.

    `on_its_way` is what pending payments and open bills will bring; `cycles` the sum of one cycle of its subscriptions.
    """

    come_back_to: int
    measure: int
    balance: int
    on_its_way: int
    cycles: int = 0

    @property
    def need(self) -> int:
        """What is missing up to the threshold to come back to; 0 or less when enough is on its way."""
        return self.come_back_to - self.measure - self.on_its_way


def to_ask(plan: BillPlan, gap: Gap) -> int:
    """What the plan asks for, in minor units: never less than the whole gap, and nothing where there is none."""
    need = gap.need
    if need <= 0:
        return 0
    match plan.amount_kind:
        case AmountKind.TARGET_BALANCE:
            return max(plan.target_balance.minor_units - gap.balance - gap.on_its_way, need)
        case AmountKind.FIXED:
            assert plan.fixed_amount is not None
            sum_minor = plan.fixed_amount.minor_units
            return -(-need // sum_minor) * sum_minor
        case AmountKind.RECURRING_CYCLES:
            return max(plan.recurring_cycles * gap.cycles, need)
        case AmountKind.SHORTFALL:
            return need
        case _:
            assert_never(plan.amount_kind)


def to_add(plan: BillPlan, gap: Gap) -> int:
    """What a supplement may ask for at most: what the plan would ask for now, less what is asked or on its way."""
    return max(to_ask(plan, gap._replace(on_its_way=0)) - gap.on_its_way, 0)


def bill_at(plan: BillPlan, calendar: Calendar, *, crossed_at: datetime, last_issued_at: datetime | None) -> datetime:
    """When a crossing is billed: at once, or where the account had its bill of this day or month, with the next."""
    if plan.cycle is BillCycle.IMMEDIATE or last_issued_at is None:
        return crossed_at
    window = billing_window(plan, calendar, max(crossed_at, last_issued_at))
    return window.end if last_issued_at >= window.start else crossed_at


def billing_window(plan: BillPlan, calendar: Calendar, instant: datetime) -> Span:
    """The day, or the month between two anchor days, in which one original may be issued."""
    day = calendar.day_of(instant)
    if plan.cycle is BillCycle.DAILY:
        return Span(calendar.start_of(day), calendar.start_of(day + timedelta(days=1)))
    first = _anchor(day, plan.anchor_day, 0)
    if day < first:
        first, following = _anchor(day, plan.anchor_day, -1), first
    else:
        following = _anchor(day, plan.anchor_day, 1)
    return Span(calendar.start_of(first), calendar.start_of(following))


def due_at(calendar: Calendar, issued_at: datetime, due_days: int) -> datetime:
    """So many days later by the operator's calendar, at the same time of its day."""
    local = issued_at.astimezone(calendar.zone)
    return (local.replace(tzinfo=None) + timedelta(days=due_days)).replace(tzinfo=calendar.zone).astimezone(UTC)


def _anchor(day: date, anchor_day: int, months: int) -> date:
    """The anchor day so many months from the day's, the month's last where it is shorter."""
    first = add_months(day.replace(day=1), months)
    return min(first + timedelta(days=anchor_day - 1), add_months(first, 1) - timedelta(days=1))
