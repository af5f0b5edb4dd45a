"""Bad input of every method of tasks and activities: each refusal names its field or its reason, nothing is stored."""

from typing import Any

from chassis.testing.serving import Serving
from chassis.times import to_proto
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from touchstone.member.v1 import activity_pb2, reward_pb2, task_pb2
from touchstone.member.v1 import activity_service_pb2 as activity_calls
from touchstone.member.v1 import task_service_pb2 as task_calls

from services.member.tests.activity_steps import ENDS, STARTS
from services.member.tests.calls import Stubs, become_member, methods_of, refuses_bad_input
from services.member.tests.factories import JANUARY, day
from services.member.tests.test_engagement_api import (
    FIVE,
    WEEK,
    activity_message,
    end_request,
    publish_request,
    put_activity_request,
    put_task_request,
    record_request,
    register_request,
    sign_in_request,
    task_message,
)

LARGEST = 2**63 - 1
SMALLEST = -(2**31)
OUT_OF_RANGE = Timestamp(seconds=-1)
NO_STATE: dict[str, Any] = {"state": 77}
NONE_AT_ALL = reward_pb2.Reward()


def points(number: int, **changes: Any) -> reward_pb2.Reward:
    """A reward of so many points."""
    return reward_pb2.Reward(points=reward_pb2.PointsReward(points=number, **changes))


def coupon(template_id: str) -> reward_pb2.Reward:
    """A reward of a coupon."""
    return reward_pb2.Reward(coupon=reward_pb2.CouponReward(template_id=template_id))


def ad(**changes: Any) -> task_calls.PutTaskRequest:
    """A request that puts a task of watching advertisements."""
    values = {"kind": task_pb2.TASK_KIND_AD, "period": task_pb2.TASK_PERIOD_DAY} | changes
    return put_task_request("ads", **values)


def terms(**changes: Any) -> list[activity_pb2.TierTerms]:
    """What is kept for the gold tier."""
    return [activity_pb2.TierTerms(**{"tier_id": "gold"} | changes)]


