"""Tasks and activities over real gRPC: what callers see, who may call, repeats, batches, the service's own events."""

import asyncio
from datetime import datetime, timedelta
from typing import Any

import grpc
import pytest
from chassis import clock
from chassis.ids import new_id
from chassis.rpc.errors import remote_refusal
from chassis.testing.serving import Serving
from chassis.times import to_proto
from touchstone.member.v1 import activity_pb2, reward_pb2, task_pb2
from touchstone.member.v1 import activity_service_pb2 as activity_calls
from touchstone.member.v1 import task_service_pb2 as task_calls

from services.member.tests.activity_steps import ENDS, OPENS, STARTS
from services.member.tests.calls import Stubs, become_member, fields, refused
from services.member.tests.factories import JANUARY, day, reward, rewarded, scalar

FIVE = reward_pb2.Reward(points=reward_pb2.PointsReward(points=5))
WEEK = task_pb2.Milestone(days=7, reward=reward_pb2.Reward(points=reward_pb2.PointsReward(points=70)))


def task_message(task_id: str = "daily", **changes: Any) -> task_pb2.Task:
    """A daily sign-in as an operator sends it."""
    values: dict[str, Any] = {
        "title": "Sign in",
        "kind": task_pb2.TASK_KIND_SIGN_IN,
        "active_from": to_proto(JANUARY),
        "reward": FIVE,
    }
    return task_pb2.Task(task_id=task_id, **values | changes)


def put_task_request(task_id: str = "daily", **changes: Any) -> task_calls.PutTaskRequest:
    """A request that puts a task."""
    return task_calls.PutTaskRequest(request_id=new_id(), task=task_message(task_id, **changes))


def sign_in_request(at: datetime, customer_id: str = "c-1", **changes: Any) -> task_calls.SignInRequest:
    """A request that signs a member in."""
    values: dict[str, Any] = {"request_id": new_id(), "occurred_at": to_proto(at)}
    return task_calls.SignInRequest(customer_id=customer_id, **values | changes)


def record_request(task_id: str, at: datetime, **changes: Any) -> task_calls.RecordProgressRequest:
    """A request that tells what a member did."""
    values: dict[str, Any] = {"request_id": new_id(), "customer_id": "c-1", "occurred_at": to_proto(at)}
    return task_calls.RecordProgressRequest(task_id=task_id, **values | changes)


def activity_message(activity_id: str = "final", **changes: Any) -> activity_pb2.Activity:
    """An activity as an operator sends it."""
    values: dict[str, Any] = {
        "title": "The finals together",
        "place": "Hall 1",
        "starts_at": to_proto(STARTS),
        "ends_at": to_proto(ENDS),
        "registration_opens_at": to_proto(OPENS),
        "capacity": 1,
        "waiting_list_max": 5,
        "reward": FIVE,
    }
    return activity_pb2.Activity(activity_id=activity_id, **values | changes)


def put_activity_request(activity_id: str = "final", **changes: Any) -> activity_calls.PutActivityRequest:
    """A request that puts an activity."""
    return activity_calls.PutActivityRequest(
        request_id=new_id(), activity=activity_message(activity_id, **changes), occurred_at=to_proto(OPENS)
    )


def publish_request(activity_id: str = "final") -> activity_calls.PublishActivityRequest:
    """A request that publishes an activity."""
    return activity_calls.PublishActivityRequest(
        request_id=new_id(), activity_id=activity_id, occurred_at=to_proto(OPENS)
    )


def register_request(customer_id: str = "c-1", **changes: Any) -> activity_calls.RegisterForActivityRequest:
    """A request that registers a member."""
    values: dict[str, Any] = {"request_id": new_id(), "activity_id": "final", "occurred_at": to_proto(OPENS)}
    return activity_calls.RegisterForActivityRequest(customer_id=customer_id, **values | changes)


def end_request(kind: Any, registration_id: str, at: datetime, **changes: Any) -> Any:
    """A request that cancels a registration or checks a member in."""
    values = {"request_id": new_id(), "customer_id": "c-1", "occurred_at": to_proto(at)}
    return kind(registration_id=registration_id, **values | changes)


@pytest.fixture
def own(served: Serving) -> Stubs:
    """A member with a token of its own."""
    return Stubs.of(served.channel("member.read", "engagement.write", subject="app", customer_id="c-1"))


