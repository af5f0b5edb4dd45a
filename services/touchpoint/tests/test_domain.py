"""The rules, each against a model that is too plain to be wrong."""

from datetime import datetime, timedelta
from itertools import pairwise

import pytest
from chassis.errors import InvalidArgument
from hypothesis import given
from hypothesis import strategies as st
from touchpoint.domain.contact import Contact, Meeting, Outcome, contact_from
from touchpoint.domain.delivery import (
    STANDARD_SCHEDULE_SECONDS,
    Answer,
    DeliveryState,
    RetrySchedule,
    answer_of,
)
from touchpoint.domain.identity import CampaignId, ContactId, CustomerId, TouchpointCode
from touchpoint.domain.opportunity import OfferContent, Opportunity
from touchpoint.domain.policy import ContactPolicy
from touchpoint.domain.situation import SilenceReason, Situation
from touchpoint.domain.touchpoint import Touchpoint, TouchpointClass
from touchpoint.registry import ready_made_touchpoints

from services.touchpoint.tests.factories import APP, DAY, HALL, HOUR, T0, an_opportunity

# Few distinct hours, so that equal times and the very ends of windows are met often.
moments = st.integers(0, 24 * 7).map(lambda hours: T0 + hours * HOUR)
policies = st.builds(
    ContactPolicy, contacts_max=st.integers(1, 4), window_days=st.integers(1, 3), cool_off_days=st.integers(0, 3)
)


def fullest_window(times: list[datetime], window: timedelta) -> int:
    """The most contacts in any half-open window, found by trying one from every hour there is."""
    starts = [T0 + hour * HOUR for hour in range(-24 * 4, 24 * 8)]
    return max(sum(start <= time < start + window for time in times) for start in starts)


def a_meeting(at: datetime = T0, offers_max: int = 1, touchpoint: TouchpointCode = APP) -> Meeting:
    return Meeting(CustomerId("ann"), touchpoint, "popup", offers_max, at)


@given(st.lists(moments, max_size=30), policies)
def test_no_window_ever_holds_more_than_the_cap_in_whatever_order_contacts_come(
    wanted: list[datetime], policy: ContactPolicy
) -> None:
    made: list[datetime] = []
    for at in wanted:
        if policy.room(made, at):
            made.append(at)
        else:
            assert fullest_window([*made, at], policy.window) > policy.contacts_max, "refused though it would fit"
        assert fullest_window(made, policy.window) <= policy.contacts_max


@given(st.lists(moments, max_size=12), policies, moments)
def test_room_is_exactly_what_fits_at_one_instant(times: list[datetime], policy: ContactPolicy, at: datetime) -> None:
    room = policy.room(times, at)
    around = [time for time in times if at - policy.window < time < at + policy.window]
    starts = windows_with(at, policy.window)
    fullest = max(sum(start <= time < start + policy.window for time in around) for start in starts)
    assert room == max(0, policy.contacts_max - fullest)


def windows_with(at: datetime, window: timedelta) -> list[datetime]:
    """Starts of the windows that hold `at`, hour by hour."""
    return [at - hours * HOUR for hours in range(int(window / HOUR))]


def test_a_contact_a_whole_window_later_is_in_another_window() -> None:
    policy = ContactPolicy(contacts_max=1, window_days=30)
    assert policy.room([T0], T0 + 30 * DAY) == 1
    assert policy.room([T0], T0 + 30 * DAY - timedelta(microseconds=1)) == 0
    assert policy.room([T0], T0 - 30 * DAY) == 1
    assert policy.room([T0], T0 - 30 * DAY + timedelta(microseconds=1)) == 0


opportunities = st.builds(
    lambda priority, value, start, length, campaign, places: an_opportunity(
        priority=priority,
        offer=OfferContent("offer", "t", "b", value),
        occurred_at=T0 + start * HOUR,
        expires_at=T0 + (start + length) * HOUR,
        campaign_id=CampaignId(campaign),
        touchpoints=places,
    ),
    st.integers(0, 2),
    st.integers(0, 2),
    st.integers(0, 48),
    st.integers(1, 48),
    st.sampled_from(["welcome", "lapsed"]),
    st.sampled_from([(APP,), (HALL,), (APP, HALL)]),
)


