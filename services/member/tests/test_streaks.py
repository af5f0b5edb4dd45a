"""The calculus of days in a row, against a plain model that looks at every day of the calendar."""

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from member.domain.progress import Book, Tally, record, standing
from member.domain.reward import PointsReward
from member.domain.streak import MAX_RUNS, Milestone, Run, SignedDays, Stretch, milestones_reached, next_milestone

from services.member.tests.engagement import sign_in_task

FIRST = date(2026, 1, 1)
numbers = st.integers(0, 40)
sets = st.sets(numbers, max_size=30)
freezes = st.integers(0, 3)


def on(number: int) -> date:
    """A day so many days after the first."""
    return FIRST + timedelta(days=number)


def signed(*days: int) -> SignedDays:
    """The set of these days, taken in this order."""
    found = SignedDays()
    for number in days:
        found = found.with_day(on(number))
    return found


def longest_stretch(days: set[int], freeze: int) -> tuple[int, int, int]:
    """Days, first day and missed days of the longest stretch to the last day: every beginning is tried."""
    last = max(days)
    tried = [
        (len(inside), first, last - first + 1 - len(inside))
        for first in days
        if (inside := [day for day in days if day >= first]) and last - first + 1 - len(inside) <= freeze
    ]
    return max(tried)


@given(days=st.permutations(range(12)).flatmap(lambda order: st.integers(1, 12).map(lambda most: order[:most])))
def test_the_order_in_which_days_arrive_does_not_matter(days: list[int]) -> None:
    assert signed(*days) == signed(*sorted(days))
    assert [signed(*days).holds(on(number)) for number in range(-1, 13)] == [number in days for number in range(-1, 13)]


@given(days=sets.filter(bool), freeze=freezes)
def test_a_streak_is_the_longest_stretch_that_bears_its_gaps(days: set[int], freeze: int) -> None:
    count, first, missed = longest_stretch(days, freeze)
    assert signed(*days).streak(freeze) == Stretch(count, on(first), on(max(days)), missed)


@given(days=sets.filter(bool), more=numbers, freeze=freezes)
def test_a_day_more_never_shortens_the_streak_of_a_day(days: set[int], more: int, freeze: int) -> None:
    last = max(days)
    before = signed(*days).streak(freeze)
    after = signed(*{day for day in days | {more} if day <= last}).streak(freeze)
    assert before is not None
    assert after is not None
    assert after.days >= before.days


@given(days=sets.filter(bool), today=numbers, freeze=freezes)
def test_the_streak_shown_is_the_one_that_signing_in_continues(days: set[int], today: int, freeze: int) -> None:
    days = {day for day in days if day < today}
    shown = signed(*days).streak_on(on(today), freeze)
    continued = signed(*days, today).streak(freeze)
    assert continued is not None
    assert (shown.days if shown else 0) == continued.days - 1
    if shown:
        assert (shown.since, shown.last_day) == (continued.since, on(max(days)))
        assert shown.days + shown.frozen_days == (shown.last_day - shown.since).days + 1


@given(order=st.lists(numbers, max_size=40), freeze=freezes, goal=st.integers(1, 9), repeats=st.booleans())
def test_no_day_counts_twice_for_one_milestone(order: list[int], freeze: int, goal: int, repeats: bool) -> None:
    task = sign_in_task(milestones=(Milestone(goal, PointsReward(5), repeats),), freeze_days=freeze)
    book = Book()
    awards = 0
    for number in order:
        done = record(task, book, on(number), times=1)
        awards += len(done.milestones)
    assert awards * goal <= len(set(order))
    in_order = Book()
    assert awards <= sum(len(record(task, in_order, on(day), times=1).milestones) for day in sorted(set(order)))


@given(order=st.lists(numbers, min_size=1, max_size=40), freeze=freezes, goal=st.integers(1, 9), repeats=st.booleans())
def test_what_is_promised_as_missing_is_what_is_missing(
    order: list[int], freeze: int, goal: int, repeats: bool
) -> None:
    task = sign_in_task(milestones=(Milestone(goal, PointsReward(5), repeats),), freeze_days=freeze)
    book = Book()
    for number in order:
        record(task, book, on(number), times=1)
    today = max(order) + 1
    promised = standing(task, book, on(today)).next_milestone
    taken = 0
    while not record(task, book, on(today + taken), times=1).milestones:
        taken += 1
        if taken > goal:
            assert promised is None
            return
    assert promised is not None
    assert promised[1] == taken + 1


def test_thirty_days_a_miss_ten_days_and_another_miss_leave_ten() -> None:
    days = [*range(30), *range(31, 41), 42]
    assert signed(*days).streak(1) == Stretch(11, on(31), on(42), 1)
    assert signed(*days).streak(0) == Stretch(1, on(42), on(42), 0)
    assert signed(*days).streak(2) == Stretch(41, on(0), on(42), 2)


@pytest.mark.parametrize(("repeats", "reached"), [(False, [7]), (True, [7, 14, 21])])
def test_seven_days_in_a_row_give_once_or_each_time(repeats: bool, reached: list[int]) -> None:
    task = sign_in_task(milestones=(Milestone(7, PointsReward(70), repeats),))
    book = Book()
    assert [number + 1 for number in range(21) if record(task, book, on(number), times=1).milestones] == reached


def test_a_broken_streak_earns_its_milestones_anew() -> None:
    task = sign_in_task(milestones=(Milestone(3, PointsReward(70)), Milestone(5, PointsReward(90))))
    book = Book()
    reached = {
        number: [milestone.days for milestone in done.milestones]
        for number in [0, 1, 2, 3, 10, 11, 12, 13, 14]
        if (done := record(task, book, on(number), times=1)).milestones
    }
    assert reached == {2: [3], 12: [3], 14: [5]}


def test_a_late_day_joins_two_runs_and_earns_what_they_make_together() -> None:
    task = sign_in_task(milestones=(Milestone(7, PointsReward(70)),))
    book = Book()
    for number in [0, 1, 2, 4, 5, 6]:
        assert record(task, book, on(number), times=1).milestones == ()
    assert [milestone.days for milestone in record(task, book, on(3), times=1).milestones] == [7]
    assert record(task, book, on(7), times=1).milestones == ()


def test_a_second_sign_in_of_a_day_counts_for_nothing() -> None:
    task = sign_in_task(milestones=(Milestone(1, PointsReward(70), repeats=True),))
    book = Book()
    assert not record(task, book, on(0), times=1).already_done
    again = record(task, book, on(0), times=1)
    assert (again.already_done, again.milestones, book.days) == (True, (), {on(0): Tally(1, 1)})


def test_only_so_many_runs_are_kept() -> None:
    many = signed(*range(0, 2 * MAX_RUNS + 10, 2))
    assert len(many.runs) == MAX_RUNS
    assert many.runs[-1] == Run(on(2 * MAX_RUNS + 8), on(2 * MAX_RUNS + 8))


def test_the_milestone_reached_soonest_is_shown() -> None:
    milestones = (Milestone(3, PointsReward(1)), Milestone(7, PointsReward(2)))
    five = signed(*range(5))
    assert milestones_reached(milestones, five, {3: on(2)}, freeze_days=0) == []
    assert next_milestone(milestones, five, {3: on(2)}, stretch=five.streak(0)) == (milestones[1], 2)
    assert next_milestone(milestones, five, {}, stretch=None) == (milestones[0], 3)
    assert next_milestone((), five, {}, stretch=five.streak(0)) is None
