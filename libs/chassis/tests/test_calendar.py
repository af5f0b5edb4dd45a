"""The operator's days, months and years."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from chassis.calendar import Calendar, Period, add_months, anniversary
from hypothesis import given
from hypothesis import strategies as st

SHANGHAI = Calendar(ZoneInfo("Asia/Shanghai"))
BERLIN = Calendar(ZoneInfo("Europe/Berlin"))
INSTANTS = st.datetimes(timezones=st.just(UTC)).filter(lambda each: 1971 <= each.year < 9800)


def test_a_day_begins_at_the_operators_midnight() -> None:
    assert SHANGHAI.start_of(date(2026, 3, 1)) == datetime(2026, 2, 28, 16, tzinfo=UTC)
    assert SHANGHAI.day_of(datetime(2026, 2, 28, 16, tzinfo=UTC)) == date(2026, 3, 1)
    assert SHANGHAI.day_of(datetime(2026, 2, 28, 15, 59, 59, tzinfo=UTC)) == date(2026, 2, 28)


@pytest.mark.parametrize(
    ("day", "hours"), [(date(2026, 3, 29), 23), (date(2026, 10, 25), 25), (date(2026, 6, 1), 24)], ids=str
)
def test_a_day_has_as_many_hours_as_the_clock_gives_it(day: date, hours: int) -> None:
    start, end = BERLIN.span(Period.DAY, BERLIN.start_of(day) + timedelta(hours=12))
    assert end - start == timedelta(hours=hours)


@pytest.mark.parametrize(
    ("period", "first", "following"),
    [
        (Period.DAY, date(2024, 2, 29), date(2024, 3, 1)),
        (Period.WEEK, date(2024, 2, 26), date(2024, 3, 4)),
        (Period.MONTH, date(2024, 2, 1), date(2024, 3, 1)),
        (Period.QUARTER, date(2024, 1, 1), date(2024, 4, 1)),
        (Period.YEAR, date(2024, 1, 1), date(2025, 1, 1)),
    ],
)
def test_a_leap_day_lies_in_its_periods(period: Period, first: date, following: date) -> None:
    span = SHANGHAI.span(period, SHANGHAI.start_of(date(2024, 2, 29)))
    assert span == (SHANGHAI.start_of(first), SHANGHAI.start_of(following))


@given(st.sampled_from(list(Period)), INSTANTS)
def test_an_instant_lies_in_its_span_and_spans_touch(period: Period, instant: datetime) -> None:
    start, end = BERLIN.span(period, instant)
    assert start <= instant < end
    if period is not Period.EVER:
        assert BERLIN.span(period, end).start == end
        assert BERLIN.span(period, start - timedelta(microseconds=1)).end == start


def test_a_month_that_is_too_short_ends_on_its_last_day() -> None:
    assert add_months(date(2026, 1, 31), 1) == date(2026, 2, 28)
    assert add_months(date(2026, 12, 31), 2) == date(2027, 2, 28)
    assert add_months(date(2026, 3, 31), -1) == date(2026, 2, 28)


def test_a_leap_days_anniversary_is_kept_on_the_28th_in_common_years() -> None:
    assert anniversary(date(2024, 2, 29), 2026) == date(2026, 2, 28)
    assert anniversary(date(2024, 2, 29), 2028) == date(2028, 2, 29)