TASKS: list[tuple[str, Message, list[str]]] = [
    ("PutTask", put_task_request("a b"), ["task.task_id"]),
    ("PutTask", put_task_request("'; DROP TABLE tasks"), ["task.task_id"]),
    ("PutTask", put_task_request(title=""), ["task.title"]),
    ("PutTask", put_task_request(title="a\x00b"), ["task.title"]),
    ("PutTask", put_task_request(title="x" * 201), ["task.title"]),
    ("PutTask", put_task_request(kind=0), ["task.kind"]),
    ("PutTask", put_task_request(kind=77), ["task.kind"]),
    ("PutTask", put_task_request(program_id="a b"), ["task.program_id"]),
    ("PutTask", put_task_request(tier_ids=["gold", ""]), ["task.tier_ids[1]"]),
    ("PutTask", put_task_request(tier_ids=[f"t-{number}" for number in range(21)]), ["task.tier_ids"]),
    ("PutTask", put_task_request(active_from=None), ["task.active_from"]),
    ("PutTask", put_task_request(active_until=OUT_OF_RANGE), ["task.active_until"]),
    ("PutTask", put_task_request(active_until=to_proto(JANUARY)), ["task.active_until"]),
    ("PutTask", put_task_request(period=task_pb2.TASK_PERIOD_MONTH), ["task.period"]),
    ("PutTask", put_task_request(times=2), ["task.times"]),
    ("PutTask", put_task_request(freeze_days=32), ["task.freeze_days"]),
    ("PutTask", put_task_request(reward=NONE_AT_ALL), ["task.reward"]),
    ("PutTask", put_task_request(reward=points(0)), ["task.reward.points.points"]),
    ("PutTask", put_task_request(reward=points(LARGEST)), ["task.reward.points.points"]),
    ("PutTask", put_task_request(reward=points(5, lifetime_days=-1)), ["task.reward.points.lifetime_days"]),
    ("PutTask", put_task_request(reward=coupon("")), ["task.reward.coupon.template_id"]),
    ("PutTask", put_task_request(milestones=[task_pb2.Milestone(days=7)]), ["task.milestones[0].reward"]),
    ("PutTask", put_task_request(milestones=[WEEK, WEEK]), ["task.milestones[1].days"]),
    (
        "PutTask",
        put_task_request(milestones=[task_pb2.Milestone(days=number, reward=FIVE) for number in range(1, 22)]),
        ["task.milestones"],
    ),
    (
        "PutTask",
        put_task_request(budget_points=-1, budget_rewards=LARGEST),
        ["task.budget_points", "task.budget_rewards"],
    ),
    ("PutTask", ad(period=0), ["task.period"]),
    ("PutTask", ad(times=SMALLEST, most_per_period=101), ["task.times", "task.most_per_period"]),
    ("PutTask", ad(most_per_month=-1, min_watch_seconds=3_601), ["task.most_per_month", "task.min_watch_seconds"]),
    ("PutTask", ad(milestones=[WEEK], freeze_days=1), ["task.milestones", "task.freeze_days"]),
    ("PutTask", ad(kind=task_pb2.TASK_KIND_ORDER, min_watch_seconds=5), ["task.min_watch_seconds"]),
    ("PutTask", ad(kind=task_pb2.TASK_KIND_RECHARGE, by_members=True), ["task.by_members"]),
    ("PutTask", task_calls.PutTaskRequest(task=task_message()), ["request_id"]),
    ("GetTask", task_calls.GetTaskRequest(), ["task_id"]),
    ("GetTask", task_calls.GetTaskRequest(task_id="daily", version=-1), ["version"]),
    ("ListTasks", task_calls.ListTasksRequest(page_size=501), ["page_size"]),
    ("ListTasks", task_calls.ListTasksRequest(program_id="a b"), ["program_id"]),
    ("ListTasks", task_calls.ListTasksRequest(active_at=OUT_OF_RANGE), ["active_at"]),
    ("SignIn", sign_in_request(day(1), "c 1"), ["customer_id"]),
    ("SignIn", sign_in_request(day(1), person_id="§"), ["person_id"]),
    ("SignIn", sign_in_request(day(1), program_id="/"), ["program_id"]),
    ("SignIn", sign_in_request(day(1), occurred_at=None), ["occurred_at"]),
    ("SignIn", sign_in_request(day(1), occurred_at=OUT_OF_RANGE), ["occurred_at"]),
    ("SignIn", sign_in_request(day(1), request_id=""), ["request_id"]),
    ("RecordProgress", record_request("", day(1)), ["task_id"]),
    ("RecordProgress", record_request("act", day(1), times=-1), ["times"]),
    ("RecordProgress", record_request("act", day(1), times=101), ["times"]),
    ("RecordProgress", record_request("act", day(1), watched_seconds=-1), ["watched_seconds"]),
    ("RecordProgress", record_request("act", day(1), proof_id="a b"), ["proof_id"]),
    ("RecordProgress", record_request("act", day(1), occurred_at=None), ["occurred_at"]),
    (
        "BatchRecordProgress",
        task_calls.BatchRecordProgressRequest(requests=[record_request("act", day(1))] * 1001),
        ["requests"],
    ),
    ("GetTasks", task_calls.GetTasksRequest(), ["customer_id"]),
    ("GetTasks", task_calls.GetTasksRequest(customer_id="c-1", as_of=OUT_OF_RANGE), ["as_of"]),
    ("ListTaskRecords", task_calls.ListTaskRecordsRequest(customer_id="-"), ["customer_id"]),
    ("ListTaskRecords", task_calls.ListTaskRecordsRequest(customer_id="c-1", task_id="a b"), ["task_id"]),
    (
        "ListTaskRecords",
        task_calls.ListTaskRecordsRequest(customer_id="c-1", page_token="bm90YW51bWJlcg"),
        ["page_token"],
    ),
]