async def test_a_member_signs_in_and_sees_what_is_to_be_done(served: Serving, boss: Stubs) -> None:
    await become_member(boss)
    put = await boss.tasks.PutTask(put_task_request(milestones=[WEEK], freeze_days=1))
    assert (put.task.version, put.task.program_id, put.task.period) == (1, "general", task_pb2.TASK_PERIOD_DAY)
    request = sign_in_request(day(1))
    first = await boss.tasks.SignIn(request)
    assert await boss.tasks.SignIn(request) == first
    assert (first.already_done, first.given[0].points, bool(first.given[0].transaction_id)) == (False, 5, True)
    again = await boss.tasks.SignIn(sign_in_request(day(1) + timedelta(hours=1)))
    assert (again.already_done, len(again.given), again.standing.streak.days) == (True, 0, 1)
    assert again.standing.again_at == to_proto(day(2))
    (standing,) = (
        await boss.tasks.GetTasks(task_calls.GetTasksRequest(customer_id="c-1", as_of=to_proto(day(2))))
    ).tasks
    assert (standing.done, standing.streak.days, standing.streak.since) == (False, 1, "2026-01-02")
    assert (standing.streak.next_milestone.days, standing.streak.days_to_next_milestone) == (7, 6)
    (record,) = (await boss.tasks.ListTaskRecords(task_calls.ListTaskRecordsRequest(customer_id="c-1"))).records
    assert (record.task_id, record.day, record.task_version, record.given[0].points) == ("daily", "2026-01-02", 1, 5)


async def test_the_members_own_token_acts_for_itself_and_about_now(boss: Stubs, own: Stubs) -> None:
    await become_member(boss)
    await become_member(boss, "c-2")
    await boss.tasks.PutTask(put_task_request())
    await boss.tasks.PutTask(
        put_task_request("survey", kind=task_pb2.TASK_KIND_SURVEY, period=task_pb2.TASK_PERIOD_EVER)
    )
    assert not (await own.tasks.SignIn(sign_in_request(clock.now()))).already_done
    future = await refused(own, "SignIn", sign_in_request(clock.now() + timedelta(days=1)))
    assert fields(future) == ["occurred_at"]
    assert (await refused(own, "SignIn", sign_in_request(clock.now(), "c-2"))).reason == "NOT_YOUR_CUSTOMER"
    own_word = await refused(own, "RecordProgress", record_request("survey", clock.now()))
    assert own_word.reason == "NOT_RECORDED_BY_MEMBERS"
    for name, request in (
        ("PutTask", put_task_request("mine")),
        ("BatchRecordProgress", task_calls.BatchRecordProgressRequest()),
        ("GetCheckInCode", activity_calls.GetCheckInCodeRequest(activity_id="final")),
        ("ListAttendance", activity_calls.ListAttendanceRequest(activity_id="final")),
    ):
        assert (await refused(own, name, request)).code == "PERMISSION_DENIED"


async def test_what_many_did_is_told_in_a_batch(served: Serving, boss: Stubs) -> None:
    await become_member(boss)
    await boss.tasks.PutTask(
        put_task_request("films", kind=task_pb2.TASK_KIND_ACT, period=task_pb2.TASK_PERIOD_MONTH, times=2)
    )
    requests = [
        record_request("films", day(1)),
        record_request("films", day(2)),
        record_request("none", day(1)),
        record_request("films", day(3)),
        record_request("films", day(3), customer_id="c 1"),
    ]
    batch = task_calls.BatchRecordProgressRequest(requests=requests)
    reply = await boss.tasks.BatchRecordProgress(batch)
    assert [result.WhichOneof("result") for result in reply.results] == [
        "response",
        "response",
        "error",
        "response",
        "error",
    ]
    assert [reply.results[place].response.completions for place in (0, 1, 3)] == [0, 1, 0]
    assert [reply.results[place].response.already_done for place in (0, 1, 3)] == [False, False, True]
    assert await boss.tasks.BatchRecordProgress(batch) == reply
    assert await scalar(served.work, "SELECT count(*) FROM task_records") == 2


async def test_sixty_four_calls_at_once_sign_in_once(boss: Stubs) -> None:
    await become_member(boss)
    await boss.tasks.PutTask(put_task_request())
    replies = await asyncio.gather(*(boss.tasks.SignIn(sign_in_request(day(1))) for _ in range(64)))
    assert [reply.already_done for reply in replies].count(False) == 1


async def test_a_recharge_counts_for_the_task_that_asks_for_it(served: Serving, boss: Stubs) -> None:
    await become_member(boss)
    await boss.tasks.PutTask(
        put_task_request("twice", kind=task_pb2.TASK_KIND_RECHARGE, period=task_pb2.TASK_PERIOD_MONTH, times=2)
    )
    for number in (1, 2):
        await rewarded(served.work, reward(100_00, at=day(number)))
    await served.settle()
    (standing,) = (
        await boss.tasks.GetTasks(task_calls.GetTasksRequest(customer_id="c-1", as_of=to_proto(day(3))))
    ).tasks
    assert (standing.progress, standing.completions, standing.done) == (2, 1, True)