@given(
    st.lists(opportunities, max_size=8),
    st.lists(moments, max_size=6),
    st.lists(moments, max_size=3),
    policies,
    st.builds(a_meeting, moments, st.integers(1, 5), st.sampled_from([APP, HALL])),
)
def test_a_choice_takes_only_what_may_be_shown_and_says_why_it_takes_nothing(
    waiting: list[Opportunity], times: list[datetime], refusals: list[datetime], policy: ContactPolicy, meeting: Meeting
) -> None:
    at = meeting.occurred_at
    situation = Situation(list(waiting), list(times), {CampaignId("welcome"): refusals})
    choice = situation.choose(meeting, policy)
    resting = any(refused <= at < refused + policy.cool_off for refused in refusals)
    there = [one for one in waiting if one.occurred_at <= at < one.expires_at and meeting.touchpoint in one.touchpoints]
    ready = [one for one in there if one.campaign_id != "welcome" or not resting]
    assert len(choice.taken) == min(meeting.offers_max, len(ready), policy.room(times, at))
    assert set(choice.taken) <= set(ready)
    assert all(one.rank < next_one.rank for one, next_one in pairwise(choice.taken))
    left = [one for one in ready if one not in choice.taken]
    assert all(one.rank < other.rank for one in choice.taken for other in left), "a better one was left"
    expected = (
        SilenceReason.NOTHING_WAITS
        if not there
        else SilenceReason.COOLING_OFF
        if not ready
        else None
        if choice.taken
        else SilenceReason.CAP_REACHED
    )
    assert choice.silence is expected
    situation.take(choice, at)
    assert set(situation.choose(meeting, policy).taken).isdisjoint(choice.taken)


def test_the_best_is_the_most_urgent_then_the_most_valuable_then_the_oldest() -> None:
    def one(priority: int, value: int, hour: int) -> Opportunity:
        return an_opportunity(priority=priority, offer=OfferContent("o", "t", "b", value), occurred_at=T0 + hour * HOUR)

    ordered = [one(2, 1, 9), one(1, 9, 9), one(1, 8, 1), one(1, 8, 2), one(0, 99, 0)]
    choice = Situation(ordered[::-1]).choose(a_meeting(T0 + 10 * HOUR, 5), ContactPolicy())
    assert list(choice.taken) == ordered


def a_contact() -> Contact:
    return contact_from(an_opportunity(), ContactId("contact"), meeting=a_meeting())


@given(st.lists(st.tuples(st.sampled_from(Outcome), moments), min_size=1, max_size=8))
def test_the_last_outcome_in_business_time_counts(told: list[tuple[Outcome, datetime]]) -> None:
    contact = a_contact()
    for outcome, at in told:
        contact = contact.with_outcome(outcome, at)
    latest = max(at for _, at in told)
    assert contact.outcome_at == latest
    assert contact.outcome is [outcome for outcome, at in told if at == latest][-1]


def test_an_outcome_cannot_precede_its_contact() -> None:
    with pytest.raises(InvalidArgument, match="occurred_at"):
        a_contact().with_outcome(Outcome.ACCEPTED, T0 - timedelta(microseconds=1))


def test_an_opportunity_ends_after_it_begins() -> None:
    with pytest.raises(InvalidArgument, match="expires_at"):
        an_opportunity(expires_at=T0)


def test_every_answer_but_2xx_is_a_failure_and_a_redirect_is_not_followed() -> None:
    assert all(answer_of(status, 1).accepted for status in range(200, 300))
    assert not any(answer_of(status, 1).accepted for status in (*range(100, 200), *range(300, 600)))
    assert "redirect" in answer_of(302, 1).error
    assert [status for status in range(400, 500) if answer_of(status, 1).gone] == [410]