ACTIVITIES: list[tuple[str, Message, list[str]]] = [
    ("PutActivity", put_activity_request("a b"), ["activity.activity_id"]),
    ("PutActivity", put_activity_request(title=" ", place="x" * 201), ["activity.title", "activity.place"]),
    ("PutActivity", put_activity_request(program_id="a b"), ["activity.program_id"]),
    ("PutActivity", put_activity_request(tier_ids=["a b"]), ["activity.tier_ids[0]"]),
    ("PutActivity", put_activity_request(starts_at=None), ["activity.starts_at"]),
    ("PutActivity", put_activity_request(ends_at=to_proto(STARTS)), ["activity.ends_at"]),
    ("PutActivity", put_activity_request(registration_opens_at=OUT_OF_RANGE), ["activity.registration_opens_at"]),
    ("PutActivity", put_activity_request(registration_closes_at=to_proto(ENDS)), ["activity.registration_closes_at"]),
    ("PutActivity", put_activity_request(free_leaving_until=to_proto(ENDS)), ["activity.free_leaving_until"]),
    ("PutActivity", put_activity_request(capacity=0), ["activity.capacity"]),
    ("PutActivity", put_activity_request(capacity=100_001), ["activity.capacity"]),
    ("PutActivity", put_activity_request(party_size_max=-1), ["activity.party_size_max"]),
    ("PutActivity", put_activity_request(waiting_list_max=1_001), ["activity.waiting_list_max"]),
    ("PutActivity", put_activity_request(fee_points=LARGEST), ["activity.fee_points"]),
    ("PutActivity", put_activity_request(check_in_minutes=-5), ["activity.check_in_minutes"]),
    ("PutActivity", put_activity_request(barred_days=-1), ["activity.barred_days"]),
    ("PutActivity", put_activity_request(reward=points(-1)), ["activity.reward.points.points"]),
    ("PutActivity", put_activity_request(tier_terms=terms(tier_id="a b")), ["activity.tier_terms[0].tier_id"]),
    (
        "PutActivity",
        put_activity_request(tier_terms=terms(reserved_seats=-1, reserved_until=to_proto(ENDS))),
        ["activity.tier_terms[0].reserved_seats", "activity.tier_terms[0].reserved_until"],
    ),
    (
        "PutActivity",
        activity_calls.PutActivityRequest(activity=activity_message(), occurred_at=OUT_OF_RANGE),
        ["occurred_at"],
    ),
    ("PublishActivity", publish_request("a b"), ["activity_id"]),
    ("PublishActivity", activity_calls.PublishActivityRequest(request_id="r", activity_id="final"), ["occurred_at"]),
    ("CancelActivity", activity_calls.CancelActivityRequest(request_id="r", activity_id="final"), ["occurred_at"]),
    (
        "CancelActivity",
        activity_calls.CancelActivityRequest(activity_id="final", occurred_at=to_proto(STARTS)),
        ["request_id"],
    ),
    ("GetActivity", activity_calls.GetActivityRequest(), ["activity_id"]),
    ("ListActivities", activity_calls.ListActivitiesRequest(**NO_STATE), ["state"]),
    ("ListActivities", activity_calls.ListActivitiesRequest(starts_after=OUT_OF_RANGE), ["starts_after"]),
    ("ListActivities", activity_calls.ListActivitiesRequest(page_size=-1), ["page_size"]),
    ("GetCheckInCode", activity_calls.GetCheckInCodeRequest(activity_id="/"), ["activity_id"]),
    ("RegisterForActivity", register_request("c 1"), ["customer_id"]),
    ("RegisterForActivity", register_request(activity_id=""), ["activity_id"]),
    ("RegisterForActivity", register_request(person_id="a b"), ["person_id"]),
    ("RegisterForActivity", register_request(party_size=-1), ["party_size"]),
    ("RegisterForActivity", register_request(occurred_at=OUT_OF_RANGE), ["occurred_at"]),
    ("CancelRegistration", end_request(activity_calls.CancelRegistrationRequest, "", STARTS), ["registration_id"]),
    (
        "CancelRegistration",
        end_request(activity_calls.CancelRegistrationRequest, "r-1", STARTS, occurred_at=None),
        ["occurred_at"],
    ),
    ("CheckIn", end_request(activity_calls.CheckInRequest, "r 1", STARTS), ["registration_id"]),
    ("CheckIn", end_request(activity_calls.CheckInRequest, "r-1", STARTS, check_in_code="x" * 65), ["check_in_code"]),
    ("CheckIn", end_request(activity_calls.CheckInRequest, "r-1", STARTS, customer_id=""), ["customer_id"]),
    ("ListAttendance", activity_calls.ListAttendanceRequest(activity_id="final", **NO_STATE), ["state"]),
    ("ListAttendance", activity_calls.ListAttendanceRequest(activity_id="final", page_token="§"), ["page_token"]),
    (
        "ListAttendance",
        activity_calls.ListAttendanceRequest(activity_id="final", page_token="bm90YW51bWJlcg"),
        ["page_token"],
    ),
    ("ListRegistrations", activity_calls.ListRegistrationsRequest(), ["customer_id"]),
    ("SettleActivities", activity_calls.SettleActivitiesRequest(request_id="r"), ["as_of"]),
    ("SettleActivities", activity_calls.SettleActivitiesRequest(as_of=to_proto(STARTS)), ["request_id"]),
]

