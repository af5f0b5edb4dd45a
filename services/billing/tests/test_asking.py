"""What bills ask for, when they may be issued and when they are due: worked examples, and odd days of the calendar."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from billing.domain.asking import Gap, bill_at, billing_window, due_at, to_add, to_ask
from billing.domain.overdue import is_overdue, overdue_now
from billing.domain.plan import AmountKind, BillCycle, BillPlan, OverdueAction, OverdueStep
from chassis.calendar import Calendar
from hypothesis import given
from hypothesis import strategies as st

from services.billing.tests.factories import a_bill, cny, plan_with

SHANGHAI = Calendar(ZoneInfo("Asia/Shanghai"))
BERLIN = Calendar(ZoneInfo("Europe/Berlin"))
NEW_YORK = Calendar(ZoneInfo("America/New_York"))
REMIND, SUSPEND = OverdueAction.REMIND, OverdueAction.SUSPEND

TARGET = plan_with()
FIXED = plan_with(amount_kind=AmountKind.FIXED, fixed_amount=cny(30_00))
CYCLES = plan_with(amount_kind=AmountKind.RECURRING_CYCLES, recurring_cycles=3)
SHORTFALL = plan_with(amount_kind=AmountKind.SHORTFALL)


@pytest.mark.parametrize(
    ("plan", "gap", "asked"),
    [
        # Threshold 50, target 100; Gap(come back to, measure, balance, on its way, cycles).
        (TARGET, Gap(50_00, 40_00, 40_00, 0), 60_00),
        (TARGET, Gap(50_00, 49_99, 49_99, 0), 50_01),
        (TARGET, Gap(50_00, 40_00, 40_00, 9_99), 50_01),
        (TARGET, Gap(50_00, 40_00, 40_00, 10_00), 0),
        (TARGET, Gap(50_00, 0, 0, 0), 100_00),
        (TARGET, Gap(50_00, 20_00, -80_00, 0), 180_00),
        (TARGET, Gap(180_00, 60_00, 60_00, 0), 120_00),
        (TARGET, Gap(180_00, 60_00, 60_00, 120_00), 0),
        (FIXED, Gap(50_00, 40_00, 40_00, 0), 30_00),
        (FIXED, Gap(50_00, 20_00, 20_00, 0), 30_00),
        (FIXED, Gap(50_00, 19_99, 19_99, 0), 60_00),
        (FIXED, Gap(50_00, 0, 0, 25_00), 30_00),
        (FIXED, Gap(50_00, 0, 0, 50_00), 0),
        (CYCLES, Gap(50_00, 40_00, 40_00, 0, 12_00), 36_00),
        (CYCLES, Gap(50_00, 0, 0, 0, 12_00), 50_00),
        (CYCLES, Gap(50_00, 0, 0, 0), 50_00),
        (CYCLES, Gap(50_00, 40_00, 40_00, 10_00, 12_00), 0),
        (SHORTFALL, Gap(50_00, 40_00, 40_00, 0), 10_00),
        (SHORTFALL, Gap(50_00, 40_00, 40_00, 9_99), 1),
        (SHORTFALL, Gap(50_00, 40_00, 40_00, 10_00), 0),
        (SHORTFALL, Gap(50_00, 20_00, -80_00, 0), 30_00),
    ],
)
def test_what_a_bill_asks_for(plan: BillPlan, gap: Gap, asked: int) -> None:
    assert to_ask(plan, gap) == asked


amounts = st.integers(-(10**9), 10**9)


@given(st.sampled_from([TARGET, FIXED, CYCLES, SHORTFALL]), amounts, amounts, st.integers(0, 10**9))
def test_one_bill_closes_the_whole_gap(plan: BillPlan, threshold: int, measure: int, on_its_way: int) -> None:
    gap = Gap(threshold, measure, measure, on_its_way, 7_00)
    asked = to_ask(plan, gap)

    assert asked >= 0
    assert (asked == 0) == (measure + on_its_way >= threshold)
    assert not asked or measure + on_its_way + asked >= threshold
    assert to_add(plan, gap._replace(on_its_way=on_its_way + asked)) >= 0


def test_a_supplement_asks_for_what_is_not_asked_for_yet() -> None:
    assert to_add(TARGET, Gap(50_00, 15_00, 15_00, 60_00)) == 25_00
    assert to_add(TARGET, Gap(50_00, 15_00, 15_00, 85_00)) == 0
    assert to_add(FIXED, Gap(50_00, 15_00, 15_00, 30_00)) == 30_00
    assert to_add(SHORTFALL, Gap(50_00, 15_00, 15_00, 10_00)) == 25_00


def local(calendar: Calendar, *when: int) -> datetime:
    """An instant by the operator's clock."""
    year, month, day, *time = when
    hour, minute = [*time, 0, 0][:2]
    return datetime(year, month, day, hour, minute, tzinfo=calendar.zone).astimezone(UTC)