async def test_an_activity_from_its_draft_to_its_end(served: Serving, boss: Stubs) -> None:
    await become_member(boss)
    await become_member(boss, "c-2")
    await boss.activities.PutActivity(put_activity_request())
    published = await boss.activities.PublishActivity(publish_request())
    assert (published.activity.state, published.activity.revision) == (activity_pb2.ACTIVITY_STATE_PUBLISHED, 2)
    first = (await boss.activities.RegisterForActivity(register_request())).registration
    second = (await boss.activities.RegisterForActivity(register_request("c-2"))).registration
    assert (first.state, second.state) == (
        activity_pb2.REGISTRATION_STATE_SEATED,
        activity_pb2.REGISTRATION_STATE_WAITING,
    )
    assert second.waiting_place == 1
    found = await boss.activities.GetActivity(activity_calls.GetActivityRequest(activity_id="final"))
    assert (found.activity.seats_taken, found.waiting) == (1, 1)
    cancel = end_request(activity_calls.CancelRegistrationRequest, first.registration_id, day(11))
    left = await boss.activities.CancelRegistration(cancel)
    assert await boss.activities.CancelRegistration(cancel) == left
    assert left.registration.leaving_reason == activity_pb2.LEAVING_REASON_MEMBER
    came = end_request(activity_calls.CheckInRequest, second.registration_id, STARTS, customer_id="c-2")
    assert (await boss.activities.CheckIn(came)).given[0].points == 5
    came.request_id = new_id()
    assert (await boss.activities.CheckIn(came)).already_done
    listed = await boss.activities.ListAttendance(
        activity_calls.ListAttendanceRequest(activity_id="final", page_size=1)
    )
    assert [each.customer_id for each in listed.registrations] == ["c-1"]
    assert listed.next_page_token
    own = await boss.activities.ListRegistrations(activity_calls.ListRegistrationsRequest(customer_id="c-2"))
    assert [each.state for each in own.registrations] == [activity_pb2.REGISTRATION_STATE_ATTENDED]
    request = activity_calls.SettleActivitiesRequest(request_id="night", as_of=to_proto(ENDS))
    settled = await boss.activities.SettleActivities(request)
    assert (settled.activities, settled.missed) == (1, 0)
    assert await boss.activities.SettleActivities(request) == settled
    closed = activity_calls.ListActivitiesRequest(state=activity_pb2.ACTIVITY_STATE_CLOSED)
    assert [each.activity_id for each in (await boss.activities.ListActivities(closed)).activities] == ["final"]


async def test_a_member_checks_in_with_the_code_shown_at_the_door(boss: Stubs, own: Stubs) -> None:
    await become_member(boss)
    begins = clock.now() + timedelta(minutes=30)
    await boss.activities.PutActivity(
        put_activity_request(starts_at=to_proto(begins), ends_at=to_proto(begins + timedelta(hours=1)))
    )
    await boss.activities.PublishActivity(publish_request())
    late = await refused(own, "RegisterForActivity", register_request())
    assert fields(late) == ["occurred_at"]
    registered = await own.activities.RegisterForActivity(register_request(occurred_at=to_proto(clock.now())))
    registration_id = registered.registration.registration_id
    bare = end_request(activity_calls.CheckInRequest, registration_id, clock.now())
    assert (await refused(own, "CheckIn", bare)).reason == "WRONG_CHECK_IN_CODE"
    shown = await boss.activities.GetCheckInCode(activity_calls.GetCheckInCodeRequest(activity_id="final"))
    coded = end_request(activity_calls.CheckInRequest, registration_id, clock.now(), check_in_code=shown.check_in_code)
    assert not (await own.activities.CheckIn(coded)).already_done


async def test_what_is_called_off_is_told_to_everybody(served: Serving, boss: Stubs) -> None:
    await become_member(boss)
    await boss.activities.PutActivity(put_activity_request())
    await boss.activities.PublishActivity(publish_request())
    await boss.activities.RegisterForActivity(register_request())
    request = activity_calls.CancelActivityRequest(
        request_id=new_id(), activity_id="final", occurred_at=to_proto(day(11))
    )
    assert (await boss.activities.CancelActivity(request)).ended == 1
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await boss.activities.RegisterForActivity(register_request())
    assert remote_refusal(error.value).reason == "ACTIVITY_OVER"


async def test_versions_of_a_task_and_its_budget_are_shown(boss: Stubs) -> None:
    await become_member(boss)
    await boss.tasks.PutTask(put_task_request(budget_points=100))
    await boss.tasks.SignIn(sign_in_request(day(1)))
    await boss.tasks.PutTask(put_task_request(title="Sign in today", budget_points=100))
    now = await boss.tasks.GetTask(task_calls.GetTaskRequest(task_id="daily"))
    first = await boss.tasks.GetTask(task_calls.GetTaskRequest(task_id="daily", version=1))
    assert (now.task.version, now.task.title, first.task.title) == (2, "Sign in today", "Sign in")
    assert (now.points_given, now.rewards_given, bool(now.put_by)) == (5, 1, True)
    listed = await boss.tasks.ListTasks(task_calls.ListTasksRequest(active_at=to_proto(day(1))))
    assert [task.task_id for task in listed.tasks] == ["daily"]
    before = task_calls.ListTasksRequest(active_at=to_proto(JANUARY - timedelta(seconds=1)))
    assert not (await boss.tasks.ListTasks(before)).tasks