UNKNOWN: list[tuple[str, Message, str]] = [
    ("PutTask", put_task_request(program_id="none"), "PROGRAM_NOT_FOUND"),
    ("PutTask", put_task_request(tier_ids=["platinum"]), "TIER_NOT_IN_PROGRAM"),
    ("GetTask", task_calls.GetTaskRequest(task_id="none"), "TASK_NOT_FOUND"),
    ("SignIn", sign_in_request(day(1), "nobody"), "MEMBER_NOT_FOUND"),
    ("SignIn", sign_in_request(day(1)), "NO_SIGN_IN_TASK"),
    ("RecordProgress", record_request("none", day(1)), "TASK_NOT_FOUND"),
    ("GetTasks", task_calls.GetTasksRequest(customer_id="nobody"), "MEMBER_NOT_FOUND"),
    ("ListTaskRecords", task_calls.ListTaskRecordsRequest(customer_id="nobody"), "MEMBER_NOT_FOUND"),
    ("PutActivity", put_activity_request(program_id="none"), "PROGRAM_NOT_FOUND"),
    ("PublishActivity", publish_request("none"), "ACTIVITY_NOT_FOUND"),
    ("GetActivity", activity_calls.GetActivityRequest(activity_id="none"), "ACTIVITY_NOT_FOUND"),
    ("GetCheckInCode", activity_calls.GetCheckInCodeRequest(activity_id="none"), "ACTIVITY_NOT_FOUND"),
    ("RegisterForActivity", register_request(), "ACTIVITY_NOT_FOUND"),
    (
        "CancelRegistration",
        end_request(activity_calls.CancelRegistrationRequest, "none", STARTS),
        "REGISTRATION_NOT_FOUND",
    ),
    ("CheckIn", end_request(activity_calls.CheckInRequest, "none", STARTS), "REGISTRATION_NOT_FOUND"),
    ("ListAttendance", activity_calls.ListAttendanceRequest(activity_id="none"), "ACTIVITY_NOT_FOUND"),
    ("ListRegistrations", activity_calls.ListRegistrationsRequest(customer_id="nobody"), "MEMBER_NOT_FOUND"),
]


async def test_bad_input_names_its_field_and_stores_nothing(served: Serving, boss: Stubs) -> None:
    await become_member(boss)
    await refuses_bad_input(served, boss, TASKS + ACTIVITIES, UNKNOWN)
    assert methods_of(task_calls, activity_calls) == {name for name, _, _ in TASKS + ACTIVITIES}