def test_a_delivery_is_tried_as_often_as_the_schedule_says_and_then_given_up() -> None:
    schedule, failed = RetrySchedule(), answer_of(500, 1)
    waits = []
    for attempt in range(1, 11):
        verdict = schedule.judge(failed, attempt, spread=0)
        waits.append(verdict.wait)
    assert waits == [*(timedelta(seconds=delay) for delay in STANDARD_SCHEDULE_SECONDS[1:]), None]
    assert schedule.judge(failed, 10, spread=0).state is DeliveryState.EXHAUSTED
    assert schedule.judge(answer_of(204, 1), 10, spread=0).state is DeliveryState.DELIVERED
    assert STANDARD_SCHEDULE_SECONDS == (0, 5, 300, 1800, 7200, 18000, 36000, 50400, 72000, 86400)


@given(st.integers(1, 9), st.floats(-1, 1))
def test_jitter_moves_a_delay_by_a_fifth_at_most(attempts: int, spread: float) -> None:
    wait = RetrySchedule().judge(Answer(0, "no answer", 1), attempts, spread=spread).wait
    assert wait is not None
    assert 0.8 <= wait.total_seconds() / STANDARD_SCHEDULE_SECONDS[attempts] <= 1.2


def test_the_ready_made_touchpoints_are_the_catalogues_completed_by_three() -> None:
    touchpoints = ready_made_touchpoints()
    assert [one.code for one in touchpoints] == [f"TP{number:02}" for number in range(1, 20)]
    assert [one.touchpoint_id for one in touchpoints[16:]] == ["email", "agent_shop", "network_prompt"]
    assert len({one.touchpoint_id for one in touchpoints}) == 19
    assert {one.touchpoint_class for one in touchpoints} == set(TouchpointClass)
    reached = {one.code for one in touchpoints if one.outbound}
    assert {"TP03", "TP04", "TP09", "TP10", "TP13", "TP14", "TP15", "TP16", "TP17", "TP19"} == reached


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"touchpoint_id": "Mobile App"}, "touchpoint.touchpoint_id"),
        ({"touchpoint_id": ""}, "touchpoint.touchpoint_id"),
        ({"name_en": ""}, "touchpoint.name_en"),
        ({"name_zh": "坏\x00"}, "touchpoint.name_zh"),
        ({"inbound": False, "outbound": False}, "touchpoint.inbound"),
        ({"delivery_ways": ()}, "touchpoint.delivery_ways"),
        ({"delivery_ways": ("popup", "popup")}, "touchpoint.delivery_ways"),
        ({"delivery_ways": ("pop up",), "preferred_way": "pop up"}, "touchpoint.delivery_ways"),
        ({"preferred_way": "fax"}, "touchpoint.preferred_way"),
    ],
)
def test_a_touchpoint_that_could_not_be_addressed_is_refused(change: dict[str, object], field: str) -> None:
    good: dict[str, object] = {
        "code": TouchpointCode("TP50"),
        "touchpoint_id": "smart_watch",
        "touchpoint_class": TouchpointClass.SCENE,
        "name_en": "Smart watch",
        "name_zh": "智能手表",
        "inbound": True,
        "outbound": False,
        "delivery_ways": ("popup",),
        "preferred_way": "popup",
    }
    Touchpoint(**good)  # type: ignore[arg-type]
    with pytest.raises(InvalidArgument) as refused:
        Touchpoint(**good | change)  # type: ignore[arg-type]
    assert field in [violation.field for violation in refused.value.violations]


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ((0, 30, 0), "policy.contacts_max"),
        ((-1, 30, 0), "policy.contacts_max"),
        ((1001, 30, 0), "policy.contacts_max"),
        ((15, 0, 0), "policy.window_days"),
        ((15, 367, 0), "policy.window_days"),
        ((15, 30, -1), "policy.cool_off_days"),
        ((15, 30, 367), "policy.cool_off_days"),
    ],
)
def test_a_policy_out_of_bounds_is_refused(values: tuple[int, int, int], field: str) -> None:
    with pytest.raises(InvalidArgument) as refused:
        ContactPolicy(*values)
    assert [violation.field for violation in refused.value.violations] == [field]
