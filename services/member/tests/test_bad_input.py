"""Bad input of every method over real gRPC: each refusal names its field or its reason, and nothing is stored."""

from typing import Any

from chassis.ids import new_id
from chassis.testing.serving import Serving
from chassis.times import to_proto
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from touchstone.member.v1 import member_pb2
from touchstone.member.v1 import membership_service_pb2 as membership_pb
from touchstone.member.v1 import points_service_pb2 as points_pb

from services.member.tests.calls import Stubs, become_member, methods_of, refuses_bad_input
from services.member.tests.factories import (
    JANUARY,
    day,
    earn_request,
    enrol_request,
    hold_request,
)

LARGEST = 2**63 - 1


def hold_end(kind: Any, **changes: Any) -> Any:
    """A request that ends a hold."""
    values = {"request_id": new_id(), "customer_id": "c-1", "hold_id": "h-1", "occurred_at": to_proto(day(2))}
    return kind(**values | changes)


def put_program_request(**changes: Any) -> membership_pb.PutProgramRequest:
    """A request that puts a program of one tier."""
    values: dict[str, Any] = {
        "program_id": "fans",
        "display_name": "Fans",
        "tiers": [member_pb2.Tier(tier_id="first", display_name="First", earn_rate_percent=100)],
        "window_days": 365,
    }
    return membership_pb.PutProgramRequest(request_id=new_id(), program=member_pb2.Program(**values | changes))


OUT_OF_RANGE = Timestamp(seconds=-1)
TIER = member_pb2.Tier(tier_id="first", display_name="First", points_required=-1)

BAD: list[tuple[str, Message, list[str]]] = [
    ("PutProgram", put_program_request(program_id="a b"), ["program.program_id"]),
    ("PutProgram", put_program_request(tiers=[]), ["program.tiers"]),
    ("PutProgram", put_program_request(tiers=[TIER]), ["program.tiers[0].points_required"]),
    ("PutProgram", put_program_request(window_days=0), ["program.window_days"]),
    ("GetProgram", membership_pb.GetProgramRequest(program_id="/"), ["program_id"]),
    ("Enrol", enrol_request("c/1"), ["customer_id"]),
    ("Enrol", enrol_request(program_id="a b"), ["program_id"]),
    ("Enrol", enrol_request(occurred_at=None), ["occurred_at"]),
    ("Enrol", enrol_request(occurred_at=OUT_OF_RANGE), ["occurred_at"]),
    ("Enrol", enrol_request(request_id="a b"), ["request_id"]),
    ("BatchEnrol", membership_pb.BatchEnrolRequest(requests=[enrol_request()] * 1001), ["requests"]),
    ("GetMember", membership_pb.GetMemberRequest(customer_id="-"), ["customer_id"]),
    ("GetMember", membership_pb.GetMemberRequest(customer_id="c-1", as_of=OUT_OF_RANGE), ["as_of"]),
    ("CountMembers", membership_pb.CountMembersRequest(program_id="a b"), ["program_id"]),
    ("EvaluateTiers", membership_pb.EvaluateTiersRequest(request_id="r"), ["as_of"]),
    ("EvaluateTiers", membership_pb.EvaluateTiersRequest(as_of=to_proto(JANUARY)), ["request_id"]),
    ("EarnPoints", earn_request(0), ["points"]),
    ("EarnPoints", earn_request(-5), ["points"]),
    ("EarnPoints", earn_request(LARGEST), ["points"]),
    ("EarnPoints", earn_request(5, "c 1"), ["customer_id"]),
    ("EarnPoints", earn_request(5, reason=""), ["reason"]),
    ("EarnPoints", earn_request(5, reason="x" * 201), ["reason"]),
    ("EarnPoints", earn_request(5, expires_at=to_proto(day(1))), ["expires_at"]),
    ("EarnPoints", earn_request(5, occurred_at=None), ["occurred_at"]),
    ("BatchEarnPoints", points_pb.BatchEarnPointsRequest(requests=[earn_request(5)] * 1001), ["requests"]),
    ("HoldPoints", hold_request(0), ["points"]),
    ("HoldPoints", hold_request(-1), ["points"]),
    ("HoldPoints", hold_request(LARGEST), ["points"]),
    ("HoldPoints", hold_request(5, expires_at=to_proto(day(2))), ["expires_at"]),
    ("HoldPoints", hold_request(5, expires_at=None), ["expires_at"]),
    ("HoldPoints", hold_request(5, request_id=""), ["request_id"]),
    ("ConfirmHold", hold_end(points_pb.ConfirmHoldRequest, hold_id="a b"), ["hold_id"]),
    ("ConfirmHold", hold_end(points_pb.ConfirmHoldRequest, points=-1), ["points"]),
    ("ConfirmHold", hold_end(points_pb.ConfirmHoldRequest, points=LARGEST), ["points"]),
    ("ConfirmHold", hold_end(points_pb.ConfirmHoldRequest, customer_id=""), ["customer_id"]),
    ("ReleaseHold", hold_end(points_pb.ReleaseHoldRequest, hold_id=""), ["hold_id"]),
    ("ReleaseHold", hold_end(points_pb.ReleaseHoldRequest, occurred_at=None), ["occurred_at"]),
    ("GetPointsBalance", points_pb.GetPointsBalanceRequest(customer_id="c-1", as_of=OUT_OF_RANGE), ["as_of"]),
    ("GetPointsBalance", points_pb.GetPointsBalanceRequest(customer_id=""), ["customer_id"]),
    ("ListPointsEntries", points_pb.ListPointsEntriesRequest(customer_id="c-1", page_size=501), ["page_size"]),
    (
        "ListPointsEntries",
        points_pb.ListPointsEntriesRequest(customer_id="c-1", page_token="bm90YW51bWJlcg"),
        ["page_token"],
    ),
    ("ExpirePoints", points_pb.ExpirePointsRequest(request_id="r"), ["as_of"]),
    ("ExpirePoints", points_pb.ExpirePointsRequest(as_of=to_proto(JANUARY)), ["request_id"]),
]