@pytest.mark.parametrize(
    ("anchor_day", "day", "first", "following"),
    [
        (1, date(2026, 3, 1), date(2026, 3, 1), date(2026, 4, 1)),
        (1, date(2026, 3, 31), date(2026, 3, 1), date(2026, 4, 1)),
        (15, date(2026, 3, 14), date(2026, 2, 15), date(2026, 3, 15)),
        (15, date(2026, 3, 15), date(2026, 3, 15), date(2026, 4, 15)),
        (31, date(2026, 2, 27), date(2026, 1, 31), date(2026, 2, 28)),
        (31, date(2026, 2, 28), date(2026, 2, 28), date(2026, 3, 31)),
        (31, date(2026, 3, 30), date(2026, 2, 28), date(2026, 3, 31)),
        (31, date(2026, 4, 30), date(2026, 4, 30), date(2026, 5, 31)),
        (29, date(2028, 2, 28), date(2028, 1, 29), date(2028, 2, 29)),
        (29, date(2028, 2, 29), date(2028, 2, 29), date(2028, 3, 29)),
        (29, date(2027, 2, 28), date(2027, 2, 28), date(2027, 3, 29)),
        (30, date(2028, 2, 29), date(2028, 2, 29), date(2028, 3, 30)),
        (31, date(2026, 12, 31), date(2026, 12, 31), date(2027, 1, 31)),
        (31, date(2027, 1, 1), date(2026, 12, 31), date(2027, 1, 31)),
    ],
)
def test_months_are_billed_between_anchor_days(anchor_day: int, day: date, first: date, following: date) -> None:
    plan = plan_with(cycle=BillCycle.MONTHLY, anchor_day=anchor_day)
    for calendar in (SHANGHAI, BERLIN, NEW_YORK):
        window = billing_window(plan, calendar, calendar.start_of(day))
        assert (calendar.day_of(window.start), calendar.day_of(window.end)) == (first, following)


@given(st.integers(1, 31), st.dates(date(2024, 1, 1), date(2032, 12, 31)))
def test_every_day_is_in_one_window_and_windows_follow_each_other(anchor_day: int, day: date) -> None:
    plan = plan_with(cycle=BillCycle.MONTHLY, anchor_day=anchor_day)
    instant = BERLIN.start_of(day) + timedelta(hours=12)
    window = billing_window(plan, BERLIN, instant)

    assert window.start <= instant < window.end
    assert billing_window(plan, BERLIN, window.end).start == window.end
    assert billing_window(plan, BERLIN, window.end - timedelta(microseconds=1)) == window


def test_a_day_of_the_clocks_change_has_its_own_length() -> None:
    plan = plan_with(cycle=BillCycle.DAILY)
    spring = billing_window(plan, BERLIN, local(BERLIN, 2026, 3, 29, 12))
    autumn = billing_window(plan, BERLIN, local(BERLIN, 2026, 10, 25, 12))

    assert (spring.end - spring.start, autumn.end - autumn.start) == (timedelta(hours=23), timedelta(hours=25))