UNKNOWN: list[tuple[str, Message, str]] = [
    ("GetProgram", membership_pb.GetProgramRequest(program_id="none"), "PROGRAM_NOT_FOUND"),
    ("Enrol", enrol_request("nobody"), "CUSTOMER_NOT_FOUND"),
    ("Enrol", enrol_request("c-1", program_id="none"), "PROGRAM_NOT_FOUND"),
    ("GetMember", membership_pb.GetMemberRequest(customer_id="nobody"), "MEMBER_NOT_FOUND"),
    ("CountMembers", membership_pb.CountMembersRequest(program_id="none"), "PROGRAM_NOT_FOUND"),
    (
        "EvaluateTiers",
        membership_pb.EvaluateTiersRequest(request_id="r", program_id="none", as_of=to_proto(JANUARY)),
        "PROGRAM_NOT_FOUND",
    ),
    ("EarnPoints", earn_request(5, "nobody"), "MEMBER_NOT_FOUND"),
    ("HoldPoints", hold_request(5, "nobody"), "MEMBER_NOT_FOUND"),
    ("HoldPoints", hold_request(5, "c-1"), "INSUFFICIENT_BALANCE"),
    ("ConfirmHold", hold_end(points_pb.ConfirmHoldRequest), "HOLD_NOT_FOUND"),
    ("ReleaseHold", hold_end(points_pb.ReleaseHoldRequest), "HOLD_NOT_FOUND"),
    ("GetPointsBalance", points_pb.GetPointsBalanceRequest(customer_id="nobody"), "MEMBER_NOT_FOUND"),
    ("ListPointsEntries", points_pb.ListPointsEntriesRequest(customer_id="nobody"), "MEMBER_NOT_FOUND"),
]


async def test_bad_input_names_its_field_and_stores_nothing(served: Serving, boss: Stubs) -> None:
    await become_member(boss)
    await refuses_bad_input(served, boss, BAD, UNKNOWN)
    services = (membership_pb, points_pb)
    assert methods_of(*services) == {name for name, _, _ in BAD}