def test_the_second_crossing_of_a_window_waits_for_the_next() -> None:
    daily = plan_with(cycle=BillCycle.DAILY)
    morning, evening = local(SHANGHAI, 2026, 3, 1, 8), local(SHANGHAI, 2026, 3, 1, 23, 59)
    midnight = local(SHANGHAI, 2026, 3, 2)

    def billed(crossed_at: datetime, last: datetime | None) -> datetime:
        return bill_at(daily, SHANGHAI, crossed_at=crossed_at, last_issued_at=last)

    assert billed(morning, None) == morning
    assert billed(evening, morning) == midnight
    assert billed(midnight, evening) == midnight, "the next day has a bill of its own"
    assert billed(morning - timedelta(days=3), morning) == midnight, "a late charge waits as well"
    assert bill_at(TARGET, SHANGHAI, crossed_at=evening, last_issued_at=morning) == evening


@pytest.mark.parametrize(
    ("issued", "days", "due"),
    [
        ((2026, 1, 31, 10), 28, (2026, 2, 28, 10)),
        ((2028, 2, 15, 10), 14, (2028, 2, 29, 10)),
        ((2026, 3, 28, 10), 1, (2026, 3, 29, 10)),  # 23 hours
        ((2026, 10, 24, 10), 1, (2026, 10, 25, 10)),  # 25 hours
        ((2026, 3, 28, 2, 30), 1, (2026, 3, 29, 3, 30)),  # a time that the clock leaves out
        ((2026, 12, 31, 23), 1, (2027, 1, 1, 23)),
        ((2026, 3, 1, 0), 0, (2026, 3, 1, 0)),
    ],
)
def test_a_bill_is_due_by_the_calendar(issued: tuple[int, ...], days: int, due: tuple[int, ...]) -> None:
    assert due_at(BERLIN, local(BERLIN, *issued), days) == local(BERLIN, *due)


def test_a_bill_is_overdue_when_its_due_day_has_passed() -> None:
    bill = a_bill()
    end = SHANGHAI.start_of(SHANGHAI.day_of(bill.due_at) + timedelta(days=1))

    assert not is_overdue(bill, SHANGHAI, end - timedelta(microseconds=1))
    assert is_overdue(bill, SHANGHAI, end)


STEPS = (OverdueStep(-1, REMIND), OverdueStep(1, REMIND), OverdueStep(3, REMIND), OverdueStep(7, SUSPEND))
CHASED = plan_with(overdue_steps=STEPS)


@pytest.mark.parametrize(
    ("day", "done", "to_do", "next_day"),
    [
        (date(2026, 2, 27), {}, [], date(2026, 2, 28)),
        (date(2026, 2, 28), {}, [1], date(2026, 3, 2)),
        (date(2026, 3, 1), {REMIND: 1}, [], date(2026, 3, 2)),
        (date(2026, 3, 2), {REMIND: 1}, [2], date(2026, 3, 4)),
        (date(2026, 3, 4), {}, [3], date(2026, 3, 8)),
        (date(2026, 3, 8), {REMIND: 2}, [3, 4], None),
        (date(2026, 4, 1), {}, [3, 4], None),
        (date(2026, 4, 1), {REMIND: 3}, [4], None),
        (date(2026, 4, 1), {REMIND: 3, SUSPEND: 4}, [], None),
    ],
)
def test_each_step_is_done_once_and_what_was_missed_is_not_made_up_for(
    day: date, done: dict[OverdueAction, int], to_do: list[int], next_day: date | None
) -> None:
    found = overdue_now(a_bill(), CHASED, BERLIN, done=done, as_of=BERLIN.start_of(day))

    assert [step.number for step in found.to_do] == to_do
    assert found.next_at == (BERLIN.start_of(next_day) if next_day else None)


def test_steps_count_days_across_a_change_of_the_clock() -> None:
    for day, hours in ((date(2026, 3, 27), 47), (date(2026, 10, 23), 49)):
        plan = plan_with(overdue_steps=(OverdueStep(1, REMIND), OverdueStep(3, SUSPEND)))
        bill = a_bill(due_at=BERLIN.start_of(day))
        first = overdue_now(bill, plan, BERLIN, done={}, as_of=BERLIN.start_of(day)).next_at
        assert first == BERLIN.start_of(day + timedelta(days=1))
        last = overdue_now(bill, plan, BERLIN, done={}, as_of=first).next_at
        assert last is not None
        assert last - first == timedelta(hours=hours)
